//! The SQL of the inbox. Decides nothing.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};

use crate::billing::event::Envelope;
use crate::billing::inbox::{EventStatus, StoredEvent};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::page::PageRequest;

/// An event as it waits to be processed.
#[derive(sqlx::FromRow)]
pub(in crate::billing) struct InboxRow {
    pub(in crate::billing) status: EventStatus,
    #[sqlx(json)]
    pub(in crate::billing) body: Value,
}

/// Stores events, of which there are some; says which are new.
pub(in crate::billing) async fn insert_events(
    tx: &mut Tx,
    events: &[(&Envelope, EventStatus)],
    now: Timestamp,
) -> Result<Vec<String>, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO billing_events (id, type, object_id, body, status, attempts, created_at, received_at) ",
        );
        sql.push_values(events, |mut row, (event, status)| {
            row.push_bind(&event.id).push_bind(&event.kind).push_bind(&event.object.id).push_bind(Json(*event))
                .push_bind(*status).push_bind(0).push_bind(event.created_at()).push_bind(now);
        });
        sql.push(" ON CONFLICT DO NOTHING RETURNING id");
        sql.build_query_scalar().persistent(events.len() == 1).fetch_all(conn).await?
    }))
}

pub(in crate::billing) async fn find_event(db: &Database, id: &str) -> Result<Option<InboxRow>, Fault> {
    Ok(on_reader!(db, pool => query_as("SELECT status, body FROM billing_events WHERE id = $1")
        .bind(id).fetch_optional(pool).await)?)
}

/// Ends an event that waits; says whether it did. Whoever does may do what is to be done once.
pub(in crate::billing) async fn settle_event(
    tx: &mut Tx,
    id: &str,
    status: EventStatus,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_events SET status = $2, processed_at = $3, attempts = attempts + 1, error = NULL \
         WHERE id = $1 AND status = 'pending'"
    ).bind(id).bind(status).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Writes down why an event could not be processed, and whether it is given up; and if so, whether only because
/// somebody was away.
pub(in crate::billing) async fn note_failure(
    db: &Database,
    id: &str,
    error: &str,
    is_dead: bool,
    was_unavailable: bool,
) -> Result<(), Fault> {
    let status = if is_dead { EventStatus::Dead } else { EventStatus::Pending };
    on_writer!(db, pool => query(
        "UPDATE billing_events SET status = $2, attempts = attempts + 1, error = $3, was_unavailable = $4 \
         WHERE id = $1 AND status = 'pending'"
    ).bind(id).bind(status).bind(error).bind(was_unavailable).execute(pool).await.map(drop))?;
    Ok(())
}

/// Has some events wait again that came since then and were given up because somebody was away; says which.
pub(in crate::billing) async fn revive_unavailable(
    tx: &mut Tx,
    since: Timestamp,
    at_most: i64,
) -> Result<Vec<String>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE billing_events SET status = 'pending' WHERE id IN (SELECT id FROM billing_events \
             WHERE status = 'dead' AND was_unavailable AND received_at >= $1 ORDER BY received_at, id LIMIT $2) \
         RETURNING id"
    ).bind(since).bind(at_most).fetch_all(conn).await)?)
}

/// Has an event wait again, whatever became of it.
pub(in crate::billing) async fn revive_event(tx: &mut Tx, id: &str) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_events SET status = 'pending', processed_at = NULL, error = NULL, attempts = 0 WHERE id = $1"
    ).bind(id).execute(conn).await?.rows_affected() > 0))
}

/// The same for those that were given up; says which.
pub(in crate::billing) async fn revive_dead_events(tx: &mut Tx) -> Result<Vec<String>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE billing_events SET status = 'pending', processed_at = NULL, error = NULL, attempts = 0 \
         WHERE status = 'dead' RETURNING id"
    ).fetch_all(conn).await)?)
}

/// Events, those that came last first: one more than the page has.
pub(in crate::billing) async fn list_events(
    db: &Database,
    status: Option<EventStatus>,
    page: &PageRequest,
    after: Option<(Timestamp, String)>,
) -> Result<Vec<StoredEvent>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, type, object_id, status, attempts, error, created_at, received_at, processed_at \
             FROM billing_events WHERE ",
        );
        match status {
            Some(status) => sql.push("status = ").push_bind(status),
            None => sql.push("TRUE"),
        };
        if let Some((at, id)) = after {
            sql.push(" AND (received_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY received_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// Events that have waited since then or longer, the oldest first.
pub(in crate::billing) async fn waiting_events(
    db: &Database,
    since: Timestamp,
    at_most: i64,
) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT id FROM billing_events WHERE status = 'pending' AND received_at <= $1 \
         ORDER BY received_at, id LIMIT $2"
    ).bind(since).bind(at_most).fetch_all(pool).await)?)
}

/// How many events wait or were given up, and since when the first waits.
pub(in crate::billing) async fn count_events(db: &Database) -> Result<(i64, i64, Option<Timestamp>), Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT (SELECT count(*) FROM billing_events WHERE status = 'pending'), \
                (SELECT count(*) FROM billing_events WHERE status = 'dead'), \
                (SELECT min(received_at) FROM billing_events WHERE status = 'pending')"
    ).fetch_one(pool).await)?)
}

/// Why the event was given up that came last of those.
pub(in crate::billing) async fn last_dead_cause(db: &Database) -> Result<Option<String>, Fault> {
    let cause: Option<Option<String>> = on_reader!(db, pool => query_scalar(
        "SELECT error FROM billing_events WHERE status = 'dead' ORDER BY received_at DESC, id DESC LIMIT 1"
    ).fetch_optional(pool).await)?;
    Ok(cause.flatten())
}

/// Removes some events that came before then and are over; says how many.
pub(in crate::billing) async fn purge_events(tx: &mut Tx, before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM billing_events WHERE id IN (SELECT id FROM billing_events WHERE received_at < $1 \
             AND status IN ('done', 'ignored') ORDER BY received_at LIMIT 500)"
    ).bind(before).execute(conn).await?.rows_affected()))
}
