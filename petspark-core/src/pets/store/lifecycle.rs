//! The SQL of what happens to pets when nobody changes them: coming back, going for good, being
//! found by today's rules. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::text::fold;

/// Restores a pet that was deleted at `since` or later, and says whose it is. Those of a deleted
/// account are not there.
pub(in crate::pets) async fn restore_pet(
    tx: &mut Tx,
    id: PetId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<UserId>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE pets SET deleted_at = NULL, updated_at = $1, version = version + 1 \
         WHERE id = $2 AND deleted_at >= $3 \
           AND EXISTS (SELECT 1 FROM users u WHERE u.id = pets.owner_id AND u.deleted_at IS NULL) \
         RETURNING owner_id"
    ).bind(now).bind(id).bind(since).fetch_all(conn).await)?
    .pop())
}

/// Removes some pets that were deleted before that time, but none of a deleted account; says how
/// many those were.
pub(in crate::pets) async fn purge_pets(tx: &mut Tx, before: Timestamp, at_most: i64) -> Result<u64, Fault> {
    // The first condition is there twice: PostgreSQL looks at it again if a row changed meanwhile.
    Ok(on!(tx, conn => query(
        "DELETE FROM pets WHERE deleted_at < $1 AND id IN (\
             SELECT p.id FROM pets p JOIN users u ON u.id = p.owner_id \
             WHERE p.deleted_at < $1 AND u.deleted_at IS NULL ORDER BY p.deleted_at LIMIT $2)"
    ).bind(before).bind(at_most).execute(conn).await?.rows_affected()))
}

/// How many pets those are altogether.
pub(in crate::pets) async fn count_purgeable(db: &Database, before: Timestamp) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar(
        "SELECT count(*) FROM pets p JOIN users u ON u.id = p.owner_id \
         WHERE p.deleted_at < $1 AND u.deleted_at IS NULL"
    ).bind(before).fetch_one(pool).await)?;
    Ok(count.unsigned_abs())
}

/// What a pet is found by, and what it is made of.
#[derive(sqlx::FromRow)]
pub(in crate::pets) struct SearchedTexts {
    pub(in crate::pets) number: i64,
    version: i64,
    name: String,
    name_key: String,
    breed: Option<String>,
    breed_key: Option<String>,
    bio: Option<String>,
    bio_key: Option<String>,
}

impl SearchedTexts {
    pub(in crate::pets) fn is_folded(&self) -> bool {
        self.name_key == fold(&self.name)
            && self.breed_key == self.breed.as_deref().map(fold)
            && self.bio_key == self.bio.as_deref().map(fold)
    }
}

/// Pets in the order in which they were added, deleted or not, from after a number.
pub(in crate::pets) async fn pets_to_refold(
    db: &Database,
    after: i64,
    at_most: i64,
) -> Result<Vec<SearchedTexts>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT number, version, name, name_key, breed, breed_key, bio, bio_key FROM pets \
         WHERE number > $1 ORDER BY number LIMIT $2"
    ).bind(after).bind(at_most).fetch_all(pool).await)?)
}

/// Makes a pet found by today's rules, unless it was changed since it was read: then it is. It is
/// the same pet as before, so its version stays.
pub(in crate::pets) async fn refold_pet(tx: &mut Tx, pet: &SearchedTexts) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE pets SET name_key = $1, breed_key = $2, bio_key = $3 WHERE number = $4 AND version = $5"
    )
        .bind(fold(&pet.name)).bind(pet.breed.as_deref().map(fold)).bind(pet.bio.as_deref().map(fold))
        .bind(pet.number).bind(pet.version).execute(conn).await?.rows_affected()))
}
