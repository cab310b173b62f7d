//! How long the audit log is kept, and the daily job that removes what is older.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Action, Event, record, store};
use crate::caller::Caller;
use crate::clock::{Clock, DAY};
use crate::config::{Loader, Setting};
use crate::database::Database;
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// How the audit log is kept.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Entries that are older are removed.
    pub retention: Duration,
}

impl AuditSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let retention = from.get(Setting {
            key: "audit.retention",
            env: None,
            default: 400 * DAY,
            about: "How long the audit log is kept: at least 30d, which the database itself insists on.",
        });
        if retention < 30 * DAY {
            from.problem("audit.retention", "must be at least 30d");
        }
        Self { retention }
    }
}

/// Rows that one transaction removes: the write lock of SQLite is given back in between.
const BATCH: i64 = 1000;

/// Removes what is older than the retention.
pub(crate) struct Retain {
    pub(crate) db: Database,
    pub(crate) clock: Clock,
    pub(crate) settings: AuditSettings,
}

impl Handler for Retain {
    fn kind(&self) -> &'static str {
        "audit.retain"
    }

    fn every(&self) -> Option<Duration> {
        Some(DAY)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            while self.remove_some().await? {}
            Ok(())
        })
    }
}

impl Retain {
    async fn remove_some(&self) -> Result<bool, Fault> {
        let now = self.clock.now();
        let before = now.before(self.settings.retention.max(30 * DAY));
        let old = store::count_before(&self.db, before, BATCH).await?;
        if old == 0 {
            return Ok(false);
        }
        let mut tx = self.db.begin().await?;
        // First the entry about it: by the youngest entry the database knows how old the others are.
        let event = Event::new(Action::AuditPurged).detail("before", before.to_string()).detail("entries", old);
        record(&mut tx, now, &Caller::system(), event).await?;
        store::delete_before(&mut tx, before, BATCH).await?;
        tx.commit().await?;
        Ok(true)
    }
}
