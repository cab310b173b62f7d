//! A connection of its own for copying a database or looking all of it over: without the time-outs
//! of requests, and in a session whose settings make the text of a row the same everywhere.

use std::fs::File;
use std::path::Path;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection, raw_sql};
use tracing::log::LevelFilter;

use super::{connect, disk};
use crate::clock::Timestamp;
use crate::config::DatabaseUrl;
use crate::error::Fault;

/// See the [module](self).
pub(crate) enum Direct {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

/// When PostgreSQL's archiver last did, or didn't do, its work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Archiver {
    pub(crate) last_archived_at: Option<Timestamp>,
    pub(crate) last_failed_at: Option<Timestamp>,
}

/// Runs one body against whichever engine this is.
macro_rules! on_direct {
    ($direct:expr, $conn:ident => $body:expr) => {
        match $direct {
            $crate::database::Direct::Sqlite(connection) => {
                let $conn = &mut **connection;
                $body
            }
            $crate::database::Direct::Postgres(connection) => {
                let $conn = &mut **connection;
                $body
            }
        }
    };
}
pub(crate) use on_direct;

/// Who we are to PostgreSQL: sessions of servers are told apart from it.
const APPLICATION: &str = "petspark-backup";
/// How rows become text, and no limits, as far as this release knows them: who holds a lock is idle for as long as
/// a backup takes, and would lose it unnoticed. One who waits for a lock gives up in the end.
const SESSION: &str = "SET TIME ZONE 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; \
     SET bytea_output = 'hex'; SET extra_float_digits = 3; \
     SET standard_conforming_strings = on; SET quote_all_identifiers = off; SET statement_timeout = 0; \
     SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = 0; \
     SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')";
/// "bckp" in ASCII: the first half of the advisory lock's key, the second is the schema.
const ADVISORY_LOCK: i32 = 0x6263_6b70;

/// Held as long as nobody else may back up, restore or prune. A crash gives it back.
pub(crate) enum Turn {
    File(#[expect(dead_code, reason = "the lock ends with it")] File),
    Session(Box<PgConnection>),
}

impl Direct {
    /// Opens for reading. An SQLite file that isn't there is an error, and none is made.
    pub(crate) async fn open(url: &DatabaseUrl) -> Result<Self, Fault> {
        match url {
            DatabaseUrl::Sqlite(path) => Self::sqlite(path, true).await,
            DatabaseUrl::Postgres(url) => Self::postgres(url.expose()).await,
        }
    }

    /// An SQLite file that is there.
    pub(crate) async fn sqlite(path: &Path, read_only: bool) -> Result<Self, Fault> {
        let options = SqliteConnectOptions::new().filename(path).read_only(read_only).foreign_keys(true);
        let connection = options.log_statements(LevelFilter::Off).connect().await?;
        Ok(Self::Sqlite(Box::new(connection)))
    }

    pub(crate) async fn postgres(url: &str) -> Result<Self, Fault> {
        // The parser's own message may quote the address, and with it the password.
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| Fault::internal("the address of the database can't be understood"))?;
        let options = options.application_name(APPLICATION).log_statements(LevelFilter::Off);
        let connected = PgConnection::connect_with(&options).await;
        let mut connection = connected.map_err(|error| connect::refused(&options, error))?;
        raw_sql(SESSION).execute(&mut connection).await?;
        Ok(Self::Postgres(Box::new(connection)))
    }

    /// Begins to look at one moment of a database. Gives what PostgreSQL's tools call that moment.
    pub(crate) async fn hold_still(&mut self) -> Result<Option<String>, Fault> {
        match self {
            Self::Sqlite(connection) => {
                raw_sql("BEGIN").execute(&mut **connection).await?;
                Ok(None)
            }
            Self::Postgres(connection) => {
                raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut **connection).await?;
                let snapshot: String =
                    sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut **connection).await?;
                Ok(Some(snapshot))
            }
        }
    }

    /// The release of the engine.
    pub(crate) async fn version(&mut self) -> Result<String, Fault> {
        Ok(match self {
            Self::Sqlite(connection) => {
                sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut **connection).await?
            }
            Self::Postgres(connection) => {
                sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(&mut **connection).await?
            }
        })
    }

    /// How PostgreSQL's archiver fares; `None` if it has none.
    pub(crate) async fn archiver(&mut self) -> Result<Option<Archiver>, Fault> {
        let Self::Postgres(connection) = self else { return Ok(None) };
        let told: Option<(Option<Timestamp>, Option<Timestamp>)> = sqlx::query_as(
            "SELECT last_archived_time, last_failed_time FROM pg_stat_archiver \
             WHERE current_setting('archive_mode') <> 'off'",
        )
        .fetch_optional(&mut **connection)
        .await?;
        Ok(told.map(|(last_archived_at, last_failed_at)| Archiver { last_archived_at, last_failed_at }))
    }

    /// PostgreSQL's schema; on SQLite there is one.
    pub(crate) async fn schema(&mut self) -> Result<String, Fault> {
        Ok(match self {
            Self::Sqlite(_) => "main".to_owned(),
            Self::Postgres(connection) => {
                let schema: Option<String> =
                    sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&mut **connection).await?;
                schema.unwrap_or_else(|| "public".to_owned())
            }
        })
    }

    /// How many bytes it takes on the disk, more or less.
    pub(crate) async fn bytes(&mut self) -> Result<u64, Fault> {
        let bytes: i64 = match self {
            Self::Sqlite(connection) => {
                sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                    .fetch_one(&mut **connection)
                    .await?
            }
            Self::Postgres(connection) => {
                sqlx::query_scalar(
                    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
                     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
                )
                .fetch_one(&mut **connection)
                .await?
            }
        };
        Ok(bytes.unsigned_abs())
    }

    /// Copies the SQLite file as it is at one moment, while others write, to a new or empty file.
    pub(crate) async fn copy_to(&mut self, path: &Path) -> Result<(), Fault> {
        let Self::Sqlite(connection) = self else { return Err(Fault::internal("only SQLite copies itself")) };
        disk::writes_to(path);
        let path = path.to_str().ok_or_else(|| Fault::internal("the folder's name isn't UTF-8"))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&mut **connection).await?;
        Ok(())
    }

    /// Another connection to the same SQLite file. PostgreSQL has nothing to do for a second one.
    pub(crate) async fn beside(&mut self) -> Result<Option<Self>, Fault> {
        let Self::Sqlite(connection) = self else { return Ok(None) };
        let file: String = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(&mut **connection)
            .await?;
        Ok(Some(Self::sqlite(Path::new(&file), true).await?))
    }

    /// What is wrong inside: pages, indexes, references that lead nowhere.
    pub(crate) async fn damage(&mut self) -> Result<Vec<String>, Fault> {
        let found: Vec<String> = match self {
            Self::Sqlite(connection) => {
                let mut found = damaged_pages(connection).await?;
                found.extend(orphans(connection).await?);
                found
            }
            Self::Postgres(connection) => {
                sqlx::query_scalar(
                    "SELECT 'constraint ' || conname || ' is not validated' FROM pg_constraint \
                     WHERE connamespace = current_schema()::regnamespace AND NOT convalidated \
                     UNION ALL SELECT 'index ' || c.relname || ' is invalid' FROM pg_index i \
                     JOIN pg_class c ON c.oid = i.indexrelid \
                     WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid",
                )
                .fetch_all(&mut **connection)
                .await?
            }
        };
        Ok(found)
    }

    /// The migrations that were applied: number, name and checksum.
    pub(crate) async fn history(&mut self) -> Result<Vec<(i64, String, String)>, Fault> {
        let sql = "SELECT version, name, checksum FROM petspark_migrations ORDER BY version";
        Ok(on_direct!(self, conn => sqlx::query_as(sql).fetch_all(conn).await)?)
    }

    /// When the installation was made: by its first migration, to the microsecond. A copy that was restored has
    /// the same, and no other has.
    pub(crate) async fn born_at(&mut self) -> Result<Option<Timestamp>, Fault> {
        let sql = "SELECT min(applied_at) FROM petspark_migrations";
        Ok(on_direct!(self, conn => sqlx::query_scalar(sql).fetch_one(conn).await)?)
    }

    pub(crate) async fn close(self) {
        // What was read is read; a good-bye that fails loses nothing.
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }
}

/// What is wrong with pages and indexes of an SQLite file. Reads all of it, and looks each row up in each index.
pub(super) async fn damaged_pages(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(connection).await?;
    found.retain(|line| line != "ok");
    Ok(found)
}

/// Which tables of an SQLite file refer to rows that aren't there.
pub(super) async fn orphans(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT \"table\" || ' refers to ' || parent || ' that isn''t there: ' || count(*) || ' rows' \
         FROM pragma_foreign_key_check GROUP BY \"table\", parent",
    )
    .fetch_all(connection)
    .await
}

impl Turn {
    /// Whether it is still ours: a server that was restarted, or a network that forgot the connection, gave it away.
    pub(crate) async fn require_held(&mut self) -> Result<(), Fault> {
        let Self::Session(connection) = self else { return Ok(()) };
        let held = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() \
             AND classid::bigint = $1)";
        let held = sqlx::query_scalar(held).bind(i64::from(ADVISORY_LOCK)).fetch_one(&mut **connection).await;
        match held {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::unavailable("the lock on backups was lost")),
            Err(error) => {
                Err(Fault::unavailable(format!("the lock on backups was lost: {}", Fault::from(error).chain())))
            }
        }
    }

    /// Gives it back, so that the next one gets it at once.
    pub(crate) async fn release(self) {
        if let Self::Session(mut connection) = self {
            // Should this fail, the server gives it back when it notices that we are gone.
            let _ = sqlx::query("SELECT pg_advisory_unlock($1, hashtext(current_schema()))")
                .bind(ADVISORY_LOCK)
                .execute(&mut *connection)
                .await;
            Direct::Postgres(connection).close().await;
        }
    }

    /// Takes the lock of a database, or says that somebody else has it.
    pub(crate) async fn take(url: &DatabaseUrl) -> Result<Option<Self>, Fault> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let (file, _) = connect::lock_file(path, "backup.lock").map_err(Fault::unavailable)?;
                match file.try_lock() {
                    Ok(()) => Ok(Some(Self::File(file))),
                    Err(std::fs::TryLockError::WouldBlock) => Ok(None),
                    Err(std::fs::TryLockError::Error(error)) => Err(Fault::unavailable(error)),
                }
            }
            DatabaseUrl::Postgres(url) => {
                let Direct::Postgres(mut connection) = Direct::postgres(url.expose()).await? else {
                    return Err(Fault::internal("not PostgreSQL"));
                };
                let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))")
                    .bind(ADVISORY_LOCK)
                    .fetch_one(&mut *connection)
                    .await?;
                Ok(taken.then_some(Self::Session(connection)))
            }
        }
    }
}
