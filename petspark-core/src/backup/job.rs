//! Backups and drills that the server does by itself, if it is told how often.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{BackupError, Backups, IdentityKey, NewBackup};
use crate::caller::Caller;
use crate::error::{Fault, chain};
use crate::jobs::{Handler, Job};

/// Makes a backup, and removes those that no rule keeps any more.
pub(crate) struct MakeBackup(pub(crate) Backups);

/// Proves the newest.
pub(crate) struct RunDrill(pub(crate) Backups);

/// A large database takes its time.
const LIMIT: Duration = Duration::from_secs(6 * 3600);

impl Handler for MakeBackup {
    fn kind(&self) -> &'static str {
        "backup.create"
    }

    fn every(&self) -> Option<Duration> {
        self.0.settings().backup.every
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let (backups, caller) = (&self.0, Caller::system());
            let done = async {
                backups.create(&caller, &NewBackup::default()).await?;
                backups.prune(&caller, false, None).await.map(drop)
            };
            let done = done.await;
            backups.tell_metrics(&caller).await;
            match done {
                // An operator is at it by hand: there is a backup, or will be, and what can go goes next time.
                Err(BackupError::Locked) => Ok(()),
                done => done.map_err(in_job),
            }
        })
    }
}

impl Handler for RunDrill {
    fn kind(&self) -> &'static str {
        "backup.verify"
    }

    #[expect(clippy::misnamed_getters, reason = "the other is how often backups are made")]
    fn every(&self) -> Option<Duration> {
        self.0.settings().backup.drill_every
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let (backups, caller) = (&self.0, Caller::system());
            let keys = match &backups.settings().backup.identity_file {
                Some(path) => IdentityKey::read(path).map_err(in_job)?,
                None => Vec::new(),
            };
            let drill = backups.verify(&caller, None, false, &keys, false).await;
            backups.tell_metrics(&caller).await;
            let drill = match drill {
                // The first backup isn't there yet.
                Err(BackupError::NotFound) => return Ok(()),
                drill => drill.map_err(in_job)?,
            };
            match drill.problem {
                None => Ok(()),
                Some(problem) => Err(Fault::lasting(format!("backup {} is no good: {problem}", drill.backup_id))),
            }
        })
    }
}

fn in_job(error: BackupError) -> Fault {
    match error {
        BackupError::Fault(fault) => fault,
        // Another attempt would be another backup, and none goes meanwhile: its next time is soon enough.
        error @ BackupError::WithoutFiles { .. } => Fault::lasting(chain(&error)),
        error => Fault::internal(chain(&error)),
    }
}
