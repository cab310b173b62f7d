//! Removes jobs that have been dead for long: who hasn't looked at one for a month never will, and
//! what it was about may be erased by now.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Handler, Job, JobError, Jobs, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{Clock, DAY};
use crate::database::{Database, Tx};
use crate::error::Fault;

/// How long a dead job waits for somebody to look at it.
const KEPT: Duration = DAY.saturating_mul(30);

/// The job that does it, once a day.
pub(crate) struct RemoveDead {
    pub(crate) db: Database,
    pub(crate) clock: Clock,
}

impl RemoveDead {
    async fn remove(&self, caller: &Caller) -> Result<u64, Fault> {
        let mut all = 0;
        loop {
            // A few at a time, so that workers get their turn in between.
            let (tx, removed) = self.remove_some(caller).await?;
            if removed == 0 {
                return Ok(all);
            }
            tx.commit().await?;
            all += removed;
        }
    }

    async fn remove_some(&self, caller: &Caller) -> Result<(Tx, u64), Fault> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let removed = store::delete_dead(&mut tx, now.before(KEPT)).await?;
        if removed > 0 {
            audit::record(&mut tx, now, caller, Event::new(Action::DeadJobsRemoved).detail("jobs", removed)).await?;
        }
        Ok((tx, removed))
    }
}

impl Handler for RemoveDead {
    fn kind(&self) -> &'static str {
        "jobs.remove_dead"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.remove(&Caller::system()).await.map(drop) })
    }

    fn every(&self) -> Option<Duration> {
        Some(DAY)
    }
}

impl Jobs {
    /// Removes jobs that have been dead for more than 30 days, as a daily job does; says how many.
    ///
    /// # Errors
    /// [`JobError::Denied`] unless an administrator asks.
    pub async fn remove_dead(&self, caller: &Caller) -> Result<u64, JobError> {
        caller.require(Permission::ManageJobs)?;
        let cleaning = RemoveDead { db: self.0.db.clone(), clock: self.0.clock.clone() };
        Ok(cleaning.remove(caller).await?)
    }

    /// How many those are.
    ///
    /// # Errors
    /// As [`Jobs::remove_dead`].
    pub async fn count_long_dead(&self, caller: &Caller) -> Result<u64, JobError> {
        caller.require(Permission::ManageJobs)?;
        Ok(store::count_dead(&self.0.db, self.0.clock.now().before(KEPT)).await?)
    }
}
