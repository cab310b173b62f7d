//! Applies the embedded migrations once, however many processes start at the same moment, and
//! says what has been applied. Each migration is one transaction together with its history row.
//!
//! sqlx's own migrator is not used: its SQLite lock does nothing, and on PostgreSQL a failing
//! migration leaves the advisory lock held by a pooled connection.

use std::fs::File;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, SqlSafeStr, raw_sql};

use super::history::{self, Applied};
use super::{Database, Engine, TxConnection, connect, on};
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
    sqlite: &'static str,
    postgres: &'static str,
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
];

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
        let sql = self.sql(database).replace("\r\n", "\n");
        hex(&Sha256::digest(sql))
    }
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
}

super::text_enum! {
    /// Where a migration is on its way.
    pub enum State {
        /// In this build, and not yet in the database.
        Pending = "pending",
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
    #[error("another process has been migrating this database for more than {}s", .waited.as_secs())]
    Locked {
        /// How long we waited.
        waited: Duration,
    },
    /// A migration in the database is not the one in this build.
    #[error("migration {name} was applied with other SQL than this build has; use the build that applied it")]
    Modified {
        /// Which.
        name: String,
    },
    /// The server found migrations to apply, and may not apply them by itself.
    #[error("{count} migrations are pending; run `petspark-cli migrate run`, or start with --migrate")]
    Pending {
        /// How many.
        count: usize,
    },
    /// A step failed, and was undone.
    #[error("migration {name} failed and was undone: {reason}")]
    Failed {
        /// Which.
        name: String,
        /// What the database said.
        reason: String,
    },
    /// The history can't be read or written.
    #[error("can't read the migration history: {}", .0.chain())]
    Fault(#[from] Fault),
}

impl Failure for MigrationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. } | Self::Modified { .. } | Self::Pending { .. } => Kind::Conflict,
            Self::Failed { .. } => Kind::Internal,
            Self::Fault(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "MIGRATION_LOCKED",
            Self::Modified { .. } => "MIGRATION_MODIFIED",
            Self::Pending { .. } => "MIGRATION_PENDING",
            Self::Failed { .. } => "MIGRATION_FAILED",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// The migrations of one database.
#[derive(Clone, Copy, Debug)]
pub struct Migrations<'a>(&'a Database);

impl<'a> Migrations<'a> {
    pub(super) fn of(database: &'a Database) -> Self {
        Self(database)
    }

    /// Every migration that the build or the database knows, by number.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when the history can't be read.
    pub async fn status(&self) -> Result<Vec<MigrationState>, MigrationError> {
        let applied = history::read(self.0).await?;
        let mut states: Vec<_> = MIGRATIONS.iter().map(|step| self.state(step, &applied)).collect();
        let unknown = applied.iter().filter(|row| !MIGRATIONS.iter().any(|step| step.version == row.version));
        states.extend(unknown.map(|row| MigrationState {
            version: row.version,
            name: row.name.clone(),
            state: State::Unknown,
            applied_at: Some(row.applied_at),
            took: Some(row.took()),
        }));
        states.sort_by_key(|state| state.version);
        Ok(states)
    }

    fn state(&self, step: &Migration, applied: &[Applied]) -> MigrationState {
        let row = applied.iter().find(|row| row.version == step.version);
        MigrationState {
            version: step.version,
            name: step.name.to_owned(),
            state: match row {
                None => State::Pending,
                Some(row) if row.checksum == step.checksum(self.0) => State::Applied,
                Some(_) => State::Modified,
            },
            applied_at: row.map(|row| row.applied_at),
            took: row.map(Applied::took),
        }
    }

    /// Fails unless the database has exactly what this build needs, or more.
    ///
    /// # Errors
    /// [`MigrationError::Pending`] and [`MigrationError::Modified`].
    pub async fn require_current(&self) -> Result<(), MigrationError> {
        let states = self.status().await?;
        refuse_modified(&states)?;
        match states.iter().filter(|state| state.state == State::Pending).count() {
            0 => Ok(()),
            count => Err(MigrationError::Pending { count }),
        }
    }

    /// Applies what is pending, and says what that was. Processes that call this at the same
    /// time take turns; the later ones find nothing to do.
    ///
    /// # Errors
    /// See [`MigrationError`]; waits `patience` for another process that is migrating.
    pub async fn run(&self, now: Timestamp, patience: Duration) -> Result<Vec<MigrationState>, MigrationError> {
        let lock = Lock::take(self.0, patience).await?;
        let result = self.run_locked(now).await;
        lock.release().await;
        result
    }

    async fn run_locked(&self, now: Timestamp) -> Result<Vec<MigrationState>, MigrationError> {
        let states = self.status().await?;
        refuse_modified(&states)?;
        let pending: Vec<_> = MIGRATIONS
            .iter()
            .filter(|step| states.iter().any(|s| s.version == step.version && s.state == State::Pending))
            .collect();
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        history::create(self.0).await?;
        for step in &pending {
            self.apply(step, now)
                .await
                .map_err(|fault| MigrationError::Failed { name: step.name.to_owned(), reason: fault.chain() })?;
        }
        let applied = history::read(self.0).await?;
        Ok(pending.into_iter().map(|step| self.state(step, &applied)).collect())
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

/// Held while migrating. A crash gives it back: the file's lock ends with the process, the
/// advisory lock with its connection.
enum Lock {
    Sqlite(File),
    Postgres(Box<PgConnection>),
}

/// "pets" in ASCII: the first half of the advisory lock's key. The second is the schema, as one
/// database may hold several.
const ADVISORY_LOCK: i32 = 0x7065_7473;

impl Lock {
    async fn take(database: &Database, patience: Duration) -> Result<Self, MigrationError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(20);
        let mut attempt = Attempt::new(database).await?;
        loop {
            if attempt.try_lock().await? {
                return Ok(attempt.0);
            }
            if started.elapsed() + pause > patience {
                attempt.0.release().await;
                return Err(MigrationError::Locked { waited: started.elapsed() });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn release(self) {
        match self {
            Self::Sqlite(file) => drop(file),
            // Closing the connection gives the lock back; if that fails, the server notices.
            Self::Postgres(connection) => drop(connection.close().await),
        }
    }
}

struct Attempt(Lock);

impl Attempt {
    async fn new(database: &Database) -> Result<Self, Fault> {
        Ok(Self(match database.engine() {
            // Not the lock for opening: who opens the file while another process migrates should
            // get as far as waiting for this one, which has a limit.
            Engine::Sqlite(sqlite) => {
                Lock::Sqlite(connect::lock_file(&sqlite.path, "migrate.lock").map_err(Fault::unavailable)?.0)
            }
            Engine::Postgres(postgres) => {
                let options = postgres.pool.connect_options();
                Lock::Postgres(Box::new(PgConnection::connect_with(&options).await?))
            }
        }))
    }

    /// Never blocks: `CREATE INDEX CONCURRENTLY` would wait for those who wait.
    async fn try_lock(&mut self) -> Result<bool, Fault> {
        match &mut self.0 {
            Lock::Sqlite(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                Err(std::fs::TryLockError::Error(error)) => Err(Fault::unavailable(error)),
            },
            Lock::Postgres(connection) => {
                Ok(sqlx::query_scalar("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))")
                    .bind(ADVISORY_LOCK)
                    .fetch_one(&mut **connection)
                    .await?)
            }
        }
    }
}
