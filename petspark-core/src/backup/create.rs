//! Making a backup: a copy of one moment, looked over, packed, described, and only then visible.

mod copy;
mod describe;

use std::fs;
use std::path::{Path, PathBuf};

use super::drill::DRILL;
use super::manifest::{self, Manifest};
use super::owner::require_owner;
use super::settings::BackupMedia;
use super::target::{PARTIAL, Target, folder_names, sync_folder, write_whole};
use super::{BackupError, Backups};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::config::DatabaseUrl;
use crate::database::Turn;
use crate::error::chain;
use crate::id::BackupId;
use crate::private;
pub(super) use describe::migrations;

/// A backup to be made.
#[derive(Clone, Debug, Default)]
pub struct NewBackup {
    /// In the operator's words.
    pub label: Option<String>,
    /// What to have of uploads, if not what the settings say.
    pub media: Option<BackupMedia>,
    /// Whether it stays, whatever the rules say.
    pub pin: bool,
}

/// A folder that is gone with whoever works in it, unless it was renamed.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Result<Self, BackupError> {
        private::create_folder(&path).map_err(BackupError::io)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was renamed isn't there; one that can't be removed is found by the next backup.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Backups {
    /// Makes a backup of the database as it is at one moment, while others go on to write.
    ///
    /// # Errors
    /// [`BackupError::Locked`], [`BackupError::NoSpace`], [`BackupError::Tools`], [`BackupError::NotOwner`],
    /// [`BackupError::Source`]; [`BackupError::NotCopied`] if only the bucket lacks it. That it has no files of
    /// uploads, although it was to be a full one, is no error: [`ManifestMedia::problem`](super::ManifestMedia).
    pub async fn create(&self, caller: &Caller, new: &NewBackup) -> Result<Manifest, BackupError> {
        caller.require(Permission::ManageStaff)?;
        if let Some(db) = self.database() {
            db.migrations().require_whole().await?;
        }
        let started = self.clock().now();
        let turn = self.take_turn().await?;
        let made = self.make(new).await;
        turn.release().await;
        let id = made.as_ref().ok().map(|manifest| manifest.id);
        self.log_backup(&made, started).await;
        if let (Some(id), Some(db)) = (id, self.database()) {
            let event = Event::new(Action::BackupCreated).detail("backup", id.to_string());
            // A database that lacks migrations can be backed up, and can't be told of it.
            if let Err(fault) = audit::record_now(db, self.clock().now(), caller, event).await {
                tracing::warn!(reason = fault.chain(), "the backup is not in the audit log");
            }
        }
        made
    }

    /// Makes a backup and reads it again: what changes the database may begin only after that.
    ///
    /// # Errors
    /// As [`Backups::create`]; [`BackupError::Damaged`] if it isn't what was written.
    pub async fn create_and_read(&self, caller: &Caller, new: &NewBackup) -> Result<Manifest, BackupError> {
        let made = self.create(caller, new).await?;
        let examined = self.examine(self.folder(), made.id, &[]).await?;
        match examined.problem() {
            None => Ok(made),
            Some(problem) => Err(BackupError::Damaged { id: made.id, problem }),
        }
    }

    /// Nobody else may be at the backups of this database.
    pub(super) async fn take_turn(&self) -> Result<Turn, BackupError> {
        require_owner(&self.settings().backup.folder)?;
        Turn::take(&self.settings().database.url).await?.ok_or(BackupError::Locked)
    }

    pub(super) async fn make(&self, new: &NewBackup) -> Result<Manifest, BackupError> {
        let settings = &self.settings().backup;
        self.clear_leftovers()?;
        let id = BackupId::new();
        let staged = Scratch::new(settings.folder.join(format!("{PARTIAL}{id}")))?;
        let work = Scratch::new(settings.work_folder.join(id.to_string()))?;
        let mode = new.media.unwrap_or(settings.media);
        let copied = match &self.settings().database.url {
            DatabaseUrl::Sqlite(path) => self.copy_sqlite(path, &staged.0, &work.0, mode).await?,
            DatabaseUrl::Postgres(url) => self.dump_postgres(url.expose(), &staged.0, &work.0, mode).await?,
        };
        let mut manifest = self.describe(id, new, mode, copied).await?;
        let list = manifest.inventory_file().map(|file| staged.0.join(&file.path));
        if let (BackupMedia::Full, Some(list)) = (mode, list) {
            // After the database; what was deleted meanwhile is noted as lacking.
            match self.keep_media(&list, id).await {
                Ok(lacking) => manifest.media.lacking = lacking,
                // The database is safe by now, which is worth more than nothing: it has the list, and says so.
                Err(error) => {
                    let problem = told(&error);
                    tracing::error!(backup = %id, reason = problem, "the backup has no files of uploads");
                    (manifest.media.mode, manifest.media.problem) = (BackupMedia::Inventory, Some(problem));
                }
            }
            manifest.finished_at = self.clock().now();
        }
        let text = manifest.seal()?;
        write_whole(&staged.0.join(manifest::FILE), &text)?;
        sync_folder(&staged.0).map_err(BackupError::io)?;
        if new.pin {
            self.pin(id, true).await?;
        }
        let place = settings.folder.join(id.to_string());
        fs::rename(&staged.0, &place)
            .and_then(|()| sync_folder(&settings.folder))
            .map_err(|error| BackupError::io(private::told(&place, &error)))?;
        if let Some(bucket) = self.bucket() {
            self.copy_to(bucket, &manifest, &place).await?;
        }
        Ok(manifest)
    }

    async fn copy_to(&self, bucket: &Target, manifest: &Manifest, place: &Path) -> Result<(), BackupError> {
        let names: Vec<&str> = manifest.files.iter().map(|file| &*file.path).collect();
        let sent = async {
            if manifest.media.mode == BackupMedia::Full {
                self.send_media(bucket, manifest).await?;
            }
            bucket.receive(manifest.id, place, &names).await
        };
        sent.await.map_err(|error| match error {
            BackupError::Fault(fault) => BackupError::NotCopied { id: manifest.id, reason: fault.chain() },
            error => error,
        })
    }

    /// Removes what processes left that were killed. Nobody else makes backups of this database: we have
    /// the lock. But a folder may be that of several, and a drill may be going on: what is young there stays.
    fn clear_leftovers(&self) -> Result<(), BackupError> {
        let settings = &self.settings().backup;
        for (folder, beginning) in [(&settings.work_folder, DRILL), (&settings.folder, PARTIAL)] {
            for name in folder_names(folder)? {
                let path = folder.join(&name);
                let changed = fs::metadata(&path).and_then(|folder| folder.modified()).map(Timestamp::from);
                let is_old = changed.is_ok_and(|at| self.clock().now().since(at) > DAY);
                let is_ours = folder == &settings.work_folder && name.parse::<BackupId>().is_ok();
                if is_ours || (name.starts_with(beginning) && is_old) {
                    drop(Scratch(path));
                }
            }
        }
        Ok(())
    }
}

/// Why, in one line, for a person.
pub(super) fn told(error: &BackupError) -> String {
    match error {
        BackupError::Fault(fault) => fault.chain(),
        error => chain(error),
    }
}

/// Refuses what would not fit, before a disk is full.
pub(super) fn require_space(path: &Path, needed: u64) -> Result<(), BackupError> {
    let free = free_bytes(path)?;
    if free < needed {
        return Err(BackupError::NoSpace { path: path.to_owned(), free, needed });
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Result<u64, BackupError> {
    let disk = rustix::fs::statvfs(path).map_err(|error| BackupError::io(private::told(path, &error.into())))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
