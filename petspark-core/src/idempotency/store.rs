//! All SQL of idempotency keys. Decides nothing.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};

use super::IdempotencyKey;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;

pub(super) struct NewKey<'a> {
    pub(super) user: UserId,
    pub(super) key: &'a IdempotencyKey,
    pub(super) operation: &'static str,
    pub(super) fingerprint: &'a [u8],
}

/// What a key stands for.
#[derive(sqlx::FromRow)]
pub(super) struct Kept {
    pub(super) fingerprint: Vec<u8>,
    #[sqlx(json)]
    pub(super) result: Value,
}

/// Takes a key that nobody has, or one from before `expired` that waits to be purged; says whether
/// it could be had. PostgreSQL lets this wait for another transaction that is taking the same key,
/// and SQLite has one writer: whoever is told no finds what the other one committed.
pub(super) async fn claim(tx: &mut Tx, new: &NewKey<'_>, now: Timestamp, expired: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO idempotency_keys (user_id, key, operation, fingerprint, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id, key) DO UPDATE SET operation = excluded.operation, \
             fingerprint = excluded.fingerprint, result = NULL, created_at = excluded.created_at \
         WHERE idempotency_keys.created_at <= $6"
    )
        .bind(new.user).bind(new.key.as_str()).bind(new.operation).bind(new.fingerprint).bind(now).bind(expired)
        .execute(conn).await?.rows_affected() > 0))
}

pub(super) async fn find(tx: &mut Tx, user: UserId, key: &IdempotencyKey) -> Result<Option<Kept>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT fingerprint, result FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND result IS NOT NULL"
    ).bind(user).bind(key.as_str()).fetch_optional(conn).await)?)
}

/// Whether somebody has this key, and since after `expired`.
pub(super) async fn is_known(
    db: &Database,
    user: UserId,
    key: &IdempotencyKey,
    expired: Timestamp,
) -> Result<bool, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND created_at > $3)"
    ).bind(user).bind(key.as_str()).bind(expired).fetch_one(pool).await)?)
}

/// Keeps the result of what a key was claimed for.
pub(super) async fn keep(tx: &mut Tx, user: UserId, key: &IdempotencyKey, result: &Value) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE idempotency_keys SET result = $1 WHERE user_id = $2 AND key = $3")
        .bind(Json(result)).bind(user).bind(key.as_str()).execute(conn).await.map(drop))?;
    Ok(())
}

/// Deletes some keys from before `expired`, and says how many those were.
pub(super) async fn purge(tx: &mut Tx, expired: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM idempotency_keys WHERE (user_id, key) IN \
             (SELECT user_id, key FROM idempotency_keys WHERE created_at <= $1 ORDER BY user_id, key LIMIT 500)"
    ).bind(expired).execute(conn).await?.rows_affected()))
}
