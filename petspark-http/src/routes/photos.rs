//! `/api/v1/photos`, and the order of a pet's: what was uploaded.

use axum::extract::{Path, State};
use petspark_core::UploadId;
use petspark_core::media::MediaError;

use super::pets::{pet_id, tagged};
use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::etag::Tagged;
use crate::extract::{Json, Query, Signed};
use crate::wire::{Data, DuplicateBody, Duplicates, List, OrderBody, Pet, Photo, PhotoQuery, Success};

fn photo_id(text: &str) -> Result<UploadId, ApiError> {
    text.parse().map_err(|_| MediaError::PhotoNotFound.into())
}

/// Photos that the caller may see, newest first.
#[utoipa::path(get, path = "/photos", operation_id = "listPhotos", tag = "photos", params(PhotoQuery), responses(
    (status = 200, description = "A page of photos", body = List<Photo>),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
    (status = 404, description = "PHOTO_001: of a pet that the caller may not see", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    Signed(caller): Signed,
    Query(query): Query<PhotoQuery>,
) -> Result<List<Photo>, ApiError> {
    let (filter, page) = query.check()?;
    let photos = app.petspark().media().list(&caller, filter, &page).await?;
    Ok(List::of(photos, |photo| Photo::of(photo, &caller)))
}

/// One photo.
#[utoipa::path(get, path = "/photos/{id}", operation_id = "getPhoto", tag = "photos",
    params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The photo", body = Data<Photo>),
    (status = 404, description = "PHOTO_001: no such photo, or none the caller may see", body = ErrorBody),
))]
pub(super) async fn get(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Data<Photo>, ApiError> {
    let photo = app.petspark().media().get(&caller, photo_id(&id)?).await?;
    Ok(Data { data: Photo::of(photo, &caller) })
}

/// Delete a photo, with everything that was made of it.
#[utoipa::path(delete, path = "/photos/{id}", operation_id = "deletePhoto", tag = "photos",
    params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "It is gone", body = Data<Success>),
    (status = 403, description = "PHOTO_002: not yours", body = ErrorBody),
    (status = 404, description = "PHOTO_001", body = ErrorBody),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().media().delete(&caller, photo_id(&id)?).await?;
    Ok(Success::YES)
}

/// Photos with the same bytes, or that look alike.
#[utoipa::path(post, path = "/photos/check-duplicate", operation_id = "findDuplicates", tag = "photos", request_body = DuplicateBody, responses(
    (status = 200, description = "Photos like it, among one's own", body = Data<Duplicates>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 404, description = "UPLOAD_003: no such upload of yours", body = ErrorBody),
))]
pub(super) async fn duplicates(
    State(app): State<App>,
    Signed(caller): Signed,
    Json(body): Json<DuplicateBody>,
) -> Result<Data<Duplicates>, ApiError> {
    let found = app.petspark().media().duplicates(&caller, &body.sought()?, body.everywhere).await?;
    Ok(Data { data: found.into() })
}

/// Put the photos of a pet of one's own in another order.
#[utoipa::path(put, path = "/pets/{id}/photos/order", operation_id = "orderPhotos", tag = "photos",
    params(("id" = String, Path, format = "uuid")), request_body = OrderBody, responses(
    (status = 200, description = "The pet as it is now", body = Data<Pet>, headers(("ETag" = String, description = "Names this form of the pet"))),
    (status = 400, description = "UPLOAD_001: a photo that the pet shows is missing, or one is there twice or of another", body = ErrorBody),
    (status = 403, description = "PET_002: not your pet", body = ErrorBody),
    (status = 404, description = "PET_001: no such pet, or none the caller may see", body = ErrorBody),
))]
pub(super) async fn order(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    Json(body): Json<OrderBody>,
) -> Result<Tagged<Pet>, ApiError> {
    let pet = app.petspark().media().order(&caller, pet_id(&id)?, &body.ids()?).await?;
    Ok(tagged(pet, &caller, app.petspark().clock().now(), &app))
}
