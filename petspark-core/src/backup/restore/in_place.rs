//! Restoring in place of the live database. Whoever has it open is in the way; what is there is set
//! aside under another name, and comes back if anything goes wrong.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Done, Place};
use crate::backup::manifest::Manifest;
use crate::backup::target::{Target, sync_folder};
use crate::backup::{BackupError, BackupMedia, Backups, IdentityKey, NewBackup};
use crate::config::DatabaseUrl;
use crate::database::{Database, scratch};
use crate::id::BackupId;

impl Backups {
    pub(super) async fn restore_in_place(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        make_safety_backup: bool,
    ) -> Result<Done, BackupError> {
        let turn = self.take_turn().await?;
        let done = self.replace(target, manifest, keys, make_safety_backup).await;
        turn.release().await;
        done
    }

    async fn replace(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        make_safety_backup: bool,
    ) -> Result<Done, BackupError> {
        let url = self.settings().database.url.clone();
        match (&url, &*manifest.database.engine) {
            (DatabaseUrl::Sqlite(path), "sqlite") => {
                // Nobody opens it until we are through.
                let _closed = Database::keep_closed(path).await.map_err(BackupError::InUse)?;
                // On a new machine there is nothing yet that could be lost.
                let is_there = path.try_exists().map_err(BackupError::io)?;
                let safety_backup = self.safety_backup(manifest, make_safety_backup && is_there).await?;
                self.replace_file(path, target, manifest, keys, safety_backup).await
            }
            (DatabaseUrl::Postgres(url), "postgres") => {
                if let Some(who) = scratch::in_use(url.expose()).await? {
                    return Err(BackupError::InUse(format!("the database ({who})")));
                }
                let safety_backup = self.safety_backup(manifest, make_safety_backup).await?;
                self.replace_schema(url.expose(), target, manifest, keys, safety_backup).await
            }
            _ => {
                let problem = format!("this is a backup of {}, and the database is another", manifest.database.engine);
                Err(BackupError::Settings(problem))
            }
        }
    }

    async fn safety_backup(&self, manifest: &Manifest, wanted: bool) -> Result<Option<BackupId>, BackupError> {
        if !wanted {
            return Ok(None);
        }
        let label = Some(format!("before {} was restored", manifest.id));
        // The store of uploads may be what is broken.
        let media = Some(BackupMedia::Inventory);
        let made = self.make(&NewBackup { label, pin: true, media }).await?;
        Ok(Some(made.id))
    }

    async fn replace_file(
        &self,
        path: &Path,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        safety_backup: Option<BackupId>,
    ) -> Result<Done, BackupError> {
        let next = Place::File(beside(path, "restoring"));
        next.undo().await?;
        let restored = async {
            self.restore_into(&next, target, manifest, keys).await?;
            next.compare(manifest).await
        };
        let rows = match restored.await {
            Ok(rows) => rows,
            Err(error) => {
                next.undo().await?;
                return Err(error);
            }
        };
        let aside = beside(path, &format!("before-{}", BackupId::new()));
        let Place::File(next) = &next else { return Err(BackupError::NotFound) };
        for ending in ["", "-wal", "-shm"] {
            // Side files of the old one must not be taken for those of the new one.
            let (from, to) = (with_ending(path, ending), with_ending(&aside, ending));
            match fs::rename(from, to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(BackupError::io(error)),
                _ => {}
            }
        }
        let was_there = aside.try_exists().map_err(BackupError::io)?;
        fs::rename(next, path).map_err(BackupError::io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder).map_err(BackupError::io)?;
        let set_aside = was_there.then(|| aside.display().to_string());
        Ok(Done { place: Place::File(path.to_owned()), rows, safety_backup, set_aside })
    }

    async fn replace_schema(
        &self,
        url: &str,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        safety_backup: Option<BackupId>,
    ) -> Result<Done, BackupError> {
        let schema = &manifest.database.schema;
        let aside = format!("petspark_before_{}", BackupId::new().to_string().replace('-', ""));
        scratch::rename_schema(url, schema, &aside).await?;
        let place = Place::Database { url: url.to_owned(), schema: schema.clone() };
        let restored = async {
            place.make_schema().await?;
            self.restore_into(&place, target, manifest, keys).await?;
            place.compare(manifest).await
        };
        match restored.await {
            Ok(rows) => Ok(Done { place, rows, safety_backup, set_aside: Some(format!("the schema {aside}")) }),
            Err(error) => {
                scratch::drop_schema(url, schema).await?;
                scratch::rename_schema(url, &aside, schema).await?;
                Err(error)
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    with_ending(path, &format!(".{ending}"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
