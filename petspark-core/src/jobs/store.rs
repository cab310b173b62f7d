//! All SQL of the queue. Decides nothing.

use std::time::Duration;

use sqlx::types::Json;
use sqlx::{query, query_as};

use super::{Job, NewJob};
use crate::clock::Timestamp;
use crate::database::{Database, Engine, Tx, on, on_writer};
use crate::error::Fault;
use crate::id::JobId;

const LEASE: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: i32 = 12;

pub(super) async fn insert(tx: &mut Tx, id: JobId, job: &NewJob, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO jobs (id, kind, payload, priority, due_at, running, attempts, max_attempts, created_at) \
         VALUES ($1, $2, $3, 0, $4, $5, 0, $6, $7)"
    )
        .bind(id).bind(job.kind).bind(Json(&job.payload)).bind(now.after(job.after)).bind(false)
        .bind(MAX_ATTEMPTS).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// Takes one job that is due, for the time of a lease.
pub(super) async fn claim(db: &Database, now: Timestamp) -> Result<Option<Job>, Fault> {
    let lock = if matches!(db.engine(), Engine::Postgres(_)) { " FOR UPDATE SKIP LOCKED" } else { "" };
    #[allow(clippy::disallowed_methods, reason = "made of our own constants")]
    let sql = || {
        sqlx::AssertSqlSafe(format!(
            "UPDATE jobs SET running = $1, attempts = attempts + 1, due_at = $2 \
         WHERE id = (SELECT id FROM jobs WHERE dead_at IS NULL AND due_at <= $3 \
                     ORDER BY priority, due_at LIMIT 1{lock}) \
         RETURNING id, kind, payload, attempts, max_attempts"
        ))
    };
    Ok(on_writer!(db, pool => query_as(sql()).bind(true).bind(now.after(LEASE)).bind(now).fetch_all(pool).await)?.pop())
}

pub(super) async fn finish(db: &Database, id: JobId) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM jobs WHERE id = $1").bind(id).execute(pool).await.map(drop))?;
    Ok(())
}

pub(super) async fn fail(db: &Database, job: &Job, error: &str, lasting: bool, now: Timestamp) -> Result<(), Fault> {
    let dead = (lasting || job.attempts >= job.max_attempts).then_some(now);
    on_writer!(db, pool => query("UPDATE jobs SET running = $1, due_at = $2, last_error = $3, dead_at = $4 WHERE id = $5")
        .bind(false).bind(now.after(LEASE)).bind(error).bind(dead).bind(job.id).execute(pool).await.map(drop))?;
    Ok(())
}
