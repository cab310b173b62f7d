//! Making a backup: a copy of one moment, looked over, packed, described, and only then visible.

mod copy;
mod describe;

use std::fs;
use std::path::Path;

use super::manifest::{self, Manifest};
use super::owner::require_owner;
use super::scratch::{COPY, Scratch};
use super::settings::BackupMedia;
use super::target::{PARTIAL, Target, sync_folder, write_whole};
use super::{BackupError, Backups};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::config::DatabaseUrl;
use crate::database::{Turn, tells_of_damage};
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
        let mut turn = self.take_turn().await?;
        let made = self.make(new, &mut turn).await;
        turn.release().await;
        let id = made.as_ref().ok().map(|manifest| manifest.id);
        self.log_backup(&made, started).await;
        if let (Some(id), Some(db)) = (id, self.database()) {
            let event = Event::new(Action::BackupCreated).detail("backup", id.to_string());
            let recorded = async {
                // A database of before there was the log can be backed up, and can't be told of it.
                match db.migrations().has(audit::SINCE).await? {
                    true => audit::record_now(db, self.clock().now(), caller, event).await,
                    false => Ok(()),
                }
            };
            if let Err(fault) = recorded.await {
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

    pub(super) async fn make(&self, new: &NewBackup, turn: &mut Turn) -> Result<Manifest, BackupError> {
        let settings = &self.settings().backup;
        self.clear_leftovers()?;
        let id = BackupId::new();
        let staged = Scratch::new(settings.folder.join(format!("{PARTIAL}{id}")))?;
        let work = Scratch::new(settings.work_folder.join(format!("{COPY}{id}")))?;
        let mode = new.media.unwrap_or(settings.media);
        let copied = match &self.settings().database.url {
            DatabaseUrl::Sqlite(path) => self.copy_sqlite(path, &staged.0, &work.0, mode).await,
            DatabaseUrl::Postgres(url) => self.dump_postgres(url.expose(), &staged.0, &work.0, mode).await,
        };
        let copied = copied.map_err(|error| match error {
            BackupError::Fault(fault) if tells_of_damage(&fault) => BackupError::Source(fault.chain()),
            error => error,
        })?;
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
        turn.require_held().await?;
        if new.pin {
            // Before it can be seen, and pruned.
            self.folder().pin(id, true).await?;
        }
        let place = settings.folder.join(id.to_string());
        fs::rename(&staged.0, &place)
            .and_then(|()| sync_folder(&settings.folder))
            .map_err(|error| BackupError::io(private::told(&place, &error)))?;
        if let Some(bucket) = self.bucket() {
            self.copy_to(bucket, &manifest, &place, new.pin).await?;
        }
        Ok(manifest)
    }

    async fn copy_to(
        &self,
        bucket: &Target,
        manifest: &Manifest,
        place: &Path,
        pinned: bool,
    ) -> Result<(), BackupError> {
        let names: Vec<&str> = manifest.files.iter().map(|file| &*file.path).collect();
        let sent = async {
            if manifest.media.has_files() {
                self.send_media(bucket, manifest).await?;
            }
            if pinned {
                bucket.pin(manifest.id, true).await?;
            }
            bucket.receive(manifest.id, place, &names).await
        };
        sent.await.map_err(|error| match error {
            BackupError::Fault(fault) => BackupError::NotCopied { id: manifest.id, reason: fault.chain() },
            error => error,
        })
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
    let free = private::free_bytes(path).map_err(BackupError::io)?;
    if free < needed {
        return Err(BackupError::NoSpace { path: path.to_owned(), free, needed });
    }
    Ok(())
}
