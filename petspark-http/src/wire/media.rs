//! Uploads and photos on the wire.

use std::collections::BTreeMap;

use petspark_core::media::{self, MediaType, NewUpload, PhotoFilter, Purpose, Sought, UploadStatus};
use petspark_core::{FieldErrors, PageRequest, PetId, Timestamp, UploadId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{page_request, words};
use crate::error::ApiError;

/// A file that is about to be uploaded.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignBody {
    #[schema(min_length = 1, max_length = 255, example = "rex.jpg")]
    file_name: String,
    /// In bytes; what is sent must have as many.
    #[schema(minimum = 1, maximum = 10_485_760, example = 3_120_000)]
    file_size: u64,
    #[schema(value_type = words::MediaType)]
    file_type: String,
    #[schema(value_type = words::UploadType)]
    upload_type: String,
    /// Needed for a photo of a pet.
    #[schema(value_type = Option<String>, format = "uuid", max_length = 36)]
    pet_id: Option<String>,
    /// Its SHA-256 in hexadecimal digits or base64: then nothing else can be sent.
    #[schema(max_length = 64)]
    checksum_sha256: Option<String>,
}

impl From<SignBody> for NewUpload {
    fn from(body: SignBody) -> Self {
        Self {
            file_name: body.file_name,
            file_size: body.file_size,
            file_type: body.file_type,
            upload_type: body.upload_type,
            pet_id: body.pet_id,
            checksum_sha256: body.checksum_sha256,
        }
    }
}

/// Where to send a file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reserved {
    /// Where the bytes go; takes them once.
    upload_url: String,
    method: &'static str,
    /// What must be sent as headers.
    headers: BTreeMap<String, String>,
    /// To complete the upload with.
    key: String,
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

impl From<media::Reserved> for Reserved {
    fn from(reserved: media::Reserved) -> Self {
        Self {
            upload_url: reserved.url.expose().to_owned(),
            method: "PUT",
            headers: reserved.headers.into_iter().collect(),
            key: reserved.key,
            expires_at: reserved.expires_at,
        }
    }
}

/// An upload that is there.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CompleteBody {
    #[schema(max_length = 200)]
    pub(crate) key: String,
    /// As it was announced, if it is said again.
    #[schema(value_type = Option<words::UploadType>)]
    pub(crate) upload_type: Option<String>,
    /// The same.
    #[schema(value_type = Option<String>, format = "uuid", max_length = 36)]
    pub(crate) pet_id: Option<String>,
}

/// One size of a photo.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variant {
    #[schema(value_type = words::PhotoSize)]
    name: media::Size,
    url: String,
    width: u32,
    height: u32,
    #[serde(rename = "type")]
    #[schema(value_type = words::MediaType)]
    media_type: MediaType,
}

fn variants(variants: Vec<media::Variant>) -> Vec<Variant> {
    let variants = variants.into_iter().map(|variant| Variant {
        name: variant.name,
        url: variant.url,
        width: variant.width,
        height: variant.height,
        media_type: variant.media_type,
    });
    variants.collect()
}

/// Where a size of a photo is that every browser shows.
fn url_of(variants: &[Variant], size: media::Size) -> Option<String> {
    let is_it = |variant: &&Variant| variant.name == size && variant.media_type == MediaType::Jpeg;
    variants.iter().find(is_it).map(|variant| variant.url.clone())
}

/// A photo as it is shown with its pet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PetPhoto {
    #[schema(value_type = String, format = "uuid")]
    id: UploadId,
    /// The largest size, as JPEG. It expires after 15 minutes while the pet isn't shown to everybody.
    url: String,
    thumbnail_url: String,
    variants: Vec<Variant>,
    /// Its place among the pet's photos, from 0.
    order: usize,
    /// A ThumbHash in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    placeholder: Option<String>,
    #[schema(value_type = String, format = "date-time")]
    uploaded_at: Timestamp,
}

impl PetPhoto {
    pub(crate) fn of(shown: &media::ShownPhoto, order: usize, sizes: Vec<media::Variant>) -> Self {
        let variants = variants(sizes);
        Self {
            id: shown.id,
            url: url_of(&variants, media::Size::Large).unwrap_or_default(),
            thumbnail_url: url_of(&variants, media::Size::Thumb).unwrap_or_default(),
            variants,
            order,
            placeholder: shown.placeholder.clone(),
            uploaded_at: shown.uploaded_at,
        }
    }
}

/// A photo, or another upload, on its way or at its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Photo {
    #[schema(value_type = String, format = "uuid")]
    id: UploadId,
    #[schema(value_type = String, format = "uuid")]
    owner_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pet_id: Option<PetId>,
    #[schema(value_type = words::UploadType)]
    upload_type: Purpose,
    #[schema(value_type = words::PhotoStatus)]
    status: UploadStatus,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The largest size, as JPEG, or the document; once there is one. What isn't shown to everybody
    /// expires after 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    variants: Vec<Variant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// A ThumbHash in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    placeholder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "#c8a27b")]
    dominant_color: Option<String>,
    /// As it came.
    #[schema(value_type = words::MediaType)]
    file_type: MediaType,
    /// In bytes, as it came.
    file_size: u64,
    /// What it was called where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[schema(value_type = String, format = "date-time")]
    uploaded_at: Timestamp,
}

impl Photo {
    pub(crate) fn of(photo: media::Photo, viewer: &petspark_core::Caller) -> Self {
        let variants = variants(photo.variants);
        Self {
            file_name: viewer.is(photo.owner_id).then_some(photo.file_name),
            id: photo.id,
            owner_id: photo.owner_id,
            pet_id: photo.pet_id,
            upload_type: photo.purpose,
            status: photo.status,
            reason: photo.reason,
            url: photo.document_url.or_else(|| url_of(&variants, media::Size::Large)),
            thumbnail_url: url_of(&variants, media::Size::Thumb),
            variants,
            order: photo.order,
            width: photo.width,
            height: photo.height,
            placeholder: photo.placeholder,
            dominant_color: photo.dominant_color,
            file_type: photo.media_type,
            file_size: photo.size,
            uploaded_at: photo.uploaded_at,
        }
    }
}

/// Which photos to list; without a pet or an owner, one's own.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PhotoQuery {
    /// Only of this pet.
    #[param(value_type = Option<String>, format = "uuid")]
    pet_id: Option<String>,
    /// Only of this person.
    #[param(value_type = Option<String>, format = "uuid")]
    owner_id: Option<String>,
    /// Of others, only approved photos are listed.
    #[param(value_type = Option<words::PhotoStatus>)]
    status: Option<String>,
    /// Most items in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// For old clients: skip this many, and tell the total.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
    offset: Option<String>,
}

impl PhotoQuery {
    pub(crate) fn check(self) -> Result<(PhotoFilter, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let pet = self.pet_id.and_then(|id| errors.check("petId", id.parse()));
        let owner = self.owner_id.and_then(|id| errors.check("ownerId", id.parse()));
        let status = self.status.and_then(|word| errors.check("status", word.parse()));
        let page = page_request(&mut errors, self.limit, self.cursor, self.offset);
        errors
            .finish(Some((PhotoFilter { pet, owner, status }, page)))
            .map_err(|errors| ApiError::invalid_fields(&errors))
    }
}

/// What to look for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DuplicateBody {
    /// An upload of one's own: the same bytes, and what looks alike.
    #[schema(max_length = 200)]
    key: Option<String>,
    /// The same bytes, by their SHA-256 in hexadecimal digits or base64.
    #[schema(max_length = 64)]
    sha256: Option<String>,
    /// Among everybody's photos; for moderators.
    #[serde(default)]
    pub(crate) everywhere: bool,
}

impl DuplicateBody {
    pub(crate) fn sought(&self) -> Result<Sought, ApiError> {
        match (&self.key, &self.sha256) {
            (Some(key), None) => Ok(Sought::Key(key.clone())),
            (None, Some(sha256)) => Ok(Sought::Sha256(sha256.clone())),
            _ => Err(ApiError::invalid_fields(&FieldErrors::one("key", "is needed, or sha256 instead"))),
        }
    }
}

/// A photo like another.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Duplicate {
    #[schema(value_type = String, format = "uuid")]
    id: UploadId,
    #[schema(value_type = String, format = "uuid")]
    owner_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pet_id: Option<PetId>,
    #[schema(value_type = String, format = "date-time")]
    uploaded_at: Timestamp,
    /// Bits of 64 by which they differ: 0 for the same picture, at most 7.
    distance: u32,
}

/// Photos like another.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Duplicates {
    is_duplicate: bool,
    /// With the same bytes.
    exact: Vec<Duplicate>,
    /// That look alike, the most alike first.
    similar: Vec<Duplicate>,
}

impl From<media::Duplicates> for Duplicates {
    fn from(found: media::Duplicates) -> Self {
        let all = |photos: Vec<media::Duplicate>| {
            let photos = photos.into_iter().map(|photo| Duplicate {
                id: photo.id,
                owner_id: photo.owner_id,
                pet_id: photo.pet_id,
                uploaded_at: photo.uploaded_at,
                distance: photo.distance,
            });
            photos.collect()
        };
        Self { is_duplicate: !found.exact.is_empty(), exact: all(found.exact), similar: all(found.similar) }
    }
}

/// The photos of a pet in another order: all that it shows, each once.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderBody {
    #[schema(value_type = Vec<String>, max_items = 100)]
    photo_ids: Vec<String>,
}

impl OrderBody {
    pub(crate) fn ids(&self) -> Result<Vec<UploadId>, ApiError> {
        let ids = self.photo_ids.iter().map(|id| id.parse());
        ids.collect::<Result<_, _>>()
            .map_err(|_| ApiError::invalid_fields(&FieldErrors::one("photoIds", "must be ids of photos")))
    }
}
