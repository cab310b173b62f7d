//! All SQL of sessions. Decides nothing.

use std::time::Duration;

use sqlx::{QueryBuilder, query, query_as, query_scalar};

use crate::auth::session::{Client, SessionState};
use crate::auth::session_control::{SessionInfo, SessionSelection};
use crate::auth::user::UserStatus;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{SessionId, UserId};

/// The condition for the live sessions that a selection means. A macro, because each engine has
/// a builder of its own.
macro_rules! push_selection {
    ($sql:ident, $which:expr, $now:expr) => {
        $sql.push("revoked_at IS NULL AND idle_expires_at > ").push_bind($now);
        $sql.push(" AND absolute_expires_at > ").push_bind($now);
        if let Some(id) = $which.id {
            $sql.push(" AND id = ").push_bind(id);
        }
        if let Some(user) = $which.user {
            $sql.push(" AND user_id = ").push_bind(user);
        }
        if let Some(except) = $which.except {
            $sql.push(" AND id <> ").push_bind(except);
        }
        if let Some(ip) = $which.ip {
            $sql.push(" AND ip = ").push_bind(ip.to_string());
        }
        if let Some(client) = $which.client {
            $sql.push(" AND client = ").push_bind(client);
        }
        if let Some(before) = $which.created_before {
            $sql.push(" AND created_at < ").push_bind(before);
        }
    };
}

pub(in crate::auth) struct NewSession<'a> {
    pub(in crate::auth) id: SessionId,
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) now: Timestamp,
    pub(in crate::auth) idle_ttl: Duration,
    pub(in crate::auth) absolute_ttl: Duration,
    pub(in crate::auth) client: &'a Client,
}

pub(in crate::auth) async fn insert_session(tx: &mut Tx, session: &NewSession<'_>) -> Result<(), Fault> {
    let client = session.client;
    on!(tx, conn => query(
        "INSERT INTO sessions (id, user_id, generation, acknowledged_generation, rotated_at, created_at, \
             idle_expires_at, absolute_expires_at, authenticated_at, client, device_name, user_agent, ip) \
         VALUES ($1, $2, 0, 0, $3, $3, $4, $5, $3, $6, $7, $8, $9)"
    )
        .bind(session.id).bind(session.user_id).bind(session.now)
        .bind(session.now.after(session.idle_ttl.min(session.absolute_ttl)))
        .bind(session.now.after(session.absolute_ttl))
        .bind(client.kind.map(|kind| kind.as_str())).bind(client.device_name.as_deref())
        .bind(client.user_agent.as_deref()).bind(client.origin.ip.map(|ip| ip.to_string()))
        .execute(conn).await.map(drop))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct Rotated {
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) generation: i64,
    pub(in crate::auth) session_version: i64,
    pub(in crate::auth) absolute_expires_at: Timestamp,
}

/// Moves a session from `generation` to the next. One statement: of any number of callers with
/// the same token one gets a row.
///
/// All rows are fetched although there is one at most: SQLite commits after the last, and who
/// stops at the first doesn't hear that the disk is full.
pub(in crate::auth) async fn rotate_session(
    db: &Database,
    id: SessionId,
    generation: i64,
    now: Timestamp,
    idle_ttl: Duration,
) -> Result<Option<Rotated>, Fault> {
    Ok(on_writer!(db, pool => query_as(
        "UPDATE sessions SET generation = generation + 1, rotated_at = $3, \
             idle_expires_at = CASE WHEN absolute_expires_at < $4 THEN absolute_expires_at ELSE $4 END \
         WHERE id = $1 AND generation = $2 AND revoked_at IS NULL \
           AND idle_expires_at > $3 AND absolute_expires_at > $3 \
           AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id \
                       AND users.status = 'active' AND users.deleted_at IS NULL) \
         RETURNING user_id, generation, absolute_expires_at, \
             (SELECT session_version FROM users WHERE users.id = sessions.user_id) AS session_version"
    ).bind(id).bind(generation).bind(now).bind(now.after(idle_ttl)).fetch_all(pool).await)?
    .pop())
}

/// Notes that a session gave a second factor.
pub(in crate::auth) async fn set_second_factor(tx: &mut Tx, id: SessionId, at: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE sessions SET second_factor_at = $2 WHERE id = $1")
        .bind(id).bind(at).execute(conn).await.map(drop))?;
    Ok(())
}

/// Outdates all tokens of a session that proved itself anew, and counts it as just signed in. By
/// two, so that the token before is no predecessor of the next. `None` if the session has ended.
pub(in crate::auth) async fn renew_session(
    tx: &mut Tx,
    id: SessionId,
    now: Timestamp,
    second_factor_at: Option<Timestamp>,
) -> Result<Option<Rotated>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE sessions SET generation = generation + 2, floor_generation = generation + 2, rotated_at = $2, \
             authenticated_at = $2, second_factor_at = COALESCE($3, second_factor_at) \
         WHERE id = $1 AND revoked_at IS NULL AND idle_expires_at > $2 AND absolute_expires_at > $2 \
         RETURNING user_id, generation, absolute_expires_at, \
             (SELECT session_version FROM users WHERE users.id = sessions.user_id) AS session_version"
    ).bind(id).bind(now).bind(second_factor_at).fetch_all(conn).await)?
    .pop())
}

/// A session as a refresh that lost, or came too late, needs to see it.
#[derive(sqlx::FromRow)]
pub(in crate::auth) struct SessionRow {
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) generation: i64,
    pub(in crate::auth) acknowledged_generation: i64,
    pub(in crate::auth) floor_generation: i64,
    pub(in crate::auth) rotated_at: Timestamp,
    pub(in crate::auth) idle_expires_at: Timestamp,
    pub(in crate::auth) absolute_expires_at: Timestamp,
    pub(in crate::auth) revoked_at: Option<Timestamp>,
    pub(in crate::auth) status: UserStatus,
    pub(in crate::auth) deleted: bool,
    pub(in crate::auth) session_version: i64,
}

impl From<SessionRow> for Rotated {
    /// The rotation that somebody else did.
    fn from(row: SessionRow) -> Self {
        Self {
            user_id: row.user_id,
            generation: row.generation,
            session_version: row.session_version,
            absolute_expires_at: row.absolute_expires_at,
        }
    }
}

/// Read on the writing side: the row must show the rotation that was just lost to.
pub(in crate::auth) async fn find_session(db: &Database, id: SessionId) -> Result<Option<SessionRow>, Fault> {
    Ok(on_writer!(db, pool => query_as(
        "SELECT s.user_id, s.generation, s.acknowledged_generation, s.floor_generation, s.rotated_at, \
                s.idle_expires_at, s.absolute_expires_at, s.revoked_at, \
                u.status, u.deleted_at IS NOT NULL AS deleted, u.session_version \
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

pub(in crate::auth) async fn find_session_state(db: &Database, id: SessionId) -> Result<Option<SessionState>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT s.user_id, s.revoked_at IS NOT NULL AS revoked, u.role, u.status, \
                u.deleted_at IS NOT NULL AS deleted, u.session_version, s.authenticated_at, s.second_factor_at, \
                s.acknowledged_generation AS acknowledged \
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

/// Notes that an access token of this generation was used, so its refresh token has arrived too.
pub(in crate::auth) async fn acknowledge(db: &Database, id: SessionId, generation: i64) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE sessions SET acknowledged_generation = $2 WHERE id = $1 AND acknowledged_generation < $2"
    ).bind(id).bind(generation).execute(pool).await.map(drop))?;
    Ok(())
}

/// Ends one session, and says whose it was if it was alive.
pub(in crate::auth) async fn revoke_session(
    tx: &mut Tx,
    id: SessionId,
    reason: &str,
    now: Timestamp,
) -> Result<Option<UserId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 WHERE id = $3 AND revoked_at IS NULL RETURNING user_id"
    ).bind(now).bind(reason).bind(id).fetch_all(conn).await)?
    .pop())
}

pub(in crate::auth) async fn revoke_sessions_of(
    tx: &mut Tx,
    user: UserId,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 WHERE user_id = $3 AND revoked_at IS NULL"
    ).bind(now).bind(reason).bind(user).execute(conn).await?.rows_affected()))
}

/// Ends every session there is; says how many.
pub(in crate::auth) async fn revoke_all_sessions(db: &Database, reason: &str, now: Timestamp) -> Result<u64, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 WHERE revoked_at IS NULL"
    ).bind(now).bind(reason).execute(pool).await?.rows_affected()))
}

/// Ends those sessions of a user that were unused for longest, but for `keep` of them.
pub(in crate::auth) async fn revoke_surplus(
    tx: &mut Tx,
    user: UserId,
    keep: u32,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = 'too_many' \
         WHERE user_id = $2 AND revoked_at IS NULL AND id NOT IN \
             (SELECT id FROM sessions WHERE user_id = $2 AND revoked_at IS NULL \
              ORDER BY rotated_at DESC, created_at DESC, id DESC LIMIT $3)"
    ).bind(now).bind(user).bind(i64::from(keep)).execute(conn).await?.rows_affected()))
}

/// The live sessions of a user, the one used last first.
pub(in crate::auth) async fn list_sessions(
    db: &Database,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<SessionInfo>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, user_id, created_at, rotated_at AS last_seen_at, idle_expires_at, absolute_expires_at, \
                second_factor_at, client, device_name, user_agent, ip \
         FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND idle_expires_at > $2 AND absolute_expires_at > $2 \
         ORDER BY rotated_at DESC, id DESC"
    ).bind(user).bind(now).fetch_all(pool).await)?)
}

/// How many live sessions `which` means.
pub(in crate::auth) async fn count_sessions(
    db: &Database,
    which: &SessionSelection,
    now: Timestamp,
) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM sessions WHERE ");
        push_selection!(sql, which, now);
        sql.build_query_scalar().fetch_one(pool).await?
    });
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Ends at most `limit` of the live sessions that `which` means, and says how many those were.
pub(in crate::auth) async fn revoke_selected(
    tx: &mut Tx,
    which: &SessionSelection,
    limit: i64,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new("UPDATE sessions SET revoked_at = ");
        sql.push_bind(now).push(", revoke_reason = ").push_bind(reason.to_owned());
        sql.push(" WHERE id IN (SELECT id FROM sessions WHERE ");
        push_selection!(sql, which, now);
        sql.push(" LIMIT ").push_bind(limit).push(")");
        sql.build().execute(conn).await?.rows_affected()
    }))
}

/// Ends the user's sessions but one.
pub(in crate::auth) async fn revoke_other_sessions(
    tx: &mut Tx,
    user: UserId,
    but: SessionId,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 \
         WHERE user_id = $3 AND id <> $4 AND revoked_at IS NULL"
    ).bind(now).bind(reason).bind(user).bind(but).execute(conn).await?.rows_affected()))
}

/// Removes some sessions that would have ended before then in any case, and says how many those were.
pub(in crate::auth) async fn purge_sessions(tx: &mut Tx, before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE absolute_expires_at < $1 LIMIT 500)"
    ).bind(before).execute(conn).await?.rows_affected()))
}
