//! The SQL of the log of operations.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{query, query_as};

use super::operation::{Operation, OperationKind};
use crate::clock::Timestamp;
use crate::database::{Database, on_reader, on_writer};
use crate::error::Fault;

pub(super) async fn insert(db: &Database, operation: &Operation) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "INSERT INTO operations (id, kind, backup_id, succeeded, details, started_at, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
        .bind(operation.id).bind(operation.kind).bind(operation.backup_id).bind(operation.succeeded)
        .bind(Json(operation.details.clone())).bind(operation.started_at).bind(operation.finished_at)
        .execute(pool).await.map(drop))?;
    Ok(())
}

/// The last one of a kind; or the last that succeeded.
pub(super) async fn last(db: &Database, kind: OperationKind, succeeded_only: bool) -> Result<Option<Operation>, Fault> {
    Ok(on_reader!(db, pool => query_as::<_, Operation>(
        "SELECT id, kind, backup_id, succeeded, details, started_at, finished_at FROM operations \
         WHERE kind = $1 AND (succeeded OR NOT $2) ORDER BY finished_at DESC, id DESC LIMIT 1"
    ).bind(kind).bind(succeeded_only).fetch_optional(pool).await)?)
}

/// Forgets those of a kind that are older than that.
pub(super) async fn delete_before(db: &Database, kind: OperationKind, before: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM operations WHERE kind = $1 AND finished_at < $2")
        .bind(kind).bind(before).execute(pool).await.map(drop))?;
    Ok(())
}

/// For tools: as it is written down.
pub(super) fn details<T: serde::Serialize>(details: &T) -> Value {
    serde_json::to_value(details).unwrap_or(Value::Null)
}
