//! SQL of second factors: authenticators, recovery codes, and sign-ins that wait for either.

use sqlx::{query, query_as, query_scalar};

use crate::auth::mfa::CodeDigest;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{FactorId, OneTimeTokenId, UserId};

/// Stores an authenticator that is yet to be confirmed, in place of an earlier one that never
/// was. Says no if the user has a confirmed one.
pub(in crate::auth) async fn put_totp(
    tx: &mut Tx,
    id: FactorId,
    user: UserId,
    sealed_secret: &[u8],
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO totp_factors (id, user_id, sealed_secret, last_step, failures, created_at) \
         VALUES ($1, $2, $3, 0, 0, $4) \
         ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, sealed_secret = excluded.sealed_secret, \
             created_at = excluded.created_at \
         WHERE totp_factors.confirmed_at IS NULL"
    ).bind(id).bind(user).bind(sealed_secret).bind(now).execute(conn).await?.rows_affected() > 0))
}

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct TotpRow {
    pub(in crate::auth) id: FactorId,
    pub(in crate::auth) sealed_secret: Vec<u8>,
    pub(in crate::auth) created_at: Timestamp,
    pub(in crate::auth) confirmed_at: Option<Timestamp>,
    pub(in crate::auth) blocked_until: Option<Timestamp>,
}

pub(in crate::auth) async fn find_totp(tx: &mut Tx, user: UserId) -> Result<Option<TotpRow>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, sealed_secret, created_at, confirmed_at, blocked_until FROM totp_factors WHERE user_id = $1"
    ).bind(user).fetch_optional(conn).await)?)
}

/// Confirms an authenticator, unless it was confirmed or replaced meanwhile. `step` is the one
/// whose code proved it.
pub(in crate::auth) async fn confirm_totp(tx: &mut Tx, id: FactorId, step: i64, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE totp_factors SET confirmed_at = $2, last_step = $3 WHERE id = $1 AND confirmed_at IS NULL"
    ).bind(id).bind(now).bind(step).execute(conn).await?.rows_affected() > 0))
}

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct ChargedTotp {
    pub(in crate::auth) id: FactorId,
    pub(in crate::auth) sealed_secret: Vec<u8>,
    pub(in crate::auth) failures: i64,
}

/// Counts a failure before the code is looked at, so that guesses made at the same moment take
/// turns and none is free. `None` if there is no confirmed authenticator, or it is blocked.
pub(in crate::auth) async fn charge_totp(
    tx: &mut Tx,
    user: UserId,
    now: Timestamp,
) -> Result<Option<ChargedTotp>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE totp_factors SET failures = failures + 1 \
         WHERE user_id = $1 AND confirmed_at IS NOT NULL AND (blocked_until IS NULL OR blocked_until <= $2) \
         RETURNING id, sealed_secret, failures"
    ).bind(user).bind(now).fetch_all(conn).await)?
    .pop())
}

/// Uses up the code of `step` and takes the failures back. Says no if that code, or a later one,
/// was used before.
pub(in crate::auth) async fn use_totp_step(tx: &mut Tx, id: FactorId, step: i64) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE totp_factors SET last_step = $2, failures = 0, blocked_until = NULL WHERE id = $1 AND last_step < $2"
    ).bind(id).bind(step).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::auth) async fn block_totp(tx: &mut Tx, id: FactorId, until: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE totp_factors SET blocked_until = $2 WHERE id = $1")
        .bind(id).bind(until).execute(conn).await.map(drop))?;
    Ok(())
}

/// What authenticators have sealed, in the order of their ids, from after one on.
pub(in crate::auth) async fn totp_secrets(
    tx: &mut Tx,
    after: FactorId,
    at_most: i64,
) -> Result<Vec<(FactorId, Vec<u8>)>, Fault> {
    Ok(on!(tx, conn => query_as("SELECT id, sealed_secret FROM totp_factors WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after).bind(at_most).fetch_all(conn).await)?)
}

/// Puts the same secret in place, sealed anew, unless it was replaced meanwhile.
pub(in crate::auth) async fn reseal_totp(tx: &mut Tx, id: FactorId, sealed: &[u8], anew: &[u8]) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE totp_factors SET sealed_secret = $3 WHERE id = $1 AND sealed_secret = $2")
        .bind(id).bind(sealed).bind(anew).execute(conn).await?.rows_affected() > 0))
}

/// Removes the authenticator, the recovery codes and sign-ins that wait for them, and forgets
/// that sessions proved them. Says whether there was a confirmed authenticator.
pub(in crate::auth) async fn delete_second_factor(tx: &mut Tx, user: UserId) -> Result<bool, Fault> {
    let removed: u64 = on!(tx, conn => query("DELETE FROM totp_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL")
        .bind(user).execute(conn).await?.rows_affected());
    on!(tx, conn => query("DELETE FROM totp_factors WHERE user_id = $1").bind(user).execute(conn).await.map(drop))?;
    on!(tx, conn => query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user).execute(conn).await.map(drop))?;
    on!(tx, conn => query("DELETE FROM second_factor_challenges WHERE user_id = $1")
        .bind(user).execute(conn).await.map(drop))?;
    on!(tx, conn => query("UPDATE sessions SET second_factor_at = NULL WHERE user_id = $1")
        .bind(user).execute(conn).await.map(drop))?;
    Ok(removed > 0)
}

/// Stores new recovery codes in place of all old ones.
pub(in crate::auth) async fn replace_recovery_codes(
    tx: &mut Tx,
    user: UserId,
    digests: &[CodeDigest],
    now: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user).execute(conn).await.map(drop))?;
    for digest in digests {
        on!(tx, conn => query("INSERT INTO recovery_codes (digest, user_id, created_at) VALUES ($1, $2, $3)")
            .bind(&digest[..]).bind(user).bind(now).execute(conn).await.map(drop))?;
    }
    Ok(())
}

/// Uses up a recovery code. Says no if the user has no such code, or used it before.
pub(in crate::auth) async fn use_recovery_code(
    tx: &mut Tx,
    user: UserId,
    digest: &CodeDigest,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE recovery_codes SET used_at = $3 WHERE digest = $1 AND user_id = $2 AND used_at IS NULL"
    ).bind(&digest[..]).bind(user).bind(now).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::auth) async fn count_recovery_codes(db: &Database, user: UserId) -> Result<u32, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar(
        "SELECT count(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL"
    ).bind(user).fetch_one(pool).await)?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// Since when the user has had a confirmed authenticator.
pub(in crate::auth) async fn find_totp_since(db: &Database, user: UserId) -> Result<Option<Timestamp>, Fault> {
    let since: Option<Option<Timestamp>> = on_reader!(db, pool => query_scalar(
        "SELECT confirmed_at FROM totp_factors WHERE user_id = $1"
    ).bind(user).fetch_optional(pool).await)?;
    Ok(since.flatten())
}

/// Stores a sign-in that waits for a second factor, and clears away the user's expired ones.
pub(in crate::auth) async fn insert_challenge(
    tx: &mut Tx,
    id: OneTimeTokenId,
    user: UserId,
    session_version: i64,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM second_factor_challenges WHERE user_id = $1 AND expires_at <= $2")
        .bind(user).bind(now).execute(conn).await.map(drop))?;
    on!(tx, conn => query(
        "INSERT INTO second_factor_challenges (id, user_id, session_version, attempts, expires_at) \
         VALUES ($1, $2, $3, 0, $4)"
    ).bind(id).bind(user).bind(session_version).bind(expires_at).execute(conn).await.map(drop))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct ChallengeRow {
    pub(in crate::auth) user_id: UserId,
    pub(in crate::auth) session_version: i64,
}

/// Counts an attempt before the code is looked at. `None` if the challenge is unknown, answered,
/// expired, or had its attempts.
pub(in crate::auth) async fn charge_challenge(
    tx: &mut Tx,
    id: OneTimeTokenId,
    now: Timestamp,
    most: i64,
) -> Result<Option<ChallengeRow>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE second_factor_challenges SET attempts = attempts + 1 \
         WHERE id = $1 AND expires_at > $2 AND attempts < $3 \
         RETURNING user_id, session_version"
    ).bind(id).bind(now).bind(most).fetch_all(conn).await)?
    .pop())
}

pub(in crate::auth) async fn delete_challenge(tx: &mut Tx, id: OneTimeTokenId) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM second_factor_challenges WHERE id = $1")
        .bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Removes some challenges that can no longer be answered, and says how many those were.
pub(in crate::auth) async fn purge_challenges(tx: &mut Tx, now: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM second_factor_challenges WHERE id IN \
             (SELECT id FROM second_factor_challenges WHERE expires_at <= $1 LIMIT 500)"
    ).bind(now).execute(conn).await?.rows_affected()))
}
