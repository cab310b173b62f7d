//! A photo as people see it, and what is stored of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use super::links::Links;
use super::{MediaType, Purpose};
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::{PetId, UploadId, UserId};

text_enum! {
    /// Where an upload is on its way.
    pub enum UploadStatus {
        /// Announced; it may be sent until its URL expires.
        Reserved = "reserved",
        /// Here, and being looked at.
        Processing = "processing",
        /// Waiting for a moderator: only they and its owner see it.
        Pending = "pending",
        /// Shown.
        Approved = "approved",
        /// Not shown; its owner can read why.
        Rejected = "rejected",
    }
}

text_enum! {
    /// The sizes that are made of a photo. None is larger than what was uploaded.
    pub enum Size {
        /// 160 pixels on its long side.
        Thumb = "thumb",
        /// 480.
        Small = "small",
        /// 960.
        Medium = "medium",
        /// 1920.
        Large = "large",
    }
}

/// One size of a photo, as it is kept. Its name in the object store has a hash of its content, so
/// that what is behind a URL never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredVariant {
    pub(crate) name: Size,
    pub(crate) media_type: MediaType,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: u64,
    /// 16 bytes of the SHA-256 of its content, in hexadecimal digits.
    pub(crate) hash: String,
}

impl StoredVariant {
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.{}", self.name, self.hash, self.media_type.extension())
    }
}

/// A photo that is shown to everybody, as the row of its pet or person keeps it: whatever is
/// approved, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPhoto {
    /// Which.
    pub id: UploadId,
    pub(crate) owner_id: UserId,
    /// A ThumbHash in base64.
    pub placeholder: Option<String>,
    /// When it was announced.
    pub uploaded_at: Timestamp,
    pub(crate) variants: Vec<StoredVariant>,
}

/// An upload as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Upload {
    pub(crate) id: UploadId,
    pub(crate) owner_id: UserId,
    pub(crate) pet_id: Option<PetId>,
    pub(crate) purpose: Purpose,
    pub(crate) status: UploadStatus,
    pub(crate) reason: Option<String>,
    pub(crate) file_name: String,
    pub(crate) content_type: MediaType,
    pub(crate) size: i64,
    pub(crate) sha256: Option<Vec<u8>>,
    pub(crate) position: Option<i32>,
    pub(crate) width: Option<i32>,
    pub(crate) height: Option<i32>,
    pub(crate) thumb_hash: Option<Vec<u8>>,
    pub(crate) perceptual_hash: Option<i64>,
    pub(crate) dominant_color: Option<String>,
    pub(crate) variants: Option<Json<Vec<StoredVariant>>>,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_at: Timestamp,
    /// Whether everybody may see it: it is approved, and so is what it is a photo of.
    pub(crate) is_public: bool,
}

impl Upload {
    pub(crate) fn variants(&self) -> &[StoredVariant] {
        self.variants.as_ref().map_or(&[], |Json(variants)| variants)
    }

    fn placeholder(&self) -> Option<String> {
        self.thumb_hash.as_ref().map(|hash| STANDARD.encode(hash))
    }

    /// The SHA-256 of the file: as it was announced, later as it came.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256.as_deref().and_then(|bytes| bytes.try_into().ok())
    }

    /// Where the file as it came is.
    pub(crate) fn original(&self) -> String {
        Links::original(self.owner_id, self.id, self.content_type)
    }

    /// The names of everything that is kept of it.
    pub(crate) fn names(&self) -> Vec<String> {
        Links::all(self.owner_id, self.id, self.content_type, self.variants())
    }

    /// The key of what is shown of a person's picture.
    pub(crate) fn avatar(&self) -> Option<String> {
        let is_it = |variant: &&StoredVariant| variant.name == Size::Small && variant.media_type == MediaType::Jpeg;
        let variant = self.variants().iter().find(is_it)?;
        Some(Links::key(self.owner_id, self.id, &variant.file_name()))
    }

    pub(crate) fn shown(self) -> ShownPhoto {
        ShownPhoto {
            id: self.id,
            owner_id: self.owner_id,
            placeholder: self.placeholder(),
            uploaded_at: self.created_at,
            variants: self.variants.map(|Json(variants)| variants).unwrap_or_default(),
        }
    }
}

/// One size of a photo, with where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Which size.
    pub name: Size,
    /// Where it is: absolute if a public URL is set, or from the root of this server.
    pub url: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// In which format.
    pub media_type: MediaType,
}

/// A photo, or another upload, as its owner or a moderator sees it; others see approved ones only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Which.
    pub id: UploadId,
    /// Who uploaded it.
    pub owner_id: UserId,
    /// The pet on it.
    pub pet_id: Option<PetId>,
    /// What it was uploaded for.
    pub purpose: Purpose,
    /// Where it is on its way.
    pub status: UploadStatus,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// What it was called where it came from; for its owner only.
    pub file_name: String,
    /// In what format it came.
    pub media_type: MediaType,
    /// In bytes, as it came.
    pub size: u64,
    /// Its place among the photos of its pet, from 0.
    pub order: Option<u32>,
    /// In pixels, upright.
    pub width: Option<u32>,
    /// In pixels, upright.
    pub height: Option<u32>,
    /// A ThumbHash in base64: what to show until it is loaded.
    pub placeholder: Option<String>,
    /// `#rrggbb`.
    pub dominant_color: Option<String>,
    /// Its sizes; none until they are made.
    pub variants: Vec<Variant>,
    /// Of a document: where its owner gets it, for some minutes.
    pub document_url: Option<String>,
    /// When it was announced.
    pub uploaded_at: Timestamp,
}

impl Photo {
    /// As who may see it sees it. What isn't shown to everybody has URLs that expire.
    pub(super) fn of(upload: Upload, links: &Links, now: Timestamp) -> Self {
        let variants = links.sizes(upload.variants(), upload.owner_id, upload.id, upload.is_public, now);
        let is_document = upload.purpose == Purpose::Document && upload.status == UploadStatus::Approved;
        let document_url = is_document.then(|| links.private(&upload.original(), now.after(Links::PRIVATE_TTL)));
        let unsigned = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
        Self {
            id: upload.id,
            owner_id: upload.owner_id,
            pet_id: upload.pet_id,
            purpose: upload.purpose,
            status: upload.status,
            placeholder: upload.placeholder(),
            reason: upload.reason,
            file_name: upload.file_name,
            media_type: upload.content_type,
            size: upload.size.unsigned_abs(),
            order: unsigned(upload.position),
            width: unsigned(upload.width),
            height: unsigned(upload.height),
            dominant_color: upload.dominant_color,
            variants,
            document_url,
            uploaded_at: upload.created_at,
        }
    }
}
