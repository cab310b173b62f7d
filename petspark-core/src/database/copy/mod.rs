//! Moves a grown-up embedded installation to PostgreSQL: every row of every table of ours, in
//! batches that are committed together with how far they got, so that whatever ends it, the same
//! call again goes on; and in the end both sides are read again and compared.
//!
//! Which tables there are, in which order and with which types comes from the catalogues of the
//! two databases, not from here.

mod digest;
mod plan;
mod row;
mod source;
mod target;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

pub use digest::Digest;

use super::lock::{Lock, NotTaken};
use super::schema::Schema;
use super::{Database, Difference, MigrationError, OpenError};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::{DatabaseSettings, DatabaseUrl};
use crate::error::{Failure, Fault, Kind};
use plan::TablePlan;
use source::Source;
use target::Target;

/// How long the target's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copying can't be begun, or can't go on. What was copied stays, and a new call goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Copying goes from SQLite to PostgreSQL.
    #[error("a copy goes from sqlite://... to postgres://..., not otherwise")]
    Engines,
    /// There is no such file.
    #[error("there is no database at {}", .0.display())]
    NoSource(PathBuf),
    /// A server, or another tool, has the source open, and could write to it.
    #[error("{} is in use by another process; stop the server and whatever else has it open", .0.display())]
    SourceInUse(PathBuf),
    /// One of the two can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the two isn't at the migrations of this build, or is locked.
    #[error("{side}: {error}")]
    Migration {
        /// `source` or `target`.
        side: &'static str,
        /// What is wrong.
        error: MigrationError,
    },
    /// The target has rows that no copy put there.
    #[error("the target's table {table} has rows already; copy into an empty database")]
    NotEmpty {
        /// The first such table.
        table: String,
    },
    /// The target holds the beginning of a copy of another installation.
    #[error("the target holds an unfinished copy of another installation; copy into an empty database")]
    OtherSource,
    /// The two schemas don't fit.
    #[error("table {table}: {reason}")]
    Unfitting {
        /// Which.
        table: String,
        /// What doesn't fit.
        reason: String,
    },
    /// A row can't be copied as it is.
    #[error("table {table}, row {row}: {reason}")]
    Row {
        /// Which table.
        table: String,
        /// The row's primary key.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The databases can't be read or written.
    #[error("can't copy {what}: {}", .fault.chain())]
    Fault {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        fault: Fault,
    },
}

impl Failure for CopyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Engines => Kind::Invalid,
            Self::NoSource(_) => Kind::NotFound,
            Self::Open(error) => error.kind(),
            Self::Migration { error, .. } => error.kind(),
            Self::SourceInUse(_) | Self::NotEmpty { .. } | Self::OtherSource | Self::Unfitting { .. } => Kind::Conflict,
            Self::Row { .. } => Kind::Conflict,
            Self::Fault { fault, .. } => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Engines => "COPY_ENGINES",
            Self::NoSource(_) => "COPY_NO_SOURCE",
            Self::SourceInUse(_) => "COPY_SOURCE_IN_USE",
            Self::Open(error) => error.code(),
            Self::Migration { error, .. } => error.code(),
            Self::NotEmpty { .. } => "COPY_NOT_EMPTY",
            Self::OtherSource => "COPY_OTHER_SOURCE",
            Self::Unfitting { .. } => "COPY_UNFITTING",
            Self::Row { .. } => "COPY_ROW",
            Self::Fault { fault, .. } => fault.code(),
        }
    }
}

/// For `map_err`: what was being done when that happened.
fn during<E: Into<Fault>>(what: impl Into<String>) -> impl FnOnce(E) -> CopyError {
    let what = what.into();
    move |error| CopyError::Fault { what, fault: error.into() }
}

fn at(side: &'static str) -> impl Fn(MigrationError) -> CopyError {
    move |error| CopyError::Migration { side, error }
}

/// A table and how far it is.
#[derive(Clone, Debug)]
pub struct TableState {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them an earlier call copied.
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
    /// What the source has.
    pub source: Digest,
    /// What the target has.
    pub target: Digest,
}

impl Compared {
    /// Whether every row of the one is in the other, value by value.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target
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
}

/// A copy that can be made: both ends are open, and nothing was changed yet. As long as it lives
/// nobody else can open the source.
pub struct InstallationCopy {
    source: Source,
    target: Database,
    tables: Vec<TableState>,
    left_out: Vec<String>,
    /// The target has no tables yet.
    unmigrated: bool,
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
            tables: Vec::new(),
            left_out,
            unmigrated: false,
        };
        copy.look_at_target(&order).await?;
        Ok(copy)
    }

    async fn look_at_target(&mut self, order: &[String]) -> Result<(), CopyError> {
        let migrations = self.target.migrations();
        let states = migrations.status().await.map_err(at("target"))?;
        self.unmigrated = states.iter().all(|state| state.is_pending());
        let begun = target::begun(&self.target).await.map_err(during("the state of an earlier copy"))?;
        match &begun {
            // It lacks indexes as long as it is copied to.
            Some(_) => migrations.require_current().await.map_err(at("target"))?,
            None if self.unmigrated => {}
            None => require_sound(&self.target, "target").await?,
        }
        if begun.as_ref().is_some_and(|begun| begun.birth != self.source.birth) {
            return Err(CopyError::OtherSource);
        }
        for table in order {
            let rows = self.source.count(table).await?;
            let copied = begun.as_ref().and_then(|begun| begun.rows.get(table)).copied().unwrap_or(0);
            if begun.is_none() && !self.unmigrated && target::has_rows(&self.target, table).await? {
                return Err(CopyError::NotEmpty { table: table.clone() });
            }
            self.tables.push(TableState { table: table.clone(), rows, copied });
        }
        Ok(())
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

    /// Whether the target's migrations are run first, because it has nothing yet.
    #[must_use]
    pub fn migrates_target(&self) -> bool {
        self.unmigrated
    }

    /// How far [`Step::done`] will count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tables.iter().map(|table| table.rows * 2 - table.copied.min(table.rows)).sum()
    }

    /// Copies what isn't copied yet, then compares everything. Only when all is equal does the
    /// target count as an installation: until then no server opens it. `progress` is told after
    /// every batch, and may ask to stop.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub async fn run(
        &mut self,
        caller: &Caller,
        clock: &Clock,
        mut progress: impl FnMut(&Step<'_>) -> ControlFlow<()> + Send,
    ) -> Result<Copied, CopyError> {
        let now = clock.now();
        if self.unmigrated {
            self.target.migrations().run(now, PATIENCE).await.map_err(at("target"))?;
        }
        let lock = take_lock(&self.target, now).await?;
        let result = self.run_locked(caller, clock, &mut progress).await;
        lock.release().await;
        result
    }

    async fn run_locked(
        &mut self,
        caller: &Caller,
        clock: &Clock,
        progress: &mut (impl FnMut(&Step<'_>) -> ControlFlow<()> + Send),
    ) -> Result<Copied, CopyError> {
        let schema = Schema::read(&self.target).await.map_err(during("the target's schema"))?;
        let plans = self
            .tables
            .iter()
            .map(|state| TablePlan::new(&state.table, &self.source.schema, &schema))
            .collect::<Result<Vec<_>, _>>()?;
        let mut target = Target::open(&self.target, &self.source.birth).await?;
        let (mut copied, mut done) = (Copied::default(), 0);
        for plan in &plans {
            if self.copy_table(plan, &mut target, &mut copied.rows, &mut done, progress).await?.is_break() {
                return Ok(Copied { interrupted: true, ..copied });
            }
        }
        target.settle(&schema, &plans).await?;
        for plan in &plans {
            let mut stop = false;
            let mut tell = |rows: u64| {
                done += rows;
                stop |= progress(&Step { comparing: true, table: &plan.table, done }).is_break();
            };
            let (source, target) = tokio::join!(self.source.digest(plan, &mut tell), target.digest(plan));
            copied.tables.push(Compared { table: plan.table.clone(), source: source?, target: target? });
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

    async fn copy_table(
        &mut self,
        plan: &TablePlan,
        target: &mut Target,
        rows: &mut u64,
        done: &mut u64,
        progress: &mut (impl FnMut(&Step<'_>) -> ControlFlow<()> + Send),
    ) -> Result<ControlFlow<()>, CopyError> {
        let last = target.last_key(&plan.table);
        let mut batch = self.source.read(plan, last.clone()).await?;
        if last.is_none() && batch.rows > 0 {
            target.unindex(plan).await?;
        }
        while batch.rows > 0 {
            let after = batch.last.clone();
            // One database reads while the other writes.
            let (written, next) = tokio::join!(target.write(plan, &batch), self.source.read(plan, after));
            written?;
            *rows += batch.rows;
            *done += batch.rows;
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
        target::forget(&mut tx).await.map_err(failed())?;
        let event = Event::new(Action::InstallationCopied).detail("rows", rows);
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
        let states = source.migrations().status().await.map_err(at("source"))?;
        let born = states.iter().find_map(|state| state.applied_at).map_or(0, Timestamp::as_micros);
        Ok((schema, born.to_string()))
    };
    let looked = looked.await;
    source.close().await;
    looked
}

/// At exactly the migrations of this build, and with the schema that they make.
async fn require_sound(database: &Database, side: &'static str) -> Result<(), CopyError> {
    let migrations = database.migrations();
    migrations.require_current().await.map_err(at(side))?;
    let differences: Vec<Difference> = migrations.verify().await.map_err(at(side))?;
    if differences.is_empty() { Ok(()) } else { Err(at(side)(MigrationError::Differs(differences))) }
}

async fn take_lock(target: &Database, now: Timestamp) -> Result<Lock, CopyError> {
    Lock::take(target, now, PATIENCE).await.map_err(|error: NotTaken| at("target")(error.into()))
}

/// Whether this database holds a copy that was not finished, and is no installation yet.
pub(crate) async fn is_unfinished(database: &Database) -> Result<bool, Fault> {
    Ok(target::begun(database).await?.is_some())
}
