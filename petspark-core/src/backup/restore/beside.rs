//! Restoring to a new place: a file that isn't there, or a PostgreSQL database with nothing of ours.

use super::{Done, Place, Restoring};
use crate::backup::{BackupError, Backups};
use crate::config::DatabaseUrl;
use crate::database::{Database, Turn};

impl Backups {
    pub(super) async fn restore_beside(&self, job: &Restoring<'_>, url: &DatabaseUrl) -> Result<Done, BackupError> {
        let database = &job.manifest.database;
        let (place, filled) = match (url, &*database.engine) {
            (DatabaseUrl::Sqlite(path), "sqlite") => {
                let place = Place::File(path.clone());
                place.require_free().await?;
                let closed = Database::keep_closed(path).await?;
                // Somebody may have been quicker.
                place.require_free().await?;
                let filled = self.fill_file(path, job).await?.put_at(path)?;
                drop(closed);
                (place, filled)
            }
            (DatabaseUrl::Postgres(url), "postgres") => {
                let place = Place::find_database(url.expose(), &database.schema).await?;
                let turn = Turn::take(&place.url()).await?.ok_or(BackupError::Locked)?;
                let filled = self.fill_new_schema(&place, job).await;
                turn.release().await;
                (place, filled?)
            }
            (_, engine) => {
                let problem = format!("this is a backup of {engine}, which can't become another engine's");
                return Err(BackupError::Settings(problem));
            }
        };
        Ok(Done { place, filled, safety_backup: None, set_aside: None })
    }
}
