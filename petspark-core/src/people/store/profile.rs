//! The SQL of profiles and preferences. Decides nothing.

use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::UserId;
use crate::people::profile::{CheckedChange, Profile};

pub(in crate::people) async fn profile(db: &Database, id: UserId) -> Result<Option<Profile>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, display_name, bio, location, created_at, updated_at FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(pool).await)?)
}

/// One statement, so that of two who change different fields at the same time both get what they want.
pub(in crate::people) async fn change_profile(
    tx: &mut Tx,
    id: UserId,
    change: &CheckedChange,
    now: Timestamp,
) -> Result<Option<Profile>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE users SET display_name = COALESCE($2, display_name), \
             bio = CASE WHEN $3 THEN $4 ELSE bio END, location = CASE WHEN $5 THEN $6 ELSE location END, \
             updated_at = $7 \
         WHERE id = $1 AND deleted_at IS NULL \
         RETURNING id, display_name, bio, location, created_at, updated_at"
    )
        .bind(id).bind(change.display_name.as_ref().map(|name| name.as_str()))
        .bind(change.bio.is_some()).bind(change.bio.clone().flatten())
        .bind(change.location.is_some()).bind(change.location.clone().flatten())
        .bind(now).fetch_all(conn).await)?
    .pop())
}

/// The outer `None`: no such user; the inner: nothing stored yet.
pub(in crate::people) async fn preferences(
    db: &Database,
    id: UserId,
) -> Result<Option<Option<Map<String, Value>>>, Fault> {
    let stored: Option<Option<Json<Map<String, Value>>>> = on_reader!(db, pool => query_scalar(
        "SELECT preferences FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(pool).await)?;
    Ok(stored.map(|stored| stored.map(|Json(preferences)| preferences)))
}

/// Says whether there is such a user.
pub(in crate::people) async fn set_preferences(db: &Database, id: UserId, preferences: &Value) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query("UPDATE users SET preferences = $1 WHERE id = $2 AND deleted_at IS NULL")
        .bind(Json(preferences)).bind(id).execute(pool).await?.rows_affected() > 0))
}
