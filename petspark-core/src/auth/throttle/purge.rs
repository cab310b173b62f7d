//! Throws away what was counted and is over.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::store;
use crate::clock::Clock;
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// The job that does it, once an hour.
pub(crate) struct Purge {
    db: Database,
    clock: Clock,
    /// After what time a row that has ended can be of no use any more.
    useful_for: Duration,
}

impl Purge {
    pub(crate) fn new(db: Database, clock: Clock, settings: &super::ThrottleSettings) -> Self {
        Self { db, clock, useful_for: settings.useful_for() }
    }

    async fn purge(&self) -> Result<(), Fault> {
        loop {
            // A few at a time, so that sign-ins get their turn in between.
            let mut tx = self.db.begin().await?;
            let purged = self.remove_some(&mut tx).await?;
            tx.commit().await?;
            if purged == 0 {
                return Ok(());
            }
        }
    }

    /// Throws a few away, and says how many.
    pub(in crate::auth) async fn remove_some(&self, tx: &mut Tx) -> Result<u64, Fault> {
        store::purge(tx, self.clock.now().before(self.useful_for)).await
    }
}

impl Handler for Purge {
    fn kind(&self) -> &'static str {
        "throttles.purge"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.purge())
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }
}
