//! Removes the files that mails became without a mail server: they hold addresses and links, and
//! nobody else deletes them. Each server has a folder of its own, and the one that gets to the job
//! cleans its own; who runs more than one has a mail server.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use super::folder;
use crate::clock::{Clock, DAY};
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// How long they are kept.
const KEPT: Duration = DAY.saturating_mul(30);

/// The job that does it, once a day.
pub(crate) struct OldMails {
    folder: PathBuf,
    clock: Clock,
}

impl OldMails {
    pub(crate) fn new(data_dir: &Path, clock: Clock) -> Self {
        Self { folder: folder::of(data_dir), clock }
    }
}

impl Handler for OldMails {
    fn kind(&self) -> &'static str {
        "mail.remove_old_files"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let (folder, before) = (self.folder.clone(), SystemTime::from(self.clock.now().before(KEPT)));
            let removed = tokio::task::spawn_blocking(move || folder::remove_older(&folder, before)).await;
            let removed = removed.map_err(Fault::internal)?.map_err(Fault::unavailable)?;
            tracing::debug!(removed, "old mail files were removed");
            Ok(())
        })
    }

    fn every(&self) -> Option<Duration> {
        Some(DAY)
    }
}
