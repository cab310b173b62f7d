//! All SQL of the audit log. Decides nothing.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::{Action, AuditFilter, Entry, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, TxOn, on, on_reader};
use crate::error::Fault;
use crate::id::AuditId;
use crate::page::{Key, PageRequest};

pub(super) async fn insert(tx: &mut TxOn<'_>, now: Timestamp, caller: &Caller, event: &Event) -> Result<(), Fault> {
    let origin = caller.origin();
    on!(tx, conn => query(
        "INSERT INTO audit_log (id, at, actor, action, subject, succeeded, reason, ip, request_id, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
        .bind(AuditId::new()).bind(now).bind(caller.to_string()).bind(event.action)
        .bind(event.subject.map(|subject| subject.to_string())).bind(event.succeeded)
        .bind(event.reason.as_deref()).bind(origin.ip.map(|ip| ip.to_string())).bind(origin.request_id.as_deref())
        .bind(Json(Value::Object(event.details.clone())))
        .execute(conn).await.map(drop))?;
    Ok(())
}

/// Appends the conditions of a filter to a statement on either engine.
macro_rules! push_filter {
    ($sql:expr, $filter:expr) => {{
        let (sql, filter): (&mut QueryBuilder<_>, &AuditFilter) = ($sql, $filter);
        if let Some(actor) = &filter.actor {
            sql.push(" AND actor = ").push_bind(actor.clone());
        }
        if let Some(action) = filter.action {
            sql.push(" AND action = ").push_bind(action);
        }
        if let Some(subject) = &filter.subject {
            sql.push(" AND subject = ").push_bind(subject.clone());
        }
        if let Some(from) = filter.from {
            sql.push(" AND at >= ").push_bind(from);
        }
        if let Some(to) = filter.to {
            sql.push(" AND at < ").push_bind(to);
        }
    }};
}

/// Entries, the newest first: one more than the page has, to see whether there are more.
pub(super) async fn list(
    db: &Database,
    filter: &AuditFilter,
    page: &PageRequest,
    after: Option<Key<AuditId>>,
) -> Result<Vec<Entry>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, at, actor, action, subject, succeeded, reason, ip, request_id, details \
             FROM audit_log WHERE TRUE ",
        );
        push_filter!(&mut sql, filter);
        if let Some(Key { at, id }) = after {
            sql.push(" AND (at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        if let Some(offset) = page.offset() {
            sql.push(" OFFSET ").push_bind(i64::from(offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// The next entries of an export, the oldest first.
pub(super) async fn export(
    db: &Database,
    filter: &AuditFilter,
    after: Option<Key<AuditId>>,
    at_most: i64,
) -> Result<Vec<Entry>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, at, actor, action, subject, succeeded, reason, ip, request_id, details \
             FROM audit_log WHERE TRUE ",
        );
        push_filter!(&mut sql, filter);
        if let Some(Key { at, id }) = after {
            sql.push(" AND (at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY at, id LIMIT ").push_bind(at_most);
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// How many entries of that kind there are since then.
pub(super) async fn count_since(db: &Database, action: Action, since: Timestamp) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar(
        "SELECT count(*) FROM audit_log WHERE action = $1 AND at >= $2"
    ).bind(action).bind(since).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Whether there is an entry.
pub(super) async fn is_begun(db: &Database) -> Result<bool, Fault> {
    Ok(on_reader!(db, pool => query_scalar("SELECT EXISTS (SELECT 1 FROM audit_log)").fetch_one(pool).await)?)
}

/// The last entry of that kind: when, and its details.
pub(super) async fn last(db: &Database, action: Action) -> Result<Option<(Timestamp, Value)>, Fault> {
    let last: Option<(Timestamp, Json<Value>)> = on_reader!(db, pool => query_as(
        "SELECT at, details FROM audit_log WHERE action = $1 ORDER BY at DESC, id DESC LIMIT 1"
    ).bind(action).fetch_optional(pool).await)?;
    Ok(last.map(|(at, Json(details))| (at, details)))
}

/// How many entries are older, counted up to `at_most`.
pub(super) async fn count_before(db: &Database, before: Timestamp, at_most: i64) -> Result<i64, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM audit_log WHERE at < $1 LIMIT $2) AS old"
    ).bind(before).bind(at_most).fetch_one(pool).await)?)
}

/// The one place where entries are removed. The database refuses to remove young ones.
pub(super) async fn delete_before(tx: &mut Tx, before: Timestamp, at_most: i64) -> Result<(), Fault> {
    on!(tx, conn => query(
        "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at, id LIMIT $2)"
    ).bind(before).bind(at_most).execute(conn).await.map(drop))?;
    Ok(())
}

/// The one place where entries are changed: what may tell of an erased person goes, beyond
/// their id. The database lets nothing else be changed. The address stays that of others.
pub(super) async fn anonymize(tx: &mut Tx, subject: &str) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE audit_log SET reason = NULL, details = '{}', \
             ip = CASE WHEN actor = $1 OR actor = 'anonymous' THEN NULL ELSE ip END \
         WHERE actor = $1 OR subject = $1"
    ).bind(subject).execute(conn).await?.rows_affected()))
}
