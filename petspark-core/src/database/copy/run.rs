//! Copying, and comparing in the end. What is done to either side is in `source` and `target`; in which order, and what
//! has to hold before the next step, is decided here.

use std::ops::ControlFlow;
use std::time::Duration;

use super::error::{at, during};
use super::mark::{self, Complete, Mark};
use super::open::require_sound;
use super::plan::TablePlan;
use super::row::KeyValue;
use super::target::Target;
use super::{Compared, Copied, CopyError, InstallationCopy, Step, TableState, digest};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::DatabaseUrl;
use crate::database::lock::{Lock, NotTaken};
use crate::database::schema::Schema;
use crate::database::{Database, Run, scratch};
use crate::error::Fault;

/// How long the target's lock is waited for, and those who use its tables.
const PATIENCE: Duration = Duration::from_secs(5);

impl InstallationCopy {
    /// Copies what isn't copied yet, then compares everything. Only when all is equal, and the source without
    /// damage, does the target count as an installation: until then no server opens it. `progress` is told
    /// after every batch, and may ask to stop.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub async fn run(
        &mut self,
        caller: &Caller,
        clock: &Clock,
        mut progress: impl FnMut(&Step<'_>) -> ControlFlow<()> + Send,
    ) -> Result<Copied, CopyError> {
        if let Some(complete) = self.complete.take() {
            return self.look_again(complete, &mut progress).await;
        }
        let lock = take_lock(&self.target, clock.now()).await?;
        let mut target = Target::over(lock)?;
        let result = self.run_locked(&mut target, caller, clock, &mut progress).await;
        target.close().await;
        result
    }

    async fn run_locked(
        &mut self,
        target: &mut Target,
        caller: &Caller,
        clock: &Clock,
        progress: &mut (impl FnMut(&Step<'_>) -> ControlFlow<()> + Send),
    ) -> Result<Copied, CopyError> {
        target.prepare().await?;
        let mark = self.take_possession(target).await?;
        self.migrations()
            .run_locked(&mut target.locked(), &Run::default(), clock.now(), PATIENCE)
            .await
            .map_err(at("target", &self.target))?;
        let (schema, plans) = self.plans().await?;
        let (mut copied, mut done) = (Copied::default(), 0);
        for plan in &plans {
            let last = mark.last_key(&plan.table);
            if self.copy_table(plan, last, target, &mut copied.rows, &mut done, progress).await?.is_break() {
                return Ok(Copied { interrupted: true, ..copied });
            }
        }
        // A damaged index hid rows, perhaps. To look for one takes long, and PostgreSQL works meanwhile.
        let (looked, settled) = tokio::join!(self.source.require_undamaged(), target.settle(&schema, &plans));
        looked?;
        settled?;
        for (place, plan) in plans.iter().enumerate() {
            let mut stop = false;
            let mut tell = |rows: u64| {
                done += rows;
                stop |= progress(&Step { comparing: true, table: &plan.table, done }).is_break();
            };
            let (source, target) = tokio::join!(self.source.digest(plan, &mut tell), target.digest(plan));
            let (table, rows) = (plan.table.clone(), self.tables[place].rows);
            copied.tables.push(Compared { table, rows, source: source?, target: target? });
            if stop {
                return Ok(Copied { interrupted: true, tables: Vec::new(), ..copied });
            }
        }
        if copied.tables.iter().all(Compared::is_equal) {
            require_sound(&self.target, "target").await?;
            self.finish(caller, clock, &copied).await?;
        }
        Ok(copied)
    }

    /// Sets the mark, or finds that of an earlier call. From here on no server opens the target, and none
    /// that opened it before is there any more.
    async fn take_possession(&mut self, target: &mut Target) -> Result<Mark, CopyError> {
        let tables: Vec<_> = self.tables.iter().map(|state| state.table.clone()).collect();
        let (mark, is_new) = mark::set(&mut target.connection, &self.source.birth, &tables).await?;
        self.disconnect().await?;
        let DatabaseUrl::Postgres(url) = &self.to.url else { return Err(CopyError::Engines) };
        if let Some(sessions) = scratch::in_use(url.expose()).await.map_err(during("the target"))? {
            if is_new {
                mark::take_back(&mut target.connection).await?;
            }
            return Err(CopyError::TargetInUse { sessions });
        }
        for state in &mut self.tables {
            state.copied = mark.copied(&state.table);
        }
        Ok(mark)
    }

    async fn plans(&self) -> Result<(Schema, Vec<TablePlan>), CopyError> {
        let schema = Schema::read(&self.target).await.map_err(during("the target's schema"))?;
        let plan = |state: &TableState| TablePlan::new(&state.table, &self.source.schema, &schema);
        let plans = self.tables.iter().map(plan).collect::<Result<_, _>>()?;
        Ok((schema, plans))
    }

    /// Whether the source is what it was when it was copied. The target went on since, perhaps.
    async fn look_again(
        &mut self,
        complete: Complete,
        progress: &mut (impl FnMut(&Step<'_>) -> ControlFlow<()> + Send),
    ) -> Result<Copied, CopyError> {
        self.source.require_undamaged().await?;
        let (_, plans) = self.plans().await?;
        let (mut digests, mut done, mut stop) = (Vec::new(), 0, false);
        for plan in &plans {
            let mut tell = |rows: u64| {
                done += rows;
                stop |= progress(&Step { comparing: true, table: &plan.table, done }).is_break();
            };
            digests.push((plan.table.as_str(), self.source.digest(plan, &mut tell).await?));
            if stop {
                return Ok(Copied { interrupted: true, ..Copied::default() });
            }
        }
        if digest::of_all(digests.into_iter()) != complete.digest {
            return Err(CopyError::SourceChanged { since: complete.at });
        }
        Ok(Copied { complete_since: Some(complete.at), ..Copied::default() })
    }

    async fn copy_table(
        &mut self,
        plan: &TablePlan,
        last: Option<Vec<KeyValue>>,
        target: &mut Target,
        rows: &mut u64,
        done: &mut u64,
        progress: &mut (impl FnMut(&Step<'_>) -> ControlFlow<()> + Send),
    ) -> Result<ControlFlow<()>, CopyError> {
        let mut batch = self.source.read(plan, last.clone()).await?;
        if last.is_none() && batch.rows > 0 {
            target.strip(plan).await?;
        }
        while batch.rows > 0 {
            let after = batch.last.clone();
            // One database reads while the other writes.
            let (written, next) = tokio::join!(target.write(plan, &batch), self.source.read(plan, after));
            written?;
            *rows += batch.rows;
            *done += batch.rows;
            if let Some(state) = self.tables.iter_mut().find(|state| state.table == plan.table) {
                state.copied += batch.rows;
            }
            batch = next?;
            if progress(&Step { comparing: false, table: &plan.table, done: *done }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// From here on the target is an installation.
    async fn finish(&self, caller: &Caller, clock: &Clock, copied: &Copied) -> Result<(), CopyError> {
        let failed = || during::<Fault>("the end");
        let rows = copied.tables.iter().map(|table| table.target.rows).sum::<u64>();
        let mut tx = self.target.begin().await.map_err(failed())?;
        mark::forget(&mut tx).await.map_err(failed())?;
        let digest = digest::of_all(copied.tables.iter().map(|table| (table.table.as_str(), table.source)));
        // By these two the same call again knows that it came to its end.
        let event = Event::new(Action::InstallationCopied)
            .detail("rows", rows)
            .detail("source", &*self.source.birth)
            .detail("digest", digest);
        audit::record(&mut tx, clock.now(), caller, event).await.map_err(failed())?;
        tx.commit().await.map_err(failed())
    }
}

async fn take_lock(target: &Database, now: Timestamp) -> Result<Lock, CopyError> {
    Lock::take(target, now, PATIENCE).await.map_err(|error: NotTaken| at("target", target)(error.into()))
}
