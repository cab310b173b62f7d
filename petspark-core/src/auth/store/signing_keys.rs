//! SQL of signing keys. A few rows: one a rotation, and those are never deleted.

use crate::auth::signing_keys::KeyState;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;

/// A key as it is stored.
#[derive(Clone, sqlx::FromRow)]
pub(in crate::auth) struct KeyRow {
    pub(in crate::auth) kid: String,
    pub(in crate::auth) state: KeyState,
    pub(in crate::auth) public_key: Vec<u8>,
    /// Sealed; gone when the key is retired.
    pub(in crate::auth) private_key: Option<Vec<u8>>,
    pub(in crate::auth) created_at: Timestamp,
    pub(in crate::auth) activated_at: Option<Timestamp>,
    pub(in crate::auth) replaced_at: Option<Timestamp>,
    pub(in crate::auth) retired_at: Option<Timestamp>,
}

/// Every key, newest first.
pub(in crate::auth) async fn list_signing_keys(db: &Database) -> Result<Vec<KeyRow>, Fault> {
    Ok(on_reader!(db, conn => sqlx::query_as(
        "SELECT kid, state, public_key, private_key, created_at, activated_at, replaced_at, retired_at \
         FROM signing_keys ORDER BY created_at DESC, kid"
    ).fetch_all(conn).await)?)
}

/// The keys that sign or verify, or will.
pub(in crate::auth) async fn live_signing_keys(db: &Database) -> Result<Vec<KeyRow>, Fault> {
    Ok(on_reader!(db, conn => sqlx::query_as(
        "SELECT kid, state, public_key, private_key, created_at, activated_at, replaced_at, retired_at \
         FROM signing_keys WHERE state <> 'retired' ORDER BY created_at DESC, kid"
    ).fetch_all(conn).await)?)
}

/// Every key, newest first, as this transaction sees them.
pub(in crate::auth) async fn signing_keys(tx: &mut Tx) -> Result<Vec<KeyRow>, Fault> {
    Ok(on!(tx, conn => sqlx::query_as(
        "SELECT kid, state, public_key, private_key, created_at, activated_at, replaced_at, retired_at \
         FROM signing_keys ORDER BY created_at DESC, kid"
    ).fetch_all(conn).await)?)
}

pub(in crate::auth) async fn insert_signing_key(tx: &mut Tx, key: &KeyRow) -> Result<(), Fault> {
    on!(tx, conn => sqlx::query(
        "INSERT INTO signing_keys (kid, state, public_key, private_key, created_at) VALUES ($1, $2, $3, $4, $5)"
    ).bind(&key.kid).bind(key.state).bind(&key.public_key).bind(&key.private_key).bind(key.created_at)
     .execute(conn).await.map(drop))?;
    Ok(())
}

/// Writes the state and the times of a key that changed.
pub(in crate::auth) async fn update_signing_key(tx: &mut Tx, key: &KeyRow) -> Result<(), Fault> {
    on!(tx, conn => sqlx::query(
        "UPDATE signing_keys SET state = $2, private_key = $3, activated_at = $4, replaced_at = $5, retired_at = $6 \
         WHERE kid = $1"
    ).bind(&key.kid).bind(key.state).bind(&key.private_key)
     .bind(key.activated_at).bind(key.replaced_at).bind(key.retired_at)
     .execute(conn).await.map(drop))?;
    Ok(())
}
