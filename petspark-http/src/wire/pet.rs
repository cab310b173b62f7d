//! Pets on the wire.

use petspark_core::pets::{self, Gender, Patch, PetFields, PetFilter, PetStatus, Size, Species};
use petspark_core::{FieldErrors, PageRequest, PetId, Timestamp, UserId};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::{page_request, sent, words};
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
    #[schema(value_type = words::Species)]
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
    #[schema(value_type = words::Gender)]
    gender: Gender,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Size>)]
    size: Option<Size>,
    personality: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bio: Option<String>,
    /// Empty until photos can be uploaded.
    #[schema(value_type = Vec<Object>)]
    photos: [(); 0],
    verified: bool,
    #[schema(value_type = words::PetStatus)]
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

/// A pet to be added or changed. What is not sent stays as it is; null clears. What only the
/// server sets is taken and ignored, so that a pet can be sent back as it was read.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PetBody {
    /// Required for a new pet.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50, example = "Rex")]
    name: Option<Option<String>>,
    /// Required for a new pet.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<words::Species>)]
    species: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 80, example = "Beagle")]
    breed: Option<Option<String>>,
    /// Not in the future, at most 80 years ago.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, format = "date", max_length = 10, example = "2021-05-30")]
    birth_date: Option<Option<String>>,
    /// Full years, when the birth date isn't known.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 80)]
    age: Option<Option<i64>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<words::Gender>)]
    gender: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<words::Size>)]
    size: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    personality: Option<Option<Traits>>,
    #[serde(default, deserialize_with = "sent", alias = "description")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    bio: Option<Option<String>>,
    /// active or hidden; banned is for moderators.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<words::PetStatus>)]
    status: Option<Option<String>>,
    #[serde(rename = "id")]
    #[schema(read_only, required = false, value_type = String, format = "uuid")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "ownerId")]
    #[schema(read_only, required = false, value_type = String, format = "uuid")]
    _owner_id: Option<IgnoredAny>,
    #[serde(rename = "owner")]
    #[schema(required = false, schema_with = read_only_object)]
    _owner: Option<IgnoredAny>,
    #[serde(rename = "photos")]
    #[schema(required = false, schema_with = read_only_list)]
    _photos: Option<IgnoredAny>,
    #[serde(rename = "verified")]
    #[schema(read_only, required = false, value_type = bool)]
    _verified: Option<IgnoredAny>,
    #[serde(rename = "createdAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _created_at: Option<IgnoredAny>,
    #[serde(rename = "updatedAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _updated_at: Option<IgnoredAny>,
}

// utoipa drops `read_only` of anything but plain types.
fn read_only_object() -> Object {
    ObjectBuilder::new().read_only(true).build()
}

fn read_only_list() -> Object {
    ObjectBuilder::new().schema_type(Type::Array).read_only(true).build()
}

/// Traits as they were sent, of which core takes ten at most. A few more are read, as it drops
/// repetitions; then the list is refused unread: 10 MiB of `"",` would be gigabytes of strings.
struct Traits(Vec<String>);

const MAX_TRAITS_READ: usize = 64;

impl<'de> Deserialize<'de> for Traits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Traits;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Traits, A::Error> {
                let mut traits = Vec::new();
                while traits.len() < MAX_TRAITS_READ {
                    match list.next_element()? {
                        Some(text) => traits.push(text),
                        None => return Ok(Traits(traits)),
                    }
                }
                match list.next_element::<IgnoredAny>()? {
                    Some(_) => Err(serde::de::Error::custom("must be at most 10")),
                    None => Ok(Traits(traits)),
                }
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
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
            personality: patch(body.personality.map(|traits| traits.map(|Traits(list)| list))),
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
    #[param(value_type = Option<words::Species>)]
    species: Option<String>,
    /// Only of this breed; case doesn't matter.
    breed: Option<String>,
    /// Only of this gender.
    #[param(value_type = Option<words::Gender>)]
    gender: Option<String>,
    /// Only of this size.
    #[param(value_type = Option<words::Size>)]
    size: Option<String>,
    /// Only with this status. Without it active ones; of one's own, all.
    #[param(value_type = Option<words::PetStatus>)]
    status: Option<String>,
    /// Without it, -createdAt.
    #[param(value_type = Option<words::PetSort>)]
    sort: Option<String>,
    /// Most pets in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// For old clients: skip this many, and tell the total.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
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
