//! Typed settings. An embedder builds the structs in code; programs load them with a [`Loader`]
//! from flags, environment and a TOML file, and hear of *all* problems at once.
//!
//! A setting is declared once, where it is read: key, environment name, default and what it
//! does. Validation, `.env.example` and `config show` all follow from that declaration.

mod loader;
mod problem;
mod sources;
mod template;
mod value;

pub use loader::{Loader, Resolved, Setting};
pub use problem::{Problem, Problems};
pub use sources::{Origin, Sources};
pub use template::env_template;
pub use value::{ByteSize, DatabaseUrl, Value, WebUrl};

use std::path::PathBuf;
use std::time::Duration;

use crate::audit::AuditSettings;
use crate::auth::{OneTimeTokenSettings, RegisterMode, SecondFactorSettings, Secrets, ThrottleSettings};
use crate::backup::BackupSettings;
use crate::billing::BillingSettings;
use crate::database::text_enum;
use crate::jobs::JobSettings;
use crate::mail::MailSettings;
use crate::media::MediaSettings;
use crate::media::objects::ObjectSettings;
use crate::moderation::ModerationSettings;
use crate::people::PeopleSettings;
use crate::pets::PetSettings;
use crate::secret::Secret;

text_enum! {
    /// How strict to be, and what to assume about the surroundings.
    pub enum Environment {
        /// A person at a keyboard: readable logs, keys made on first start.
        Development = "development",
        /// Nothing is assumed: what is missing or weak refuses to start.
        Production = "production",
    }
}

text_enum! {
    /// What SQLite waits for at a commit.
    pub enum Synchronous {
        /// The disk itself: an acknowledged write survives a power cut.
        Full = "full",
        /// The operating system: an acknowledged write survives a crash of the process only.
        Normal = "normal",
    }
}

/// Everything `petspark-core` can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `PETSPARK_ENV`.
    pub environment: Environment,
    /// `PETSPARK_DATA_DIR`: the embedded database and keys made on first start.
    pub data_dir: PathBuf,
    /// `PUBLIC_WEB_URL`: where links in mails lead.
    pub public_web_url: Option<WebUrl>,
    /// Where the rows are.
    pub database: DatabaseSettings,
    /// Accounts and sessions.
    pub auth: AuthSettings,
    /// How people's data is kept.
    pub people: PeopleSettings,
    /// How pets are kept.
    pub pets: PetSettings,
    /// What may be uploaded.
    pub media: MediaSettings,
    /// How moderators work together.
    pub moderation: ModerationSettings,
    /// How mails leave.
    pub mail: MailSettings,
    /// Work that is done later.
    pub jobs: JobSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// Where uploads are kept.
    pub objects: ObjectSettings,
    /// Payments and plans.
    pub billing: BillingSettings,
    /// How backups are made, kept and proven.
    pub backup: BackupSettings,
}

/// The database and how patient we are with it.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Which engine, and where.
    pub url: DatabaseUrl,
    /// Connections of the pool; on SQLite, readers beside the one writer.
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is told 503.
    pub acquire_timeout: Duration,
    /// How long to wait at start for a PostgreSQL that is away.
    pub connect_timeout: Duration,
    /// How long a statement may take; on SQLite, one that reads.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock on PostgreSQL.
    pub lock_timeout: Duration,
    /// How long to wait for another process that writes the same SQLite file.
    pub busy_timeout: Duration,
    /// When an unused PostgreSQL connection is closed.
    pub idle_timeout: Duration,
    /// When a PostgreSQL connection is replaced.
    pub max_lifetime: Duration,
    /// What SQLite waits for at a commit.
    pub synchronous: Synchronous,
}

/// Accounts, passwords and tokens.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// `JWT_SECRET`: signs tokens by keys derived from it. Several, newest first, separated by
    /// commas: the first signs, all verify.
    /// `None` makes a random one and keeps it in the data folder (development only).
    pub jwt_secret: Option<Secret>,
    /// Encrypts secrets in the database; `None` uses `jwt_secret`.
    pub encryption_key: Option<Secret>,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// A session ends when its refresh token was not used for this long.
    pub session_idle_ttl: Duration,
    /// A session ends this long after signing in, however much it is used.
    pub session_absolute_ttl: Duration,
    /// After a rotation, how long the token before it is answered with the same successor.
    pub refresh_grace: Duration,
    /// How long after signing in sensitive things can be changed without proving oneself anew.
    pub step_up_ttl: Duration,
    /// Sessions that a user can have at the same time; one more ends the one unused for longest.
    pub max_sessions: u32,
    /// How long links in mails are valid.
    pub one_time_tokens: OneTimeTokenSettings,
    /// Second factors.
    pub second_factor: SecondFactorSettings,
    /// Passwords hashed at the same time; each takes 19 MiB.
    pub hash_concurrency: u32,
    /// How often a session may be renewed in a minute, by each server; 0 is as often as it likes.
    pub refresh_per_minute: u32,
    /// How long a looked-up session is believed without asking the database again.
    pub session_cache_ttl: Duration,
    /// `AUTH_REGISTER_MODE`: what a registration leads to.
    pub register_mode: RegisterMode,
    /// Fewest characters of a new password; 8 at least, whatever is said here.
    pub password_min_chars: u32,
    /// When guessing is slowed down.
    pub throttle: ThrottleSettings,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(4))
}

impl Settings {
    /// Declares and reads every setting of this crate.
    #[must_use]
    pub fn read(from: &mut Loader) -> Self {
        let environment = from.environment();
        let data_dir: PathBuf = from.get(Setting {
            key: "data_dir",
            env: Some("PETSPARK_DATA_DIR"),
            default: PathBuf::from("./petspark-data"),
            about: "Folder of the embedded database and of keys made on first start; created with mode 0700.",
        });
        let public_web_url = from.find(
            "public_web_url",
            Some("PUBLIC_WEB_URL"),
            "Where links in mails lead, for example https://app.example.org. Development has http://localhost:3000; production needs one to send mails.",
        );
        let mut settings = Self {
            environment,
            public_web_url,
            database: DatabaseSettings::read(from, &data_dir),
            auth: AuthSettings::read(from),
            people: PeopleSettings::read(from),
            pets: PetSettings::read(from),
            media: MediaSettings::read(from),
            moderation: ModerationSettings::read(from),
            mail: MailSettings::read(from),
            jobs: JobSettings::read(from),
            audit: AuditSettings::read(from),
            objects: ObjectSettings::read(from, &data_dir),
            billing: BillingSettings::read(from),
            backup: BackupSettings::in_folder(&data_dir),
            data_dir,
        };
        settings.backup = BackupSettings::read(from, &settings.data_dir, settings.objects.s3.as_ref());
        settings.check(from);
        settings
    }

    /// Rules about more than one setting.
    fn check(&self, problems: &mut Loader) {
        if let Some(problem) = self.auth.signing_problem(self.environment) {
            problems.problem("auth.jwt_secret", problem);
        }
        let weak =
            self.auth.encryption_key.as_ref().and_then(|keys| Secrets::parse(keys).iter().find_map(Secret::weakness));
        if let (Environment::Production, Some(weakness)) = (self.environment, weak) {
            problems.problem("auth.encryption_key", weakness.to_string());
        }
        if let Some((key, problem)) = self.mail.problem(self.environment, self.public_web_url.as_ref()) {
            problems.problem(key, problem);
        }
        if let Some((key, problem)) = self.backup.problem(&self.objects.folder) {
            problems.problem(key, problem);
        }
        if self.auth.session_cache_ttl > seconds(60) {
            problems.problem("auth.session_cache_ttl", "must be at most 1m");
        }
        let database = &self.database;
        problems.require_positive(&[
            ("database.acquire_timeout", database.acquire_timeout),
            ("database.connect_timeout", database.connect_timeout),
            ("database.statement_timeout", database.statement_timeout),
            ("database.lock_timeout", database.lock_timeout),
            ("database.busy_timeout", database.busy_timeout),
            ("database.idle_timeout", database.idle_timeout),
            ("database.max_lifetime", database.max_lifetime),
            ("mail.timeout", self.mail.timeout),
            ("auth.session_idle_ttl", self.auth.session_idle_ttl),
            ("auth.session_absolute_ttl", self.auth.session_absolute_ttl),
        ]);
        if self.auth.session_idle_ttl > self.auth.session_absolute_ttl {
            problems.problem("auth.session_idle_ttl", "is longer than auth.session_absolute_ttl");
        }
        if self.auth.access_token_ttl > seconds(3600) || self.auth.access_token_ttl < seconds(60) {
            problems.problem("auth.access_token_ttl", "must be from 60s to 1h");
        }
    }
}

/// What an embedder gets without saying anything: SQLite in `./petspark-data`, development.
impl Default for Settings {
    fn default() -> Self {
        Self::read(&mut Loader::empty())
    }
}

impl Settings {
    /// The defaults with everything that PetSpark keeps under `folder`.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        let mut settings = Self { data_dir: folder.into(), ..Self::default() };
        settings.database.url = DatabaseUrl::Sqlite(settings.data_dir.join("petspark.db"));
        settings.objects = ObjectSettings::in_folder(&settings.data_dir);
        settings.backup = BackupSettings::in_folder(&settings.data_dir);
        settings
    }
}

impl DatabaseSettings {
    fn read(from: &mut Loader, data_dir: &std::path::Path) -> Self {
        let url = from.get_secret(Setting {
            key: "database.url",
            env: Some("DATABASE_URL"),
            default: DatabaseUrl::Sqlite(data_dir.join("petspark.db")),
            about: "sqlite://path/to/file.db or postgres://user:password@host:5432/name. Default: petspark.db in the data folder.",
        });
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let acquire_timeout = get(
            "database.acquire_timeout",
            seconds(5),
            "How long a request waits for a free connection before it is told 503.",
        );
        let connect_timeout =
            get("database.connect_timeout", seconds(30), "How long to wait at start for a PostgreSQL that is away.");
        let statement_timeout = get("database.statement_timeout", seconds(10), "How long a statement may take.");
        let lock_timeout =
            get("database.lock_timeout", seconds(5), "How long a statement may wait for a lock on PostgreSQL.");
        let busy_timeout = get(
            "database.busy_timeout",
            seconds(5),
            "How long to wait for another process that writes the same SQLite file.",
        );
        let idle_timeout =
            get("database.idle_timeout", seconds(600), "When an unused PostgreSQL connection is closed.");
        let max_lifetime = get("database.max_lifetime", seconds(1800), "When a PostgreSQL connection is replaced.");
        let default_connections = match url {
            DatabaseUrl::Sqlite(_) => cores().clamp(2, 8),
            DatabaseUrl::Postgres(_) => 10,
        };
        let max_connections = from.get(Setting {
            key: "database.max_connections",
            env: None,
            default: default_connections,
            about: "Connections of the pool; on SQLite, readers beside the one writer. Default: 10, on SQLite one a core (2 to 8).",
        });
        if !(1..=1000).contains(&max_connections) {
            from.problem("database.max_connections", "must be from 1 to 1000");
        }
        Self {
            url,
            max_connections: max_connections.max(1),
            acquire_timeout,
            connect_timeout,
            statement_timeout,
            lock_timeout,
            busy_timeout,
            idle_timeout,
            max_lifetime,
            synchronous: from.get(Setting {
                key: "database.synchronous",
                env: None,
                default: Synchronous::Full,
                about: "What SQLite waits for at a commit: full survives a power cut, normal a crash of the process only.",
            }),
        }
    }
}

impl AuthSettings {
    /// Why tokens must not be signed like this in production. Development is forgiven.
    pub(crate) fn signing_problem(&self, environment: Environment) -> Option<String> {
        const REMEDY: &str = "for example to the output of `openssl rand -hex 32`";
        if environment == Environment::Development {
            return None;
        }
        match &self.jwt_secret {
            None => Some(format!("is missing, and production needs one; set JWT_SECRET or JWT_SECRET_FILE, {REMEDY}")),
            Some(secrets) => {
                let weak = Secrets::parse(secrets).iter().find_map(Secret::weakness);
                weak.map(|weakness| format!("{weakness}; set it to a random one, {REMEDY}"))
            }
        }
    }

    fn read(from: &mut Loader) -> Self {
        let jwt_secret = from.secret(
            "auth.jwt_secret",
            Some("JWT_SECRET"),
            "Signs tokens: 32 random bytes or more. To change it put the new one in front of the old, separated by a comma, and drop the old after the longest session. Development makes one and keeps it in the data folder; production refuses to start without.",
        );
        let encryption_key = from.secret(
            "auth.encryption_key",
            None,
            "Encrypts secrets in the database, such as those of second factors: 32 random bytes or more, several as in JWT_SECRET. Default: JWT_SECRET.",
        );
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let access_token_ttl = get("auth.access_token_ttl", seconds(900), "Life of an access token, 60s to 1h.");
        let session_idle_ttl =
            get("auth.session_idle_ttl", days(30), "A session ends when its refresh token was not used for this long.");
        let session_absolute_ttl = get(
            "auth.session_absolute_ttl",
            days(90),
            "A session ends this long after signing in, however much it is used.",
        );
        let refresh_grace = get(
            "auth.refresh_grace",
            seconds(10),
            "After a rotation, how long the token before it is answered with the same successor.",
        );
        let session_cache_ttl = get(
            "auth.session_cache_ttl",
            seconds(2),
            "How long a looked-up session is believed without asking the database again: what another process ended is noticed by then. At most 1m.",
        );
        let step_up_ttl = get(
            "auth.step_up_ttl",
            seconds(600),
            "How long after signing in an address, a password or a second factor can be changed without proving oneself anew.",
        );
        let max_sessions = from.get(Setting {
            key: "auth.max_sessions",
            env: None,
            default: 48,
            about: "Sessions that a user can have at the same time; one more ends the one unused for longest.",
        });
        if max_sessions == 0 {
            from.problem("auth.max_sessions", "must be at least 1");
        }
        let hash_concurrency = from.get(Setting {
            key: "auth.hash_concurrency",
            env: None,
            default: cores().min(4),
            about: "Passwords hashed at the same time; each takes 19 MiB. Default: one a core, at most 4.",
        });
        if !(1..=64).contains(&hash_concurrency) {
            from.problem("auth.hash_concurrency", "must be from 1 to 64");
        }
        let password_min_chars = from.get(Setting {
            key: "auth.password_min_chars",
            env: None,
            default: 8,
            about: "Fewest characters of a new password, 8 to 64; NIST SP 800-63B-4 wants 15 where a password is all there is.",
        });
        if !(8..=64).contains(&password_min_chars) {
            from.problem("auth.password_min_chars", "must be from 8 to 64");
        }
        Self {
            jwt_secret,
            encryption_key,
            access_token_ttl,
            session_idle_ttl,
            session_absolute_ttl,
            refresh_grace,
            step_up_ttl,
            max_sessions: max_sessions.max(1),
            one_time_tokens: OneTimeTokenSettings::read(from),
            second_factor: SecondFactorSettings::read(from),
            hash_concurrency: hash_concurrency.max(1),
            refresh_per_minute: from.get(Setting {
                key: "auth.refresh_per_minute",
                env: None,
                default: 10,
                about: "How often one session may be renewed in a minute, counted by each server for itself; the same token again is not counted. 0 is no limit.",
            }),
            session_cache_ttl,
            register_mode: from.get(Setting {
                key: "auth.register_mode",
                env: Some("AUTH_REGISTER_MODE"),
                default: RegisterMode::Open,
                about: "open signs in at once, and tells who tries whether an address has an account; verify_first sends a mail in any case.",
            }),
            password_min_chars,
            throttle: ThrottleSettings::read(from),
        }
    }
}
