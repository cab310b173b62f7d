//! The SQL of one-time tokens. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::auth::one_time_token::Purpose;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{OneTimeTokenId, UserId};

pub(in crate::auth) struct NewOneTimeToken<'a> {
    pub(in crate::auth) id: OneTimeTokenId,
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) purpose: Purpose,
    pub(in crate::auth) bound_email: &'a str,
    pub(in crate::auth) new_email: Option<&'a str>,
    pub(in crate::auth) created_at: Timestamp,
    pub(in crate::auth) expires_at: Timestamp,
}

pub(in crate::auth) async fn insert_token(tx: &mut Tx, token: &NewOneTimeToken<'_>) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO one_time_tokens (id, user_id, purpose, bound_email, new_email, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
        .bind(token.id).bind(token.user_id).bind(token.purpose).bind(token.bound_email).bind(token.new_email)
        .bind(token.created_at).bind(token.expires_at)
        .execute(conn).await.map(drop))?;
    Ok(())
}

/// A token that was neither used nor has expired.
#[derive(sqlx::FromRow)]
pub(in crate::auth) struct LiveToken {
    pub(in crate::auth) id: OneTimeTokenId,
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) purpose: Purpose,
    pub(in crate::auth) bound_email: String,
    pub(in crate::auth) new_email: Option<String>,
    pub(in crate::auth) created_at: Timestamp,
}

pub(in crate::auth) async fn find_live_token(
    db: &Database,
    id: OneTimeTokenId,
    now: Timestamp,
) -> Result<Option<LiveToken>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, user_id, purpose, bound_email, new_email, created_at \
         FROM one_time_tokens WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2"
    ).bind(id).bind(now).fetch_optional(pool).await)?)
}

/// Uses the token up. One statement: of any number of callers one hears `true`. An address that
/// changed since makes every token invalid but the one that changes it back.
pub(in crate::auth) async fn consume_token(
    tx: &mut Tx,
    id: OneTimeTokenId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE one_time_tokens SET consumed_at = $1 \
         WHERE id = $2 AND purpose = $3 AND consumed_at IS NULL AND expires_at > $1 \
           AND (purpose = 'undo_email_change' \
                OR bound_email = (SELECT email FROM users WHERE users.id = one_time_tokens.user_id))"
    ).bind(now).bind(id).bind(purpose).execute(conn).await?.rows_affected() > 0))
}

/// Removes a user's unused tokens of these purposes.
pub(in crate::auth) async fn discard_tokens(tx: &mut Tx, user: UserId, purposes: &[Purpose]) -> Result<(), Fault> {
    for purpose in purposes {
        on!(tx, conn => query(
            "DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2 AND consumed_at IS NULL"
        ).bind(user).bind(*purpose).execute(conn).await.map(drop))?;
    }
    Ok(())
}

/// Removes a user's unused ways back from that change of address and from later ones.
pub(in crate::auth) async fn discard_undo_tokens(tx: &mut Tx, user: UserId, since: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "DELETE FROM one_time_tokens \
         WHERE user_id = $1 AND purpose = 'undo_email_change' AND consumed_at IS NULL AND created_at >= $2"
    ).bind(user).bind(since).execute(conn).await.map(drop))?;
    Ok(())
}

/// Whether an address can still be taken back by somebody other than `user`, who left it lately.
pub(in crate::auth) async fn is_reserved(
    tx: &mut Tx,
    email: &str,
    user: UserId,
    now: Timestamp,
) -> Result<bool, Fault> {
    let count: i64 = on!(tx, conn => query_scalar(
        "SELECT count(*) FROM one_time_tokens WHERE bound_email = $1 AND purpose = 'undo_email_change' \
           AND consumed_at IS NULL AND expires_at > $2 AND user_id <> $3"
    ).bind(email).bind(now).bind(user).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// Removes some tokens, with the addresses in them, that expired before then, and says how many.
pub(in crate::auth) async fn purge_tokens(tx: &mut Tx, before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM one_time_tokens WHERE id IN (SELECT id FROM one_time_tokens WHERE expires_at < $1 LIMIT 500)"
    ).bind(before).execute(conn).await?.rows_affected()))
}
