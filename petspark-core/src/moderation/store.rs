//! All SQL of moderation. Decides nothing.

use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::{Decision, Report, ReportReason, SubjectKind, Task, TaskFilter};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{PetId, SubjectId, TaskId, UserId};
use crate::page::{Key, PageRequest};

/// What is to be looked at.
pub(crate) struct Subject {
    pub(crate) kind: SubjectKind,
    pub(crate) id: SubjectId,
    /// With which pet it goes.
    pub(crate) pet: Option<PetId>,
}

/// The task about a thing that isn't decided, made as `new` unless there is one. Until the
/// transaction ends, nobody decides it.
pub(crate) async fn join_task(tx: &mut Tx, new: TaskId, subject: &Subject, now: Timestamp) -> Result<TaskId, Fault> {
    let ids: Vec<TaskId> = on!(tx, conn => query_scalar(
        "INSERT INTO moderation_tasks (id, subject_kind, subject_id, pet_id, status, created_at, reported_at) \
         VALUES ($1, $2, $3, $4, 'open', $5, $5) \
         ON CONFLICT (subject_kind, subject_id) WHERE status <> 'decided' \
         DO UPDATE SET reported_at = excluded.reported_at RETURNING id"
    ).bind(new).bind(subject.kind).bind(subject.id).bind(subject.pet).bind(now).fetch_all(conn).await)?;
    ids.first().copied().ok_or_else(|| Fault::internal("a report joined no task"))
}

/// Adds a report, unless this person has made one about this task. Says whether it did.
pub(super) async fn insert_report(tx: &mut Tx, task: TaskId, by: UserId, report: &Report) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO reports (task_id, reporter_id, reason, note, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING"
    ).bind(task).bind(by).bind(report.reason).bind(&report.note).bind(report.created_at)
        .execute(conn).await?.rows_affected() > 0))
}

/// What one person reported lately.
#[derive(sqlx::FromRow)]
pub(super) struct Recent {
    pub(super) count: i64,
    /// When the first of these was made.
    pub(super) first: Timestamp,
}

/// Reports of one person since then, of which there must be one.
pub(super) async fn reports_since(tx: &mut Tx, by: UserId, since: Timestamp) -> Result<Recent, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT count(*) AS count, min(created_at) AS first FROM reports WHERE reporter_id = $1 AND created_at > $2"
    ).bind(by).bind(since).fetch_one(conn).await)?)
}

/// Tasks, the oldest first: one more than the page has.
pub(super) async fn list(
    db: &Database,
    filter: TaskFilter,
    page: &PageRequest,
    after: Option<Key<TaskId>>,
) -> Result<Vec<Task>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, subject_kind, subject_id, status, created_at, reported_at, taken_by, taken_at, decision, \
                    reason, decided_at FROM moderation_tasks WHERE ",
        );
        match filter.status {
            Some(status) => sql.push("status = ").push_bind(status),
            None => sql.push("status <> 'decided'"),
        };
        if let Some(Key { at, id }) = after {
            sql.push(" AND (created_at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY created_at, id LIMIT ").push_bind(i64::from(page.limit()) + 1);
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// How often each reason was given in these tasks.
pub(super) async fn count_reasons(db: &Database, tasks: &[TaskId]) -> Result<Vec<(TaskId, ReportReason, i64)>, Fault> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT task_id, reason, count(*) FROM reports WHERE task_id IN ");
        sql.push("(");
        let mut list = sql.separated(", ");
        for task in tasks {
            list.push_bind(*task);
        }
        sql.push(") GROUP BY task_id, reason").build_query_as().fetch_all(pool).await?
    }))
}

pub(super) async fn last_reports(tx: &mut Tx, task: TaskId, at_most: i64) -> Result<Vec<Report>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT reason, note, created_at FROM reports WHERE task_id = $1 ORDER BY created_at DESC LIMIT $2"
    ).bind(task).bind(at_most).fetch_all(conn).await)?)
}

pub(super) async fn find(tx: &mut Tx, id: TaskId) -> Result<Option<Task>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, subject_kind, subject_id, status, created_at, reported_at, taken_by, taken_at, decision, \
                reason, decided_at FROM moderation_tasks WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?)
}

/// Gives a task to `actor` if it is open, or if somebody else took it before `given_up`.
pub(super) async fn take(
    tx: &mut Tx,
    id: TaskId,
    actor: &str,
    now: Timestamp,
    given_up: Timestamp,
) -> Result<Option<Task>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE moderation_tasks SET status = 'taken', taken_by = $2, taken_at = $3 \
         WHERE id = $1 AND (status = 'open' OR status = 'taken' AND taken_by <> $2 AND taken_at <= $4) \
         RETURNING id, subject_kind, subject_id, status, created_at, reported_at, taken_by, taken_at, decision, \
                   reason, decided_at"
    ).bind(id).bind(actor).bind(now).bind(given_up).fetch_all(conn).await)?
    .pop())
}

/// Lets `actor` keep a task that is theirs.
pub(super) async fn retake(tx: &mut Tx, id: TaskId, actor: &str, now: Timestamp) -> Result<Option<Task>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE moderation_tasks SET taken_at = $3 WHERE id = $1 AND status = 'taken' AND taken_by = $2 \
         RETURNING id, subject_kind, subject_id, status, created_at, reported_at, taken_by, taken_at, decision, \
                   reason, decided_at"
    ).bind(id).bind(actor).bind(now).fetch_all(conn).await)?
    .pop())
}

/// Decides a task if `actor` has it.
pub(super) async fn decide(
    tx: &mut Tx,
    id: TaskId,
    actor: &str,
    decision: Decision,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Task>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE moderation_tasks SET status = 'decided', decision = $3, reason = $4, decided_at = $5 \
         WHERE id = $1 AND status = 'taken' AND taken_by = $2 \
         RETURNING id, subject_kind, subject_id, status, created_at, reported_at, taken_by, taken_at, decision, \
                   reason, decided_at"
    ).bind(id).bind(actor).bind(decision).bind(reason).bind(now).fetch_all(conn).await)?
    .pop())
}

/// Decides the task about a thing in the name of `actor`, unless somebody is at it.
#[cfg(feature = "hook")]
pub(crate) async fn decide_open(
    tx: &mut Tx,
    (kind, id): (SubjectKind, SubjectId),
    actor: &str,
    decision: Decision,
    reason: &str,
    now: Timestamp,
) -> Result<Option<TaskId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE moderation_tasks SET status = 'decided', taken_by = $3, taken_at = $6, decision = $4, reason = $5, \
                decided_at = $6 \
         WHERE subject_kind = $1 AND subject_id = $2 AND status = 'open' RETURNING id"
    ).bind(kind).bind(id).bind(actor).bind(decision).bind(reason).bind(now).fetch_all(conn).await)?
    .pop())
}

/// The tasks about what is a user's.
pub(crate) async fn task_ids_of(tx: &mut Tx, owner: UserId) -> Result<Vec<TaskId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "SELECT t.id FROM moderation_tasks t JOIN pets p ON p.id = t.pet_id WHERE p.owner_id = $1 \
         UNION SELECT t.id FROM moderation_tasks t JOIN uploads u ON u.id = t.subject_id \
         WHERE u.owner_id = $1 AND t.subject_kind = 'photo'"
    ).bind(owner).fetch_all(conn).await)?)
}
