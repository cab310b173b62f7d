//! The last steps of a restoring, taken before anybody gets to see the database: sessions that came back
//! to life end, and the audit log says which moment this is.

use super::{Place, Restoring};
use crate::audit::{self, Action, Event, RESTORED_MOMENT};
use crate::auth::end_all_sessions;
use crate::backup::{BackupError, Backups};
use crate::database::Database;
use crate::error::Fault;

/// How they went.
pub(super) struct Finished {
    pub(super) sessions_ended: Option<u64>,
    /// What is left to be done, and why.
    pub(super) problem: Option<String>,
}

impl Backups {
    /// Ends the sessions that came back to life, unless they are to stay, and writes down what was done. A
    /// database of before there was an audit log has none that could be told.
    ///
    /// # Errors
    /// It can't be opened, or its sessions can't be ended: then it must not be used.
    pub(super) async fn finish(&self, place: &Place, job: &Restoring<'_>) -> Result<Finished, BackupError> {
        let mut settings = self.settings().database.clone();
        settings.url = place.url();
        let db = Database::open(&settings).await.map_err(Fault::unavailable)?;
        let finished = self.finish_in(&db, job).await;
        db.close().await;
        finished
    }

    async fn finish_in(&self, db: &Database, job: &Restoring<'_>) -> Result<Finished, BackupError> {
        let now = self.clock().now();
        let sessions_ended = match job.wanted.keep_sessions {
            true => None,
            false => Some(end_all_sessions(db, now).await?),
        };
        let event = Event::new(Action::BackupRestored)
            .because(job.wanted.reason.as_deref())
            .detail("backup", job.manifest.id.to_string())
            .detail(RESTORED_MOMENT, job.manifest.created_at.to_string())
            .detail("sessions_ended", sessions_ended.unwrap_or(0));
        let told = audit::record_now(db, now, job.caller, event).await;
        let problem = told.err().map(|fault| format!("its audit log can't be told: {}", fault.chain()));
        Ok(Finished { sessions_ended, problem })
    }
}
