//! The tables that remember which migrations were applied, and which was begun: our own, so that
//! they are the same on both engines and tell how long each step took.

use std::time::Duration;

use sqlx::{query, query_as, query_scalar, raw_sql};

use super::{Database, Engine, TxOn, on, on_reader, on_writer};
use crate::clock::Timestamp;
use crate::error::Fault;

#[derive(sqlx::FromRow)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) applied_at: Timestamp,
    took_ms: i64,
}

impl Applied {
    pub(super) fn took(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.took_ms).unwrap_or(0))
    }
}

/// What has been applied; nothing, if there is no history yet.
pub(super) async fn read(db: &Database) -> Result<Vec<Applied>, Fault> {
    if !exists(db, "petspark_migrations").await? {
        return Ok(Vec::new());
    }
    Ok(on_reader!(db, pool => query_as(
        "SELECT version, name, checksum, applied_at, took_ms FROM petspark_migrations ORDER BY version"
    ).fetch_all(pool).await)?)
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
                     took_ms INTEGER NOT NULL
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
                     took_ms bigint NOT NULL
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

pub(super) async fn record(
    tx: &mut TxOn<'_>,
    version: i64,
    name: &str,
    checksum: &str,
    now: Timestamp,
    took: Duration,
) -> Result<(), Fault> {
    let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    on!(tx, connection => {
        query("INSERT INTO petspark_migrations (version, name, checksum, applied_at, took_ms) VALUES ($1, $2, $3, $4, $5)")
            .bind(version).bind(name).bind(checksum).bind(now).bind(took_ms)
            .execute(connection).await?;
    });
    Ok(())
}
