//! Everything that belongs to uploads, as a backup lists it: what should be in the object store once
//! the database is restored.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::query_as;
use sqlx::types::Json;

use super::links::Links;
use super::photo::{StoredVariant, Upload};
use super::{MediaType, store};
use crate::database::{Database, Direct, on_direct};
use crate::error::Fault;
use crate::id::{UploadId, UserId};
use crate::text::hex;

/// An object that belongs to an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its name in the object store.
    pub(crate) key: String,
    /// Its length.
    pub(crate) size: u64,
    /// What the hexadecimal digits of its SHA-256 begin with: all of them, or half.
    pub(crate) sha256: String,
}

impl Kept {
    /// Whether that is it, by its length and the hexadecimal digits of its SHA-256.
    pub(crate) fn is(&self, bytes: u64, sha256: &str) -> bool {
        bytes == self.size && sha256.starts_with(&self.sha256)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: UploadId,
    owner_id: UserId,
    content_type: MediaType,
    size: i64,
    sha256: Option<Vec<u8>>,
    variants: Option<Json<Vec<StoredVariant>>>,
}

/// Gives `each` what belongs to every upload that has arrived, in the order of their ids; says of how
/// many uploads.
pub(crate) async fn read_inventory(
    from: &mut Direct,
    mut each: impl FnMut(Kept) -> Result<(), Fault>,
) -> Result<u64, Fault> {
    let sql = "SELECT id, owner_id, content_type, size, sha256, variants FROM uploads \
         WHERE status <> 'reserved' ORDER BY id";
    let mut uploads = 0;
    on_direct!(from, conn => {
        let mut rows = query_as::<_, Row>(sql).fetch(conn);
        while let Some(row) = rows.try_next().await? {
            uploads += 1;
            for kept in row.kept() {
                each(kept)?;
            }
        }
    });
    Ok(uploads)
}

/// The names of everything that belongs to those of the listed uploads which a database has.
pub(crate) async fn known_names(db: &Database, listed: &[Kept]) -> Result<HashSet<String>, Fault> {
    let ids = Links::uploads(listed.iter().map(|kept| kept.key.as_str()));
    Ok(store::find_all(db, &ids).await?.iter().flat_map(Upload::names).collect())
}

impl Row {
    fn kept(self) -> Vec<Kept> {
        let variants = self.variants.map(|Json(variants)| variants).unwrap_or_default();
        let names = Links::all(self.owner_id, self.id, self.content_type, &variants);
        let original = (self.size.unsigned_abs(), self.sha256.map(|digest| hex(&digest)).unwrap_or_default());
        let sizes = std::iter::once(original).chain(variants.into_iter().map(|made| (made.bytes, made.hash)));
        names.into_iter().zip(sizes).map(|(key, (size, sha256))| Kept { key, size, sha256 }).collect()
    }
}
