//! Pets on the wire.

use petspark_core::pets::{self, Gender, Patch, PetFields, PetFilter, PetStatus, Size, Species};
use petspark_core::{FieldErrors, PageRequest, PetId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{page_request, sent};
use crate::error::ApiError;

/// A pet, as whoever may see it sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pet {
    #[schema(value_type = String, format = "uuid")]
    id: PetId,
    #[schema(value_type = String, format = "uuid")]
    owner_id: UserId,
    name: String,
    #[schema(value_type = String, example = "dog")]
    species: Species,
    #[serde(skip_serializing_if = "Option::is_none")]
    breed: Option<String>,
    /// Absent when only the age is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date", example = "2021-05-30")]
    birth_date: Option<String>,
    /// Full years.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u32>,
    #[schema(value_type = String, example = "female")]
    gender: Gender,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "medium")]
    size: Option<Size>,
    personality: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bio: Option<String>,
    /// Empty until photos can be uploaded.
    #[schema(value_type = Vec<Object>)]
    photos: [(); 0],
    verified: bool,
    #[schema(value_type = String, example = "active")]
    status: PetStatus,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
    owner: Owner,
}

/// The little of an owner that others may know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    display_name: String,
}

impl Pet {
    /// `pet` as it looks at the time `now`.
    #[must_use]
    pub fn of(pet: pets::Pet, now: Timestamp) -> Self {
        Self {
            id: pet.id,
            owner_id: pet.owner_id,
            birth_date: pet.birth_date.filter(|_| !pet.birth_date_is_estimate).map(|date| date.to_string()),
            age: pet.age(now.date()),
            name: pet.name,
            species: pet.species,
            breed: pet.breed,
            gender: pet.gender,
            size: pet.size,
            personality: pet.personality,
            bio: pet.bio,
            photos: [],
            verified: pet.verified,
            status: pet.status,
            created_at: pet.created_at,
            updated_at: pet.updated_at,
            owner: Owner { id: pet.owner_id, display_name: pet.owner_display_name },
        }
    }
}

/// A pet to be added or changed. What is not sent stays as it is; null clears.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PetBody {
    /// Required for a new pet.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50, example = "Rex")]
    name: Option<Option<String>>,
    /// Required for a new pet: dog, cat, bird, rabbit, rodent, reptile, fish, horse or other.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 10, example = "dog")]
    species: Option<Option<String>>,
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 80, example = "Beagle")]
    breed: Option<Option<String>>,
    /// Not in the future, at most 80 years ago.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, format = "date", max_length = 10, example = "2021-05-30")]
    birth_date: Option<Option<String>>,
    /// Full years, when the birth date isn't known.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 80)]
    age: Option<Option<i64>>,
    /// male, female or unknown.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 10, example = "female")]
    gender: Option<Option<String>>,
    /// small, medium, large or extra-large.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 20, example = "medium")]
    size: Option<Option<String>>,
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    personality: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "sent", alias = "description")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    bio: Option<Option<String>>,
    /// active or hidden; banned is for moderators.
    #[serde(deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 10, example = "active")]
    status: Option<Option<String>>,
}

fn patch<T>(field: Option<Option<T>>) -> Patch<T> {
    field.map_or(Patch::Keep, Patch::from_option)
}

impl From<PetBody> for PetFields {
    fn from(body: PetBody) -> Self {
        Self {
            name: patch(body.name),
            species: patch(body.species),
            breed: patch(body.breed),
            birth_date: patch(body.birth_date),
            age: patch(body.age),
            gender: patch(body.gender),
            size: patch(body.size),
            personality: patch(body.personality),
            bio: patch(body.bio),
            status: patch(body.status),
        }
    }
}

/// Which pets to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PetQuery {
    /// Only of this owner.
    #[param(format = "uuid")]
    owner_id: Option<String>,
    /// Only of this species.
    species: Option<String>,
    /// Only of this breed; case doesn't matter.
    breed: Option<String>,
    /// Only of this gender.
    gender: Option<String>,
    /// Only of this size.
    size: Option<String>,
    /// Only with this status. Without it active ones; of one's own, all.
    status: Option<String>,
    /// -createdAt (default) or createdAt.
    sort: Option<String>,
    /// Most pets in the page, 1 to 100, default 20.
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// For old clients: skip this many, 0 to 10000, and tell the total.
    offset: Option<String>,
}

impl PetQuery {
    pub(crate) fn check(self) -> Result<(PetFilter, PageRequest), ApiError> {
        fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
            errors: &mut FieldErrors,
            field: &str,
            text: Option<String>,
        ) -> Option<T> {
            text.and_then(|text| errors.check(field, text.parse()))
        }
        let mut errors = FieldErrors::default();
        let filter = PetFilter {
            owner: parsed(&mut errors, "ownerId", self.owner_id),
            species: parsed(&mut errors, "species", self.species),
            breed: self.breed,
            gender: parsed(&mut errors, "gender", self.gender),
            size: parsed(&mut errors, "size", self.size),
            status: parsed(&mut errors, "status", self.status),
            sort: parsed(&mut errors, "sort", self.sort).unwrap_or(pets::Sort::Newest),
        };
        let page = page_request(&mut errors, self.limit, self.cursor, self.offset);
        errors.finish(Some((filter, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}
