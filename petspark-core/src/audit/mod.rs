//! The audit log: who did what to whom, from where, and whether it worked. A row is written in
//! the transaction that makes the change, so that neither is there without the other. What is
//! worth a row is decided by the services.

mod action;
mod log;
mod programs;
mod retention;
mod store;

pub use action::Action;
pub use log::{Audit, AuditError, AuditFilter, Entry};
pub use programs::{NotRecorded, fingerprint, record_program};
pub use retention::AuditSettings;
pub(crate) use retention::Retain;

use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, TxOn};
use crate::error::Fault;
use crate::id::{ApiKeyId, JobId, SessionId, TaskId, UserId};

/// The migration that makes the log; a database of before can be told nothing.
pub(crate) const SINCE: i64 = 5;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    User(UserId),
    Session(SessionId),
    Job(JobId),
    ApiKey(ApiKeyId),
    Task(TaskId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::ApiKey(id) => write!(f, "apikey:{id}"),
            Self::Task(id) => write!(f, "task:{id}"),
        }
    }
}

/// Something that happened, to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    action: Action,
    subject: Option<Subject>,
    succeeded: bool,
    reason: Option<String>,
    details: Map<String, Value>,
}

impl Event {
    pub(crate) fn new(action: Action) -> Self {
        Self { action, subject: None, succeeded: true, reason: None, details: Map::new() }
    }

    /// What it was done to, if that is known.
    pub(crate) fn on(self, subject: impl Into<Option<Subject>>) -> Self {
        Self { subject: subject.into(), ..self }
    }

    /// It was tried, and refused.
    pub(crate) fn failed(self) -> Self {
        Self { succeeded: false, ..self }
    }

    /// Why, in the words of who did it.
    pub(crate) fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The same, if they said.
    pub(crate) fn because(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..self }
    }

    /// More for a program. Never a secret, never an address or name of a person: rows can't be
    /// changed when somebody is to be forgotten.
    pub(crate) fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// Writes down that `caller` did this, in the transaction that does it. When that is committed,
/// the log tells it too.
pub(crate) async fn record(tx: &mut TxOn<'_>, now: Timestamp, caller: &Caller, event: Event) -> Result<(), Fault> {
    store::insert(tx, now, caller, &event).await?;
    let caller = caller.clone();
    tx.after_commit(move || tell(&caller, &event));
    Ok(())
}

/// The same for what changes nothing else, such as a refused attempt.
pub(crate) async fn record_now(db: &Database, now: Timestamp, caller: &Caller, event: Event) -> Result<(), Fault> {
    let mut tx = db.begin().await?;
    record(&mut tx, now, caller, event).await?;
    tx.commit().await
}

/// The detail of [`Action::BackupRestored`] that says which moment the database was restored to.
pub(crate) const RESTORED_MOMENT: &str = "moment";

/// When this database was last restored, and the moment that it was restored to.
pub(crate) async fn last_restored(db: &Database) -> Result<Option<(Timestamp, Timestamp)>, Fault> {
    let Some((at, details)) = store::last(db, Action::BackupRestored).await? else { return Ok(None) };
    // Before it was written down, nothing is known but when that was.
    let moment = details.get(RESTORED_MOMENT).and_then(|moment| serde_json::from_value(moment.clone()).ok());
    Ok(Some((at, moment.unwrap_or(at))))
}

/// Whether anything is in the log, which has to be there.
pub(crate) async fn is_begun(db: &Database) -> Result<bool, Fault> {
    store::is_begun(db).await
}

/// How often that happened since then.
pub(crate) async fn count_since(db: &Database, action: Action, since: Timestamp) -> Result<u64, Fault> {
    store::count_since(db, action, since).await
}

/// Blanks what the log tells of somebody who is erased, or of what was theirs, beyond its id;
/// says of how many entries.
pub(crate) async fn anonymize(tx: &mut Tx, subject: Subject) -> Result<u64, Fault> {
    store::anonymize(tx, &subject.to_string()).await
}

fn tell(caller: &Caller, event: &Event) {
    let origin = caller.origin();
    let details = (!event.details.is_empty()).then(|| Value::Object(event.details.clone()));
    tracing::info!(
        target: "petspark::audit",
        action = event.action.as_str(),
        actor = %caller,
        subject = event.subject.map(tracing::field::display),
        succeeded = event.succeeded,
        reason = event.reason.as_deref(),
        ip = origin.ip.map(tracing::field::display),
        request_id = origin.request_id.as_deref(),
        details = details.map(tracing::field::display),
    );
}
