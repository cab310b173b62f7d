//! Photos that are the same, or look alike: by SHA-256, and by perceptual hashes few bits apart.
//!
//! A hash has four quarters of 16 bits. Of two hashes at most [`MAX_DISTANCE`] = 7 bits apart, some
//! quarter differs by at most one bit: so whoever looks into the 17 buckets around each of the four
//! quarters finds every photo that is alike, and few others, without reading all of them.

use petspark_images::distance;

use super::store::{self, Owners};
use super::{Media, MediaError, Purpose, links::Links, upload};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::{PetId, UploadId, UserId};

/// Bits by which two hashes of photos that look alike differ at most, of 64.
pub const MAX_DISTANCE: u32 = 7;
/// Photos of one bucket are few, unless somebody makes it so.
const MAX_CANDIDATES: i64 = 10_000;
const MAX_SAME: i64 = 100;

/// By what to look for photos.
#[derive(Clone, Debug)]
pub enum Sought {
    /// An upload of the caller's, by its key: the same bytes, and what looks alike.
    Key(String),
    /// The same bytes, by their SHA-256 in hexadecimal digits or base64.
    Sha256(String),
}

/// A photo like another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Which.
    pub id: UploadId,
    /// Who uploaded it.
    pub owner_id: UserId,
    /// The pet on it.
    pub pet_id: Option<PetId>,
    /// When.
    pub uploaded_at: Timestamp,
    /// Bits by which they differ; 0 for the same bytes.
    pub distance: u32,
}

/// Photos like another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// With the same bytes, the oldest first.
    pub exact: Vec<Duplicate>,
    /// That look alike, the most alike first.
    pub similar: Vec<Duplicate>,
}

impl Media {
    /// Photos like one that the caller uploaded: among their own, or for moderators `everywhere`.
    ///
    /// # Errors
    /// [`MediaError::UploadNotFound`], [`MediaError::Invalid`] for what is no SHA-256;
    /// [`MediaError::Denied`] for who isn't signed in, and everywhere for who is no moderator.
    pub async fn duplicates(
        &self,
        caller: &Caller,
        sought: &Sought,
        everywhere: bool,
    ) -> Result<Duplicates, MediaError> {
        let owners = if everywhere {
            caller.require(Permission::Moderate)?;
            Owners::All
        } else {
            Owners::One(caller.user_id().ok_or(Denied::Unauthenticated)?)
        };
        let (sha256, hash, id) = match sought {
            Sought::Sha256(text) => {
                let sha256 =
                    upload::sha256(text).map_err(|problem| MediaError::Invalid(FieldErrors::one("sha256", problem)))?;
                (Some(sha256), None, None)
            }
            Sought::Key(key) => {
                let (_, id, _) = Links::parse(key).ok_or(MediaError::UploadNotFound)?;
                let found = self.find_for(caller, id).await?.ok_or(MediaError::UploadNotFound)?;
                if found.purpose == Purpose::Document {
                    return Ok(Duplicates::default());
                }
                (found.sha256(), found.perceptual_hash, Some(id))
            }
        };
        let mut found = Duplicates::default();
        if let Some(sha256) = sha256 {
            let same = store::same_bytes(&self.db, owners, &sha256, MAX_SAME).await?;
            found.exact = same.into_iter().filter(|same| Some(same.id) != id).map(|same| same.at(0)).collect();
        }
        if let Some(hash) = hash {
            found.similar = self.similar(owners, hash.cast_unsigned(), id).await?;
            found.similar.retain(|similar| found.exact.iter().all(|exact| exact.id != similar.id));
        }
        Ok(found)
    }

    async fn similar(&self, owners: Owners, hash: u64, but: Option<UploadId>) -> Result<Vec<Duplicate>, MediaError> {
        let around: Vec<i32> = buckets(hash).flat_map(neighbours).collect();
        let candidates = store::look_alikes(&self.db, owners, &around, MAX_CANDIDATES).await?;
        let with_distance = candidates.into_iter().filter(|alike| Some(alike.id) != but).filter_map(|alike| {
            let distance = distance(alike.perceptual_hash?.cast_unsigned(), hash);
            (distance <= MAX_DISTANCE).then(|| alike.at(distance))
        });
        let mut similar: Vec<Duplicate> = with_distance.collect();
        similar.sort_by_key(|alike| (alike.distance, alike.uploaded_at, alike.id));
        Ok(similar)
    }
}

impl store::Alike {
    fn at(self, distance: u32) -> Duplicate {
        Duplicate { id: self.id, owner_id: self.owner_id, pet_id: self.pet_id, uploaded_at: self.created_at, distance }
    }
}

/// A bucket for each quarter of a hash.
#[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
pub(super) fn buckets(hash: u64) -> impl Iterator<Item = i32> {
    (0..4).map(move |quarter| (quarter << 16) | ((hash >> (16 * quarter)) & 0xffff) as i32)
}

/// A bucket, and those of quarters one bit away.
fn neighbours(bucket: i32) -> impl Iterator<Item = i32> {
    std::iter::once(bucket).chain((0..16).map(move |bit| bucket ^ (1 << bit)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hashes_up_to_seven_bits_apart_meet_and_quarters_keep_their_places() {
        let hash = 0x0123_4567_89ab_cdef_u64;
        let around: HashSet<i32> = buckets(hash).flat_map(neighbours).collect();
        assert_eq!(around.len(), 4 * 17);
        // Every way to spread seven differing bits over the quarters, the bits wherever.
        for spread in 0..4_u64.pow(7) {
            let mut other = hash;
            for n in 0..7 {
                other ^= 1 << (16 * ((spread >> (2 * n)) & 3) + (5 * n) % 16);
            }
            assert!(distance(hash, other) <= MAX_DISTANCE);
            assert!(buckets(other).any(|bucket| around.contains(&bucket)), "{spread:b}");
        }
        let swapped = hash.rotate_left(16);
        assert!(buckets(swapped).all(|bucket| !buckets(hash).any(|own| own == bucket)));
    }
}
