//! `/api/v1/uploads`: announcing, sending and completing files.

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::response::IntoResponse;
use futures_util::TryStreamExt as _;
use http::{StatusCode, header};
use http_body_util::Limited;
use petspark_core::media::NewUpload;
use petspark_core::{FieldErrors, Once};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Idempotent, Json, Signed, interrupted};
use crate::wire::{CompleteBody, Data, Photo, Replayed, Reserved, SignBody, Success};

/// Announce a file, and hear where to send it.
#[utoipa::path(post, path = "/uploads/sign-url", operation_id = "signUpload", tag = "uploads", params(Idempotent), request_body = SignBody, responses(
    (status = 201, description = "Where to send it, within ten minutes", body = Data<Reserved>, headers(
        ("Idempotency-Replayed" = bool, description = "true when the key was used before: this is that place"))),
    (status = 400, description = "UPLOAD_001: what was said of the file", body = ErrorBody),
    (status = 403, description = "UPLOAD_002: not your pet", body = ErrorBody),
    (status = 404, description = "UPLOAD_003: the key stands for a place that is gone", body = ErrorBody),
    (status = 409, description = "UPLOAD_006: no room for more; IDEMPOTENCY_KEY_REUSED: the key was used for another file", body = ErrorBody),
    (status = 413, description = "PAYLOAD_TOO_LARGE: over 10 MiB", body = ErrorBody),
))]
pub(super) async fn sign(
    State(app): State<App>,
    Signed(caller): Signed,
    Idempotent(key): Idempotent,
    Json(body): Json<SignBody>,
) -> Result<impl IntoResponse, ApiError> {
    let Once { result, replayed } = app.petspark().media().reserve_once(&caller, &body.into(), key.as_ref()).await?;
    Ok((StatusCode::CREATED, Replayed(replayed), Data { data: Reserved::from(result) }))
}

/// Say that an announced file was sent, and have it looked at.
#[utoipa::path(post, path = "/uploads/complete", operation_id = "completeUpload", tag = "uploads", request_body = CompleteBody, responses(
    (status = 200, description = "The photo, being made", body = Data<Photo>),
    (status = 404, description = "UPLOAD_003: nothing that you announced", body = ErrorBody),
    (status = 409, description = "UPLOAD_004: nothing was sent", body = ErrorBody),
    (status = 422, description = "UPLOAD_005: it is not what was announced, and was removed", body = ErrorBody),
))]
pub(super) async fn complete(
    State(app): State<App>,
    Signed(caller): Signed,
    Json(body): Json<CompleteBody>,
) -> Result<Data<Photo>, ApiError> {
    let (upload_type, pet_id) = (body.upload_type.as_deref(), body.pet_id.as_deref());
    let photo = app.petspark().media().complete(&caller, &body.key, upload_type, pet_id).await?;
    Ok(Data { data: Photo::of(photo, &caller) })
}

/// Announce, send and complete a file in one request: `uploadType`, `petId` and then `file`.
#[utoipa::path(post, path = "/uploads", operation_id = "upload", tag = "uploads", params(Idempotent),
    request_body(content_type = "multipart/form-data", content = inline(Object),
        description = "The fields uploadType and, for a photo of a pet, petId; after them file, with a file name and a type"),
    responses(
    (status = 201, description = "The photo, being made", body = Data<Photo>, headers(
        ("Idempotency-Replayed" = bool, description = "true when the key was used before: this is what was uploaded then"))),
    (status = 400, description = "VALIDATION_FAILED; UPLOAD_001: the file did not arrive completely", body = ErrorBody),
    (status = 403, description = "UPLOAD_002: not your pet", body = ErrorBody),
    (status = 404, description = "PHOTO_001: the key stands for an upload that was deleted", body = ErrorBody),
    (status = 409, description = "UPLOAD_006: no room for more; IDEMPOTENCY_KEY_REUSED: the key was used for another file", body = ErrorBody),
    (status = 413, description = "PAYLOAD_TOO_LARGE: over 10 MiB", body = ErrorBody),
    (status = 422, description = "UPLOAD_005: it is not what it is said to be", body = ErrorBody),
))]
pub(super) async fn upload(
    State(app): State<App>,
    Signed(caller): Signed,
    Idempotent(key): Idempotent,
    request: Request,
) -> Result<impl IntoResponse, ApiError> {
    let media = app.petspark().media();
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let most = usize::try_from(media.max_upload()).unwrap_or(usize::MAX).saturating_add(MAX_AROUND);
    let request = request.map(|body| Body::new(Limited::new(body, most)));
    let mut parts = Multipart::from_request(request, &()).await.map_err(|refused| {
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", refused.body_text())
    })?;
    let mut new = NewUpload { file_size: media.max_upload().min(length.unwrap_or(u64::MAX)), ..NewUpload::default() };
    while let Some(part) = parts.next_field().await.map_err(|error| interrupted(&error))? {
        match part.name().unwrap_or_default() {
            "uploadType" => new.upload_type = short_text(part).await?,
            "petId" => new.pet_id = Some(short_text(part).await?),
            "file" => {
                new.file_name = part.file_name().unwrap_or_default().to_owned();
                new.file_type = part.content_type().unwrap_or_default().to_owned();
                let file = part.map_err(std::io::Error::other);
                let Once { result, replayed } = media.upload_once(&caller, &new, file, key.as_ref()).await?;
                return Ok((StatusCode::CREATED, Replayed(replayed), Data { data: Photo::of(result, &caller) }));
            }
            _ => {}
        }
    }
    Err(ApiError::invalid_fields(&FieldErrors::one("file", "is required, after the other fields")))
}

/// What a form may have beside its file, in bytes: fields, and the lines above each part, which are read before
/// anybody looks at them.
const MAX_AROUND: usize = 64 << 10;
/// Longest text field, in bytes; the longest that means anything is an id.
const MAX_FIELD: usize = 200;

async fn short_text(mut field: Field<'_>) -> Result<String, ApiError> {
    let name = field.name().unwrap_or_default().to_owned();
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| interrupted(&error))? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_FIELD {
            return Err(ApiError::invalid_fields(&FieldErrors::one(&name, "is too long")));
        }
    }
    String::from_utf8(text).map_err(|_| ApiError::invalid_fields(&FieldErrors::one(&name, "must be text")))
}

/// Delete an upload, completed or not, with everything that was made of it.
#[utoipa::path(delete, path = "/uploads/{*key}", operation_id = "deleteUpload", tag = "uploads",
    params(("key" = String, Path, description = "Its key, slashes included")), responses(
    (status = 200, description = "It is gone", body = Data<Success>),
    (status = 404, description = "UPLOAD_003: nothing of yours", body = ErrorBody),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(key): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().media().delete_by_key(&caller, &key).await?;
    Ok(Success::YES)
}
