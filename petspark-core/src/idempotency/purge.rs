//! Throws away keys whose time is over.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{KEPT_FOR, store};
use crate::clock::Clock;
use crate::database::Database;
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// The job that does it, once an hour. A key that it hasn't come to yet counts as gone all the same.
pub(crate) struct Purge {
    pub(crate) db: Database,
    pub(crate) clock: Clock,
}

impl Handler for Purge {
    fn kind(&self) -> &'static str {
        "idempotency.purge"
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let expired = self.clock.now().before(KEPT_FOR);
            loop {
                // A few at a time, so that others get to write in between.
                let mut tx = self.db.begin().await?;
                let purged = store::purge(&mut tx, expired).await?;
                tx.commit().await?;
                if purged == 0 {
                    return Ok(());
                }
            }
        })
    }
}
