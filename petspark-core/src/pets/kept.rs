//! The form in which a pet is kept under an idempotency key. [`Pet`] has no JSON form of its own, on
//! purpose: it knows where exactly it lives, and who writes it somewhere shall have to say what.

use serde::{Deserialize, Serialize};
use time::Date;

use super::json::{day, degrees};
use super::pet::{Gender, Location, Pet, PetStatus, Size, Species};
use crate::clock::Timestamp;
use crate::id::{PetId, UserId};
use crate::media::ShownPhoto;

/// A pet to be kept.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Kept(#[serde(with = "KeptPet")] pub(super) Pet);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pet")]
struct KeptPet {
    id: PetId,
    owner_id: UserId,
    owner_display_name: String,
    name: String,
    species: Species,
    breed: Option<String>,
    #[serde(with = "day::option")]
    birth_date: Option<Date>,
    birth_date_is_estimate: bool,
    gender: Gender,
    size: Option<Size>,
    personality: Vec<String>,
    bio: Option<String>,
    #[serde(with = "KeptLocation")]
    location: Location,
    #[serde(skip)]
    distance_km: Option<u32>,
    verified: bool,
    status: PetStatus,
    /// Nobody likes a pet that is just being added.
    #[serde(skip)]
    favorite_count: i64,
    /// Nor has it photos, and its owner's picture is only theirs to see here.
    #[serde(skip)]
    photos: Option<Vec<ShownPhoto>>,
    #[serde(skip)]
    owner_avatar: Option<String>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Location")]
struct KeptLocation {
    city: Option<String>,
    country: Option<String>,
    #[serde(with = "degrees")]
    shown_latitude: Option<f64>,
    #[serde(with = "degrees")]
    shown_longitude: Option<f64>,
    #[serde(with = "degrees")]
    latitude: Option<f64>,
    #[serde(with = "degrees")]
    longitude: Option<f64>,
}
