//! How many SQL statements a piece of work takes: what a page costs should not depend on how many
//! rows it has, and an access log shows where it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

tokio::task_local! {
    static COUNT: StatementCount;
}

/// Counts statements. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct StatementCount(Arc<AtomicU32>);

impl StatementCount {
    /// Does some work, and counts its statements; not those of tasks that it spawns.
    pub async fn during<F: Future>(&self, work: F) -> F::Output {
        COUNT.scope(self.clone(), work).await
    }

    /// How many there were until now. Beginning and committing are not counted.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A statement is about to run.
pub(crate) fn count_statement() {
    // Work that nobody counts has no counter.
    let _ = COUNT.try_with(|count| count.0.fetch_add(1, Ordering::Relaxed));
}
