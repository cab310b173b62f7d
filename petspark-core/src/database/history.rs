//! The tables that remember which migrations were applied, and which was begun: our own, so that
//! they are the same on both engines and tell how long each step took, and which builds work with it.

use std::time::Duration;

use sqlx::{query, query_as, query_scalar, raw_sql};

use super::{Database, Engine, Migration, TxConnection, TxOn, on, on_reader, on_writer};
use crate::clock::Timestamp;
use crate::error::Fault;

/// Whether the history has that column; no row if there is no history. On SQLite by the statement that made the
/// table: `pragma_table_info` tells what this connection saw last, and not what another one changed since.
const HAS_OLDEST_BUILD_SQLITE: &str =
    "SELECT instr(sql, 'oldest_build') > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'petspark_migrations'";
const HAS_OLDEST_BUILD_POSTGRES: &str = "SELECT EXISTS (SELECT FROM pg_attribute a \
        WHERE a.attrelid = t.oid AND a.attname = 'oldest_build' AND NOT a.attisdropped) \
     FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace \
     WHERE n.nspname = current_schema() AND t.relname = 'petspark_migrations' AND t.relkind IN ('r', 'p')";

#[derive(sqlx::FromRow)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) applied_at: Timestamp,
    took_ms: i64,
    /// [`Migration::oldest_build`]. Older releases wrote none down, nor had the column.
    #[sqlx(default)]
    oldest_build: Option<i64>,
}

impl Applied {
    pub(super) fn took(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.took_ms).unwrap_or(0))
    }

    /// A step that doesn't say which builds work with it is for those that have it.
    pub(super) fn oldest_build(&self) -> i64 {
        self.oldest_build.unwrap_or(self.version)
    }
}

/// What has been applied; nothing, if there is no history yet.
pub(super) async fn read(db: &Database) -> Result<Vec<Applied>, Fault> {
    let ask = match db.engine() {
        Engine::Sqlite(_) => HAS_OLDEST_BUILD_SQLITE,
        Engine::Postgres(_) => HAS_OLDEST_BUILD_POSTGRES,
    };
    // The writer is asked: a reader can't open a file that has nothing in it yet.
    let has_oldest_build: Option<bool> = on_writer!(db, pool => query_scalar(ask).fetch_optional(pool).await)?;
    // No `*`: a newer release may add the column between preparing and reading, which sqlx panics of on SQLite.
    let sql = match has_oldest_build {
        None => return Ok(Vec::new()),
        Some(true) => {
            "SELECT version, name, checksum, applied_at, took_ms, oldest_build FROM petspark_migrations ORDER BY version"
        }
        Some(false) => "SELECT version, name, checksum, applied_at, took_ms FROM petspark_migrations ORDER BY version",
    };
    Ok(on_reader!(db, conn => query_as(sql).fetch_all(conn).await)?)
}

/// Whether there is such a table.
pub(super) async fn exists(db: &Database, table: &str) -> Result<bool, Fault> {
    let count: i64 = match db.engine() {
        // The writer is asked: a reader can't open a file that has nothing in it yet.
        Engine::Sqlite(sqlite) => {
            query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1")
                .bind(table)
                .fetch_one(&sqlite.writer)
                .await?
        }
        Engine::Postgres(postgres) => {
            query_scalar(
                "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = $1",
            )
            .bind(table)
            .fetch_one(&postgres.pool)
            .await?
        }
    };
    Ok(count > 0)
}

pub(super) async fn create(db: &Database) -> Result<(), Fault> {
    match db.engine() {
        Engine::Sqlite(sqlite) => {
            raw_sql(
                "CREATE TABLE IF NOT EXISTS petspark_migrations (
                     version INTEGER NOT NULL PRIMARY KEY,
                     name TEXT NOT NULL,
                     checksum TEXT NOT NULL,
                     applied_at INTEGER NOT NULL,
                     took_ms INTEGER NOT NULL,
                     oldest_build INTEGER
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS petspark_migrations_begun (
                     version INTEGER NOT NULL PRIMARY KEY,
                     begun_at INTEGER NOT NULL
                 ) STRICT",
            )
            .execute(&sqlite.writer)
            .await?;
        }
        Engine::Postgres(postgres) => {
            raw_sql(
                "CREATE TABLE IF NOT EXISTS petspark_migrations (
                     version bigint NOT NULL PRIMARY KEY,
                     name text NOT NULL,
                     checksum text NOT NULL,
                     applied_at timestamptz NOT NULL,
                     took_ms bigint NOT NULL,
                     oldest_build bigint
                 );
                 CREATE TABLE IF NOT EXISTS petspark_migrations_begun (
                     version bigint NOT NULL PRIMARY KEY,
                     begun_at timestamptz NOT NULL
                 )",
            )
            .execute(&postgres.pool)
            .await?;
        }
    }
    Ok(())
}

/// What was begun and not finished; nothing, if there is no history yet. Older releases kept no
/// such record.
pub(super) async fn begun(db: &Database) -> Result<Vec<i64>, Fault> {
    if !exists(db, "petspark_migrations_begun").await? {
        return Ok(Vec::new());
    }
    Ok(on_reader!(db, pool => query_scalar("SELECT version FROM petspark_migrations_begun ORDER BY version")
        .fetch_all(pool).await)?)
}

/// Writes down that a step begins, before it does: a process that dies in the middle leaves a trace.
pub(super) async fn begin(db: &Database, version: i64, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "INSERT INTO petspark_migrations_begun (version, begun_at) VALUES ($1, $2) \
         ON CONFLICT (version) DO UPDATE SET begun_at = excluded.begun_at"
    ).bind(version).bind(now).execute(pool).await.map(drop))?;
    Ok(())
}

/// It ended by itself, well or not.
pub(super) async fn ended(db: &Database, version: i64) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM petspark_migrations_begun WHERE version = $1")
        .bind(version).execute(pool).await.map(drop))?;
    Ok(())
}

/// Writes down that a step was applied, and gives what [`read`] will.
pub(super) async fn record(
    tx: &mut TxOn<'_>,
    step: &Migration,
    checksum: String,
    now: Timestamp,
    took: Duration,
) -> Result<Applied, Fault> {
    let row = Applied {
        version: step.version,
        name: step.name.to_owned(),
        checksum,
        applied_at: now,
        took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        oldest_build: Some(step.oldest_build),
    };
    on!(tx, connection => {
        query(
            "INSERT INTO petspark_migrations (version, name, checksum, applied_at, took_ms, oldest_build) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.version).bind(&row.name).bind(&row.checksum).bind(row.applied_at).bind(row.took_ms)
        .bind(row.oldest_build).execute(connection).await?;
    });
    Ok(row)
}

/// Adds what a table of an older release lacks. For a moment nobody else may be reading it. Says
/// whether it lacked something.
pub(super) async fn complete(tx: &mut TxOn<'_>) -> Result<bool, Fault> {
    let (ask, add) = match tx.connection {
        TxConnection::Sqlite(_) => {
            (HAS_OLDEST_BUILD_SQLITE, "ALTER TABLE petspark_migrations ADD COLUMN oldest_build INTEGER")
        }
        TxConnection::Postgres(_) => {
            (HAS_OLDEST_BUILD_POSTGRES, "ALTER TABLE petspark_migrations ADD COLUMN oldest_build bigint")
        }
    };
    let has_oldest_build: Option<bool> = on!(tx, connection => query_scalar(ask).fetch_optional(connection).await)?;
    let is_older = has_oldest_build == Some(false);
    if is_older {
        on!(tx, connection => raw_sql(add).execute(connection).await.map(drop))?;
    }
    Ok(is_older)
}
