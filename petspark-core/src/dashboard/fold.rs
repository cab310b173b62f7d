//! Adds up what changes left beside the totals, and forgets sign-ups that nobody asks for any more.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{DAY, Dashboard, SIGNUPS, hour, store};
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// The job that does it, every five minutes: a busy server leaves some 100,000 parts in that time,
/// which are read in milliseconds.
pub(crate) struct Fold(pub(crate) Dashboard);

/// Parts that one transaction adds up.
const BATCH: i64 = 10_000;

impl Handler for Fold {
    fn kind(&self) -> &'static str {
        "counters.fold"
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(300))
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(Dashboard { db, clock }) = self;
            let oldest = format!("{SIGNUPS}{}", hour(clock.now()) - 8 * DAY);
            store::delete_between(db, SIGNUPS, &oldest).await?;
            loop {
                let mut tx = db.begin().await?;
                // What another server folds at the same moment is gone from here, and counted there.
                let parts = store::take_parts(&mut tx, BATCH).await?;
                if parts.is_empty() {
                    return Ok(());
                }
                // By name, so that two who fold never wait for each other in a circle.
                let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
                for (name, value) in &parts {
                    *sums.entry(name).or_default() += value;
                }
                for (name, value) in sums.into_iter().filter(|(_, value)| *value != 0) {
                    store::add(&mut tx, name, value).await?;
                }
                tx.commit().await?;
            }
        })
    }
}
