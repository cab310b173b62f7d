//! Restoring to a schema of PostgreSQL: a new one, or in place of a live one, whose content gets another
//! name. Until all is done the schema says that it is being restored, so that nobody uses it.

use super::{Done, Filled, Place, Restoring};
use crate::backup::{BackupError, Backups};
use crate::database::{replacing, scratch};
use crate::error::{Fault, chain};
use crate::id::BackupId;

impl Backups {
    /// Restores into a schema that has nothing of ours, or what a restoring left that was killed.
    pub(super) async fn fill_new_schema(&self, place: &Place, job: &Restoring<'_>) -> Result<Filled, BackupError> {
        let Place::Database { url, schema } = place else { return Err(Fault::internal("not PostgreSQL").into()) };
        match replacing::interrupted(url).await? {
            None => {}
            Some(half) if half.set_aside.is_none() => place.undo().await?,
            Some(half) => {
                return Err(BackupError::Occupied(format!("a restoring in place was interrupted there; {half}")));
            }
        }
        place.require_free().await?;
        // Who doesn't own the schema can't; and nobody has a server at a new place yet.
        let marked = replacing::mark(url, schema).await;
        if let Err(fault) = &marked {
            tracing::debug!(reason = fault.chain(), "the schema can't say that it is being restored");
        }
        let filled = async {
            let filled = self.fill(place, job).await?;
            if marked.is_ok() {
                replacing::end(url, schema).await?;
            }
            Ok(filled)
        };
        match filled.await {
            Ok(filled) => Ok(filled),
            Err(error) => {
                // What is no good must not be taken for a database.
                if let Err(fault) = place.undo().await {
                    let place = place.told();
                    tracing::warn!(place, reason = fault.chain(), "what was restored could not be removed");
                }
                Err(error)
            }
        }
    }

    /// Sets a schema aside, and restores into an empty one of its name.
    pub(super) async fn replace_schema(
        &self,
        url: &str,
        job: &Restoring<'_>,
        safety_backup: Option<BackupId>,
    ) -> Result<Done, BackupError> {
        let schema = &job.manifest.database.schema;
        let aside = format!("petspark_before_{}", BackupId::new().to_string().replace('-', ""));
        replacing::begin(url, schema, &aside).await?;
        let place = Place::Database { url: url.to_owned(), schema: schema.clone() };
        let filled = async {
            // Whoever came in before the schema said what it is.
            require_unused(url).await?;
            let mut filled = self.fill(&place, job).await?;
            if let Err(fault) = replacing::carry_rights(url, &aside, schema).await {
                filled.is_left(&format!("what was granted to other roles must be granted again: {}", fault.chain()));
            }
            replacing::end(url, schema).await?;
            Ok(filled)
        };
        match filled.await {
            Ok(filled) => Ok(Done { place, filled, safety_backup, set_aside: Some(format!("the schema {aside}")) }),
            Err(error) => match replacing::put_back(url, schema, &aside).await {
                Ok(()) => Err(error),
                Err(fault) => {
                    let (problem, fault) = (chain(&error), fault.chain());
                    let told =
                        format!("{problem}; and what was there can't be put back, it is the schema {aside}: {fault}");
                    Err(Fault::unavailable(told).into())
                }
            },
        }
    }
}

/// Refuses while a server, or another of our tools, is connected.
pub(super) async fn require_unused(url: &str) -> Result<(), BackupError> {
    match scratch::in_use(url).await? {
        Some(who) => Err(BackupError::InUse(format!("the database ({who})"))),
        None => Ok(()),
    }
}
