//! The SQL of what we ask Stripe to do. Decides nothing.

use sqlx::{query, query_as};

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{OperationId, UserId};

#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::billing) struct OperationRow {
    pub(in crate::billing) id: OperationId,
    pub(in crate::billing) user_id: Option<UserId>,
    pub(in crate::billing) kind: String,
    /// What it is about.
    pub(in crate::billing) object_id: Option<String>,
    pub(in crate::billing) idempotency_key: String,
    pub(in crate::billing) request_hash: Vec<u8>,
    pub(in crate::billing) state: String,
    pub(in crate::billing) stripe_id: Option<String>,
    pub(in crate::billing) created_at: Timestamp,
    /// When somebody last began to ask for it.
    pub(in crate::billing) updated_at: Timestamp,
}

macro_rules! select_operation {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, kind, object_id, idempotency_key, request_hash, state, stripe_id, created_at, updated_at \
             FROM billing_operations ",
            $rest
        )
    };
}

/// Writes an operation down, unless there is one with this key.
pub(in crate::billing) async fn claim_operation(tx: &mut Tx, new: &OperationRow) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_operations (id, user_id, kind, object_id, idempotency_key, request_hash, state, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7) ON CONFLICT (idempotency_key) DO NOTHING"
    )
        .bind(new.id).bind(new.user_id).bind(&new.kind).bind(&new.object_id).bind(&new.idempotency_key)
        .bind(&new.request_hash).bind(new.created_at).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::billing) async fn find_operation(db: &Database, key: &str) -> Result<Option<OperationRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_operation!("WHERE idempotency_key = $1"))
        .bind(key).fetch_optional(pool).await)?)
}

pub(in crate::billing) async fn operation_by_id(db: &Database, id: OperationId) -> Result<Option<OperationRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_operation!("WHERE id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// Says that an open operation is being asked for now; not if it isn't open any more.
pub(in crate::billing) async fn touch_operation(db: &Database, id: OperationId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE billing_operations SET updated_at = $2 WHERE id = $1 AND state = 'pending'"
    ).bind(id).bind(now).execute(pool).await?.rows_affected() > 0))
}

/// Writes down what became of an operation, with what came of it.
pub(in crate::billing) async fn finish_operation(
    tx: &mut Tx,
    id: OperationId,
    stripe_id: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE billing_operations SET state = 'done', stripe_id = $2, updated_at = $3 WHERE id = $1"
    ).bind(id).bind(stripe_id).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// The same for one of which several may learn; says whether it was open.
pub(in crate::billing) async fn settle_operation(
    tx: &mut Tx,
    id: OperationId,
    state: &str,
    stripe_id: Option<&str>,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_operations SET state = $2, stripe_id = $3, updated_at = $4 WHERE id = $1 AND state = 'pending'"
    ).bind(id).bind(state).bind(stripe_id).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// The same for one that changes nothing of ours, or that was refused.
pub(in crate::billing) async fn finish_operation_now(
    db: &Database,
    id: OperationId,
    state: &str,
    stripe_id: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE billing_operations SET state = $2, stripe_id = $3, updated_at = $4 WHERE id = $1 AND state = 'pending'"
    ).bind(id).bind(state).bind(stripe_id).bind(now).execute(pool).await.map(drop))?;
    Ok(())
}

/// Ends an operation whose result is of no use any more, unless somebody has begun to ask for it since `idle`.
pub(in crate::billing) async fn give_up_operation(
    db: &Database,
    id: OperationId,
    idle: Timestamp,
    now: Timestamp,
) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE billing_operations SET state = 'refused', updated_at = $3 \
         WHERE id = $1 AND (state <> 'pending' OR updated_at <= $2)"
    ).bind(id).bind(idle).bind(now).execute(pool).await.map(drop))?;
    Ok(())
}

/// Begins an operation anew under another id, and with it under another key at Stripe; of several who try,
/// one does. Not while somebody has begun to ask for it since `idle`.
pub(in crate::billing) async fn renew_operation(
    tx: &mut Tx,
    was: OperationId,
    new: &OperationRow,
    idle: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_operations SET id = $2, state = 'pending', request_hash = $3, stripe_id = NULL, created_at = $4, \
             updated_at = $4, kind = $5, object_id = $6 WHERE id = $1 AND (state <> 'pending' OR updated_at <= $7)"
    )
        .bind(was).bind(new.id).bind(&new.request_hash).bind(new.created_at).bind(&new.kind).bind(&new.object_id)
        .bind(idle).execute(conn).await?.rows_affected() > 0))
}

/// Gives one that is open another id, and with it another key; of several who try, one does.
pub(in crate::billing) async fn rekey_operation(
    db: &Database,
    was: OperationId,
    new: OperationId,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE billing_operations SET id = $2, created_at = $3, updated_at = $3 WHERE id = $1 AND state = 'pending'"
    ).bind(was).bind(new).bind(now).execute(pool).await?.rows_affected() > 0))
}

/// Operations of a kind, begun before then, of which nobody knows what became: some of those after one of them,
/// the oldest first.
pub(in crate::billing) async fn pending_operations(
    db: &Database,
    kind: &str,
    before: Timestamp,
    after: (Timestamp, OperationId),
    limit: i64,
) -> Result<Vec<OperationRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_operation!(
        "WHERE state = 'pending' AND kind = $1 AND created_at < $2 AND (created_at, id) > ($3, $4) \
         ORDER BY created_at, id LIMIT $5"
    )).bind(kind).bind(before).bind(after.0).bind(after.1).bind(limit).fetch_all(pool).await)?)
}

/// Those of a kind about one object of which nobody knows what became.
pub(in crate::billing) async fn pending_operations_about(
    db: &Database,
    kind: &str,
    object: &str,
) -> Result<Vec<OperationRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_operation!(
        "WHERE object_id = $1 AND kind = $2 AND state = 'pending' ORDER BY created_at, id"
    )).bind(object).bind(kind).fetch_all(pool).await)?)
}

/// Somebody's beginning of a subscription to this price of which nobody knows what became.
pub(in crate::billing) async fn pending_subscription(
    db: &Database,
    user: UserId,
    price: &str,
) -> Result<Option<OperationRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_operation!(
        "WHERE user_id = $1 AND kind = 'subscribe' AND object_id = $2 AND state = 'pending' \
         ORDER BY created_at DESC LIMIT 1"
    )).bind(user).bind(price).fetch_optional(pool).await)?)
}

/// Ends those that Stripe has forgotten and whose outcome, if there was one, events tell or a comparison finds; not
/// those for which somebody has begun to ask since `idle`.
pub(in crate::billing) async fn give_up_forgotten(
    db: &Database,
    before: Timestamp,
    idle: Timestamp,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE billing_operations SET state = 'refused', updated_at = $3 \
         WHERE state = 'pending' AND created_at < $1 AND updated_at <= $2 AND kind NOT IN ('customer', 'refund')"
    ).bind(before).bind(idle).bind(now).execute(pool).await?.rows_affected()))
}

pub(in crate::billing) async fn count_operations(db: &Database, before: Timestamp) -> Result<i64, Fault> {
    let (count,): (i64,) = on_reader!(db, pool => query_as(
        "SELECT count(*) FROM billing_operations WHERE state = 'pending' AND created_at < $1"
    ).bind(before).fetch_one(pool).await)?;
    Ok(count)
}

/// Removes some operations that were begun before then and are over; says how many.
pub(in crate::billing) async fn purge_operations(tx: &mut Tx, before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM billing_operations WHERE id IN (SELECT id FROM billing_operations \
             WHERE state IN ('done', 'refused') AND created_at < $1 ORDER BY created_at LIMIT 500)"
    ).bind(before).execute(conn).await?.rows_affected()))
}
