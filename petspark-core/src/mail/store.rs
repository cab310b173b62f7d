//! All SQL of mails: to whom one goes, as the database knows it at the moment of sending.

use sqlx::query_as;

use crate::clock::Timestamp;
use crate::database::{Database, on_reader};
use crate::error::Fault;
use crate::id::{OneTimeTokenId, UserId};

/// The address of a user who is still there.
pub(super) async fn address(db: &Database, user: UserId) -> Result<Option<String>, Fault> {
    let sql = "SELECT email FROM users WHERE id = $1";
    let row = on_reader!(db, conn => query_as::<_, (String,)>(sql).bind(user).fetch_optional(conn).await)?;
    Ok(row.map(|(email,)| email))
}

/// What a link is bound to, and its user's address now.
#[derive(sqlx::FromRow)]
pub(super) struct LinkRow {
    pub(super) user_id: UserId,
    pub(super) bound_email: String,
    pub(super) new_email: Option<String>,
    pub(super) expires_at: Timestamp,
    pub(super) consumed_at: Option<Timestamp>,
    pub(super) current_email: String,
}

pub(super) async fn link(db: &Database, id: OneTimeTokenId) -> Result<Option<LinkRow>, Fault> {
    let sql = "SELECT token.user_id, token.bound_email, token.new_email, token.expires_at, token.consumed_at, \
                      users.email AS current_email \
               FROM one_time_tokens AS token JOIN users ON users.id = token.user_id WHERE token.id = $1";
    Ok(on_reader!(db, conn => query_as(sql).bind(id).fetch_optional(conn).await)?)
}
