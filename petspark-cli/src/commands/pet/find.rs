//! `pet list` and `pet show`.

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::pets::{Coordinates, Near, Pet, PetError, PetFilter, PetStatus, Sort, Species, StoredPet};
use petspark_core::{FieldErrors, PetId, Timestamp, UserId};
use serde::Serialize;

use super::{id, pet_id};
use crate::commands::args::{one_of, page, page_options};
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn commands() -> [Command; 2] {
    let option = |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let words = |all: &'static [Species]| all.iter().map(|word| word.as_str());
    [
        Command::new("list")
            .about("List pets, the newest first unless said otherwise")
            .arg(option("owner", "ID|EMAIL", "Only of this user"))
            .arg(
                option("species", "SPECIES", "Only of this species")
                    .value_parser(one_of::<Species>(words(Species::ALL))),
            )
            .arg(option("breed", "BREED", "Only of this breed"))
            .arg(
                option("status", "STATUS", "Only with this status [default: active; of one user, all]")
                    .value_parser(one_of::<PetStatus>(PetStatus::ALL.iter().map(|status| status.as_str()))),
            )
            .arg(option("query", "WORDS", "Only with these words in name, breed or bio"))
            .arg(
                option("near", "LAT,LNG", "Only around this place, the nearest first")
                    .allow_hyphen_values(true)
                    .value_parser(|text: &str| text.parse::<Coordinates>()),
            )
            .arg(
                option("radius", "KM", "How far around, from 1 to 500 [default: 50]")
                    .requires("near")
                    .value_parser(value_parser!(f64)),
            )
            .arg(
                option("sort", "ORDER", "In which order")
                    .allow_hyphen_values(true)
                    .value_parser(one_of::<Sort>(Sort::ALL.iter().map(|sort| sort.as_str()))),
            )
            .args(page_options()),
        Command::new("show")
            .about("Show everything of a pet, deleted or not, also where exactly it lives")
            .arg(id().required(true)),
    ]
}

/// A pet as the tool lists it.
#[derive(Serialize)]
struct Shown {
    id: PetId,
    owner_id: UserId,
    name: String,
    species: Species,
    breed: Option<String>,
    status: PetStatus,
    city: Option<String>,
    country: Option<String>,
    distance_km: Option<u32>,
    created_at: Timestamp,
}

impl Shown {
    fn of(pet: Pet) -> Self {
        Self {
            id: pet.id,
            owner_id: pet.owner_id,
            name: pet.name,
            species: pet.species,
            breed: pet.breed,
            status: pet.status,
            city: pet.location.city,
            country: pet.location.country,
            distance_km: pet.distance_km,
            created_at: pet.created_at,
        }
    }
}

const COLUMNS: &[Column<Shown>] = &[
    ("id", |pet| pet.id.to_string()),
    ("name", |pet| pet.name.clone()),
    ("species", |pet| pet.species.to_string()),
    ("breed", |pet| pet.breed.clone().unwrap_or_default()),
    ("status", |pet| pet.status.to_string()),
    ("city", |pet| pet.city.clone().unwrap_or_default()),
    ("km", |pet| pet.distance_km.map(|km| km.to_string()).unwrap_or_default()),
    ("owner", |pet| pet.owner_id.to_string()),
    ("created_at", |pet| pet.created_at.to_string()),
];

pub(super) async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, petspark, page) = (cx.caller(), cx.petspark().await?, page(args)?);
    let owner = match args.get_one::<String>("owner") {
        Some(who) => Some(petspark.auth().get_user(&caller, who).await?.id),
        None => None,
    };
    let radius = args.get_one("radius").copied().unwrap_or(Near::DEFAULT_RADIUS_KM);
    let near = match args.get_one::<Coordinates>("near") {
        Some(center) => Some(
            Near::new(*center, radius)
                .ok_or_else(|| PetError::Invalid(FieldErrors::one("radius", "must be from 1 to 500")))?,
        ),
        None => None,
    };
    let filter = PetFilter {
        owner,
        species: args.get_one("species").copied(),
        breed: args.get_one("breed").cloned(),
        status: args.get_one("status").copied(),
        q: args.get_one("query").cloned(),
        near,
        sort: args.get_one("sort").copied(),
        ..PetFilter::default()
    };
    let pets = petspark.pets().list(&caller, filter, &page).await?.map(Shown::of);
    let next = pets.next_cursor.as_deref();
    Ok(Outcome::page("petspark.pet.list/v1", "pets", &pets.items, next, COLUMNS))
}

pub(super) async fn show(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let pet: StoredPet = cx.petspark().await?.pets().stored(&cx.caller(), pet_id(args)?).await?;
    Ok(Outcome::record("petspark.pet.show/v1", &pet, super::csv::COLUMNS))
}
