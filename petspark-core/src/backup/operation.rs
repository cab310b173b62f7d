//! What was done to keep the data safe, in the database for those who watch the server. A backup is
//! no worse for not being there, so that writing it down never fails anything.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::manifest::Manifest;
use super::{BackupError, Backups, store};
use crate::clock::{DAY, Timestamp};
use crate::database::text_enum;
use crate::error::{Fault, chain};
use crate::id::{BackupId, RunId};

text_enum! {
    /// What was done.
    pub enum OperationKind {
        /// A backup was made.
        Backup = "backup",
        /// Backups were looked at.
        Check = "check",
        /// A backup was restored into a scratch database.
        Drill = "drill",
        /// This database was restored from a backup.
        Restore = "restore",
    }
}

/// Something that was done, and how it went.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
pub struct Operation {
    /// Which.
    pub id: RunId,
    /// What.
    pub kind: OperationKind,
    /// With which backup.
    pub backup_id: Option<BackupId>,
    /// Whether it worked. A backup that lacks files of uploads which it was to have did not.
    pub succeeded: bool,
    /// More, depending on what it was.
    #[sqlx(json)]
    pub details: Value,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// When things last went well.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LastOperations {
    /// The last backup that was made as it was to be.
    pub backup: Option<Operation>,
    /// The last drill that succeeded.
    pub drill: Option<Operation>,
    /// The last look at the backups, however it went.
    pub check: Option<Operation>,
}

/// The migration that makes the table.
const SINCE: i64 = 22;
/// How long they are remembered.
const KEPT: Duration = DAY.saturating_mul(400);

impl Backups {
    /// When things last went well, as far as the live database was told.
    ///
    /// # Errors
    /// [`Fault`] when it doesn't answer.
    pub async fn last_operations(&self) -> Result<LastOperations, Fault> {
        let Some(db) = self.database() else { return Ok(LastOperations::default()) };
        Ok(LastOperations {
            backup: store::last(db, OperationKind::Backup, true).await?,
            drill: store::last(db, OperationKind::Drill, true).await?,
            check: store::last(db, OperationKind::Check, false).await?,
        })
    }

    pub(super) async fn log_backup(&self, made: &Result<Manifest, BackupError>, started: Timestamp) {
        match made {
            Ok(manifest) => {
                let mut details = json!({ "bytes": manifest.bytes(), "rows": manifest.rows() });
                if let Some(problem) = &manifest.media.problem {
                    details["media_problem"] = json!(problem);
                }
                let is_whole = manifest.media.problem.is_none();
                self.log(OperationKind::Backup, Some(manifest.id), is_whole, details, started).await;
            }
            Err(error) => {
                let details = json!({ "problem": chain(error) });
                self.log(OperationKind::Backup, None, false, details, started).await;
            }
        }
    }

    pub(super) async fn log(
        &self,
        kind: OperationKind,
        backup_id: Option<BackupId>,
        succeeded: bool,
        details: Value,
        started_at: Timestamp,
    ) {
        tracing::info!(%kind, backup = backup_id.map(tracing::field::display), succeeded, %details, "backups");
        let Some(db) = self.database() else { return };
        let finished_at = self.clock().now();
        let operation = Operation { id: RunId::new(), kind, backup_id, succeeded, details, started_at, finished_at };
        let written = async {
            // An older release's has no place for it.
            if db.migrations().has(SINCE).await? {
                store::insert(db, &operation).await?;
                store::delete_before(db, kind, finished_at.before(KEPT)).await?;
            }
            Ok::<_, Fault>(())
        };
        if let Err(fault) = written.await {
            tracing::warn!(%kind, reason = fault.chain(), "the database could not be told of this");
        }
    }
}
