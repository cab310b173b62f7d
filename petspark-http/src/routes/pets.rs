//! `/api/v1/pets`: pets.

use axum::extract::{OriginalUri, Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use petspark_core::PetId;
use petspark_core::pets::PetError;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query, Signed};
use crate::wire::{Data, List, Pet, PetBody, PetQuery, Success};

/// What is no id is the id of nothing.
fn pet_id(text: &str) -> Result<PetId, ApiError> {
    text.parse().map_err(|_| PetError::NotFound.into())
}

/// Pets that the caller may see, newest first.
#[utoipa::path(get, path = "/pets", operation_id = "listPets", tag = "pets", params(PetQuery), responses(
    (status = 200, description = "A page of pets", body = List<Pet>),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    Signed(caller): Signed,
    Query(query): Query<PetQuery>,
) -> Result<List<Pet>, ApiError> {
    let (filter, page) = query.check()?;
    let pets = app.petspark().pets().list(&caller, filter, &page).await?;
    let now = app.petspark().clock().now();
    Ok(List::of(pets, |pet| Pet::of(pet, &caller, now)))
}

/// Add a pet of one's own.
#[utoipa::path(post, path = "/pets", operation_id = "createPet", tag = "pets", request_body = PetBody, responses(
    (status = 201, description = "The pet", body = Data<Pet>, headers(("Location" = String, description = "Its address"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
))]
pub(super) async fn create(
    State(app): State<App>,
    Signed(caller): Signed,
    OriginalUri(uri): OriginalUri,
    Json(body): Json<PetBody>,
) -> Result<impl IntoResponse, ApiError> {
    let pet = app.petspark().pets().create(&caller, body.into()).await?;
    // Not a fixed path: the router may be nested in another.
    let location = format!("{}/{}", uri.path(), pet.id);
    let data = Data { data: Pet::of(pet, &caller, app.petspark().clock().now()) };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], data))
}

/// One pet.
#[utoipa::path(get, path = "/pets/{id}", operation_id = "getPet", tag = "pets", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The pet", body = Data<Pet>),
    (status = 404, description = "PET_001: no such pet, or none the caller may see", body = ErrorBody),
))]
pub(super) async fn get(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Data<Pet>, ApiError> {
    let pet = app.petspark().pets().get(&caller, pet_id(&id)?).await?;
    Ok(Data { data: Pet::of(pet, &caller, app.petspark().clock().now()) })
}

/// Change the fields that are sent; null clears, others stay. The same as PATCH.
#[utoipa::path(put, path = "/pets/{id}", operation_id = "replacePet", tag = "pets", params(("id" = String, Path, format = "uuid")), request_body = PetBody, responses(
    (status = 200, description = "The pet as it is now", body = Data<Pet>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PET_002: not yours; PET_003: banned", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
))]
pub(super) async fn put(
    state: State<App>,
    caller: Signed,
    id: Path<String>,
    body: Json<PetBody>,
) -> Result<Data<Pet>, ApiError> {
    patch(state, caller, id, body).await
}

/// Change the fields that are sent; null clears, others stay.
#[utoipa::path(patch, path = "/pets/{id}", operation_id = "updatePet", tag = "pets", params(("id" = String, Path, format = "uuid")), request_body = PetBody, responses(
    (status = 200, description = "The pet as it is now", body = Data<Pet>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PET_002: not yours; PET_003: banned", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
))]
pub(super) async fn patch(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    Json(body): Json<PetBody>,
) -> Result<Data<Pet>, ApiError> {
    let pet = app.petspark().pets().update(&caller, pet_id(&id)?, body.into()).await?;
    Ok(Data { data: Pet::of(pet, &caller, app.petspark().clock().now()) })
}

/// Delete a pet.
#[utoipa::path(delete, path = "/pets/{id}", operation_id = "deletePet", tag = "pets", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "It is gone", body = Data<Success>),
    (status = 403, description = "PET_002: not yours", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    app.petspark().pets().delete(&caller, pet_id(&id)?).await?;
    Ok(Success::YES)
}
