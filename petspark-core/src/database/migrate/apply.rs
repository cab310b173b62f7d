//! Applying what is pending, under the lock. Each step is one transaction, together with its rows in the
//! history and the audit log, on the connection that holds the lock.

use std::time::{Duration, Instant};

use sqlx::{SqlSafeStr, raw_sql};

use super::{Migration, MigrationError, MigrationState, Migrations, Run};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::error::is_lock_timeout;
use crate::database::history::{self, Applied};
use crate::database::lock::{Lock, Locked};
use crate::database::{TxConnection, TxOn, on};
use crate::error::{Failure as _, Fault};

/// How long the server process of a lost connection may hold the lock: until then it may be committing.
const SETTLING: Duration = Duration::from_secs(10);

/// A step to apply.
struct Due<'a> {
    step: &'static Migration,
    /// By whom and as what it is written down with it.
    audited: Option<(&'a Caller, Event)>,
    now: Timestamp,
}

/// Why a step is not known to be applied.
enum StepError {
    /// It was undone, or not begun.
    Undone(Fault),
    /// Of its COMMIT came something else than that it is done.
    Unsettled(Fault),
}

impl From<Fault> for StepError {
    fn from(fault: Fault) -> Self {
        Self::Undone(fault)
    }
}

impl Migrations<'_> {
    /// Applies what is pending, and says what that was. Processes that call this at the same
    /// time take turns; the later ones find nothing to do.
    ///
    /// # Errors
    /// See [`MigrationError`]; waits `patience` for another process that is migrating, and for each step as
    /// long for those who use its tables.
    pub async fn run(&self, now: Timestamp, patience: Duration) -> Result<Vec<MigrationState>, MigrationError> {
        self.run_as(&Run::default(), now, patience).await
    }

    /// The same with a say in what is applied.
    ///
    /// # Errors
    /// As [`Migrations::run`].
    pub async fn run_as(
        &self,
        run: &Run,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        self.require_visible().await?;
        let mut lock = Lock::take(self.0, now, patience).await?;
        let result = self.run_locked(&mut lock.locked(), run, now, patience).await;
        lock.release().await;
        match result {
            Err(error) => Err(self.settled(error, now).await),
            applied => applied,
        }
    }

    pub(in crate::database) async fn run_locked(
        &self,
        lock: &mut Locked<'_>,
        run: &Run,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let pending = self.plan(run).await?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        self.prepare_history(lock, patience).await?;
        // A new log begins with one row for all of them, in the last one's transaction.
        let has_begun = history::exists(self.0, "audit_log").await? && audit::is_begun(self.0).await?;
        let last = pending.last().map(|step| step.version).filter(|version| *version >= audit::SINCE);
        let (mut applied, mut unaudited) = (Vec::new(), Vec::new());
        for step in pending {
            unaudited.push(step.name);
            let audited = match &run.by {
                Some(caller) if has_begun || Some(step.version) == last => {
                    let names = std::mem::take(&mut unaudited);
                    let event = Event::new(Action::SchemaMigrated).because(run.reason.as_deref());
                    Some((caller, event.detail("migrations", names)))
                }
                _ => None,
            };
            let row = self.apply_patiently(lock, &Due { step, audited, now }, patience).await;
            let row = row.map_err(|error| failed(step, error, &applied))?;
            applied.push(self.state(step, &[row]));
        }
        Ok(applied)
    }

    /// Makes the history, or what one of an older release lacks: before any step, as those that took long would be
    /// undone for that by whoever reads the history for long, such as a dump.
    pub(super) async fn prepare_history(&self, lock: &mut Locked<'_>, patience: Duration) -> Result<(), Fault> {
        history::create(self.0).await?;
        let started = Instant::now();
        loop {
            let mut tx = lock.begin(self.0).await?;
            wait_briefly(&mut tx).await?;
            match history::complete(&mut tx).await {
                Err(fault) if is_lock_timeout(&fault) && started.elapsed() < patience => {
                    tracing::warn!("somebody else has the history of migrations: trying again");
                }
                Ok(false) => return Ok(()),
                Ok(true) => return tx.commit().await,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Applies a step. Whoever reads a table for long, such as a dump, is waited for, but never with everybody else
    /// in a queue behind.
    async fn apply_patiently(
        &self,
        lock: &mut Locked<'_>,
        due: &Due<'_>,
        patience: Duration,
    ) -> Result<Applied, StepError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(500);
        history::begin(self.0, due.step.version, due.now).await?;
        let result = loop {
            let result = self.apply(lock, due).await;
            match &result {
                Err(StepError::Undone(fault)) if is_lock_timeout(fault) && started.elapsed() + pause < patience => {
                    tracing::warn!(
                        step = due.step.name,
                        "somebody else has a table that is to be migrated: trying again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(8));
                }
                _ => break result,
            }
        };
        if let Err(fault) = history::ended(self.0, due.step.version).await {
            // What became of the step is more important, and of one that was applied nobody asks whether it began.
            tracing::warn!(
                step = due.step.name,
                reason = fault.chain(),
                "that a migration ended can't be written down"
            );
        }
        result
    }

    async fn apply(&self, lock: &mut Locked<'_>, due: &Due<'_>) -> Result<Applied, StepError> {
        let started = Instant::now();
        let mut tx = lock.begin(self.0).await?;
        let row = self.write(&mut tx, due, started).await?;
        tx.commit().await.map_err(StepError::Unsettled)?;
        tracing::info!(migration = due.step.name, took_ms = started.elapsed().as_millis(), "migration applied");
        Ok(row)
    }

    async fn write(&self, tx: &mut TxOn<'_>, due: &Due<'_>, started: Instant) -> Result<Applied, Fault> {
        wait_briefly(tx).await?;
        on!(tx, connection => { raw_sql(due.step.sql(self.0).into_sql_str()).execute(connection).await?; });
        let row = history::record(tx, due.step, due.step.checksum(self.0), due.now, started.elapsed()).await?;
        if let Some((caller, event)) = &due.audited {
            audit::record(tx, due.now, caller, event.clone()).await?;
        }
        Ok(row)
    }

    /// Finds out what became of a step whose COMMIT was not answered: when the lock can be had again, nobody
    /// is committing it any more.
    async fn settled(&self, error: MigrationError, now: Timestamp) -> MigrationError {
        let MigrationError::Unsettled { version, name, reason, kind, mut applied, .. } = error else { return error };
        let started = Instant::now();
        let looked = loop {
            let looked = async {
                let lock = Lock::take(self.0, now, SETTLING).await?;
                let has = self.has(version).await;
                lock.release().await;
                Ok::<_, MigrationError>(has?)
            };
            match looked.await {
                // It may be starting again.
                Err(MigrationError::Fault(_)) if started.elapsed() < SETTLING => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                looked => break looked,
            }
        };
        match looked {
            Ok(false) => MigrationError::Failed { name, reason, kind, applied },
            Ok(true) => {
                applied.push(name.clone());
                MigrationError::Unsettled { version, name, reason, kind, is_applied: true, applied }
            }
            Err(_) => MigrationError::Unsettled { version, name, reason, kind, is_applied: false, applied },
        }
    }
}

/// A long step is fine; queueing behind a long query, with everybody else behind us, is not. A connection that
/// copies rows commits them faster than is good for a schema.
async fn wait_briefly(tx: &mut TxOn<'_>) -> Result<(), Fault> {
    if let TxConnection::Postgres(tx) = &mut tx.connection {
        raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'; SET LOCAL synchronous_commit = on")
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

fn failed(step: &Migration, error: StepError, applied: &[MigrationState]) -> MigrationError {
    let (version, name) = (step.version, step.name.to_owned());
    let applied = applied.iter().map(|state| state.name.clone()).collect();
    match error {
        StepError::Undone(fault) => MigrationError::Failed { name, reason: fault.chain(), kind: fault.kind(), applied },
        StepError::Unsettled(fault) => MigrationError::Unsettled {
            version,
            name,
            reason: fault.chain(),
            kind: fault.kind(),
            is_applied: false,
            applied,
        },
    }
}
