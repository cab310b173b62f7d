//! Applying what is pending, under the lock. Each step is one transaction together with its history row.

use std::time::{Duration, Instant};

use sqlx::{SqlSafeStr, raw_sql};

use super::{Migration, MigrationError, MigrationState, Migrations, Run};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::error::is_lock_timeout;
use crate::database::lock::Lock;
use crate::database::{TxConnection, history, on};
use crate::error::{Failure as _, Fault};

/// How often a step is tried again that met a lock.
const RETRIES: u32 = 5;

impl Migrations<'_> {
    /// Applies what is pending, and says what that was. Processes that call this at the same
    /// time take turns; the later ones find nothing to do.
    ///
    /// # Errors
    /// See [`MigrationError`]; waits `patience` for another process that is migrating.
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
        let lock = Lock::take(self.0, now, patience).await?;
        let result = self.run_locked(run, now).await;
        lock.release().await;
        result
    }

    pub(in crate::database) async fn run_locked(
        &self,
        run: &Run,
        now: Timestamp,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let pending = self.plan(run).await?;
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        history::create(self.0).await?;
        for step in &pending {
            history::begin(self.0, step.version, now).await?;
            let applied = self.apply_patiently(step, now).await;
            if let Err(fault) = history::ended(self.0, step.version).await {
                // What became of the step is more important, and of one that was applied nobody asks whether it began.
                tracing::warn!(
                    step = step.name,
                    reason = fault.chain(),
                    "that a migration ended can't be written down"
                );
            }
            applied.map_err(|fault| MigrationError::Failed {
                name: step.name.to_owned(),
                reason: fault.chain(),
                kind: fault.kind(),
                applied: pending
                    .iter()
                    .take_while(|other| other.version != step.version)
                    .map(|step| step.name)
                    .collect(),
            })?;
        }
        let event =
            Event::new(Action::SchemaMigrated).because(run.reason.as_deref()).detail("migrations", names(&pending));
        self.write_down(run.by.as_ref(), now, event).await?;
        let applied = history::read(self.0).await?;
        Ok(pending.into_iter().map(|step| self.state(step, &applied)).collect())
    }

    /// Applies a step. Whoever reads a table for long, such as a dump, is waited for, but never with everybody else
    /// in a queue behind.
    async fn apply_patiently(&self, step: &Migration, now: Timestamp) -> Result<(), Fault> {
        let mut pause = Duration::from_millis(500);
        for _ in 0..RETRIES {
            match self.apply(step, now).await {
                Err(fault) if is_lock_timeout(&fault) => {
                    tracing::warn!(step = step.name, "somebody else has a table that is to be migrated: trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.apply(step, now).await
    }

    /// In the audit log, if somebody asks and there is one yet.
    pub(super) async fn write_down(&self, by: Option<&Caller>, now: Timestamp, event: Event) -> Result<(), Fault> {
        match by {
            Some(caller) if history::exists(self.0, "audit_log").await? => {
                audit::record_now(self.0, now, caller, event).await
            }
            _ => Ok(()),
        }
    }

    async fn apply(&self, step: &Migration, now: Timestamp) -> Result<(), Fault> {
        let started = Instant::now();
        let mut tx = self.0.begin().await?;
        if let TxConnection::Postgres(tx) = &mut tx.connection {
            // A long step is fine; queueing behind a long query, with everybody else behind us, is not.
            raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'").execute(&mut **tx).await?;
        }
        on!(&mut tx, connection => { raw_sql(step.sql(self.0).into_sql_str()).execute(connection).await?; });
        history::record(&mut tx, step, &step.checksum(self.0), now, started.elapsed()).await?;
        tx.commit().await?;
        tracing::info!(migration = step.name, took_ms = started.elapsed().as_millis(), "migration applied");
        Ok(())
    }
}

pub(super) fn names(steps: &[&Migration]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}
