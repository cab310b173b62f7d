//! Restoring: to a new place, where nothing can be lost; or in place of the live database, with the
//! server stopped, a backup of what is there made first, and what is there set aside, not deleted.

mod beside;
mod file;
mod finish;
mod in_place;
mod place;
mod schema;
mod unpack;
mod uploads;

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use finish::Finished;
pub(super) use place::Place;
pub use uploads::RestoredUploads;

use super::manifest::Manifest;
use super::target::Target;
use super::{BackupError, Backups, IdentityKey, OperationKind, create, find, keys, media};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::config::DatabaseUrl;
use crate::database::Migration;
use crate::id::BackupId;

const NO_FILES: &str = "this backup has no files of uploads: it isn't a full one";

/// Where to restore to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A file that isn't there yet; or a PostgreSQL database that has nothing of ours, and is made if
    /// it isn't there.
    New(DatabaseUrl),
    /// The live database, after a backup of it.
    InPlace,
    /// The live database, of which no backup can be made any more.
    InPlaceOfDamaged,
}

/// What to restore, and how.
#[derive(Clone, Debug)]
pub struct Restore {
    /// Which backup; `None` is the newest.
    pub id: Option<BackupId>,
    /// Whether to take it from the bucket.
    pub in_bucket: bool,
    /// Where to.
    pub destination: Destination,
    /// Whether sessions that were alive stay alive: some of them may have been revoked since.
    pub keep_sessions: bool,
    /// Whether the object store gets back what it lacks of uploads; only full backups have that.
    pub with_media: bool,
    /// Why, in the words of who asks.
    pub reason: Option<String>,
}

impl Restore {
    /// The newest of the folder, without its sessions.
    #[must_use]
    pub fn to(destination: Destination) -> Self {
        Self { id: None, in_bucket: false, destination, keep_sessions: false, with_media: false, reason: None }
    }
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// From which backup.
    pub backup_id: BackupId,
    /// Where to: never a password.
    pub place: String,
    /// Rows of all tables.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
    /// Sessions that were ended; `None` if they were to stay.
    pub sessions_ended: Option<u64>,
    /// What is left to be done, and why, although the database was replaced.
    pub problem: Option<String>,
    /// The backup of what was there before.
    pub safety_backup: Option<BackupId>,
    /// Where that is besides: a file, or a schema.
    pub set_aside: Option<String>,
    /// Objects that the store was given back; `None` if nobody asked for that.
    pub media_objects: Option<u64>,
    /// Why it was not given all of them, although the database was restored.
    pub media_problem: Option<String>,
}

impl Backups {
    /// Restores a backup, and compares what came of it with the manifest: a file by its SHA-256, rows of PostgreSQL
    /// by the digest of each table. An error says that nothing was replaced; what goes wrong after that is in what is
    /// told.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Key`], [`BackupError::Newer`],
    /// [`BackupError::Occupied`], [`BackupError::InUse`]; whatever [`Backups::create`] says of a backup
    /// of what is there.
    pub async fn restore(
        &self,
        caller: &Caller,
        wanted: &Restore,
        keys: &[IdentityKey],
    ) -> Result<Restored, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let (target, started_at, started) = (self.target(wanted.in_bucket)?, self.clock().now(), Instant::now());
        let id = find(target, wanted.id).await?;
        let examined = self.examine(target, id, keys).await?;
        let manifest = match (examined.problem(), examined.manifest) {
            (None, Some(manifest)) => manifest,
            (problem, _) => return Err(BackupError::Damaged { id, problem: problem.unwrap_or_default() }),
        };
        require_key(&manifest, keys)?;
        require_known(&manifest)?;
        if wanted.with_media && !manifest.media.has_files() {
            return Err(BackupError::Settings(NO_FILES.to_owned()));
        }
        if wanted.with_media {
            // Before anything is replaced.
            let read = self.read_media(target, &manifest, keys).await?;
            read.map_err(|problem| BackupError::Damaged { id, problem })?;
        }
        let job = Restoring { target, manifest: &manifest, keys, wanted, caller };
        let done = match &wanted.destination {
            Destination::New(url) => self.restore_beside(&job, url).await?,
            Destination::InPlace => self.restore_in_place(&job, true).await?,
            Destination::InPlaceOfDamaged => self.restore_in_place(&job, false).await?,
        };
        // The database is another by now, which whoever asked must hear whatever becomes of this.
        let (media_objects, media_problem) = match wanted.with_media {
            true => match self.restore_media(target, &manifest, keys, None).await {
                Ok((objects, damaged)) => (Some(objects), (!damaged.is_empty()).then(|| media::told(&damaged))),
                Err(error) => (None, Some(create::told(&error))),
            },
            false => (None, None),
        };
        let restored = Restored {
            backup_id: id,
            place: done.place.told(),
            rows: done.filled.rows,
            seconds: started.elapsed().as_secs_f64(),
            sessions_ended: done.filled.sessions_ended,
            problem: done.filled.problem,
            safety_backup: done.safety_backup,
            set_aside: done.set_aside,
            media_objects,
            media_problem,
        };
        let details = json!({ "rows": restored.rows, "seconds": restored.seconds });
        let is_whole = restored.problem.is_none() && restored.media_problem.is_none();
        self.log(OperationKind::Restore, Some(id), is_whole, details, started_at).await;
        Ok(restored)
    }

    /// Restores into a place that is there and empty, and takes the last steps there: whoever gets to see
    /// the place later sees it whole.
    async fn fill(&self, place: &Place, job: &Restoring<'_>) -> Result<Filled, BackupError> {
        self.restore_into(place, job.target, job.manifest, job.keys).await?;
        let rows = match place {
            // Byte for byte the file that was looked over and digested when it was backed up.
            Place::File(_) => job.manifest.rows(),
            Place::Database { .. } => place.compare(job.manifest).await?,
        };
        let Finished { sessions_ended, problem } = self.finish(place, job).await?;
        Ok(Filled { rows, sessions_ended, problem })
    }
}

/// What is restored, and for whom.
struct Restoring<'a> {
    target: &'a Target,
    manifest: &'a Manifest,
    keys: &'a [IdentityKey],
    wanted: &'a Restore,
    caller: &'a Caller,
}

/// What came of filling a place.
struct Filled {
    rows: u64,
    sessions_ended: Option<u64>,
    problem: Option<String>,
}

impl Filled {
    /// Something is left to be done.
    fn is_left(&mut self, problem: &str) {
        let before = self.problem.take().map(|before| format!("{before}; ")).unwrap_or_default();
        self.problem = Some(format!("{before}{problem}"));
    }
}

/// What came of a restoring.
struct Done {
    place: Place,
    filled: Filled,
    safety_backup: Option<BackupId>,
    set_aside: Option<String>,
}

/// One of the keys opens it, if it needs one.
pub(super) fn require_key(manifest: &Manifest, given: &[IdentityKey]) -> Result<(), BackupError> {
    let Some(encryption) = &manifest.encryption else { return Ok(()) };
    let needed = encryption.recipients.join(" or ");
    if given.is_empty() {
        return Err(BackupError::NoKey(format!(
            "this backup is encrypted; give the private key of {needed} by --identity-file or backup.identity_file"
        )));
    }
    if keys::opens_canary(given, &encryption.canary, &manifest.id.to_string()) {
        Ok(())
    } else {
        Err(BackupError::Key(format!("none of the keys opens this backup; it needs the private key of {needed}")))
    }
}

/// This build knows every migration that it has.
pub(super) fn require_known(manifest: &Manifest) -> Result<(), BackupError> {
    let known = Migration::all().last().map_or(0, |step| step.version);
    let version = manifest.migrations.version;
    if version > known { Err(BackupError::Newer { id: manifest.id, version, known }) } else { Ok(()) }
}
