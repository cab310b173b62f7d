//! Where backups go, who can read them, how many stay, and how old they may become.

mod external;

use std::fs;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use super::keys::RecipientKey;
use crate::clock::DAY;
use crate::config::{DatabaseUrl, Loader, Setting, WebUrl};
use crate::database::text_enum;
use crate::media::objects::{Encryption, S3Settings, clean_prefix};
pub use external::{External, ExternalTool};

text_enum! {
    /// What a backup has of uploads.
    pub enum BackupMedia {
        /// A list of everything that belongs to them, with lengths and checksums.
        Inventory = "inventory",
        /// That list, and beside the backups the files themselves, each once.
        Full = "full",
        /// Nothing.
        Nothing = "none",
    }
}

/// How backups are made, kept and proven.
#[derive(Clone, Debug)]
pub struct BackupSettings {
    /// `backup.folder`: where backups go.
    pub folder: PathBuf,
    /// A bucket that every backup is copied to.
    pub bucket: Option<S3Settings>,
    /// `backup.work_folder`: where a database is copied to on its way, and restored to by drills.
    pub work_folder: PathBuf,
    /// What a backup has of uploads.
    pub media: BackupMedia,
    /// Who can decrypt backups; nobody has to if there is none.
    pub recipients: Vec<RecipientKey>,
    /// `backup.identity_file`: the private key, where drills run.
    pub identity_file: Option<PathBuf>,
    /// How often the server makes one; `None`: never.
    pub every: Option<Duration>,
    /// How often the server proves the newest; `None`: never.
    pub drill_every: Option<Duration>,
    /// Another PostgreSQL for drills.
    pub drill_database: Option<DatabaseUrl>,
    /// Where `pg_dump` and `pg_restore` are.
    pub postgres_tools: Option<PathBuf>,
    /// How old the newest backup may be.
    pub max_age: Duration,
    /// How old the last successful drill may be, and what it proved.
    pub drill_max_age: Duration,
    /// How long restoring may take.
    pub max_restore: Duration,
    /// The fewest backups there should be.
    pub min_keep: u32,
    /// Which stay.
    pub retention: Retention,
    /// Another program that makes backups.
    pub external: Option<External>,
    /// Where figures for Prometheus are written after each job.
    pub metrics_file: Option<PathBuf>,
}

/// Which backups stay: those that any of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest.
    pub last: u32,
    /// The newest of each of so many days (UTC).
    pub daily: u32,
    /// The newest of each of so many weeks (ISO 8601).
    pub weekly: u32,
    /// The newest of each of so many months.
    pub monthly: u32,
}

/// A backup is sent in one request, which may take long.
const SENDING: Duration = Duration::from_secs(3600);

impl BackupSettings {
    /// What an embedder gets who says nothing else.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self::read(&mut Loader::empty(), data_dir, None)
    }

    /// What can't be used together, and why.
    pub(crate) fn problem(&self, uploads: &Path) -> Option<(&'static str, &'static str)> {
        let place = |path: &Path| fs::canonicalize(path).or_else(|_| path::absolute(path)).ok();
        if place(&self.folder) == place(&self.work_folder) {
            return Some((
                "backup.work_folder",
                "is the folder of backups; what lies there for a while isn't encrypted",
            ));
        }
        // Pruning removes the files there that no backup has.
        if place(&self.folder.join(super::media::FOLDER)) == place(uploads) {
            return Some(("backup.folder", "has the uploads in its folder media; backups need a folder of their own"));
        }
        None
    }

    pub(crate) fn read(from: &mut Loader, data_dir: &Path, uploads: Option<&S3Settings>) -> Self {
        let folder = from.get(Setting {
            key: "backup.folder",
            env: None,
            default: data_dir.join("backups"),
            about: "Folder that backups go to; best on another disk than the database. Default: backups in the data folder.",
        });
        let work_folder = from.get(Setting {
            key: "backup.work_folder",
            env: None,
            default: data_dir.join("backup-work"),
            about: "Folder where a database is copied to on its way into a backup, and restored to by drills; not encrypted, mode 0700. Default: backup-work in the data folder.",
        });
        let media = from.get(Setting {
            key: "backup.media",
            env: None,
            default: BackupMedia::Inventory,
            about: "What backups have of uploads: inventory, a list with checksums; full, the files too, each once in the folder media beside the backups; or none.",
        });
        let recipients = from.get(Setting {
            key: "backup.recipients",
            env: None,
            default: Vec::new(),
            about: "Public age keys (age1...), separated by commas, of those who can decrypt backups; `backup key generate` makes one. Without any, backups aren't encrypted.",
        });
        let identity_file = from.find(
            "backup.identity_file",
            None,
            "File with the private age key, where drills run. Not on the server, if it can be helped.",
        );
        let every = from.find(
            "backup.every",
            None,
            "How often the server makes a backup by itself, for example 24h; it never does if this isn't set.",
        );
        let drill_every = from.find(
            "backup.drill_every",
            None,
            "How often the server restores the newest backup into a scratch database to prove it, for example 7d; never if this isn't set.",
        );
        let drill_database = from.find_secret(
            "backup.drill_database_url",
            None,
            "PostgreSQL for drills, which make and drop databases called petspark_drill_...; default: the server of DATABASE_URL.",
        );
        let postgres_tools =
            from.find("backup.postgres_tools", None, "Folder of pg_dump and pg_restore, if they aren't found.");
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let max_age = get(
            "backup.max_age",
            Duration::from_secs(26 * 3600),
            "How old the newest backup may be before `backup check` fails.",
        );
        let drill_max_age = get(
            "backup.drill_max_age",
            8 * DAY,
            "How old the last successful drill, and the backup that it proved, may be before `backup check` fails.",
        );
        let max_restore = get(
            "backup.max_restore",
            Duration::from_secs(3600),
            "How long restoring may take before `backup check` warns.",
        );
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let min_keep = get("backup.min_keep", 3, "The fewest backups there should be.");
        let retention = Retention {
            last: get("backup.keep_last", 7, "`backup prune` keeps so many of the newest backups,"),
            daily: get("backup.keep_daily", 14, "and the newest of each of so many days,"),
            weekly: get("backup.keep_weekly", 8, "of so many weeks,"),
            monthly: get("backup.keep_monthly", 12, "and of so many months."),
        };
        if retention.last == 0 {
            from.problem("backup.keep_last", "must be at least 1");
        }
        for (key, every) in [("backup.every", every), ("backup.drill_every", drill_every)] {
            if every.is_some_and(|every: Duration| every < Duration::from_secs(60)) {
                from.problem(key, "must be at least 1m");
            }
        }
        from.require_positive(&[
            ("backup.max_age", max_age),
            ("backup.drill_max_age", drill_max_age),
            ("backup.max_restore", max_restore),
        ]);
        if matches!(drill_database, Some(DatabaseUrl::Sqlite(_))) {
            from.problem("backup.drill_database_url", "must be a PostgreSQL; drills of SQLite need none");
        }
        let metrics_file = from.find(
            "backup.metrics_file",
            None,
            "File that figures about backups are written to for Prometheus' node exporter, after each job.",
        );
        Self {
            external: External::read(from),
            bucket: bucket(from, uploads),
            folder,
            work_folder,
            media,
            recipients,
            identity_file,
            every,
            drill_every,
            drill_database,
            postgres_tools,
            max_age,
            drill_max_age,
            max_restore,
            min_keep,
            retention,
            metrics_file,
        }
    }
}

/// A bucket for copies. What isn't said of it is as with uploads.
fn bucket(from: &mut Loader, uploads: Option<&S3Settings>) -> Option<S3Settings> {
    let name: Option<String> =
        from.find("backup.s3.bucket", None, "Bucket that every backup is copied to. It may not hold uploads too.");
    let prefix: Option<String> = from.find("backup.s3.prefix", None, "What every name in that bucket begins with.");
    let region = from.find("backup.s3.region", None, "Region of that bucket. Default: that of uploads.");
    let endpoint_url: Option<WebUrl> =
        from.find("backup.s3.endpoint_url", None, "Its S3-compatible server. Default: that of uploads.");
    let access_key_id = from.secret("backup.s3.access_key_id", None, "Who we are there. Default: as with uploads.");
    let secret_access_key =
        from.secret("backup.s3.secret_access_key", None, "The secret that goes with it. Default: as with uploads.");
    let name = name?;
    if cfg!(not(feature = "s3")) {
        from.problem("backup.s3.bucket", "can't be used: this build was made without the feature s3");
    }
    let prefix = clean_prefix(prefix.as_deref().unwrap_or_default());
    if prefix.is_none() {
        from.problem("backup.s3.prefix", "must be made of letters, digits, - . _ and single slashes");
    }
    // Clearing away what belongs to no upload must never see a backup.
    if uploads.is_some_and(|uploads| uploads.bucket == name) {
        from.problem("backup.s3.bucket", "is the bucket of uploads; backups need one of their own");
    }
    let region = region.or_else(|| uploads.map(|uploads| uploads.region.clone()));
    let region = region.or_else(|| endpoint_url.as_ref().map(|_| "us-east-1".to_owned()));
    let access_key_id = access_key_id.or_else(|| uploads.map(|uploads| uploads.access_key_id.clone()));
    let secret_access_key = secret_access_key.or_else(|| uploads.map(|uploads| uploads.secret_access_key.clone()));
    for (key, missing) in [
        ("backup.s3.region", region.is_none()),
        ("backup.s3.access_key_id", access_key_id.is_none()),
        ("backup.s3.secret_access_key", secret_access_key.is_none()),
    ] {
        if missing {
            from.problem(key, "is missing, and backups are to be copied to S3");
        }
    }
    let endpoint_url = endpoint_url.or_else(|| uploads.and_then(|uploads| uploads.endpoint_url.clone()));
    Some(S3Settings {
        bucket: name,
        region: region?,
        path_style: uploads.map_or(endpoint_url.is_some(), |uploads| uploads.path_style),
        endpoint_url,
        prefix: prefix?,
        encryption: uploads.map_or(Encryption::None, |uploads| uploads.encryption.clone()),
        ca: uploads.and_then(|uploads| uploads.ca.clone()),
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token: uploads.and_then(|uploads| uploads.session_token.clone()),
        connect_timeout: Duration::from_secs(10),
        attempt_timeout: SENDING,
        timeout: 3 * SENDING,
    })
}
