//! `/api/v1/pets`: pets.

use axum::extract::{OriginalUri, Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use petspark_core::pets::{self, PetError};
use petspark_core::{Caller, PetId, Timestamp};

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::etag::{IfMatch, Known, Tagged};
use crate::extract::{Idempotent, Json, Query, Signed};
use crate::wire::{Breed, BreedQuery, Data, List, Pet, PetBody, PetQuery, Replayed, Success};

/// What is no id is the id of nothing.
pub(super) fn pet_id(text: &str) -> Result<PetId, ApiError> {
    text.parse().map_err(|_| PetError::NotFound.into())
}

/// A pet as it looks to `viewer` at the time `now`.
pub(super) fn tagged(pet: pets::Pet, viewer: &Caller, now: Timestamp, app: &App) -> Tagged<Pet> {
    Tagged::new(pet.version, Pet::of(pet, viewer, now, app.links()))
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
    Ok(List::of(pets, |pet| Pet::of(pet, &caller, now, app.links())))
}

/// Add a pet of one's own.
#[utoipa::path(post, path = "/pets", operation_id = "createPet", tag = "pets", params(Idempotent), request_body = PetBody, responses(
    (status = 201, description = "The pet", body = Data<Pet>, headers(
        ("Location" = String, description = "Its address"), ("ETag" = String, description = "Names this form of the pet"),
        ("Idempotency-Replayed" = bool, description = "true when the key was used before: this is the first answer again"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 409, description = "IDEMPOTENCY_KEY_REUSED: the key was used for another request", body = ErrorBody),
))]
pub(super) async fn create(
    State(app): State<App>,
    Signed(caller): Signed,
    Idempotent(key): Idempotent,
    OriginalUri(uri): OriginalUri,
    Json(body): Json<PetBody>,
) -> Result<impl IntoResponse, ApiError> {
    let created = app.petspark().pets().create_once(&caller, body.into(), key.as_ref()).await?;
    let pet = created.result;
    // Not a fixed path: the router may be nested in another.
    let location = format!("{}/{}", uri.path(), pet.id);
    // As it looked then: a replay is the same to the letter.
    let added = pet.created_at;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Replayed(created.replayed),
        tagged(pet, &caller, added, &app),
    ))
}

/// Breeds to suggest for what somebody typed, the best first. Any text can be a pet's breed all the same.
#[utoipa::path(get, path = "/pets/breeds", operation_id = "listBreeds", tag = "pets", params(BreedQuery), responses(
    (status = 200, description = "Breeds of the species", body = Data<Vec<Breed>>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
))]
pub(super) async fn breeds(
    State(app): State<App>,
    Signed(caller): Signed,
    Query(query): Query<BreedQuery>,
) -> Result<Data<Vec<Breed>>, ApiError> {
    let (species, typed, limit) = query.check()?;
    let breeds = app.petspark().pets().breeds(&caller, species, &typed, limit).await?;
    Ok(Data { data: breeds.into_iter().map(Breed::from).collect() })
}

/// One pet.
#[utoipa::path(get, path = "/pets/{id}", operation_id = "getPet", tag = "pets",
    params(("id" = String, Path, format = "uuid"), Known), responses(
    (status = 200, description = "The pet", body = Data<Pet>, headers(("ETag" = String, description = "Names this form of the pet"))),
    (status = 304, description = "It is as the client has it"),
    (status = 404, description = "PET_001: no such pet, or none the caller may see", body = ErrorBody),
))]
pub(super) async fn get(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    known: Known,
) -> Result<Tagged<Pet>, ApiError> {
    let pet = app.petspark().pets().get(&caller, pet_id(&id)?).await?;
    Ok(tagged(pet, &caller, app.petspark().clock().now(), &app).unless(known))
}

/// Change the fields that are sent; null clears, others stay. The same as PATCH.
#[utoipa::path(put, path = "/pets/{id}", operation_id = "replacePet", tag = "pets",
    params(("id" = String, Path, format = "uuid"), IfMatch), request_body = PetBody, responses(
    (status = 200, description = "The pet as it is now", body = Data<Pet>, headers(("ETag" = String, description = "Names this form of the pet"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PET_002: not yours; PET_003: banned", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
))]
pub(super) async fn put(
    state: State<App>,
    caller: Signed,
    id: Path<String>,
    expected: IfMatch,
    body: Json<PetBody>,
) -> Result<Tagged<Pet>, ApiError> {
    patch(state, caller, id, expected, body).await
}

/// Change the fields that are sent; null clears, others stay.
#[utoipa::path(patch, path = "/pets/{id}", operation_id = "updatePet", tag = "pets",
    params(("id" = String, Path, format = "uuid"), IfMatch), request_body = PetBody, responses(
    (status = 200, description = "The pet as it is now", body = Data<Pet>, headers(("ETag" = String, description = "Names this form of the pet"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PET_002: not yours; PET_003: banned", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
))]
pub(super) async fn patch(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Json(body): Json<PetBody>,
) -> Result<Tagged<Pet>, ApiError> {
    let pet = app.petspark().pets().update_expected(&caller, pet_id(&id)?, body.into(), &expected).await?;
    Ok(tagged(pet, &caller, app.petspark().clock().now(), &app))
}

/// Delete a pet; it can be restored for 30 days.
#[utoipa::path(delete, path = "/pets/{id}", operation_id = "deletePet", tag = "pets",
    params(("id" = String, Path, format = "uuid"), IfMatch), responses(
    (status = 200, description = "It is gone", body = Data<Success>),
    (status = 403, description = "PET_002: not yours", body = ErrorBody),
    (status = 404, description = "PET_001", body = ErrorBody),
    (status = 412, description = "PRECONDITION_FAILED", body = ErrorBody),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<Success, ApiError> {
    app.petspark().pets().delete_expected(&caller, pet_id(&id)?, &expected).await?;
    Ok(Success::YES)
}

/// Take the deletion of a pet back, for 30 days. It is as it was: a banned one is still banned.
#[utoipa::path(post, path = "/pets/{id}/restore", operation_id = "restorePet", tag = "pets",
    params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The pet", body = Data<Pet>, headers(("ETag" = String, description = "Names this form of the pet"))),
    (status = 404, description = "PET_001: not deleted, deleted too long ago, or not yours", body = ErrorBody),
    (status = 409, description = "PET_005: your plan has no room for it", body = ErrorBody),
))]
pub(super) async fn restore(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Tagged<Pet>, ApiError> {
    let pet = app.petspark().pets().restore(&caller, pet_id(&id)?).await?;
    Ok(tagged(pet, &caller, app.petspark().clock().now(), &app))
}
