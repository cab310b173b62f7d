//! Brings the texts by which pets are found up to date with the rules of `text::fold`: those of
//! pets from before there were any, and of all pets when the rules change.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::store;
use crate::database::Database;
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// The weekly job. It may end half-way: what it changed needs no change the next time.
pub(crate) struct Refold(pub(crate) Database);

/// Pets that are looked at, and perhaps changed, in one transaction.
const BATCH: i64 = 500;

impl Refold {
    async fn refold(&self) -> Result<(), Fault> {
        let (mut changed, mut last) = (0, i64::MIN);
        loop {
            let pets = store::pets_to_refold(&self.0, last, BATCH).await?;
            let Some(pet) = pets.last() else { break };
            last = pet.number;
            let outdated: Vec<_> = pets.iter().filter(|pet| !pet.is_folded()).collect();
            if !outdated.is_empty() {
                let mut tx = self.0.begin().await?;
                for pet in outdated {
                    changed += store::refold_pet(&mut tx, pet).await?;
                }
                tx.commit().await?;
            }
        }
        if changed > 0 {
            tracing::info!(pets = changed, "found by other words than before");
        }
        Ok(())
    }
}

impl Handler for Refold {
    fn kind(&self) -> &'static str {
        "pets.refold"
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(7 * 86_400))
    }

    /// A million pets that all change take minutes.
    fn limit(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.refold())
    }
}
