//! The queue as administrators see it: what waits, what runs, what has failed for good; trying
//! again, dropping, and whether anybody is at work.

use std::time::Duration;

use serde_json::Value;

use super::{Jobs, TOPIC, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Tx, text_enum};
use crate::error::{Fault, FieldErrors, failure};
use crate::id::JobId;
use crate::page::{Key, Page, PageRequest, invalid_page};

text_enum! {
    /// Where a job is on its way. Finished ones are nowhere any more.
    pub enum JobState {
        /// Waits for its time, its turn, or its next attempt.
        Queued = "queued",
        /// Somebody does it, or died doing it a moment ago.
        Running = "running",
        /// Failed too often, or hopelessly: kept for a person to look at.
        Dead = "dead",
    }
}

/// A job as administrators see it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobInfo {
    /// Which.
    pub id: JobId,
    /// What kind of work.
    pub kind: String,
    /// What to do, by ids.
    #[sqlx(json)]
    pub payload: Value,
    /// Of what is due, the lowest goes first.
    pub priority: i32,
    /// When it is done at the earliest; of a running one, when its worker is given up.
    pub due_at: Timestamp,
    running: bool,
    /// How often it was begun.
    pub attempts: i32,
    /// How often it may be begun.
    pub max_attempts: i32,
    /// The name of its schedule, if it comes up again and again.
    pub schedule: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Since when it is dead.
    pub dead_at: Option<Timestamp>,
    /// When it was enqueued.
    pub created_at: Timestamp,
}

impl JobInfo {
    /// Where it is on its way.
    #[must_use]
    pub fn state(&self) -> JobState {
        match (self.dead_at, self.running) {
            (Some(_), _) => JobState::Dead,
            (None, true) => JobState::Running,
            (None, false) => JobState::Queued,
        }
    }
}

/// Why an operation on a job was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A cursor that is none.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Done, dropped, or never there.
    #[error("There is no such job; a job that is done is gone.")]
    NotFound,
    /// Somebody is at it.
    #[error("This job is running.")]
    Running,
    /// It would be made again at the next start.
    #[error("This job is on a schedule, and can't be dropped.")]
    Scheduled,
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    JobError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        NotFound => (Kind::NotFound, "JOB_001"),
        Running => (Kind::Conflict, "JOB_002"),
        Scheduled => (Kind::Conflict, "JOB_003"),
    },
    asks { Denied(denied), Fault(fault) }
}

invalid_page!(JobError);

/// A due job that waited longer than this says that nobody is at work.
const TOO_LONG: Duration = Duration::from_secs(300);
/// A worker goes round at least every 30 s, if the database lets it.
const SILENT: Duration = Duration::from_secs(120);

impl Jobs {
    /// Jobs, those enqueued last first.
    ///
    /// # Errors
    /// [`JobError::Invalid`] for a foreign cursor; [`JobError::Denied`] unless an administrator asks.
    pub async fn list(
        &self,
        caller: &Caller,
        state: Option<JobState>,
        page: &PageRequest,
    ) -> Result<Page<JobInfo>, JobError> {
        caller.require(Permission::ReadJobs)?;
        let list = self.0.cursors.list(&("jobs", state));
        let rows = store::list(&self.0.db, state, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, |job| Key { at: job.created_at, id: job.id }, &list))
    }

    /// One job.
    ///
    /// # Errors
    /// [`JobError::NotFound`]; [`JobError::Denied`] unless an administrator asks.
    pub async fn get(&self, caller: &Caller, id: JobId) -> Result<JobInfo, JobError> {
        caller.require(Permission::ReadJobs)?;
        store::find(&mut self.0.db.begin().await?, id).await?.ok_or(JobError::NotFound)
    }

    /// Has a job done now, with all its attempts, dead or not.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Running`]; [`JobError::Denied`] unless an administrator asks.
    pub async fn retry(&self, caller: &Caller, id: JobId) -> Result<JobInfo, JobError> {
        caller.require(Permission::ManageJobs)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let job = store::find(&mut tx, id).await?.ok_or(JobError::NotFound)?;
        if !store::revive(&mut tx, id, now).await? {
            return Err(JobError::Running);
        }
        let event = Event::new(Action::JobRetried).on(Subject::Job(id)).detail("kind", job.kind);
        audit::record(&mut tx, now, caller, event).await?;
        tx.announce(TOPIC).await?;
        let job = store::find(&mut tx, id).await?.ok_or(JobError::NotFound)?;
        tx.commit().await?;
        Ok(job)
    }

    /// The same for every dead job; says how many those were.
    ///
    /// # Errors
    /// [`JobError::Denied`] unless an administrator asks.
    pub async fn retry_all_dead(&self, caller: &Caller) -> Result<u64, JobError> {
        let (tx, count) = self.revive_dead(caller).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// What [`Jobs::retry_all_dead`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Jobs::retry_all_dead`].
    pub async fn preview_retry_all_dead(&self, caller: &Caller) -> Result<u64, JobError> {
        Ok(self.revive_dead(caller).await?.1)
    }

    async fn revive_dead(&self, caller: &Caller) -> Result<(Tx, u64), JobError> {
        caller.require(Permission::ManageJobs)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let revived = store::revive_dead(&mut tx, now).await?;
        for id in &revived {
            audit::record(&mut tx, now, caller, Event::new(Action::JobRetried).on(Subject::Job(*id))).await?;
        }
        tx.announce(TOPIC).await?;
        Ok((tx, revived.len() as u64))
    }

    /// Removes a job undone, and gives back what it was.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Running`], [`JobError::Scheduled`];
    /// [`JobError::Denied`] unless an administrator asks.
    pub async fn drop(&self, caller: &Caller, id: JobId) -> Result<JobInfo, JobError> {
        let (tx, job) = self.delete(caller, id).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// What [`Jobs::drop`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Jobs::drop`].
    pub async fn preview_drop(&self, caller: &Caller, id: JobId) -> Result<JobInfo, JobError> {
        Ok(self.delete(caller, id).await?.1)
    }

    async fn delete(&self, caller: &Caller, id: JobId) -> Result<(Tx, JobInfo), JobError> {
        caller.require(Permission::ManageJobs)?;
        let mut tx = self.0.db.begin().await?;
        let job = store::find(&mut tx, id).await?.ok_or(JobError::NotFound)?;
        if job.schedule.is_some() {
            return Err(JobError::Scheduled);
        }
        if !store::delete(&mut tx, id).await? {
            return Err(JobError::Running);
        }
        let event = Event::new(Action::JobDropped).on(Subject::Job(id)).detail("kind", job.kind.clone());
        audit::record(&mut tx, self.0.clock.now(), caller, event).await?;
        Ok((tx, job))
    }

    /// Whether jobs get done: the worker of this process goes round, if it has one, and nothing
    /// that is due has been waiting for minutes.
    ///
    /// # Errors
    /// [`Fault`] of kind unavailable when they don't, or when it can't be known.
    pub async fn check(&self) -> Result<(), Fault> {
        if self.0.heart.silent_for().is_some_and(|silent| silent > SILENT) {
            return Err(Fault::unavailable("the worker stands still"));
        }
        match store::waiting_since(&self.0.db, self.0.clock.now()).await? {
            Some(waiting) if waiting > TOO_LONG => {
                Err(Fault::unavailable(format!("a job has been due for {}s", waiting.as_secs())))
            }
            _ => Ok(()),
        }
    }
}
