//! Moves a grown-up embedded installation to PostgreSQL: every row of every table of ours, in
//! batches that are committed together with how far they got, so that whatever ends it, the same
//! call again goes on; and in the end both sides are read again and compared.
//!
//! Which tables there are, in which order and with which types comes from the catalogues of the
//! two databases, not from here.

mod digest;
mod error;
mod mark;
mod plan;
mod row;
mod source;
mod target;

use std::ops::ControlFlow;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

pub use digest::Digest;
pub use error::CopyError;

use super::lock::{Lock, NotTaken};
use super::schema::Schema;
use super::{Database, Difference, Direct, Engine, MigrationError, Migrations, Run, scratch};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::error::Fault;
use error::{at, during};
pub(super) use mark::is_unfinished;
use mark::{Complete, Mark};
use plan::TablePlan;
use row::KeyValue;
use source::Source;
use target::Target;

/// How long the target's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A table and how far it is.
#[derive(Clone, Debug)]
pub struct TableState {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them are copied by now.
    pub copied: u64,
}

/// What is being done to a table at the moment.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Copied, or read once more on both sides and compared.
    pub comparing: bool,
    /// Which table.
    pub table: &'a str,
    /// Rows done of all tables, each counted once for copying and once for comparing.
    pub done: u64,
}

/// A table as it was found in the end on both sides.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// How many rows the source has, counted without its indexes.
    pub rows: u64,
    /// What the source has.
    pub source: Digest,
    /// What the target has.
    pub target: Digest,
}

impl Compared {
    /// Whether every row of the one is in the other, value by value.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target && self.source.rows == self.rows
    }
}

/// What became of a copy.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Rows that this call copied.
    pub rows: u64,
    /// Every table, once all was copied and compared.
    pub tables: Vec<Compared>,
    /// It was told to stop; the same call again goes on.
    pub interrupted: bool,
    /// There was nothing to do: an earlier call came to its end then, and the source is what it was.
    pub complete_since: Option<Timestamp>,
}

/// A copy that can be made: both ends are open, and nothing was changed yet. As long as it lives
/// nobody else can open the source.
pub struct InstallationCopy {
    source: Source,
    target: Database,
    to: DatabaseSettings,
    tables: Vec<TableState>,
    left_out: Vec<String>,
    /// The target lacks migrations, and has no rows yet.
    unmigrated: bool,
    complete: Option<Complete>,
}

impl InstallationCopy {
    /// Looks at both ends.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub async fn open(from: &DatabaseSettings, to: &DatabaseSettings) -> Result<Self, CopyError> {
        let (DatabaseUrl::Sqlite(path), DatabaseUrl::Postgres(_)) = (&from.url, &to.url) else {
            return Err(CopyError::Engines);
        };
        if !path.is_file() {
            return Err(CopyError::NoSource(path.clone()));
        }
        let (schema, birth) = look_at_source(from).await?;
        let target = Database::open(to).await?;
        let (order, left_out) = plan::in_order(&schema)?;
        let mut copy = Self {
            source: Source::open(path, schema, birth).await?,
            target,
            to: to.clone(),
            tables: Vec::new(),
            left_out,
            unmigrated: false,
            complete: None,
        };
        copy.look_at_target(&order).await?;
        Ok(copy)
    }

    async fn look_at_target(&mut self, order: &[String]) -> Result<(), CopyError> {
        mark::require_schema(&mut *connection_to(&self.target).await?).await?;
        let states = self.migrations().status().await.map_err(at("target", &self.target))?;
        self.unmigrated = states.iter().any(|state| state.is_pending());
        let mut connection = connection_to(&self.target).await?;
        mark::require_own(&mut connection, order).await?;
        let mark = mark::read(&mut connection).await?;
        if mark.as_ref().is_some_and(|mark| mark.birth != self.source.birth) {
            return Err(CopyError::OtherSource);
        }
        if mark.is_none() && !self.unmigrated {
            self.complete = mark::completed(&mut connection, &self.source.birth).await?;
        }
        if mark.is_none() && self.complete.is_none() {
            mark::require_empty(&mut connection, order).await?;
        }
        // There may be no second one.
        drop(connection);
        match &mark {
            _ if self.unmigrated || self.complete.is_some() => {}
            // It lacks indexes as long as it is copied to.
            Some(_) => self.migrations().require_current().await.map_err(at("target", &self.target))?,
            None => require_sound(&self.target, "target").await?,
        }
        for table in order {
            let rows = self.source.count(table).await?;
            let copied = if self.complete.is_some() { rows } else { mark.as_ref().map_or(0, |it| it.copied(table)) };
            self.tables.push(TableState { table: table.clone(), rows, copied });
        }
        // Who waits at a prompt is in nobody's way.
        self.disconnect().await
    }

    /// Those of the target, which the mark of this copy keeps everybody else from.
    fn migrations(&self) -> Migrations<'_> {
        Migrations::of_copy(&self.target)
    }

    /// What there is to copy, in its order.
    #[must_use]
    pub fn tables(&self) -> &[TableState] {
        &self.tables
    }

    /// Tables of the source that aren't PetSpark's, and stay behind.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether the target's migrations are run first, because it lacks some and has no rows yet.
    #[must_use]
    pub fn migrates_target(&self) -> bool {
        self.unmigrated
    }

    /// When an earlier call copied and compared all of this; then there is nothing left to do but to look
    /// whether the source is still the same.
    #[must_use]
    pub fn complete_since(&self) -> Option<Timestamp> {
        self.complete.as_ref().map(|complete| complete.at)
    }

    /// How far [`Step::done`] will count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tables.iter().map(|table| table.rows * 2 - table.copied.min(table.rows)).sum()
    }

    /// Looks the source all over, as [`run`](Self::run) does when the target works and the source would be idle.
    ///
    /// # Errors
    /// [`CopyError::Damaged`].
    pub async fn look_over(&mut self) -> Result<(), CopyError> {
        self.source.require_undamaged().await
    }

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
        self.migrations().run_locked(&Run::default(), clock.now()).await.map_err(at("target", &self.target))?;
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

    /// What is connected to the target after this is not ours; the next statement connects again.
    async fn disconnect(&mut self) -> Result<(), CopyError> {
        self.target.close().await;
        self.target = Database::open(&self.to).await?;
        Ok(())
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

    /// Lets go of both ends.
    pub async fn close(self) {
        self.source.close().await;
        self.target.close().await;
    }
}

/// The source's schema, and what tells it from every other installation.
async fn look_at_source(from: &DatabaseSettings) -> Result<(Schema, String), CopyError> {
    let source = Database::open(from).await?;
    let looked = async {
        require_sound(&source, "source").await?;
        let schema = Schema::read(&source).await.map_err(during("the source's schema"))?;
        let mut direct = Direct::open(&from.url).await.map_err(during("the source"))?;
        let born = direct.born_at().await;
        direct.close().await;
        let born = born.map_err(during("the source"))?.map_or(0, Timestamp::as_micros);
        Ok((schema, born.to_string()))
    };
    let looked = looked.await;
    source.close().await;
    looked
}

/// At exactly the migrations of this build, and with the schema that they make.
async fn require_sound(database: &Database, side: &'static str) -> Result<(), CopyError> {
    let migrations = Migrations::of_copy(database);
    migrations.require_current().await.map_err(at(side, database))?;
    let differences: Vec<Difference> = migrations.verify().await.map_err(at(side, database))?;
    if differences.is_empty() { Ok(()) } else { Err(at(side, database)(MigrationError::Differs(differences))) }
}

async fn take_lock(target: &Database, now: Timestamp) -> Result<Lock, CopyError> {
    Lock::take(target, now, PATIENCE).await.map_err(|error: NotTaken| at("target", target)(error.into()))
}

async fn connection_to(target: &Database) -> Result<PoolConnection<Postgres>, CopyError> {
    match target.engine() {
        Engine::Postgres(postgres) => postgres.pool.acquire().await.map_err(during("the target")),
        Engine::Sqlite(_) => Err(CopyError::Engines),
    }
}
