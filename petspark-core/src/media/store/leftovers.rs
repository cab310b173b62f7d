//! The SQL of what is left over: reservations that nobody used, and objects of rows that are gone.

use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::{is_public, select_upload};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{UploadId, UserId};
use crate::media::photo::{StoredVariant, Upload};
use crate::media::{MediaCount, MediaType};

/// Reservations that expired before then, the oldest first.
pub(in crate::media) async fn expired_reservations(
    tx: &mut Tx,
    before: Timestamp,
    at_most: i64,
) -> Result<Vec<UploadId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "SELECT id FROM uploads WHERE status = 'reserved' AND expires_at < $1 ORDER BY expires_at LIMIT $2"
    ).bind(before).bind(at_most).fetch_all(conn).await)?)
}

/// Removes a reservation, unless somebody uses it at this moment.
pub(in crate::media) async fn delete_reservation(tx: &mut Tx, id: UploadId) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM uploads WHERE id = $1 AND status = 'reserved'")
        .bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// An upload whose row is gone.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::media) struct Removed {
    pub(in crate::media) id: UploadId,
    pub(in crate::media) owner_id: UserId,
    pub(in crate::media) content_type: MediaType,
    pub(in crate::media) variants: Option<Json<Vec<StoredVariant>>>,
    /// Until then, something may still come.
    pub(in crate::media) expires_at: Timestamp,
}

/// Some of those whose objects are to be removed, from after one of them.
pub(in crate::media) async fn removed_uploads(
    db: &Database,
    after: Option<UploadId>,
    at_most: i64,
) -> Result<Vec<Removed>, Fault> {
    let after = after.unwrap_or_else(|| UploadId::from_bytes([0; 16]));
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, owner_id, content_type, variants, expires_at FROM removed_uploads WHERE id > $1 ORDER BY id LIMIT $2"
    ).bind(after).bind(at_most).fetch_all(pool).await)?)
}

/// Nothing of this one is left, and nothing can come.
pub(in crate::media) async fn forget_removed(db: &Database, id: UploadId) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM removed_uploads WHERE id = $1").bind(id).execute(pool).await.map(drop))?;
    Ok(())
}

/// A photo that is being made.
#[derive(sqlx::FromRow)]
pub(in crate::media) struct Unfinished {
    pub(in crate::media) id: UploadId,
    pub(in crate::media) created_at: Timestamp,
    pub(in crate::media) updated_at: Timestamp,
}

/// Photos that have been being made since then or longer, without anything being done.
pub(in crate::media) async fn unfinished(
    db: &Database,
    since: Timestamp,
    at_most: i64,
) -> Result<Vec<Unfinished>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, created_at, updated_at FROM uploads \
         WHERE status = 'processing' AND created_at <= $1 AND updated_at <= $1 ORDER BY created_at, id LIMIT $2"
    ).bind(since).bind(at_most).fetch_all(pool).await)?)
}

/// Those of these uploads that there are.
pub(in crate::media) async fn find_all(db: &Database, ids: &[UploadId]) -> Result<Vec<Upload>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(select_upload!("WHERE u.id IN "));
        sql.push("(");
        let mut list = sql.separated(", ");
        for id in ids {
            list.push_bind(*id);
        }
        sql.push(")").build_query_as().fetch_all(pool).await?
    }))
}

/// Some uploads by their ids, from after one of them.
pub(in crate::media) async fn uploads_after(
    db: &Database,
    after: Option<UploadId>,
    at_most: usize,
) -> Result<Vec<Upload>, Fault> {
    let after = after.unwrap_or_else(|| UploadId::from_bytes([0; 16]));
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    Ok(on_reader!(db, pool => query_as(select_upload!("WHERE u.id > $1 ORDER BY u.id LIMIT $2"))
        .bind(after).bind(at_most).fetch_all(pool).await)?)
}

/// How many uploads there are, and how much is kept of them.
pub(in crate::media) async fn count_uploads(db: &Database) -> Result<Vec<MediaCount>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT purpose, status, count(*) AS uploads, CAST(sum(stored_bytes) AS bigint) AS bytes FROM uploads \
         GROUP BY purpose, status ORDER BY purpose, status"
    ).fetch_all(pool).await)?)
}

/// The first and the last upload by their ids, if there is one.
pub(in crate::media) async fn first_and_last(db: &Database) -> Result<Option<(UploadId, UploadId)>, Fault> {
    let first = on_reader!(db, pool => query_scalar("SELECT id FROM uploads ORDER BY id LIMIT 1")
        .fetch_optional(pool).await)?;
    let last = on_reader!(db, pool => query_scalar("SELECT id FROM uploads ORDER BY id DESC LIMIT 1")
        .fetch_optional(pool).await)?;
    Ok(first.zip(last))
}
