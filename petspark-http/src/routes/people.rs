//! `/api/v1/users`: what people say of themselves, the archive of everything, and leaving.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use petspark_core::auth::Password;
use serde_json::{Map, Value};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::etag::{IfMatch, Known, Tagged};
use crate::extract::{AUTH_BODY, Json, Signed};
use crate::transport::{Transport, WithCookie};
use crate::wire::{Data, Deletion, DeletionBody, Profile, ProfileBody};

/// What the caller says of themselves.
#[utoipa::path(get, path = "/users/profile", operation_id = "getProfile", tag = "users", params(Known), responses(
    (status = 200, description = "The caller's profile", body = Data<Profile>, headers(("ETag" = String, description = "Names this form of it"))),
    (status = 304, description = "It is as the client has it"),
))]
pub(super) async fn profile(
    State(app): State<App>,
    Signed(caller): Signed,
    known: Known,
) -> Result<Tagged<Profile>, ApiError> {
    let profile = app.petspark().people().profile(&caller).await?;
    Ok(Tagged::new(profile.version, profile.into()).unless(known))
}

/// Change the fields that are sent; null clears, others stay. The same as PATCH.
#[utoipa::path(put, path = "/users/profile", operation_id = "replaceProfile", tag = "users",
    params(IfMatch), request_body = ProfileBody, responses(
    (status = 200, description = "The profile as it is now", body = Data<Profile>, headers(("ETag" = String, description = "Names this form of it"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
))]
pub(super) async fn put_profile(
    state: State<App>,
    caller: Signed,
    expected: IfMatch,
    body: Json<ProfileBody, AUTH_BODY>,
) -> Result<Tagged<Profile>, ApiError> {
    patch_profile(state, caller, expected, body).await
}

/// Change the fields that are sent; null clears, others stay.
#[utoipa::path(patch, path = "/users/profile", operation_id = "updateProfile", tag = "users",
    params(IfMatch), request_body = ProfileBody, responses(
    (status = 200, description = "The profile as it is now", body = Data<Profile>, headers(("ETag" = String, description = "Names this form of it"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
))]
pub(super) async fn patch_profile(
    State(app): State<App>,
    Signed(caller): Signed,
    IfMatch(expected): IfMatch,
    Json(body): Json<ProfileBody, AUTH_BODY>,
) -> Result<Tagged<Profile>, ApiError> {
    let profile = app.petspark().people().change_profile_expected(&caller, body.into(), &expected).await?;
    Ok(Tagged::new(profile.version, profile.into()))
}

/// What the caller's apps remember for them.
#[utoipa::path(get, path = "/users/preferences", operation_id = "getPreferences", tag = "users", params(Known), responses(
    (status = 200, description = "Any object; empty at first", body = Data<Object>, headers(("ETag" = String, description = "Names this form of it"))),
    (status = 304, description = "It is as the client has it"),
))]
pub(super) async fn preferences(
    State(app): State<App>,
    Signed(caller): Signed,
    known: Known,
) -> Result<Tagged<Map<String, Value>>, ApiError> {
    let preferences = app.petspark().people().preferences(&caller).await?;
    Ok(Tagged::new(preferences.version, preferences.values).unless(known))
}

/// Replace what the caller's apps remember for them.
#[utoipa::path(put, path = "/users/preferences", operation_id = "replacePreferences", tag = "users",
    params(IfMatch), request_body(content = Object, description = "Any object of at most 16 KiB"), responses(
    (status = 200, description = "As stored", body = Data<Object>, headers(("ETag" = String, description = "Names this form of it"))),
    (status = 400, description = "VALIDATION_FAILED: no object, or with a NUL character in it", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
    (status = 413, description = "PAYLOAD_TOO_LARGE", body = ErrorBody),
))]
pub(super) async fn put_preferences(
    State(app): State<App>,
    Signed(caller): Signed,
    IfMatch(expected): IfMatch,
    Json(body): Json<Map<String, Value>, AUTH_BODY>,
) -> Result<Tagged<Map<String, Value>>, ApiError> {
    let preferences = app.petspark().people().set_preferences_expected(&caller, body, &expected).await?;
    Ok(Tagged::new(preferences.version, preferences.values))
}

/// Everything that is kept about the caller, as a file to keep.
#[utoipa::path(get, path = "/users/export", operation_id = "exportAccount", tag = "users", responses(
    (status = 200, description = "Account, profile, preferences, sessions, links, pets, activity", body = Data<Object>,
        headers(("Content-Disposition" = String, description = "Names the file"))),
    (status = 403, description = "AUTH_013: signed in too long ago", body = ErrorBody),
))]
pub(super) async fn export(State(app): State<App>, Signed(caller): Signed) -> Result<impl IntoResponse, ApiError> {
    let archive = app.petspark().people().export_own(&caller).await?;
    let disposition = format!("attachment; filename=\"petspark-{}.json\"", archive.created_at.date());
    Ok(([(header::CONTENT_DISPOSITION, disposition)], Data { data: archive }))
}

/// Delete the caller's account: signed out at once, erased after some days with everything that
/// is theirs.
#[utoipa::path(delete, path = "/users/me", operation_id = "deleteAccount", tag = "users", request_body = DeletionBody, responses(
    (status = 200, description = "Deleted, and when it is erased", body = Data<Deletion>),
    (status = 403, description = "AUTH_017: the password is wrong; AUTH_013: signed in with a second factor too long ago", body = ErrorBody),
    (status = 409, description = "ADMIN_002: the last administrator", body = ErrorBody),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Signed(caller): Signed,
    transport: Transport,
    Json(body): Json<DeletionBody, AUTH_BODY>,
) -> Result<WithCookie<Data<Deletion>>, ApiError> {
    let deleted = app.petspark().people().delete_own(&caller, Password::new(body.password)).await?;
    Ok(transport.gone(Data { data: deleted.into() }))
}
