//! All SQL of API keys. Decides nothing.

use sqlx::{QueryBuilder, query, query_as};

use crate::auth::api_key::{ApiKey, Digest};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::ApiKeyId;
use crate::page::{Key, PageRequest};

/// An API key with the digests of the secrets that count.
#[derive(sqlx::FromRow)]
pub(in crate::auth) struct ApiKeyRow {
    #[sqlx(flatten)]
    pub(in crate::auth) key: ApiKey,
    pub(in crate::auth) digest: Vec<u8>,
    pub(in crate::auth) previous_digest: Option<Vec<u8>>,
}

/// Stores a key unless one that counts has its name; says whether it did.
pub(in crate::auth) async fn insert_api_key(tx: &mut Tx, key: &ApiKey, digest: &Digest) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO api_keys (id, name, scopes, digest, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"
    )
        .bind(key.id).bind(&key.name).bind(key.scopes.to_string()).bind(digest.as_slice()).bind(&key.created_by)
        .bind(key.created_at).bind(key.expires_at)
        .execute(conn).await?.rows_affected() > 0))
}

pub(in crate::auth) async fn find_api_key(db: &Database, id: ApiKeyId) -> Result<Option<ApiKeyRow>, Fault> {
    Ok(on_reader!(db, conn => query_as(
        "SELECT id, name, scopes, created_by, created_at, rotated_at, previous_expires_at, expires_at, last_used_at, \
                revoked_at, digest, previous_digest \
         FROM api_keys WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?)
}

/// The key that has this name and was not revoked.
pub(in crate::auth) async fn find_api_key_by_name(db: &Database, name: &str) -> Result<Option<ApiKeyRow>, Fault> {
    Ok(on_reader!(db, conn => query_as(
        "SELECT id, name, scopes, created_by, created_at, rotated_at, previous_expires_at, expires_at, last_used_at, \
                revoked_at, digest, previous_digest \
         FROM api_keys WHERE name = $1 AND revoked_at IS NULL"
    ).bind(name).fetch_optional(conn).await)?)
}

/// Keys, newest first: one more than the page has, to see whether there are more.
pub(in crate::auth) async fn list_api_keys(
    db: &Database,
    revoked_too: bool,
    page: &PageRequest,
    after: Option<Key<ApiKeyId>>,
) -> Result<Vec<ApiKey>, Fault> {
    Ok(on_reader!(db, conn => {
        let mut sql = QueryBuilder::new(
            "SELECT id, name, scopes, created_by, created_at, rotated_at, previous_expires_at, expires_at, \
                    last_used_at, revoked_at \
             FROM api_keys WHERE 1 = 1 ",
        );
        if !revoked_too {
            sql.push(" AND revoked_at IS NULL");
        }
        if let Some(Key { at, id }) = after {
            sql.push(" AND (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        sql.build_query_as().fetch_all(conn).await?
    }))
}

/// Gives a key that counts another secret; the one it had counts until `previous_expires_at`.
/// Says whether there is such a key.
pub(in crate::auth) async fn rotate_api_key(
    tx: &mut Tx,
    id: ApiKeyId,
    digest: &Digest,
    previous_expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE api_keys SET previous_digest = digest, previous_expires_at = $1, digest = $2, rotated_at = $3 \
         WHERE id = $4 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)"
    )
        .bind(previous_expires_at).bind(digest.as_slice()).bind(now).bind(id)
        .execute(conn).await?.rows_affected() > 0))
}

/// Says whether there is such a key that was not revoked before.
pub(in crate::auth) async fn revoke_api_key(tx: &mut Tx, id: ApiKeyId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
        .bind(now).bind(id).execute(conn).await?.rows_affected() > 0))
}

/// Of several servers that write this at once the latest time stays.
pub(in crate::auth) async fn touch_api_key(db: &Database, id: ApiKeyId, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)"
    ).bind(now).bind(id).execute(pool).await.map(drop))?;
    Ok(())
}
