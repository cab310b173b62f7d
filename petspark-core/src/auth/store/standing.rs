//! All SQL of what users may do, and of how they look to administrators. Decides nothing.

use sqlx::{query, query_as};

use crate::auth::user::User;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;

/// A user, and why and until when they are what they are.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::auth) struct Standing {
    #[sqlx(flatten)]
    pub(in crate::auth) user: User,
    pub(in crate::auth) suspended_until: Option<Timestamp>,
    pub(in crate::auth) status_reason: Option<String>,
}

pub(in crate::auth) async fn find_standing(tx: &mut Tx, id: UserId) -> Result<Option<Standing>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                suspended_until, status_reason \
         FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(conn).await)?)
}

/// Writes role and status, and counts up the session version, which ends the user's access tokens.
pub(in crate::auth) async fn set_standing(tx: &mut Tx, new: &Standing) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE users SET role = $1, status = $2, suspended_until = $3, status_reason = $4, updated_at = $5, \
             session_version = session_version + 1 \
         WHERE id = $6 AND deleted_at IS NULL"
    )
        .bind(new.user.role).bind(new.user.status).bind(new.suspended_until).bind(&new.status_reason)
        .bind(new.user.updated_at).bind(new.user.id)
        .execute(conn).await.map(drop))?;
    Ok(())
}

/// A user and what administrators want to know of them.
#[derive(sqlx::FromRow)]
pub(in crate::auth) struct DetailsRow {
    #[sqlx(flatten)]
    pub(in crate::auth) standing: Standing,
    pub(in crate::auth) second_factor: bool,
    pub(in crate::auth) sessions: i64,
    pub(in crate::auth) last_login_at: Option<Timestamp>,
}

pub(in crate::auth) async fn find_details(
    db: &Database,
    id: UserId,
    now: Timestamp,
) -> Result<Option<DetailsRow>, Fault> {
    Ok(on_reader!(db, conn => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                suspended_until, status_reason, \
                EXISTS (SELECT 1 FROM totp_factors f WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL) \
                    AS second_factor, \
                (SELECT count(*) FROM sessions s WHERE s.user_id = users.id AND s.revoked_at IS NULL \
                     AND s.idle_expires_at > $2 AND s.absolute_expires_at > $2) AS sessions, \
                (SELECT max(s.created_at) FROM sessions s WHERE s.user_id = users.id) AS last_login_at \
         FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).bind(now).fetch_optional(conn).await)?)
}
