//! The last steps of a restoring, when the database is another already. Whatever becomes of them, whoever
//! asked must hear that it was replaced, and what is left to be done.

use super::{Place, Restore};
use crate::audit::{self, Action, Event, RESTORED_MOMENT};
use crate::auth::end_all_sessions;
use crate::backup::Backups;
use crate::backup::manifest::Manifest;
use crate::caller::Caller;
use crate::database::Database;
use crate::error::chain;

/// How they went.
pub(super) struct Finished {
    pub(super) sessions_ended: Option<u64>,
    /// What is left to be done, and why.
    pub(super) problem: Option<String>,
}

impl Backups {
    /// Ends the sessions that came back to life, unless they are to stay, and writes down what was done.
    pub(super) async fn finish(
        &self,
        place: &Place,
        wanted: &Restore,
        manifest: &Manifest,
        caller: &Caller,
    ) -> Finished {
        let mut settings = self.settings().database.clone();
        settings.url = place.url();
        let db = match Database::open(&settings).await {
            Ok(db) => db,
            Err(error) => {
                let left = if wanted.keep_sessions { "" } else { "; sessions that were ended since are alive in it" };
                let problem =
                    format!("it can't be opened, so that nothing else could be done: {}{left}", chain(&error));
                return Finished { sessions_ended: None, problem: Some(problem) };
            }
        };
        let (now, mut problems, mut sessions_ended) = (self.clock().now(), Vec::new(), None);
        if !wanted.keep_sessions {
            match end_all_sessions(&db, now).await {
                Ok(ended) => sessions_ended = Some(ended),
                Err(fault) => problems.push(format!(
                    "its sessions can't be ended, so that those which were ended since are alive again: {}",
                    fault.chain()
                )),
            }
        }
        let event = Event::new(Action::BackupRestored)
            .because(wanted.reason.as_deref())
            .detail("backup", manifest.id.to_string())
            .detail(RESTORED_MOMENT, manifest.created_at.to_string())
            .detail("sessions_ended", sessions_ended.unwrap_or(0));
        if let Err(fault) = audit::record_now(&db, now, caller, event).await {
            problems.push(format!("its audit log can't be told: {}", fault.chain()));
        }
        db.close().await;
        Finished { sessions_ended, problem: (!problems.is_empty()).then(|| problems.join("; ")) }
    }
}
