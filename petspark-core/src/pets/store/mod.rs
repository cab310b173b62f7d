//! All SQL of pets: here one pet, in `list` many. Decides nothing.

/// The columns of a [`Pet`], where `p` is the pet and `u` its owner.
macro_rules! pet_columns {
    () => {
        "p.id, p.owner_id, u.display_name AS owner_display_name, p.name, p.species, p.breed, p.birth_date, \
         p.birth_date_is_estimate, p.gender, p.size, p.personality, p.bio, p.city, p.country, p.shown_latitude, \
         p.shown_longitude, p.latitude, p.longitude, p.verified, p.status, p.favorite_count, p.photos, \
         u.avatar AS owner_avatar, p.version, \
         p.created_at, p.updated_at"
    };
}
pub(super) use pet_columns;

mod lifecycle;
mod list;
mod oversight;
mod transfer;

pub(super) use lifecycle::{count_purgeable, pets_to_refold, purge_pets, refold_pet, restore_pet};
#[cfg(feature = "testing")]
pub(super) use list::explain_list;
pub(super) use list::{Order, Selection, count_pets, list_pets};
pub(super) use oversight::{hold_pet, mark_deleted, remove_pet, set_status};
use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
pub(crate) use transfer::stored_pets_of;
pub(super) use transfer::{find_owners, find_stored, known_ids, stored_pets};

use super::fields::CheckedPet;
use super::pet::{Pet, Species};
use super::place::Coordinates;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::people::unless_blocked;
use crate::text::fold;

pub(crate) struct NewPetRow {
    pub(crate) id: PetId,
    pub(crate) owner_id: UserId,
    pub(crate) fields: CheckedPet,
    pub(crate) created_at: Timestamp,
    /// What a pet has that is not new.
    pub(crate) past: Past,
}

pub(crate) struct Past {
    pub(crate) verified: bool,
    pub(crate) version: i64,
    pub(crate) updated_at: Timestamp,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl NewPetRow {
    pub(crate) fn new(id: PetId, owner_id: UserId, fields: CheckedPet, created_at: Timestamp) -> Self {
        let past = Past { verified: false, version: 1, updated_at: created_at, deleted_at: None };
        Self { id, owner_id, fields, created_at, past }
    }
}

/// What is stored of a place.
#[derive(Clone, Copy, Default)]
struct PlaceColumns {
    latitude: Option<f64>,
    longitude: Option<f64>,
    shown_latitude: Option<f64>,
    shown_longitude: Option<f64>,
    band: Option<i64>,
    x: Option<f64>,
    y: Option<f64>,
    z: Option<f64>,
}

impl PlaceColumns {
    fn of(pet: PetId, exact: Option<Coordinates>) -> Self {
        let Some(exact) = exact else { return Self::default() };
        let shown = exact.shown(pet);
        let [x, y, z] = shown.on_unit_sphere();
        Self {
            latitude: Some(exact.latitude()),
            longitude: Some(exact.longitude()),
            shown_latitude: Some(shown.latitude()),
            shown_longitude: Some(shown.longitude()),
            band: Some(shown.band()),
            x: Some(x),
            y: Some(y),
            z: Some(z),
        }
    }
}

/// Those who add a pet of this owner's do so one after the other.
pub(super) async fn take_turns(tx: &mut Tx, owner: UserId) -> Result<(), Fault> {
    tx.take_turns(&format!("pets of {owner}")).await
}

/// How many pets somebody has, deleted ones not included.
pub(super) async fn count_pets_of(tx: &mut Tx, owner: UserId) -> Result<u64, Fault> {
    let count: i64 = on!(tx, conn => query_scalar("SELECT count(*) FROM pets WHERE owner_id = $1 AND deleted_at IS NULL")
        .bind(owner).fetch_one(conn).await)?;
    Ok(count.unsigned_abs())
}

/// Stores pets whose ids are free, and says how many those were.
pub(crate) async fn insert_pets(tx: &mut Tx, pets: &[NewPetRow]) -> Result<u64, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO pets (id, owner_id, name, name_key, species, breed, breed_key, birth_date, \
             birth_date_is_estimate, gender, size, personality, bio, bio_key, city, country, latitude, longitude, \
             shown_latitude, shown_longitude, latitude_band, place_x, place_y, place_z, status, created_at, \
             updated_at, verified, version, deleted_at) ",
        );
        sql.push_values(pets, |mut row, pet| {
            let fields = &pet.fields;
            let place = PlaceColumns::of(pet.id, fields.location.exact);
            row.push_bind(pet.id)
                .push_bind(pet.owner_id)
                .push_bind(fields.name.as_str())
                .push_bind(fold(&fields.name))
                .push_bind(fields.species)
                .push_bind(fields.breed.as_deref())
                .push_bind(fields.breed.as_deref().map(fold))
                .push_bind(fields.birth.date)
                .push_bind(fields.birth.is_estimate)
                .push_bind(fields.gender)
                .push_bind(fields.size)
                .push_bind(Json(&fields.personality))
                .push_bind(fields.bio.as_deref())
                .push_bind(fields.bio.as_deref().map(fold))
                .push_bind(fields.location.city.as_deref())
                .push_bind(fields.location.country.as_deref())
                .push_bind(place.latitude)
                .push_bind(place.longitude)
                .push_bind(place.shown_latitude)
                .push_bind(place.shown_longitude)
                .push_bind(place.band)
                .push_bind(place.x)
                .push_bind(place.y)
                .push_bind(place.z)
                .push_bind(fields.status)
                .push_bind(pet.created_at)
                .push_bind(pet.past.updated_at)
                .push_bind(pet.past.verified)
                .push_bind(pet.past.version)
                .push_bind(pet.past.deleted_at);
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(conn).await?.rows_affected()
    }))
}

macro_rules! find_statement {
    ($id:expr, $viewer:expr) => {
        query_as(concat!(
            "SELECT ",
            pet_columns!(),
            " FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL AND p.id = $1",
            unless_blocked!("$2")
        ))
        .bind($id)
        .bind($viewer)
    };
}

/// A pet, unless there is a block between its owner and `viewer`.
pub(super) async fn find_pet(db: &Database, id: PetId, viewer: Option<UserId>) -> Result<Option<Pet>, Fault> {
    Ok(on_reader!(db, pool => find_statement!(id, viewer).fetch_optional(pool).await)?)
}

/// The same in a transaction, which sees what it wrote itself.
pub(super) async fn find_own_pet(tx: &mut Tx, id: PetId) -> Result<Option<Pet>, Fault> {
    Ok(on!(tx, conn => find_statement!(id, None::<UserId>).fetch_optional(conn).await)?)
}

/// Replaces a pet's fields if it still has this version, and says whether it had.
pub(super) async fn update_pet(
    tx: &mut Tx,
    id: PetId,
    version: i64,
    fields: &CheckedPet,
    now: Timestamp,
) -> Result<bool, Fault> {
    let place = PlaceColumns::of(id, fields.location.exact);
    Ok(on!(tx, conn => query(
        "UPDATE pets SET name = $1, species = $2, breed = $3, breed_key = $4, birth_date = $5, \
             birth_date_is_estimate = $6, gender = $7, size = $8, personality = $9, bio = $10, status = $11, \
             updated_at = $12, name_key = $13, bio_key = $14, city = $15, country = $16, latitude = $17, \
             longitude = $18, shown_latitude = $19, shown_longitude = $20, latitude_band = $21, place_x = $22, \
             place_y = $23, place_z = $24, version = version + 1 \
         WHERE id = $25 AND version = $26 AND deleted_at IS NULL"
    )
        .bind(&fields.name).bind(fields.species).bind(&fields.breed).bind(fields.breed.as_deref().map(fold))
        .bind(fields.birth.date).bind(fields.birth.is_estimate).bind(fields.gender).bind(fields.size)
        .bind(Json(&fields.personality)).bind(&fields.bio).bind(fields.status).bind(now).bind(fold(&fields.name))
        .bind(fields.bio.as_deref().map(fold)).bind(&fields.location.city).bind(&fields.location.country)
        .bind(place.latitude).bind(place.longitude).bind(place.shown_latitude).bind(place.shown_longitude)
        .bind(place.band).bind(place.x).bind(place.y).bind(place.z).bind(id).bind(version)
        .execute(conn).await?.rows_affected() > 0))
}

/// Marks a pet as deleted if it still has this version, and says whether it had; its row stays until
/// it is purged.
pub(super) async fn delete_pet(tx: &mut Tx, id: PetId, version: i64, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE pets SET deleted_at = $1, updated_at = $1, version = version + 1 \
         WHERE id = $2 AND version = $3 AND deleted_at IS NULL"
    ).bind(now).bind(id).bind(version).execute(conn).await?.rows_affected() > 0))
}

/// Bans a pet, deleted or not: it would come back as it was.
pub(crate) async fn ban(tx: &mut Tx, id: PetId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE pets SET status = 'banned', updated_at = $1, version = version + 1 WHERE id = $2 AND status <> 'banned'"
    ).bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// The little of a pet by which its owner knows which it is.
#[derive(sqlx::FromRow)]
pub(crate) struct Sketch {
    pub(crate) owner_id: UserId,
    pub(crate) species: Species,
    pub(crate) created_at: Timestamp,
}

/// A pet, deleted or not.
pub(crate) async fn find_sketch(tx: &mut Tx, id: PetId) -> Result<Option<Sketch>, Fault> {
    Ok(on!(tx, conn => query_as("SELECT owner_id, species, created_at FROM pets WHERE id = $1")
        .bind(id).fetch_optional(conn).await)?)
}

/// Marks every pet of an owner who leaves as deleted; says how many those were.
pub(crate) async fn delete_pets_of(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE pets SET deleted_at = $1, updated_at = $1, version = version + 1 \
         WHERE owner_id = $2 AND deleted_at IS NULL"
    ).bind(now).bind(owner).execute(conn).await?.rows_affected()))
}

/// Takes that back for an owner who left at `deleted_at`; pets that were deleted before stay deleted.
pub(crate) async fn restore_pets_of(tx: &mut Tx, owner: UserId, deleted_at: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE pets SET deleted_at = NULL, version = version + 1 WHERE owner_id = $1 AND deleted_at = $2"
    ).bind(owner).bind(deleted_at).execute(conn).await.map(drop))?;
    Ok(())
}

/// How many pets there are, deleted ones included.
pub(super) async fn count_all(db: &Database) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar("SELECT count(*) FROM pets").fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}
