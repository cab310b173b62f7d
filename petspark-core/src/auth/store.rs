//! All SQL of accounts and sessions. Decides nothing.

use std::time::Duration;

use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::session::{Client, SessionState};
use super::user::{DisplayName, Email, Role, User, UserStatus};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{SessionId, UserId};
use crate::page::{Key, PageRequest, Start};

/// A user to be stored.
pub(crate) struct NewUserRow {
    pub(crate) id: UserId,
    pub(crate) email: Email,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) password_hash: Option<String>,
    pub(crate) display_name: DisplayName,
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
}

/// Stores users whose id and e-mail are free, and says how many those were.
pub(crate) async fn insert_users(tx: &mut Tx, users: &[NewUserRow]) -> Result<u64, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO users (id, email, email_verified_at, password_hash, display_name, role, status, \
             created_at, updated_at, last_seen_at) ",
        );
        sql.push_values(users, |mut row, user| {
            row.push_bind(user.id).push_bind(user.email.as_str().to_owned()).push_bind(user.email_verified_at)
                .push_bind(user.password_hash.clone()).push_bind(user.display_name.as_str().to_owned())
                .push_bind(user.role).push_bind(UserStatus::Active).push_bind(user.created_at)
                .push_bind(user.created_at).push_bind(None::<Timestamp>);
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(conn).await?.rows_affected()
    }))
}

#[derive(sqlx::FromRow)]
pub(super) struct LoginRow {
    #[sqlx(flatten)]
    pub(super) user: User,
    pub(super) password_hash: Option<String>,
    pub(super) session_version: i64,
}

pub(super) async fn find_login(db: &Database, email: &Email) -> Result<Option<LoginRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, role, status, created_at, updated_at, last_seen_at, \
                password_hash, session_version \
         FROM users WHERE email = $1 AND deleted_at IS NULL"
    ).bind(email.as_str()).fetch_optional(pool).await)?)
}

pub(super) async fn find_user(db: &Database, id: UserId) -> Result<Option<User>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, role, status, created_at, updated_at, last_seen_at \
         FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(pool).await)?)
}

/// Users, newest first: one more than the page has, to see whether there are more.
pub(super) async fn list_users(
    db: &Database,
    role: Option<Role>,
    status: Option<UserStatus>,
    page: &PageRequest,
    after: Option<Key>,
) -> Result<Vec<User>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, email, email_verified_at, display_name, role, status, created_at, updated_at, last_seen_at \
             FROM users WHERE deleted_at IS NULL",
        );
        if let Some(role) = role {
            sql.push(" AND role = ").push_bind(role);
        }
        if let Some(status) = status {
            sql.push(" AND status = ").push_bind(status);
        }
        if let Some(Key { at, id }) = after {
            sql.push(" AND (created_at, id) < (").push_bind(at).push(", ").push_bind(UserId::from_bytes(id)).push(")");
        }
        sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        if let Start::Offset(offset) = page.start() {
            sql.push(" OFFSET ").push_bind(i64::from(*offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

pub(super) async fn count_users(db: &Database) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar("SELECT count(*) FROM users").fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Replaces a hash, unless it was replaced by somebody else meanwhile.
pub(super) async fn replace_password_hash(tx: &mut Tx, id: UserId, old: &str, new: &str) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
        .bind(new).bind(id).bind(old).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn touch_user(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE users SET last_seen_at = $1 WHERE id = $2")
        .bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Whether there is an active administrator besides `id`.
pub(super) async fn has_other_admin(tx: &mut Tx, id: UserId) -> Result<bool, Fault> {
    let count: i64 = on!(tx, conn => query_scalar(
        "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active' AND deleted_at IS NULL AND id <> $1"
    ).bind(id).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// Sets the role and counts up the session version, which ends the user's access tokens.
/// Says whether there is such a user.
pub(super) async fn set_role(tx: &mut Tx, id: UserId, role: Role, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE users SET role = $1, session_version = session_version + 1, updated_at = $2 \
         WHERE id = $3 AND deleted_at IS NULL"
    ).bind(role).bind(now).bind(id).execute(conn).await?.rows_affected() > 0))
}

pub(super) async fn find_role(tx: &mut Tx, id: UserId) -> Result<Option<Role>, Fault> {
    Ok(on!(tx, conn => query_scalar("SELECT role FROM users WHERE id = $1 AND deleted_at IS NULL")
        .bind(id).fetch_optional(conn).await)?)
}

pub(super) struct NewSession<'a> {
    pub(super) id: SessionId,
    pub(super) user_id: UserId,
    pub(super) now: Timestamp,
    pub(super) idle_ttl: Duration,
    pub(super) absolute_ttl: Duration,
    pub(super) client: &'a Client,
}

pub(super) async fn insert_session(tx: &mut Tx, session: &NewSession<'_>) -> Result<(), Fault> {
    let client = session.client;
    on!(tx, conn => query(
        "INSERT INTO sessions (id, user_id, generation, acknowledged_generation, rotated_at, created_at, \
             idle_expires_at, absolute_expires_at, authenticated_at, client, user_agent, ip) \
         VALUES ($1, $2, 0, 0, $3, $3, $4, $5, $3, $6, $7, $8)"
    )
        .bind(session.id).bind(session.user_id).bind(session.now)
        .bind(session.now.after(session.idle_ttl.min(session.absolute_ttl)))
        .bind(session.now.after(session.absolute_ttl))
        .bind(client.kind.map(|kind| kind.as_str())).bind(client.user_agent.as_deref())
        .bind(client.ip.map(|ip| ip.to_string()))
        .execute(conn).await.map(drop))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(super) struct Rotated {
    pub(super) user_id: UserId,
    pub(super) generation: i64,
    pub(super) session_version: i64,
}

/// Moves a session from `generation` to the next. One statement: of any number of callers with
/// the same token one gets a row.
///
/// All rows are fetched although there is one at most: SQLite commits after the last, and who
/// stops at the first doesn't hear that the disk is full.
pub(super) async fn rotate_session(
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
         RETURNING user_id, generation, \
             (SELECT session_version FROM users WHERE users.id = sessions.user_id) AS session_version"
    ).bind(id).bind(generation).bind(now).bind(now.after(idle_ttl)).fetch_all(pool).await)?
    .pop())
}

/// A session as a refresh that lost, or came too late, needs to see it.
#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    pub(super) user_id: UserId,
    pub(super) generation: i64,
    pub(super) rotated_at: Timestamp,
    pub(super) idle_expires_at: Timestamp,
    pub(super) absolute_expires_at: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) status: UserStatus,
    pub(super) deleted: bool,
    pub(super) session_version: i64,
}

/// Read on the writing side: the row must show the rotation that was just lost to.
pub(super) async fn find_session(db: &Database, id: SessionId) -> Result<Option<SessionRow>, Fault> {
    Ok(on_writer!(db, pool => query_as(
        "SELECT s.user_id, s.generation, s.rotated_at, s.idle_expires_at, s.absolute_expires_at, s.revoked_at, \
                u.status, u.deleted_at IS NOT NULL AS deleted, u.session_version \
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

pub(super) async fn find_session_state(db: &Database, id: SessionId) -> Result<Option<SessionState>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT s.user_id, s.revoked_at IS NOT NULL AS revoked, u.role, u.status, \
                u.deleted_at IS NOT NULL AS deleted, u.session_version \
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

pub(super) async fn revoke_session(db: &Database, id: SessionId, reason: &str, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 WHERE id = $3 AND revoked_at IS NULL"
    ).bind(now).bind(reason).bind(id).execute(pool).await.map(drop))?;
    Ok(())
}

pub(super) async fn revoke_sessions_of(tx: &mut Tx, user: UserId, reason: &str, now: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE sessions SET revoked_at = $1, revoke_reason = $2 WHERE user_id = $3 AND revoked_at IS NULL"
    ).bind(now).bind(reason).bind(user).execute(conn).await?.rows_affected()))
}
