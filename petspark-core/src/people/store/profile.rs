//! The SQL of profiles and preferences. Decides nothing.

use serde_json::{Map, Value};
use sqlx::query_as;
use sqlx::types::Json;

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;
use crate::people::profile::{CheckedChange, Preferences, Profile};

pub(in crate::people) async fn profile(db: &Database, id: UserId) -> Result<Option<Profile>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, display_name, bio, location, created_at, updated_at, profile_version AS version FROM users \
         WHERE id = $1 AND deleted_at IS NULL"
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
             updated_at = $7, profile_version = profile_version + 1 \
         WHERE id = $1 AND deleted_at IS NULL \
         RETURNING id, display_name, bio, location, created_at, updated_at, profile_version AS version"
    )
        .bind(id).bind(change.display_name.as_ref().map(|name| name.as_str()))
        .bind(change.bio.is_some()).bind(change.bio.clone().flatten())
        .bind(change.location.is_some()).bind(change.location.clone().flatten())
        .bind(now).fetch_all(conn).await)?
    .pop())
}

pub(in crate::people) async fn preferences(db: &Database, id: UserId) -> Result<Option<Preferences>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT COALESCE(preferences, $1) AS preferences, preferences_version AS version FROM users \
         WHERE id = $2 AND deleted_at IS NULL"
    ).bind(Json(Map::new())).bind(id).fetch_optional(pool).await)?)
}

/// Replaces them, if there is such a user, and gives back what is stored.
pub(in crate::people) async fn set_preferences(
    tx: &mut Tx,
    id: UserId,
    preferences: &Value,
) -> Result<Option<Preferences>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE users SET preferences = $1, preferences_version = preferences_version + 1 \
         WHERE id = $2 AND deleted_at IS NULL RETURNING preferences, preferences_version AS version"
    ).bind(Json(preferences)).bind(id).fetch_all(conn).await)?
    .pop())
}
