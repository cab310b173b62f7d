//! Opens the pools: SQLite with one writer and read-only readers, PostgreSQL with time-outs on
//! the server's side. A PostgreSQL that is away is waited for; a wrong password is not.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tracing::log::LevelFilter;

use super::disk::{self, NoRoom};
use super::readers::{Limits, Readers, ping};
use super::{Database, Engine, PostgresPool, SqlitePools};
use crate::config::{DatabaseSettings, DatabaseUrl, Synchronous};
use crate::error::{Failure, Fault, Kind, chain};
use crate::private;

/// The database can't be opened. The message names the place and the reason, never a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The SQLite file or its folder can't be made, read or written.
    #[error("can't open the SQLite database {path}: {reason}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What the operating system or SQLite said.
        reason: String,
    },
    /// PostgreSQL did not answer in the time that `database.connect_timeout` gives it.
    #[error("no answer from PostgreSQL at {target} within {}: {reason}", humantime::format_duration(*.waited))]
    Unreachable {
        /// Host, port and database name.
        target: String,
        /// The last attempt's failure.
        reason: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// PostgreSQL answered, and will not let us in: trying again wouldn't help.
    #[error("PostgreSQL at {target} refuses the connection: {reason}")]
    Refused {
        /// Host, port and database name.
        target: String,
        /// What the server said.
        reason: String,
    },
}

impl Failure for OpenError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        "DATABASE_UNREACHABLE"
    }
}

impl Database {
    /// Opens the database that `settings` name; an SQLite file and its folder are created.
    /// The schema is left as it is: see [`Database::migrations`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, OpenError> {
        let engine = match &settings.url {
            DatabaseUrl::Sqlite(path) => Engine::Sqlite(Box::new(open_sqlite(path, settings).await?)),
            DatabaseUrl::Postgres(url) => Engine::Postgres(Box::new(open_postgres(url.expose(), settings).await?)),
        };
        Ok(Self::new(engine))
    }
}

/// What the writer may keep of the file in memory: -64 MiB as SQLite says it, taken as it is needed. Among
/// a million pets every row touches a dozen pages; with SQLite's own 2 MiB most are read again.
const WRITER_CACHE_KIB: &str = "-65536";
/// 16 MiB instead of 4: pages that every row touches are copied to the file that much less often.
const PAGES_BETWEEN_CHECKPOINTS: &str = "4000";

async fn open_sqlite(path: &Path, settings: &DatabaseSettings) -> Result<SqlitePools, OpenError> {
    let failed = |reason: String| OpenError::Sqlite { path: path.to_owned(), reason };
    // Switching a new file to WAL fails at once, whatever the busy time-out, when another
    // process is doing the same. So the first look at the file is taken in turn.
    let _turn = take_turn(path, settings.connect_timeout).await.map_err(|error| failed(error.to_string()))?;

    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(failed("it is not a file".to_owned()));
    }
    if !path.exists() && beside(path, "restoring").exists() {
        return Err(failed("a restoring of it was interrupted: give the same command again".to_owned()));
    }
    // Made here and not by SQLite, which would let everybody read it; its side files get the same mode.
    private::open(path, OpenOptions::new().create(true).append(true)).map_err(|error| failed(error.to_string()))?;
    disk::writes_to(path);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
    // What is deleted is overwritten: somebody who was erased must not stay in free pages of the file.
    let writer_options = options
        .clone()
        .pragma("secure_delete", "ON")
        .pragma("cache_size", WRITER_CACHE_KIB)
        .pragma("wal_autocheckpoint", PAGES_BETWEEN_CHECKPOINTS)
        // How to undo a statement alone is noted in memory: in a file it costs as much as the statement.
        .pragma("temp_store", "MEMORY")
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match settings.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        });
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(settings.acquire_timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(writer_options)
        .await
        .map_err(|error| match NoRoom::told(error) {
            Ok(no_room) => failed(chain(&no_room)),
            // It was there to be opened all the time, and locked.
            Err(sqlx::Error::PoolTimedOut) => failed(
                "another process holds it, such as a copy or a restoring; try again when that is over".to_owned(),
            ),
            Err(error) => failed(chain(&error)),
        })?;
    let limits =
        Limits { acquire: settings.acquire_timeout, statement: settings.statement_timeout, idle: None, lifetime: None };
    let readers = Readers::new(options.read_only(true), settings.max_connections, limits);
    Ok(SqlitePools { path: path.to_owned(), writer, readers })
}

impl Database {
    /// Sees to it that nobody has an SQLite file open, and that nobody opens it until what this gives
    /// is dropped. What a process that died left is written into the file first.
    pub(crate) async fn keep_closed(path: &Path) -> Result<File, NotClosed> {
        let in_use = |reason: &dyn std::fmt::Display| NotClosed::InUse(format!("{} ({reason})", path.display()));
        let turn = take_turn(path, Duration::from_secs(1)).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => in_use(&error),
            _ => Fault::unavailable(error).into(),
        })?;
        if !path.exists() {
            return Ok(turn);
        }
        // Leaving WAL needs the file for oneself, and everybody who has it open keeps it from that.
        let options = SqliteConnectOptions::new().filename(path).log_statements(LevelFilter::Off);
        let mut connection = options.connect().await.map_err(Fault::from)?;
        let mode: Result<String, _> =
            sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
        let _ = connection.close().await;
        match mode {
            Ok(mode) if mode == "delete" => Ok(turn),
            Ok(mode) => Err(in_use(&format!("it stays in mode {mode}"))),
            Err(sqlx::Error::Database(error)) => match error.code().as_deref() {
                // A file that makes no sense is nobody's.
                Some("11" | "26") => Ok(turn),
                Some("5" | "6") => Err(in_use(&error)),
                _ => Err(Fault::from(sqlx::Error::Database(error)).into()),
            },
            Err(error) => Err(Fault::from(error).into()),
        }
    }
}

/// Why a file can't be kept closed.
pub(crate) enum NotClosed {
    /// Somebody has it open; for a person.
    InUse(String),
    Fault(Fault),
}

impl From<Fault> for NotClosed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A lock beside the database file, held until the returned file is dropped. The operating
/// system gives it back when the process dies; a process that was stopped with it is waited for
/// as long as one that is slow, and no longer.
async fn take_turn(database: &Path, patience: Duration) -> std::io::Result<File> {
    let (file, path) = lock_file(database, "lock")?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(private::told(&path, &error)),
            Err(TryLockError::WouldBlock) if started.elapsed() >= patience => {
                let message = format!("another process has held {} for {}s", path.display(), patience.as_secs());
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Opens `{database}.{extension}`, and makes the folder it stands in.
pub(super) fn lock_file(database: &Path, extension: &str) -> std::io::Result<(File, PathBuf)> {
    private::create_folder(private::folder_of(database))?;
    // Whoever comes by a link waits for those who don't. One that leads nowhere yet has no other name.
    let is_link = std::fs::symlink_metadata(database).is_ok_and(|found| found.is_symlink());
    let target = if is_link { std::fs::canonicalize(database).ok() } else { None };
    let path = beside(target.as_deref().unwrap_or(database), extension);
    let file = private::open(&path, OpenOptions::new().create(true).read(true).write(true).truncate(false))?;
    Ok((file, path))
}

/// The file `{database}.{extension}`.
pub(crate) fn beside(database: &Path, extension: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

async fn open_postgres(url: &str, settings: &DatabaseSettings) -> Result<PostgresPool, OpenError> {
    let options = postgres_options(url, settings)?;
    let target = postgres_target(&options);
    first_connection(&options, &target, settings.connect_timeout).await?;
    // Half for writing, half for reading, so that the sum is what the operator allowed.
    let writers = settings.max_connections.div_ceil(2);
    let pool = PgPoolOptions::new()
        .max_connections(writers)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(settings.idle_timeout)
        .max_lifetime(settings.max_lifetime)
        // A ping before every use would double the cost. A connection that lay idle for a second
        // may have lost its server, so that one is asked.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= Duration::from_secs(1) {
                    ping(connection).await?;
                }
                Ok(true)
            })
        })
        // The pool itself asks too, but without limit: after a partition every place would stay taken.
        .after_release(|connection, _| Box::pin(async move { ping(connection).await.map(|()| true) }))
        .connect_lazy_with(options.clone());
    let limits = Limits {
        acquire: settings.acquire_timeout,
        statement: settings.statement_timeout,
        idle: Some(settings.idle_timeout),
        lifetime: Some(settings.max_lifetime),
    };
    let readers = Readers::new(options, (settings.max_connections - writers).max(1), limits);
    Ok(PostgresPool { pool, readers, target })
}

fn postgres_options(url: &str, settings: &DatabaseSettings) -> Result<PgConnectOptions, OpenError> {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::Refused {
        // The parser's own message may quote the URL, and with it the password.
        target: "the address in DATABASE_URL".to_owned(),
        reason: "it can't be understood; expected postgres://user:password@host:5432/database".to_owned(),
    })?;
    Ok(options
        .clone()
        .application_name(&application_name(&options))
        .options([
            ("statement_timeout", milliseconds(settings.statement_timeout)),
            ("lock_timeout", milliseconds(settings.lock_timeout)),
            ("idle_in_transaction_session_timeout", "60000".to_owned()),
        ])
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1)))
}

/// Who we are to PostgreSQL: with the schema, if the address names one, so that it can be seen whether
/// a server is at the data of an address.
pub(super) fn application_name(options: &PgConnectOptions) -> String {
    let schema = options.get_options().and_then(|options| options.split("search_path=").nth(1));
    match schema.and_then(|schema| schema.split([' ', ',']).next()) {
        // The server cuts off what is longer than 63 bytes.
        Some(schema) => format!("petspark/{schema}").chars().take(63).collect(),
        None => "petspark".to_owned(),
    }
}

fn postgres_target(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// Waits for the server with growing pauses, 0.1 s to 5 s, for at most `patience`.
async fn first_connection(options: &PgConnectOptions, target: &str, patience: Duration) -> Result<(), OpenError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        let left = patience.saturating_sub(started.elapsed()).max(Duration::from_millis(100));
        let reason = match tokio::time::timeout(left, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => {
                // Nothing was asked of it yet, so nothing is lost if saying good-bye fails.
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Err(error)) if !super::error::is_temporary(&error) => {
                return Err(OpenError::Refused { target: target.to_owned(), reason: told(&error) });
            }
            Ok(Err(error)) => told(&error),
            Err(_) => "connecting took too long".to_owned(),
        };
        if started.elapsed() + pause > patience {
            return Err(OpenError::Unreachable { target: target.to_owned(), reason, waited: patience });
        }
        tracing::warn!(target, reason, retry_in_ms = pause.as_millis(), "PostgreSQL is not there yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Why a server lets us not in: no defect of ours, whatever it says.
pub(super) fn refused(options: &PgConnectOptions, error: sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(_) => {
            let (target, reason) = (postgres_target(options), told(&error));
            Fault::unavailable(OpenError::Refused { target, reason })
        }
        error => error.into(),
    }
}

/// What the server said, without the line of its source code; anything else with its causes.
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        error => chain(error),
    }
}
