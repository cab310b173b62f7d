//! All SQL of media: of one upload on its way, here; of lists, what is shown, and what is left over,
//! beside. Decides nothing.

mod leftovers;
mod lists;
mod shown;

use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};

pub(super) use leftovers::{
    count_uploads, delete_reservation, expired_reservations, find_all, first_and_last, forget_removed, removed_uploads,
    unfinished, uploads_after,
};
pub(super) use lists::{Alike, ListedPhotos, Owners, count_listed, list_photos, look_alikes, same_bytes};
pub(super) use shown::{refresh_avatar, refresh_pet};

use super::photo::{StoredVariant, Upload, UploadStatus};
use super::upload::Announced;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UploadId, UserId};

/// Whether everybody may see an upload: it is approved, and of a pet or a person that is shown.
macro_rules! is_public {
    () => {
        "u.status = 'approved' AND u.purpose <> 'document' AND EXISTS (SELECT 1 FROM users o \
             LEFT JOIN pets op ON op.id = u.pet_id WHERE o.id = u.owner_id AND o.deleted_at IS NULL \
             AND (u.pet_id IS NULL OR op.status = 'active' AND op.deleted_at IS NULL))"
    };
}

/// The columns of an [`Upload`], before what they are asked for.
macro_rules! select_upload {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.owner_id, u.pet_id, u.purpose, u.status, u.reason, u.file_name, u.content_type, u.size, \
             u.sha256, u.position, u.width, u.height, u.thumb_hash, u.perceptual_hash, u.dominant_color, u.variants, \
             u.expires_at, u.created_at, ",
            is_public!(),
            " AS is_public FROM uploads u ",
            $rest
        )
    };
}
use {is_public, select_upload};

/// Reserves a place for what was announced.
pub(super) async fn insert(
    tx: &mut Tx,
    id: UploadId,
    owner: UserId,
    announced: &Announced,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), Fault> {
    let size = i64::try_from(announced.size).unwrap_or(i64::MAX);
    on!(tx, conn => query(
        "INSERT INTO uploads (id, owner_id, pet_id, purpose, status, file_name, content_type, size, sha256, \
             stored_bytes, expires_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'reserved', $5, $6, $7, $8, $7, $9, $10, $10)"
    )
        .bind(id).bind(owner).bind(announced.pet).bind(announced.purpose).bind(&announced.file_name)
        .bind(announced.media_type).bind(size).bind(announced.sha256.map(|hash| hash.to_vec())).bind(expires_at)
        .bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn find(db: &Database, id: UploadId) -> Result<Option<Upload>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_upload!("WHERE u.id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// The same in a transaction, which sees what it wrote itself.
pub(super) async fn find_again(tx: &mut Tx, id: UploadId) -> Result<Option<Upload>, Fault> {
    Ok(on!(tx, conn => query_as(select_upload!("WHERE u.id = $1")).bind(id).fetch_optional(conn).await)?)
}

/// Whose a pet is that is there.
pub(super) async fn owner_of_pet(tx: &mut Tx, pet: PetId) -> Result<Option<UserId>, Fault> {
    Ok(on!(tx, conn => query_scalar("SELECT owner_id FROM pets WHERE id = $1 AND deleted_at IS NULL")
        .bind(pet).fetch_optional(conn).await)?)
}

/// How many photos of a pet there are, those included that may still come, but not rejected ones.
pub(super) async fn count_photos(tx: &mut Tx, pet: PetId, now: Timestamp) -> Result<u64, Fault> {
    let count: i64 = on!(tx, conn => query_scalar(
        "SELECT count(*) FROM uploads \
         WHERE pet_id = $1 AND status <> 'rejected' AND (status <> 'reserved' OR expires_at > $2)"
    ).bind(pet).bind(now).fetch_one(conn).await)?;
    Ok(count.unsigned_abs())
}

/// What somebody has.
#[derive(sqlx::FromRow)]
pub(super) struct Holdings {
    /// Bytes, each upload with `at_least` so many. Announced ones are included until their rows go, as what
    /// was sent stays until then, completed or not.
    pub(super) bytes: i64,
    /// Uploads that were announced, may still come, and aren't completed.
    pub(super) reserved: i64,
}

pub(super) async fn holdings(tx: &mut Tx, owner: UserId, at_least: i64, now: Timestamp) -> Result<Holdings, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT CAST(coalesce(sum(CASE WHEN stored_bytes < $2 THEN $2 ELSE stored_bytes END), 0) AS bigint) AS bytes, \
                CAST(coalesce(sum(CASE WHEN status = 'reserved' AND expires_at > $3 THEN 1 ELSE 0 END), 0) AS bigint) AS reserved \
         FROM uploads WHERE owner_id = $1"
    ).bind(owner).bind(at_least).bind(now).fetch_one(conn).await)?)
}

/// What was found out about a file that came.
pub(super) struct Arrived {
    pub(super) status: UploadStatus,
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// Takes what came for what was announced, if it is still awaited; says whether it was. A photo of a
/// pet comes behind the others of that pet.
pub(super) async fn accept(tx: &mut Tx, id: UploadId, arrived: &Arrived, now: Timestamp) -> Result<bool, Fault> {
    let side = |pixels: Option<u32>| pixels.and_then(|pixels| i32::try_from(pixels).ok());
    Ok(on!(tx, conn => query(
        "UPDATE uploads SET status = $2, sha256 = $3, width = $4, height = $5, updated_at = $6, \
             size = $7, stored_bytes = $7, position = CASE WHEN pet_id IS NULL THEN NULL ELSE \
                 (SELECT coalesce(max(o.position) + 1, 0) FROM uploads o WHERE o.pet_id = uploads.pet_id) END \
         WHERE id = $1 AND status = 'reserved'"
    )
        .bind(id).bind(arrived.status).bind(arrived.sha256.to_vec()).bind(side(arrived.width))
        .bind(side(arrived.height)).bind(now).bind(i64::try_from(arrived.size).unwrap_or(i64::MAX)).execute(conn).await?.rows_affected() > 0))
}

/// What was made of a photo.
pub(super) struct Made {
    pub(super) status: UploadStatus,
    pub(super) variants: Vec<StoredVariant>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) thumb_hash: Vec<u8>,
    pub(super) perceptual_hash: u64,
    pub(super) dominant_color: String,
}

/// Writes down what was made of a photo that has this status; says whether it had.
pub(super) async fn finish(
    tx: &mut Tx,
    id: UploadId,
    was: UploadStatus,
    made: &Made,
    now: Timestamp,
) -> Result<bool, Fault> {
    let bytes: u64 = made.variants.iter().map(|variant| variant.bytes).sum();
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let finished = on!(tx, conn => query(
        "UPDATE uploads SET status = $3, variants = $4, stored_bytes = size + $5, width = $6, height = $7, \
             thumb_hash = $8, perceptual_hash = $9, dominant_color = $10, updated_at = $11 \
         WHERE id = $1 AND status = $2"
    )
        .bind(id).bind(was).bind(made.status).bind(Json(&made.variants)).bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(side(made.width)).bind(side(made.height)).bind(&made.thumb_hash)
        .bind(made.perceptual_hash.cast_signed()).bind(&made.dominant_color).bind(now)
        .execute(conn).await?.rows_affected() > 0);
    if finished {
        for bucket in super::duplicates::buckets(made.perceptual_hash) {
            on!(tx, conn => query("INSERT INTO photo_buckets (bucket, upload_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(bucket).bind(id).execute(conn).await.map(drop))?;
        }
    }
    Ok(finished)
}

/// Changes where an upload is on its way, if it is at one of these; says whether it was. A photo that
/// could not be made is never shown.
pub(super) async fn set_status(
    tx: &mut Tx,
    id: UploadId,
    from: [UploadStatus; 2],
    status: UploadStatus,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE uploads SET status = $4, reason = $5, updated_at = $6 \
         WHERE id = $1 AND status IN ($2, $3) AND ($4 = 'rejected' OR variants IS NOT NULL)"
    ).bind(id).bind(from[0]).bind(from[1]).bind(status).bind(reason).bind(now)
        .execute(conn).await?.rows_affected() > 0))
}

/// Lets a photo that was rejected before it was made be made after all. Says whether it was one.
pub(super) async fn begin_again(tx: &mut Tx, id: UploadId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE uploads SET status = 'processing', reason = NULL, updated_at = $2 \
         WHERE id = $1 AND status = 'rejected' AND variants IS NULL"
    ).bind(id).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Notes that something is done about it.
pub(super) async fn touch(tx: &mut Tx, id: UploadId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE uploads SET updated_at = $2 WHERE id = $1 AND status = 'processing'")
        .bind(id).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// Removes a row; what is left of it is remembered by the database.
pub(super) async fn delete(tx: &mut Tx, id: UploadId) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("DELETE FROM uploads WHERE id = $1").bind(id).execute(conn).await?.rows_affected() > 0))
}

/// The photos of a pet in their order, and where each is on its way.
pub(super) async fn photos_in_order(tx: &mut Tx, pet: PetId) -> Result<Vec<(UploadId, UploadStatus)>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, status FROM uploads WHERE pet_id = $1 AND status <> 'reserved' ORDER BY position, id"
    ).bind(pet).fetch_all(conn).await)?)
}

pub(super) async fn set_position(tx: &mut Tx, id: UploadId, position: i32, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE uploads SET position = $2, updated_at = $3 WHERE id = $1")
        .bind(id).bind(position).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// What tells which objects of an upload are for everybody.
#[derive(sqlx::FromRow)]
pub(super) struct Visible {
    pub(super) owner_id: UserId,
    pub(super) variants: Option<Json<Vec<StoredVariant>>>,
}

/// An upload that everybody may see.
pub(super) async fn find_public(db: &Database, id: UploadId) -> Result<Option<Visible>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        concat!("SELECT u.owner_id, u.variants FROM uploads u WHERE u.id = $1 AND ", is_public!())
    ).bind(id).fetch_optional(pool).await)?)
}

/// Whether somebody has a photo that was approved, or has been here since before that time.
pub(super) async fn is_known(db: &Database, user: UserId, since: Timestamp) -> Result<bool, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND created_at <= $2) \
             OR EXISTS (SELECT 1 FROM uploads WHERE owner_id = $1 AND status = 'approved' AND purpose <> 'document')"
    ).bind(user).bind(since).fetch_one(pool).await)?)
}
