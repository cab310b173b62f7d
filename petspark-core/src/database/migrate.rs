//! Applies the embedded migrations once, however many processes start at the same moment, and
//! says what has been applied. Each migration is one transaction together with its history row.
//!
//! sqlx's own migrator is not used: its SQLite lock does nothing, and on PostgreSQL a failing
//! migration leaves the advisory lock held by a pooled connection.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::{SqlSafeStr, raw_sql};

use super::error::is_lock_timeout;
use super::history::{self, Applied};
use super::lock::{Holder, Lock, NotTaken};
use super::schema::Schema;
use super::schema_lock::{Difference, SchemaLock};
use super::{Database, Engine, HalfRestored, TxConnection, copy, on, replacing};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Failure, Fault, Kind};
use crate::text::hex;

/// One step of the schema, the same number and name on both engines.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Steps are applied in the order of this number.
    pub version: i64,
    /// What the step is about.
    pub name: &'static str,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_users",
    2 "0002_sessions",
    3 "0003_pets",
    4 "0004_jobs",
    5 "0005_audit_log",
    6 "0006_accounts",
    7 "0007_one_time_tokens",
    8 "0008_second_factor",
    9 "0009_throttles",
    10 "0010_signing_keys",
    11 "0011_api_keys",
    12 "0012_pet_search",
    13 "0013_safe_writes",
    14 "0014_favorites_and_blocks",
    15 "0015_moderation",
    16 "0016_counters",
    17 "0017_deleted_pets",
    18 "0018_what_is_over",
    19 "0019_filters_in_indexes",
    20 "0020_uploads",
    21 "0021_billing",
    22 "0022_operations",
    23 "0023_all_photos",
    24 "0024_billing_held_to_its_account",
    25 "0025_refunds_that_failed",
];

/// How often a step is tried again that met a lock.
const RETRIES: u32 = 5;

impl Migration {
    /// Every migration in this build, oldest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        MIGRATIONS
    }

    /// The SQL of this step for an engine.
    #[must_use]
    pub fn sql(&self, engine: &Database) -> &'static str {
        match engine.engine() {
            Engine::Sqlite(_) => self.sqlite,
            Engine::Postgres(_) => self.postgres,
        }
    }

    fn checksum(&self, database: &Database) -> String {
        checksum(self.sql(database))
    }

    /// What the history of a database of this engine looks like that has all up to `version`.
    pub(crate) fn history(engine: &str, version: i64) -> Vec<(i64, String, String)> {
        let sql = |step: &Self| if engine == "sqlite" { step.sqlite } else { step.postgres };
        let steps = MIGRATIONS.iter().filter(|step| step.version <= version);
        steps.map(|step| (step.version, step.name.to_owned(), checksum(sql(step)))).collect()
    }
}

fn checksum(sql: &str) -> String {
    hex(&Sha256::digest(sql.replace("\r\n", "\n")))
}

/// How one migration stands in one database.
#[derive(Clone, Debug)]
pub struct MigrationState {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Where it is on its way.
    pub state: State,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// How long it took.
    pub took: Option<Duration>,
    /// The SHA-256 of its SQL, in hexadecimal: of what was applied, else of what this build has.
    pub checksum: String,
}

impl MigrationState {
    /// Whether it is still to be applied.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending | State::Running | State::Interrupted)
    }
}

/// What to apply.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Nothing above this number; `None` is all there is.
    pub to: Option<i64>,
    /// Also what is older than something that was applied already.
    pub out_of_order: bool,
    /// Who asks, for the audit log; the system itself writes nothing down.
    pub by: Option<Caller>,
    /// Why, in their words.
    pub reason: Option<String>,
}

super::text_enum! {
    /// Where a migration is on its way.
    pub enum State {
        /// In this build, and not yet in the database.
        Pending = "pending",
        /// In this build, and being applied at this moment.
        Running = "running",
        /// In this build, and begun by a process that died over it. Nothing is left of it: a step is
        /// one transaction. It is pending.
        Interrupted = "interrupted",
        /// In both, and the same.
        Applied = "applied",
        /// In both, and the SQL in this build is not what was applied.
        Modified = "modified",
        /// In the database only: a newer release has been here.
        Unknown = "unknown",
    }
}

/// Migrating can't be done or went wrong. What was applied before stays; the failing step left nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Another process is migrating and did not finish in time.
    #[error("another process has been migrating this database for more than {}s{}", .waited.as_secs(), told(.holder))]
    Locked {
        /// How long we waited.
        waited: Duration,
        /// Who it is, as far as they can be known.
        holder: Option<Holder>,
    },
    /// The connection is a pooler's, which lends another one for every transaction: a lock would
    /// hold nobody off.
    #[error(
        "this connection leads through a pooler that lends connections by the transaction, which can't hold a lock; migrate over a connection to PostgreSQL itself, or to the pooler in session mode"
    )]
    Pooled,
    /// A step is to be applied that is older than one that was.
    #[error(
        "migration {name} is pending and older than {newest}, which was applied already; it may not fit what came after it: look at its SQL, then allow it by --allow-out-of-order"
    )]
    OutOfOrder {
        /// Which.
        name: String,
        /// The newest that was applied.
        newest: String,
    },
    /// A step is to be applied, and a newer release was here that applied others.
    #[error(
        "this database was migrated by a newer release, which applied {newest}; this build doesn't have that: replace it by that release, or go back to the backup from before by `backup restore`"
    )]
    Newer {
        /// The newest that was applied.
        newest: String,
    },
    /// The schema is not what the migrations of this build make.
    #[error("the schema is not what the migrations make: {}", listed(.0))]
    Differs(Vec<Difference>),
    /// There is no such migration.
    #[error("there is no migration {0}")]
    NoSuchVersion(i64),
    /// A migration in the database is not the one in this build.
    #[error("migration {name} was applied with other SQL than this build has; use the build that applied it")]
    Modified {
        /// Which.
        name: String,
    },
    /// A restoring of this schema didn't come to its end.
    #[error("this database is half restored: {0}")]
    HalfRestored(HalfRestored),
    /// A copy to this database didn't come to its end.
    #[error("this database holds an unfinished copy of another one; let `petspark-cli migrate copy` come to its end")]
    HalfCopied,
    /// The server found migrations to apply, and may not apply them by itself.
    #[error("{count} migrations are pending; run `petspark-cli migrate run`, or start with --migrate")]
    Pending {
        /// How many.
        count: usize,
    },
    /// A step failed, and was undone.
    #[error("migration {name} failed and was undone: {reason}; {}", before(.applied))]
    Failed {
        /// Which.
        name: String,
        /// What the database said.
        reason: String,
        /// Whose fault that is.
        kind: Kind,
        /// Steps that were applied before it, and stay.
        applied: Vec<&'static str>,
    },
    /// The history can't be read or written.
    #[error("the database doesn't answer as it should: {}", .0.chain())]
    Fault(#[from] Fault),
}

impl Failure for MigrationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. }
            | Self::Modified { .. }
            | Self::Pending { .. }
            | Self::Pooled
            | Self::OutOfOrder { .. }
            | Self::HalfRestored(_)
            | Self::Newer { .. }
            | Self::HalfCopied
            | Self::Differs(_) => Kind::Conflict,
            Self::NoSuchVersion(_) => Kind::NotFound,
            Self::Failed { kind, .. } => *kind,
            Self::Fault(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "MIGRATION_LOCKED",
            Self::Modified { .. } => "MIGRATION_MODIFIED",
            Self::HalfRestored(_) => "DATABASE_HALF_RESTORED",
            Self::HalfCopied => "DATABASE_HALF_COPIED",
            Self::Pending { .. } => "MIGRATION_PENDING",
            Self::Failed { .. } => "MIGRATION_FAILED",
            Self::Pooled => "MIGRATION_POOLED",
            Self::OutOfOrder { .. } => "MIGRATION_OUT_OF_ORDER",
            Self::Newer { .. } => "MIGRATION_NEWER",
            Self::Differs(_) => "SCHEMA_DIFFERS",
            Self::NoSuchVersion(_) => "MIGRATION_UNKNOWN",
            Self::Fault(fault) => fault.code(),
        }
    }
}

fn told(holder: &Option<Holder>) -> String {
    holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default()
}

fn before(applied: &[&str]) -> String {
    match applied {
        [] => "nothing was applied".to_owned(),
        applied => format!("what came before it was applied: {}", applied.join(", ")),
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<NotTaken> for MigrationError {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Held { waited, holder } => Self::Locked { waited, holder },
            NotTaken::Pooled => Self::Pooled,
            NotTaken::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The migrations of one database. The second says whether the copy asks, whose own mark it is that
/// keeps others from it.
#[derive(Clone, Copy, Debug)]
pub struct Migrations<'a>(&'a Database, bool);

impl<'a> Migrations<'a> {
    pub(super) fn of(database: &'a Database) -> Self {
        Self(database, false)
    }

    pub(super) fn of_copy(database: &'a Database) -> Self {
        Self(database, true)
    }

    pub(super) fn database(&self) -> &'a Database {
        self.0
    }

    /// Every migration that the build or the database knows, by number.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when the history can't be read.
    pub async fn status(&self) -> Result<Vec<MigrationState>, MigrationError> {
        let mut states = self.read().await?;
        let begun = history::begun(self.0).await?;
        if states.iter().any(|state| state.state == State::Pending && begun.contains(&state.version)) {
            let now = if Lock::look(self.0).await?.is_some() { State::Running } else { State::Interrupted };
            for state in &mut states {
                if state.state == State::Pending && begun.contains(&state.version) {
                    state.state = now;
                }
            }
        }
        Ok(states)
    }

    /// Refuses what is no database yet, because its restoring or copying didn't come to its end.
    pub(crate) async fn require_whole(&self) -> Result<(), MigrationError> {
        if let Some(half) = replacing::of(self.0).await? {
            return Err(MigrationError::HalfRestored(half));
        }
        if !self.1 && copy::is_unfinished(self.0).await? {
            return Err(MigrationError::HalfCopied);
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<MigrationState>, MigrationError> {
        self.require_whole().await?;
        let applied = history::read(self.0).await?;
        let mut states: Vec<_> = MIGRATIONS.iter().map(|step| self.state(step, &applied)).collect();
        let unknown = applied.iter().filter(|row| !MIGRATIONS.iter().any(|step| step.version == row.version));
        states.extend(unknown.map(|row| MigrationState {
            version: row.version,
            name: row.name.clone(),
            state: State::Unknown,
            applied_at: Some(row.applied_at),
            took: Some(row.took()),
            checksum: row.checksum.clone(),
        }));
        states.sort_by_key(|state| state.version);
        Ok(states)
    }

    fn state(&self, step: &Migration, applied: &[Applied]) -> MigrationState {
        let row = applied.iter().find(|row| row.version == step.version);
        let checksum = step.checksum(self.0);
        MigrationState {
            version: step.version,
            name: step.name.to_owned(),
            state: match row {
                None => State::Pending,
                Some(row) if row.checksum == checksum => State::Applied,
                Some(_) => State::Modified,
            },
            applied_at: row.map(|row| row.applied_at),
            took: row.map(Applied::took),
            checksum: row.map_or(checksum, |row| row.checksum.clone()),
        }
    }

    /// Fails unless the database has exactly what this build needs, or more.
    ///
    /// # Errors
    /// [`MigrationError::Pending`], [`MigrationError::Newer`] and [`MigrationError::Modified`].
    pub async fn require_current(&self) -> Result<(), MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        match (states.iter().filter(|state| state.is_pending()).count(), newest(&states)) {
            (0, _) => Ok(()),
            (_, Some(newest)) if newest.state == State::Unknown => {
                Err(MigrationError::Newer { newest: newest.name.clone() })
            }
            (count, _) => Err(MigrationError::Pending { count }),
        }
    }

    /// Whether a step was applied, by its number.
    pub(crate) async fn has(&self, version: i64) -> Result<bool, Fault> {
        Ok(history::read(self.0).await?.iter().any(|row| row.version == version))
    }

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
        let lock = Lock::take(self.0, now, patience).await?;
        let result = self.run_locked(run, now).await;
        lock.release().await;
        result
    }

    /// What [`Migrations::run_as`] would apply, in its order.
    ///
    /// # Errors
    /// The same that it would refuse.
    pub async fn plan(&self, run: &Run) -> Result<Vec<&'static Migration>, MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        if let Some(to) = run.to.filter(|to| !MIGRATIONS.iter().any(|step| step.version == *to)) {
            return Err(MigrationError::NoSuchVersion(to));
        }
        let is_pending = |step: &&Migration| states.iter().any(|s| s.version == step.version && s.is_pending());
        let wanted = |step: &&Migration| run.to.is_none_or(|to| step.version <= to);
        let pending: Vec<_> = MIGRATIONS.iter().filter(is_pending).filter(wanted).collect();
        if let (Some(step), Some(newest), false) = (pending.first(), newest(&states), run.out_of_order)
            && step.version < newest.version
        {
            let newest_name = newest.name.clone();
            return Err(match newest.state {
                State::Unknown => MigrationError::Newer { newest: newest_name },
                _ => MigrationError::OutOfOrder { name: step.name.to_owned(), newest: newest_name },
            });
        }
        Ok(pending)
    }

    pub(super) async fn run_locked(&self, run: &Run, now: Timestamp) -> Result<Vec<MigrationState>, MigrationError> {
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
    async fn write_down(&self, by: Option<&Caller>, now: Timestamp, event: Event) -> Result<(), Fault> {
        match by {
            Some(caller) if history::exists(self.0, "audit_log").await? => {
                audit::record_now(self.0, now, caller, event).await
            }
            _ => Ok(()),
        }
    }

    /// The schema as it is, in the words of the lock file.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when it can't be read.
    pub async fn schema(&self) -> Result<SchemaLock, MigrationError> {
        Ok(Schema::read(self.0).await?.lock())
    }

    /// What the live schema lacks of what the migrations of this build make, or has otherwise:
    /// tables, columns with their types, keys, indexes, triggers. Tables and plain indexes that
    /// somebody added are theirs.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when it can't be read.
    pub async fn verify(&self) -> Result<Vec<Difference>, MigrationError> {
        Ok(Schema::read(self.0).await?.differences(&SchemaLock::of_build(self.0)?))
    }

    /// Writes down every migration of this build as applied, in a database that has their schema
    /// and no history, or not all of it: one that was restored without, or made by other means.
    /// Says which were written down. Nothing is changed but the history.
    ///
    /// # Errors
    /// [`MigrationError::Differs`] unless the schema is exactly what the migrations make, and as
    /// [`Migrations::run`].
    pub async fn baseline(
        &self,
        by: &Caller,
        reason: Option<&str>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let lock = Lock::take(self.0, now, patience).await?;
        let result = self.baseline_locked(by, reason, now).await;
        lock.release().await;
        result
    }

    async fn baseline_locked(
        &self,
        by: &Caller,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        let differences = self.verify().await?;
        if !differences.is_empty() {
            return Err(MigrationError::Differs(differences));
        }
        let missing: Vec<_> = MIGRATIONS
            .iter()
            .filter(|step| states.iter().any(|state| state.version == step.version && state.is_pending()))
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        history::create(self.0).await?;
        let mut tx = self.0.begin().await?;
        for step in &missing {
            let checksum = step.checksum(self.0);
            history::record(&mut tx, step.version, step.name, &checksum, now, Duration::ZERO).await?;
        }
        let event = Event::new(Action::SchemaBaselined).because(reason).detail("migrations", names(&missing));
        audit::record(&mut tx, now, by, event).await?;
        tx.commit().await?;
        let applied = history::read(self.0).await?;
        Ok(missing.into_iter().map(|step| self.state(step, &applied)).collect())
    }

    /// Who is migrating, or copying, at this moment.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when that can't be found out.
    pub async fn lock_holder(&self) -> Result<Option<Holder>, MigrationError> {
        Ok(Lock::look(self.0).await?)
    }

    /// Ends the connection of a holder who [is gone](Holder::is_gone), and with it the lock, when
    /// the server hasn't noticed yet. Whoever may be at work is left alone: says whether it ended.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when PostgreSQL doesn't let us.
    pub async fn unlock(&self, holder: &Holder, by: &Caller, now: Timestamp) -> Result<bool, MigrationError> {
        if !holder.is_gone() || !Lock::end(self.0, holder).await? {
            return Ok(false);
        }
        let event = Event::new(Action::MigrationUnlocked).detail("holder", holder.to_string());
        self.write_down(Some(by), now, event).await?;
        Ok(true)
    }

    async fn apply(&self, step: &Migration, now: Timestamp) -> Result<(), Fault> {
        let started = Instant::now();
        let mut tx = self.0.begin().await?;
        if let TxConnection::Postgres(tx) = &mut tx.connection {
            // A long step is fine; queueing behind a long query, with everybody else behind us, is not.
            raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'").execute(&mut **tx).await?;
        }
        on!(&mut tx, connection => { raw_sql(step.sql(self.0).into_sql_str()).execute(connection).await?; });
        history::record(&mut tx, step.version, step.name, &step.checksum(self.0), now, started.elapsed()).await?;
        tx.commit().await?;
        tracing::info!(migration = step.name, took_ms = started.elapsed().as_millis(), "migration applied");
        Ok(())
    }
}

fn refuse_modified(states: &[MigrationState]) -> Result<(), MigrationError> {
    match states.iter().find(|state| state.state == State::Modified) {
        Some(state) => Err(MigrationError::Modified { name: state.name.clone() }),
        None => Ok(()),
    }
}

/// The newest that was applied.
fn newest(states: &[MigrationState]) -> Option<&MigrationState> {
    states.iter().rfind(|state| !state.is_pending())
}

fn names(steps: &[&Migration]) -> Vec<&'static str> {
    steps.iter().map(|step| step.name).collect()
}
