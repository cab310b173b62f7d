//! The SQL of deleting, restoring and erasing people. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::auth::{Email, User};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{SessionId, UserId};
use crate::people::deletion::Known;

pub(in crate::people) async fn find_by_id(db: &Database, id: UserId) -> Result<Option<Known>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                deleted_at, erase_at FROM users WHERE id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

pub(in crate::people) async fn find_by_email(db: &Database, email: &Email) -> Result<Option<Known>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                deleted_at, erase_at FROM users WHERE email = $1"
    ).bind(email.as_str()).fetch_optional(pool).await)?)
}

/// Takes hold of a user, deleted or not: until the transaction ends nobody else changes them.
pub(in crate::people) async fn hold(tx: &mut Tx, id: UserId) -> Result<Option<Known>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE users SET updated_at = updated_at WHERE id = $1 \
         RETURNING id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                   deleted_at, erase_at"
    ).bind(id).fetch_all(conn).await)?
    .pop())
}

/// Marks a user as deleted, and outdates their access tokens.
pub(in crate::people) async fn mark_deleted(
    tx: &mut Tx,
    id: UserId,
    now: Timestamp,
    erase_at: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE users SET deleted_at = $1, erase_at = $2, session_version = session_version + 1, updated_at = $1 \
         WHERE id = $3"
    ).bind(now).bind(erase_at).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

pub(in crate::people) async fn restore(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<Option<User>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE users SET deleted_at = NULL, erase_at = NULL, updated_at = $1 WHERE id = $2 \
         RETURNING id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at"
    ).bind(now).bind(id).fetch_all(conn).await)?
    .pop())
}

/// Some of those who are to be erased now.
pub(in crate::people) async fn due(db: &Database, now: Timestamp, at_most: i64) -> Result<Vec<UserId>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT id FROM users WHERE erase_at IS NOT NULL AND erase_at <= $1 ORDER BY erase_at LIMIT $2"
    ).bind(now).bind(at_most).fetch_all(pool).await)?)
}

pub(in crate::people) async fn session_ids(tx: &mut Tx, user: UserId) -> Result<Vec<SessionId>, Fault> {
    Ok(on!(tx, conn => query_scalar("SELECT id FROM sessions WHERE user_id = $1").bind(user).fetch_all(conn).await)?)
}

/// How many sessions are alive, and how many pets are there to be seen.
pub(in crate::people) async fn count_things(tx: &mut Tx, user: UserId) -> Result<(u64, u64), Fault> {
    let (sessions, pets): (i64, i64) = on!(tx, conn => query_as(
        "SELECT (SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL), \
                (SELECT count(*) FROM pets WHERE owner_id = $1 AND deleted_at IS NULL)"
    ).bind(user).fetch_one(conn).await)?;
    Ok((sessions.unsigned_abs(), pets.unsigned_abs()))
}

/// Removes a user; what refers to them goes too.
pub(in crate::people) async fn erase(tx: &mut Tx, id: UserId) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM users WHERE id = $1").bind(id).execute(conn).await.map(drop))?;
    Ok(())
}
