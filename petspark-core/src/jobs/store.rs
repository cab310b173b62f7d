//! All SQL of the queue. Decides nothing. What a worker writes is conditional on its lease: the
//! job is running and its `due_at` is the lease's end as this worker set it.

use std::time::Duration;

use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::{Job, JobInfo, JobState, NewJob};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::JobId;
use crate::page::{Key, PageRequest};

/// Stores jobs, of which there are some.
pub(super) async fn insert(tx: &mut Tx, jobs: &[(JobId, NewJob)], now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO jobs (id, kind, payload, priority, due_at, running, attempts, max_attempts, created_at) ",
        );
        sql.push_values(jobs, |mut row, (id, job)| {
            row.push_bind(id).push_bind(job.kind).push_bind(Json(&job.payload)).push_bind(job.priority)
                .push_bind(now.after(job.after)).push_bind(false).push_bind(0).push_bind(job.max_attempts).push_bind(now);
        });
        sql.build().persistent(jobs.len() == 1).execute(conn).await.map(drop)
    })?;
    Ok(())
}

/// Makes the job of a schedule, unless there is one.
pub(super) async fn insert_schedule(db: &Database, id: JobId, job: &NewJob, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "INSERT INTO jobs (id, kind, payload, priority, due_at, running, attempts, max_attempts, schedule, created_at) \
         VALUES ($1, $2, $3, $4, $5, FALSE, 0, $6, $2, $5) ON CONFLICT (schedule) DO NOTHING"
    )
        .bind(id).bind(job.kind).bind(Json(&job.payload)).bind(job.priority).bind(now)
        .bind(job.max_attempts).execute(pool).await.map(drop))?;
    Ok(())
}

/// Appends a list of kinds, which isn't empty, to a statement on either engine.
macro_rules! push_kinds {
    ($sql:expr, $kinds:expr) => {{
        let mut list = $sql.separated(", ");
        for kind in $kinds {
            list.push_bind(*kind);
        }
    }};
}

/// When the next job of these kinds is due, or its lease ends.
pub(super) async fn next_due(db: &Database, kinds: &[&'static str]) -> Result<Option<Timestamp>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT min(due_at) FROM jobs WHERE dead_at IS NULL AND kind IN ");
        sql.push("(");
        push_kinds!(sql, kinds);
        sql.push(")").build_query_scalar().fetch_one(pool).await?
    }))
}

/// Takes what is due, the most urgent first; nobody else gets the same before the lease ends.
pub(super) async fn claim(
    db: &Database,
    kinds: &[&'static str],
    now: Timestamp,
    lease_end: Timestamp,
    at_most: usize,
) -> Result<Vec<Job>, Fault> {
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut jobs: Vec<Job> = on_writer!(db, pool => {
        // MATERIALIZED: run once, or the limit wouldn't be one.
        let mut sql = QueryBuilder::new(
            "WITH due AS MATERIALIZED (SELECT id FROM jobs WHERE dead_at IS NULL AND due_at <= ",
        );
        sql.push_bind(now).push(" AND kind IN (");
        push_kinds!(sql, kinds);
        sql.push(") ORDER BY priority, due_at LIMIT ").push_bind(at_most).push(db.skip_locked())
            .push(") UPDATE jobs SET running = TRUE, attempts = attempts + 1, due_at = ").push_bind(lease_end)
            .push(" WHERE id IN (SELECT id FROM due) \
                   RETURNING id, kind, payload, attempts, max_attempts, priority, due_at, schedule");
        sql.build_query_as().fetch_all(pool).await?
    });
    jobs.sort_by_key(|job| (job.priority, job.id));
    Ok(jobs)
}

pub(super) async fn bring_forward(tx: &mut Tx, schedule: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE jobs SET due_at = CASE WHEN due_at > $2 THEN $2 ELSE due_at END \
         WHERE schedule = $1 AND NOT running AND dead_at IS NULL"
    ).bind(schedule).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Says whether the lease was still ours to prolong.
pub(super) async fn move_lease(db: &Database, id: JobId, lease_end: Timestamp, to: Timestamp) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query("UPDATE jobs SET due_at = $1 WHERE id = $2 AND running AND due_at = $3")
        .bind(to).bind(id).bind(lease_end).execute(pool).await?.rows_affected() > 0))
}

/// The job is done: it goes, or is due again if it has a schedule.
pub(super) async fn finish(
    db: &Database,
    id: JobId,
    lease_end: Timestamp,
    again: Option<Timestamp>,
) -> Result<(), Fault> {
    on_writer!(db, pool => match again {
        Some(again) => query(
            "UPDATE jobs SET running = FALSE, attempts = 0, last_error = NULL, due_at = $1 \
             WHERE id = $2 AND running AND due_at = $3"
        ).bind(again).bind(id).bind(lease_end).execute(pool).await.map(drop),
        None => query("DELETE FROM jobs WHERE id = $1 AND running AND due_at = $2")
            .bind(id).bind(lease_end).execute(pool).await.map(drop),
    })?;
    Ok(())
}

/// What becomes of a job that failed.
pub(super) enum Next {
    /// Tried again then.
    Retry(Timestamp),
    /// As if nothing had been tried yet, when its schedule says.
    Anew(Timestamp),
    /// Dead, since then.
    Never(Timestamp),
}

pub(super) async fn fail(db: &Database, id: JobId, lease_end: Timestamp, error: &str, next: Next) -> Result<(), Fault> {
    let (due_at, attempts, dead_at) = match next {
        Next::Retry(at) => (at, None, None),
        Next::Anew(at) => (at, Some(0), None),
        Next::Never(now) => (now, None, Some(now)),
    };
    on_writer!(db, pool => query(
        "UPDATE jobs SET running = FALSE, due_at = $1, attempts = coalesce($2, attempts), last_error = $3, dead_at = $4 \
         WHERE id = $5 AND running AND due_at = $6"
    )
        .bind(due_at).bind(attempts).bind(error).bind(dead_at).bind(id).bind(lease_end)
        .execute(pool).await.map(drop))?;
    Ok(())
}

/// Gives a job back as if it had not been begun.
pub(super) async fn release(db: &Database, id: JobId, lease_end: Timestamp, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE jobs SET running = FALSE, attempts = attempts - 1, due_at = $1 \
         WHERE id = $2 AND running AND due_at = $3"
    ).bind(now).bind(id).bind(lease_end).execute(pool).await.map(drop))?;
    Ok(())
}

/// Jobs, the newest first: one more than the page has, to see whether there are more.
pub(super) async fn list(
    db: &Database,
    state: Option<JobState>,
    page: &PageRequest,
    after: Option<Key<JobId>>,
) -> Result<Vec<JobInfo>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, kind, payload, priority, due_at, running, attempts, max_attempts, schedule, last_error, \
                    dead_at, created_at FROM jobs WHERE ",
        );
        sql.push(match state {
            None => "TRUE",
            Some(JobState::Queued) => "dead_at IS NULL AND NOT running",
            Some(JobState::Running) => "running",
            Some(JobState::Dead) => "dead_at IS NOT NULL",
        });
        if let Some(Key { at, id }) = after {
            sql.push(" AND (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        if let Some(offset) = page.offset() {
            sql.push(" OFFSET ").push_bind(i64::from(offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

pub(super) async fn find(tx: &mut Tx, id: JobId) -> Result<Option<JobInfo>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, kind, payload, priority, due_at, running, attempts, max_attempts, schedule, last_error, \
                dead_at, created_at FROM jobs WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?)
}

/// Makes a job due now with all its attempts, unless it is running. Says whether it did.
pub(super) async fn revive(tx: &mut Tx, id: JobId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE jobs SET due_at = $1, attempts = 0, dead_at = NULL WHERE id = $2 AND NOT running"
    ).bind(now).bind(id).execute(conn).await?.rows_affected() > 0))
}

/// The same for every dead job; gives back which.
pub(super) async fn revive_dead(tx: &mut Tx, now: Timestamp) -> Result<Vec<JobId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE jobs SET due_at = $1, attempts = 0, dead_at = NULL WHERE dead_at IS NOT NULL RETURNING id"
    ).bind(now).fetch_all(conn).await)?)
}

/// Removes a job that is neither running nor on a schedule. Says whether it did.
pub(super) async fn delete(tx: &mut Tx, id: JobId) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("DELETE FROM jobs WHERE id = $1 AND NOT running AND schedule IS NULL")
        .bind(id).execute(conn).await?.rows_affected() > 0))
}

/// Removes some jobs that died before then, and says how many those were.
pub(super) async fn delete_dead(tx: &mut Tx, died_before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE dead_at < $1 LIMIT 500)"
    ).bind(died_before).execute(conn).await?.rows_affected()))
}

pub(super) async fn count_dead(db: &Database, died_before: Timestamp) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar("SELECT count(*) FROM jobs WHERE dead_at < $1")
        .bind(died_before).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Since when the job has been due that has waited longest.
pub(super) async fn waiting_since(db: &Database, now: Timestamp) -> Result<Option<Duration>, Fault> {
    let since: Option<Timestamp> = on_reader!(db, pool => query_scalar(
        "SELECT min(due_at) FROM jobs WHERE dead_at IS NULL AND due_at <= $1"
    ).bind(now).fetch_one(pool).await)?;
    Ok(since.map(|since| now.since(since)))
}
