//! The table that remembers which migrations were applied: our own, so that it is the same on
//! both engines and tells how long each step took.

use std::time::Duration;

use sqlx::{query, query_as, raw_sql};

use super::{Database, Engine, Tx, on, on_reader};
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
    if !exists(db).await? {
        return Ok(Vec::new());
    }
    Ok(on_reader!(db, pool => query_as(
        "SELECT version, name, checksum, applied_at, took_ms FROM petspark_migrations ORDER BY version"
    ).fetch_all(pool).await)?)
}

async fn exists(db: &Database) -> Result<bool, Fault> {
    let count: i64 = match db.engine() {
        // The writer is asked: a reader can't open a file that has nothing in it yet.
        Engine::Sqlite(sqlite) => {
            sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'petspark_migrations'")
                .fetch_one(&sqlite.writer)
                .await?
        }
        Engine::Postgres(postgres) => {
            sqlx::query_scalar(
                "SELECT count(*) FROM pg_catalog.pg_tables \
                 WHERE schemaname = current_schema() AND tablename = 'petspark_migrations'",
            )
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
                 )",
            )
            .execute(&postgres.pool)
            .await?;
        }
    }
    Ok(())
}

pub(super) async fn record(
    tx: &mut Tx,
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
