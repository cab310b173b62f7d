//! Giving files of uploads back alone: after a restoring that ended before them, or when only their store
//! was lost. The database stays as it is, and what it doesn't know any more doesn't come back.

use std::time::Instant;

use serde::Serialize;

use super::require_key;
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::backup::media::told;
use crate::backup::{BackupError, Backups, IdentityKey, find, read_manifest};
use crate::caller::Caller;
use crate::id::BackupId;

/// What was given back.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredUploads {
    /// From which backup.
    pub backup_id: BackupId,
    /// Objects that the store lacked, or had otherwise.
    pub media_objects: u64,
    /// Why it was not given all of them.
    pub media_problem: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Backups {
    /// Gives the store of uploads what it lacks, or has otherwise, of the files of a full backup, as far as the
    /// live database knows of them. A damaged file keeps none of the others from it.
    ///
    /// # Errors
    /// [`BackupError::NotFound`]; [`BackupError::Settings`] if the backup has no such files;
    /// [`BackupError::Damaged`], [`BackupError::Key`]; [`BackupError::Fault`] if the store doesn't take them:
    /// the same again goes on.
    pub async fn restore_uploads(
        &self,
        caller: &Caller,
        id: Option<BackupId>,
        in_bucket: bool,
        reason: Option<&str>,
        keys: &[IdentityKey],
    ) -> Result<RestoredUploads, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let (target, started) = (self.target(in_bucket)?, Instant::now());
        let id = find(target, id).await?;
        let read = read_manifest(target, id).await?;
        let manifest = read.map_err(|problem| BackupError::Damaged { id, problem })?;
        require_key(&manifest, keys)?;
        if !manifest.media.has_files() {
            return Err(BackupError::Settings(super::NO_FILES.to_owned()));
        }
        let (media_objects, damaged) = self.restore_media(target, &manifest, keys, self.database()).await?;
        if let (Some(db), true) = (self.database(), media_objects > 0) {
            let event = Event::new(Action::UploadsRestored)
                .because(reason)
                .detail("backup", id.to_string())
                .detail("objects", media_objects);
            audit::record_now(db, self.clock().now(), caller, event).await?;
        }
        let media_problem = (!damaged.is_empty()).then(|| told(&damaged));
        Ok(RestoredUploads { backup_id: id, media_objects, media_problem, seconds: started.elapsed().as_secs_f64() })
    }
}
