//! `/api/v1/admin/users`: accounts, for administrators. Who may is decided in core.

use axum::extract::{Path, State};
use petspark_core::UserId;
use petspark_core::auth::{AuthError, Delivery};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query, SignedNow};
use crate::wire::{Data, Ended, List, Success, User, UserDetails, UserPatch, UserQuery};

/// What is no id is the id of nobody.
fn user_id(text: &str) -> Result<UserId, ApiError> {
    text.parse().map_err(|_| AuthError::UserNotFound.into())
}

/// Users, newest first.
#[utoipa::path(get, path = "/admin/users", operation_id = "listUsers", tag = "admin", params(UserQuery), responses(
    (status = 200, description = "A page of users", body = List<User>),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
    (status = 403, description = "ADMIN_001: not an administrator", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Query(query): Query<UserQuery>,
) -> Result<List<User>, ApiError> {
    let (filter, page) = query.check()?;
    let users = app.petspark().auth().list_users(&caller, &filter, &page).await?;
    Ok(List::of(users, |user| User::of(user, app.links())))
}

/// One user.
#[utoipa::path(get, path = "/admin/users/{id}", operation_id = "getUser", tag = "admin", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The user", body = Data<UserDetails>),
    (status = 403, description = "ADMIN_001: not an administrator", body = ErrorBody),
    (status = 404, description = "AUTH_007: no such user", body = ErrorBody),
))]
pub(super) async fn get(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
) -> Result<Data<UserDetails>, ApiError> {
    let details = app.petspark().auth().user_details(&caller, user_id(&id)?).await?;
    Ok(Data { data: UserDetails::of(details, app.links()) })
}

/// Change role or status. The user's sessions end, if they have another role then or may no
/// longer sign in.
#[utoipa::path(patch, path = "/admin/users/{id}", operation_id = "updateUser", tag = "admin", params(("id" = String, Path, format = "uuid")), request_body = UserPatch, responses(
    (status = 200, description = "The user as they are now", body = Data<User>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "ADMIN_001: not an administrator", body = ErrorBody),
    (status = 404, description = "AUTH_007: no such user", body = ErrorBody),
    (status = 409, description = "ADMIN_002: the last active administrator", body = ErrorBody),
))]
pub(super) async fn patch(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
    Json(body): Json<UserPatch>,
) -> Result<Data<User>, ApiError> {
    let changed = app.petspark().auth().change_user(&caller, user_id(&id)?, &body.check()?, false).await?;
    Ok(Data { data: User::of(changed.after, app.links()) })
}

/// Mail a user a link by which they set a new password.
#[utoipa::path(post, path = "/admin/users/{id}/reset-password", operation_id = "sendPasswordReset", tag = "admin", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The mail is on its way", body = Data<Success>),
    (status = 403, description = "ADMIN_001: not an administrator", body = ErrorBody),
    (status = 404, description = "AUTH_007: no such user", body = ErrorBody),
))]
pub(super) async fn reset_password(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().auth().send_reset_link(&caller, user_id(&id)?, Delivery::Mail).await?;
    Ok(Success::YES)
}

/// End all sessions of a user.
#[utoipa::path(delete, path = "/admin/users/{id}/sessions", operation_id = "endUserSessions", tag = "admin", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "They are signed out everywhere", body = Data<Ended>),
    (status = 403, description = "ADMIN_001: not an administrator", body = ErrorBody),
    (status = 404, description = "AUTH_007: no such user", body = ErrorBody),
))]
pub(super) async fn end_sessions(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
) -> Result<Data<Ended>, ApiError> {
    let ended = app.petspark().auth().end_sessions(&caller, user_id(&id)?, None).await?;
    Ok(Data { data: Ended::of(ended) })
}
