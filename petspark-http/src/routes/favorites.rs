//! `/api/v1/pets/{id}/favorite` and `/api/v1/users/favorites`: pets that the caller likes.

use axum::extract::{Path, State};

use super::pets::pet_id;
use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Query, Signed};
use crate::wire::{Data, List, PageQuery, Pet, Success};

/// Put a pet among the caller's favourites. Doing it again changes nothing.
#[utoipa::path(put, path = "/pets/{id}/favorite", operation_id = "addFavorite", tag = "pets", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "It is a favourite", body = Data<Success>),
    (status = 404, description = "PET_001: no such pet, or none the caller may see", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().pets().add_favorite(&caller, pet_id(&id)?).await?;
    Ok(Success::YES)
}

/// Take a pet from the caller's favourites. Doing it again changes nothing.
#[utoipa::path(delete, path = "/pets/{id}/favorite", operation_id = "removeFavorite", tag = "pets", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "It is no favourite", body = Data<Success>),
    (status = 404, description = "PET_001: neither a favourite nor a pet the caller may see", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().pets().remove_favorite(&caller, pet_id(&id)?).await?;
    Ok(Success::YES)
}

/// The caller's favourites, the last chosen first. One that they may not see any more is left out.
#[utoipa::path(get, path = "/users/favorites", operation_id = "listFavorites", tag = "users", params(PageQuery), responses(
    (status = 200, description = "A page of pets", body = List<Pet>),
    (status = 400, description = "VALIDATION_FAILED: the limit or the cursor", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    Signed(caller): Signed,
    Query(query): Query<PageQuery>,
) -> Result<List<Pet>, ApiError> {
    let pets = app.petspark().pets().favorites(&caller, &query.check()?).await?;
    let now = app.petspark().clock().now();
    Ok(List::of(pets, |pet| Pet::of(pet, &caller, now, app.links())))
}
