//! All SQL of pets. Decides nothing.

use sqlx::types::Json;
use sqlx::{QueryBuilder, query, query_as, query_scalar};

use super::fields::CheckedPet;
use super::pet::Pet;
use super::{PetFilter, Sort};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::page::{Key, PageRequest};
use crate::text::fold;

/// Must stay one literal with the one in [`find_pet`]: SQL is not glued together at run time
/// where it needn't be.
const SELECT_PETS: &str = "SELECT p.id, p.owner_id, u.display_name AS owner_display_name, p.name, p.species, p.breed, \
     p.birth_date, p.birth_date_is_estimate, p.gender, p.size, p.personality, p.bio, p.verified, p.status, \
     p.version, p.created_at, p.updated_at \
     FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL";

pub(crate) struct NewPetRow {
    pub(crate) id: PetId,
    pub(crate) owner_id: UserId,
    pub(crate) fields: CheckedPet,
    pub(crate) created_at: Timestamp,
}

/// Stores pets whose ids are free, and says how many those were. `prefix` of the statement is
/// shared by one pet and by many.
macro_rules! insert_statement {
    ($pets:expr) => {{
        let mut sql = QueryBuilder::new(
            "INSERT INTO pets (id, owner_id, name, species, breed, breed_key, birth_date, birth_date_is_estimate, \
             gender, size, personality, bio, status, created_at, updated_at) ",
        );
        sql.push_values($pets, |mut row, pet| {
            let fields = &pet.fields;
            row.push_bind(pet.id)
                .push_bind(pet.owner_id)
                .push_bind(fields.name.clone())
                .push_bind(fields.species)
                .push_bind(fields.breed.clone())
                .push_bind(fields.breed.as_deref().map(fold))
                .push_bind(fields.birth.date)
                .push_bind(fields.birth.is_estimate)
                .push_bind(fields.gender)
                .push_bind(fields.size)
                .push_bind(Json(fields.personality.clone()))
                .push_bind(fields.bio.clone())
                .push_bind(fields.status)
                .push_bind(pet.created_at)
                .push_bind(pet.created_at);
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql
    }};
}

pub(crate) async fn insert_pets(tx: &mut Tx, pets: &[NewPetRow]) -> Result<u64, Fault> {
    Ok(on!(tx, conn => insert_statement!(pets).build().execute(conn).await?.rows_affected()))
}

pub(super) async fn insert_pet(db: &Database, pet: &NewPetRow) -> Result<(), Fault> {
    on_writer!(db, pool => insert_statement!([pet]).build().execute(pool).await.map(drop))?;
    Ok(())
}

pub(super) async fn find_pet(db: &Database, id: PetId) -> Result<Option<Pet>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT p.id, p.owner_id, u.display_name AS owner_display_name, p.name, p.species, p.breed, \
         p.birth_date, p.birth_date_is_estimate, p.gender, p.size, p.personality, p.bio, p.verified, p.status, \
         p.version, p.created_at, p.updated_at \
         FROM pets p JOIN users u ON u.id = p.owner_id WHERE p.deleted_at IS NULL AND p.id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

/// Replaces a pet's fields if it still has this version, and says whether it had.
pub(super) async fn update_pet(
    db: &Database,
    id: PetId,
    version: i64,
    fields: &CheckedPet,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE pets SET name = $1, species = $2, breed = $3, breed_key = $4, birth_date = $5, \
             birth_date_is_estimate = $6, gender = $7, size = $8, personality = $9, bio = $10, status = $11, \
             updated_at = $12, version = version + 1 \
         WHERE id = $13 AND version = $14 AND deleted_at IS NULL"
    )
        .bind(&fields.name).bind(fields.species).bind(&fields.breed)
        .bind(fields.breed.as_deref().map(fold)).bind(fields.birth.date).bind(fields.birth.is_estimate)
        .bind(fields.gender).bind(fields.size).bind(Json(&fields.personality)).bind(&fields.bio)
        .bind(fields.status).bind(now).bind(id).bind(version)
        .execute(pool).await?.rows_affected() > 0))
}

/// Marks a pet as deleted; its row stays until it is purged.
pub(super) async fn delete_pet(db: &Database, id: PetId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query(
        "UPDATE pets SET deleted_at = $1, updated_at = $1, version = version + 1 WHERE id = $2 AND deleted_at IS NULL"
    ).bind(now).bind(id).execute(pool).await?.rows_affected() > 0))
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

/// Appends the conditions of a filter to a statement on either engine.
macro_rules! push_filter {
    ($sql:expr, $filter:expr) => {{
        let (sql, filter): (&mut QueryBuilder<_>, &PetFilter) = ($sql, $filter);
        if let Some(owner) = filter.owner {
            sql.push(" AND p.owner_id = ").push_bind(owner);
        }
        if let Some(species) = filter.species {
            sql.push(" AND p.species = ").push_bind(species);
        }
        if let Some(breed) = &filter.breed {
            sql.push(" AND p.breed_key = ").push_bind(fold(breed));
        }
        if let Some(gender) = filter.gender {
            sql.push(" AND p.gender = ").push_bind(gender);
        }
        if let Some(size) = filter.size {
            sql.push(" AND p.size = ").push_bind(size);
        }
        if let Some(status) = filter.status {
            sql.push(" AND p.status = ").push_bind(status);
        }
    }};
}

/// Pets in the filter's order: one more than the page has, to see whether there are more.
pub(super) async fn list_pets(
    db: &Database,
    filter: &PetFilter,
    page: &PageRequest,
    after: Option<Key<PetId>>,
) -> Result<Vec<Pet>, Fault> {
    let (comparison, order) = match filter.sort {
        Sort::Newest => ("<", "DESC"),
        Sort::Oldest => (">", "ASC"),
    };
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(SELECT_PETS);
        push_filter!(&mut sql, filter);
        if let Some(Key { at, id }) = after {
            sql.push(format_args!(" AND (p.created_at, p.id) {comparison} ("))
                .push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(format_args!(" ORDER BY p.created_at {order}, p.id {order} LIMIT "))
            .push_bind(i64::from(page.limit()) + 1);
        if let Some(offset) = page.offset() {
            sql.push(" OFFSET ").push_bind(i64::from(offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

pub(super) async fn count_pets(db: &Database, filter: &PetFilter) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM pets p WHERE p.deleted_at IS NULL");
        push_filter!(&mut sql, filter);
        sql.build_query_scalar().fetch_one(pool).await?
    });
    Ok(u64::try_from(count).unwrap_or(0))
}

/// How many pets there are, deleted ones included.
pub(super) async fn count_all(db: &Database) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar("SELECT count(*) FROM pets").fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}
