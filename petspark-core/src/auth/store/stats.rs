//! SQL that counts accounts. Decides nothing.

use sqlx::query_as;

use crate::clock::Timestamp;
use crate::database::{Database, on_reader};
use crate::error::Fault;

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct AccountCounts {
    pub(in crate::auth) users: i64,
    pub(in crate::auth) unverified: i64,
    pub(in crate::auth) locked: i64,
    pub(in crate::auth) administrators: i64,
    pub(in crate::auth) with_second_factor: i64,
    pub(in crate::auth) sessions: i64,
    pub(in crate::auth) throttles: i64,
}

pub(in crate::auth) async fn count_accounts(db: &Database, now: Timestamp) -> Result<AccountCounts, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT count(*) AS users, \
                count(*) FILTER (WHERE email_verified_at IS NULL) AS unverified, \
                count(*) FILTER (WHERE status <> 'active') AS locked, \
                count(*) FILTER (WHERE role = 'admin' AND status = 'active') AS administrators, \
                count(*) FILTER (WHERE EXISTS (SELECT 1 FROM totp_factors f \
                    WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL)) AS with_second_factor, \
                (SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND idle_expires_at > $1 \
                     AND absolute_expires_at > $1) AS sessions, \
                (SELECT count(*) FROM throttles WHERE count > 0 AND ends_at > $1) AS throttles \
         FROM users WHERE deleted_at IS NULL"
    ).bind(now).fetch_one(pool).await)?)
}
