//! `/api/v1/users/{id}/block` and `/api/v1/users/blocked`: whom the caller doesn't want to meet.

use axum::extract::{Path, State};
use petspark_core::UserId;
use petspark_core::people::BlockError;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Query, Signed};
use crate::wire::{Blocked, Data, List, PageQuery, Success};

/// What is no id is the id of nobody.
fn user_id(text: &str) -> Result<UserId, ApiError> {
    text.parse().map_err(|_| BlockError::NotFound.into())
}

/// Block a user: from now on neither sees the other's pets. Doing it again changes nothing.
#[utoipa::path(post, path = "/users/{id}/block", operation_id = "blockUser", tag = "users", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "They are blocked", body = Data<Success>),
    (status = 400, description = "VALIDATION_FAILED: oneself", body = ErrorBody),
    (status = 404, description = "AUTH_007: no such user", body = ErrorBody),
    (status = 409, description = "USER_001: 10,000 people are blocked already", body = ErrorBody),
))]
pub(super) async fn block(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().people().block(&caller, user_id(&id)?).await?;
    Ok(Success::YES)
}

/// Take a block back. Doing it again changes nothing.
#[utoipa::path(delete, path = "/users/{id}/block", operation_id = "unblockUser", tag = "users", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "They are not blocked", body = Data<Success>),
))]
pub(super) async fn unblock(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().people().unblock(&caller, user_id(&id)?).await?;
    Ok(Success::YES)
}

/// Whom the caller blocks, the last first.
#[utoipa::path(get, path = "/users/blocked", operation_id = "listBlocked", tag = "users", params(PageQuery), responses(
    (status = 200, description = "A page of users", body = List<Blocked>),
    (status = 400, description = "VALIDATION_FAILED: the limit or the cursor", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    Signed(caller): Signed,
    Query(query): Query<PageQuery>,
) -> Result<List<Blocked>, ApiError> {
    Ok(List::of(app.petspark().people().blocked(&caller, &query.check()?).await?, Blocked::from))
}
