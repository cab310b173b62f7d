//! The SQL of lists of photos, and of those that are alike.

use sqlx::{QueryBuilder, query_as};

use super::{is_public, select_upload};
use crate::clock::Timestamp;
use crate::database::{Database, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UploadId, UserId};
use crate::media::photo::{Upload, UploadStatus};
use crate::page::{Key, PageRequest};
use crate::people::push_unless_blocked;

/// Which photos a list has.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct ListedPhotos {
    pub(in crate::media) pet: Option<PetId>,
    pub(in crate::media) owner: Option<UserId>,
    pub(in crate::media) status: Option<UploadStatus>,
    /// Only what everybody may see, but nothing of whom this viewer has to do nothing with.
    pub(in crate::media) public_for: Option<Option<UserId>>,
}

/// What makes the list of all photos that list.
macro_rules! push_listed {
    ($sql:ident, $listed:expr) => {
        if $listed.public_for.is_some() {
            $sql.push(
                "JOIN pets p ON p.id = u.pet_id AND p.status = 'active' AND p.deleted_at IS NULL \
                 WHERE u.status = 'approved' AND u.purpose = 'pet-photo'",
            );
        } else {
            $sql.push("WHERE u.status <> 'reserved' AND u.purpose <> 'document'");
        }
        if let Some(pet) = $listed.pet {
            $sql.push(" AND u.pet_id = ").push_bind(pet);
        }
        if let Some(owner) = $listed.owner {
            $sql.push(" AND u.owner_id = ").push_bind(owner);
        }
        if let Some(status) = $listed.status {
            $sql.push(" AND u.status = ").push_bind(status);
        }
        push_unless_blocked!($sql, $listed.public_for.flatten());
    };
}

/// How many photos a list has.
pub(in crate::media) async fn count_listed(db: &Database, listed: &ListedPhotos) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM uploads u ");
        push_listed!(sql, listed);
        sql.build_query_scalar().fetch_one(pool).await?
    });
    Ok(count.unsigned_abs())
}

/// A page of photos, the newest first: one more than it has.
pub(in crate::media) async fn list_photos(
    db: &Database,
    listed: &ListedPhotos,
    page: &PageRequest,
    after: Option<Key<UploadId>>,
) -> Result<Vec<Upload>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(select_upload!(""));
        push_listed!(sql, listed);
        if let Some(Key { at, id }) = after {
            sql.push(" AND (u.created_at, u.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY u.created_at DESC, u.id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        if let Some(offset) = page.offset() {
            sql.push(" OFFSET ").push_bind(i64::from(offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// Among whose photos to look.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) enum Owners {
    One(UserId),
    All,
}

/// A photo that may be alike.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(in crate::media) struct Alike {
    pub(in crate::media) id: UploadId,
    pub(in crate::media) owner_id: UserId,
    pub(in crate::media) pet_id: Option<PetId>,
    pub(in crate::media) perceptual_hash: Option<i64>,
    pub(in crate::media) created_at: Timestamp,
}

/// Photos with these very bytes.
pub(in crate::media) async fn same_bytes(
    db: &Database,
    owners: Owners,
    sha256: &[u8; 32],
    at_most: i64,
) -> Result<Vec<Alike>, Fault> {
    let owner = match owners {
        Owners::One(owner) => Some(owner),
        Owners::All => None,
    };
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, owner_id, pet_id, perceptual_hash, created_at FROM uploads \
         WHERE sha256 = $1 AND status <> 'reserved' AND purpose <> 'document' AND owner_id = coalesce($2, owner_id) \
         ORDER BY created_at, id LIMIT $3"
    ).bind(sha256.to_vec()).bind(owner).bind(at_most).fetch_all(pool).await)?)
}

/// Photos of which some quarter of the hash is in one of these buckets: all that are alike, and others.
pub(in crate::media) async fn look_alikes(
    db: &Database,
    owners: Owners,
    buckets: &[i32],
    at_most: i64,
) -> Result<Vec<Alike>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT u.id, u.owner_id, u.pet_id, u.perceptual_hash, u.created_at FROM uploads u WHERE u.id IN ",
        );
        sql.push("(SELECT b.upload_id FROM photo_buckets b WHERE b.bucket IN (");
        let mut list = sql.separated(", ");
        for bucket in buckets {
            list.push_bind(*bucket);
        }
        sql.push("))");
        if let Owners::One(owner) = owners {
            sql.push(" AND u.owner_id = ").push_bind(owner);
        }
        sql.push(" LIMIT ").push_bind(at_most);
        sql.build_query_as().fetch_all(pool).await?
    }))
}
