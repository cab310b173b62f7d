//! Pets on the wire.

use petspark_core::Caller;
use petspark_core::media::Links;
use petspark_core::pets::{self, Gender, LocationFields, Patch, PetFields, PetStatus, Size, Species};
use petspark_core::{PetId, Timestamp, UserId};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::{PetPhoto, sent, words};

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
    /// Those that are approved, in their order.
    photos: Vec<PetPhoto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    verified: bool,
    #[schema(value_type = words::PetStatus)]
    status: PetStatus,
    /// How many people have it among their favourites. Only its owner is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    favorite_count: Option<u64>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
    owner: Owner,
}

/// Where a pet lives, as far as its owner said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// With `roundedLng` a point about a kilometre around the exact one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded_lat: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounded_lng: Option<f64>,
    /// Whole kilometres from `near` to the rounded point; only in such a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_km: Option<u32>,
    /// Only for the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    /// Only for the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
}

impl Location {
    fn of(pet: &pets::Pet, viewer: &Caller) -> Option<Self> {
        let (shown, exact) = (pet.location.shown(), pet.exact_coordinates(viewer));
        pet.location.is_known().then(|| Self {
            city: pet.location.city.clone(),
            country: pet.location.country.clone(),
            rounded_lat: shown.map(|point| point.latitude()),
            rounded_lng: shown.map(|point| point.longitude()),
            distance_km: pet.distance_km,
            latitude: exact.map(|point| point.latitude()),
            longitude: exact.map(|point| point.longitude()),
        })
    }
}

/// The little of an owner that others may know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

impl Pet {
    /// `pet` as it looks to `viewer` at the time `now`; `links` knows where its photos are.
    #[must_use]
    pub fn of(pet: pets::Pet, viewer: &Caller, now: Timestamp, links: &Links) -> Self {
        let photos = pet.photos().iter().enumerate();
        let photos =
            photos.map(|(order, photo)| PetPhoto::of(photo, order, links.variants(&pet, photo, now))).collect();
        let avatar_url = pet.owner_avatar.as_deref().map(|avatar| links.avatar(avatar));
        Self {
            favorite_count: pet.favorite_count(viewer),
            location: Location::of(&pet, viewer),
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
            photos,
            verified: pet.verified,
            status: pet.status,
            created_at: pet.created_at,
            updated_at: pet.updated_at,
            owner: Owner { id: pet.owner_id, display_name: pet.owner_display_name, avatar_url },
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
    /// Replaced as a whole.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<LocationBody>)]
    location: Option<Option<LocationBody>>,
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
    #[serde(rename = "favoriteCount")]
    #[schema(read_only, required = false, value_type = i64)]
    _favorite_count: Option<IgnoredAny>,
    #[serde(rename = "createdAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _created_at: Option<IgnoredAny>,
    #[serde(rename = "updatedAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _updated_at: Option<IgnoredAny>,
}

/// Where a pet lives. Without coordinates it isn't found near a place.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LocationBody {
    /// Together with `longitude`. Others are told a point about a kilometre around.
    #[schema(minimum = -90, maximum = 90)]
    latitude: Option<f64>,
    #[schema(minimum = -180, maximum = 180)]
    longitude: Option<f64>,
    #[schema(max_length = 80)]
    city: Option<String>,
    #[schema(max_length = 80)]
    country: Option<String>,
    #[serde(rename = "roundedLat")]
    #[schema(read_only, required = false, value_type = f64)]
    _rounded_lat: Option<IgnoredAny>,
    #[serde(rename = "roundedLng")]
    #[schema(read_only, required = false, value_type = f64)]
    _rounded_lng: Option<IgnoredAny>,
    #[serde(rename = "distanceKm")]
    #[schema(read_only, required = false, value_type = u32)]
    _distance_km: Option<IgnoredAny>,
}

impl From<LocationBody> for LocationFields {
    fn from(body: LocationBody) -> Self {
        Self { latitude: body.latitude, longitude: body.longitude, city: body.city, country: body.country }
    }
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
            location: patch(body.location.map(|location| location.map(LocationFields::from))),
            status: patch(body.status),
        }
    }
}
