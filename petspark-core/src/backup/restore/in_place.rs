//! Restoring in place of the live database. Whoever has it open is in the way; what is there is backed up
//! and set aside under another name, and stays what it is if anything goes wrong.

use std::fs;
use std::path::Path;

use super::schema::require_unused;
use super::{Done, Place, Restoring};
use crate::backup::create::told;
use crate::backup::manifest::Manifest;
use crate::backup::{BackupError, BackupMedia, Backups, NewBackup};
use crate::config::DatabaseUrl;
use crate::database::{Database, Direct, Turn, replacing};
use crate::id::BackupId;

impl Backups {
    pub(super) async fn restore_in_place(
        &self,
        job: &Restoring<'_>,
        make_safety_backup: bool,
    ) -> Result<Done, BackupError> {
        let mut turn = self.take_turn().await?;
        let url = self.settings().database.url.clone();
        let done = match (&url, &*job.manifest.database.engine) {
            (DatabaseUrl::Sqlite(path), "sqlite") => {
                self.replace_live_file(path, job, make_safety_backup.then_some(&mut turn)).await
            }
            (DatabaseUrl::Postgres(url), "postgres") => {
                self.replace_live_schema(url.expose(), job, make_safety_backup.then_some(&mut turn)).await
            }
            (_, engine) => {
                Err(BackupError::Settings(format!("this is a backup of {engine}, and the database is another")))
            }
        };
        turn.release().await;
        done
    }

    async fn replace_live_file(
        &self,
        path: &Path,
        job: &Restoring<'_>,
        safety: Option<&mut Turn>,
    ) -> Result<Done, BackupError> {
        // Nobody opens it until we are through.
        let closed = Database::keep_closed(path).await?;
        // On a new machine there is nothing yet that could be lost.
        let is_there = path.try_exists().map_err(BackupError::io)?;
        let safety_backup = self.safety_backup(job.manifest, safety.filter(|_| is_there)).await?;
        // Where a link leads: SQLite has its side files there.
        let file = if is_there { fs::canonicalize(path).map_err(BackupError::io)? } else { path.to_owned() };
        let replaced = async { self.fill_file(&file, job).await?.replace(&file) };
        let (filled, aside) = self.or_let_go(safety_backup, job, replaced.await).await?;
        drop(closed);
        let set_aside = aside.map(|aside| aside.display().to_string());
        Ok(Done { place: Place::File(path.to_owned()), filled, safety_backup, set_aside })
    }

    async fn replace_live_schema(
        &self,
        url: &str,
        job: &Restoring<'_>,
        safety: Option<&mut Turn>,
    ) -> Result<Done, BackupError> {
        require_schema(&self.settings().database.url, &job.manifest.database.schema).await?;
        require_unused(url).await?;
        if let Some(half) = replacing::interrupted(url).await?
            && let Some(aside) = &half.set_aside
        {
            tracing::warn!(
                schema = half.schema,
                aside,
                "a restoring was interrupted: what was there is put back first"
            );
            replacing::put_back(url, &half.schema, aside).await?;
        }
        let safety_backup = self.safety_backup(job.manifest, safety).await?;
        let replaced = self.replace_schema(url, job, safety_backup).await;
        self.or_let_go(safety_backup, job, replaced).await
    }

    /// Where nothing was replaced, the safety backup is one as any other: trying again makes another.
    async fn or_let_go<T>(
        &self,
        safety: Option<BackupId>,
        job: &Restoring<'_>,
        replaced: Result<T, BackupError>,
    ) -> Result<T, BackupError> {
        if let (Err(_), Some(id)) = (&replaced, safety) {
            match self.set_pinned(job.caller, id, false).await {
                Ok(()) => tracing::warn!(backup = %id, "nothing was replaced; the safety backup isn't pinned any more"),
                Err(error) => tracing::warn!(backup = %id, reason = told(&error), "the safety backup stays pinned"),
            }
        }
        replaced
    }

    /// A backup of what is there, if there is a turn for one.
    async fn safety_backup(
        &self,
        manifest: &Manifest,
        turn: Option<&mut Turn>,
    ) -> Result<Option<BackupId>, BackupError> {
        let Some(turn) = turn else { return Ok(None) };
        let label = Some(format!("before {} was restored", manifest.id));
        // The store of uploads may be what is broken.
        let media = Some(BackupMedia::Inventory);
        match self.make(&NewBackup { label, pin: true, media }, turn).await {
            Ok(made) => Ok(Some(made.id)),
            // It is for going back, here and soon.
            Err(BackupError::NotCopied { id, reason }) => {
                tracing::warn!(backup = %id, reason, "the safety backup is in the folder, and not in the bucket");
                Ok(Some(id))
            }
            Err(error) => Err(error),
        }
    }
}

/// Another schema of the same database is somebody else's.
async fn require_schema(url: &DatabaseUrl, backed_up: &str) -> Result<(), BackupError> {
    let mut direct = Direct::open(url).await?;
    let live = direct.schema().await;
    direct.close().await;
    match live? {
        live if live == backed_up => Ok(()),
        live => {
            let problem = format!("this is a backup of the schema {backed_up}, and the database's is {live}");
            Err(BackupError::Settings(problem))
        }
    }
}
