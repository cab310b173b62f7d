//! The SQL of passwords and addresses that change. Decides nothing.

use sqlx::{query, query_as};

use crate::auth::user::UserStatus;
use crate::clock::Timestamp;
use crate::database::{Tx, on, violates};
use crate::error::Fault;
use crate::id::UserId;

/// A user as they are while the transaction has hold of them.
#[derive(sqlx::FromRow)]
pub(in crate::auth) struct HeldUser {
    pub(in crate::auth) id: UserId,
    pub(in crate::auth) email: String,
    pub(in crate::auth) email_verified_at: Option<Timestamp>,
    pub(in crate::auth) status: UserStatus,
    pub(in crate::auth) password_hash: Option<String>,
}

/// Takes hold of a user: until the transaction ends nobody else changes them. The update that
/// changes nothing is `SELECT ... FOR UPDATE` in words that SQLite has, too.
pub(in crate::auth) async fn hold_user(tx: &mut Tx, id: UserId) -> Result<Option<HeldUser>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE users SET updated_at = updated_at WHERE id = $1 AND deleted_at IS NULL \
         RETURNING id, email, email_verified_at, status, password_hash"
    ).bind(id).fetch_all(conn).await)?
    .pop())
}

/// Sets the password, or takes it away.
pub(in crate::auth) async fn set_password(
    tx: &mut Tx,
    id: UserId,
    hash: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE users SET password_hash = $1, password_changed_at = $2, updated_at = $2 WHERE id = $3"
    ).bind(hash).bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Counts up the session version, which ends every access token of the user.
pub(in crate::auth) async fn outdate_access_tokens(tx: &mut Tx, id: UserId) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE users SET session_version = session_version + 1 WHERE id = $1")
        .bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Notes that the address is the user's, unless that is known.
pub(in crate::auth) async fn mark_verified(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE users SET email_verified_at = $1, updated_at = $1 WHERE id = $2 AND email_verified_at IS NULL"
    ).bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Gives a user another address, and says whether it was free. If not, the transaction can only
/// be undone.
pub(in crate::auth) async fn set_email(
    tx: &mut Tx,
    id: UserId,
    email: &str,
    verified_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, Fault> {
    let updated = on!(tx, conn => query(
        "UPDATE users SET email = $1, email_verified_at = $2, updated_at = $3 WHERE id = $4"
    ).bind(email).bind(verified_at).bind(now).bind(id).execute(conn).await.map(drop));
    match updated {
        Ok(()) => Ok(true),
        Err(error) if violates(&error, "users_email_key") => Ok(false),
        Err(error) => Err(error.into()),
    }
}
