//! The SQL that takes pets out and in: many at a time, by their numbers and ids. Decides nothing.

use sqlx::{QueryBuilder, query_as};

use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::pets::stored::StoredPet;

/// The columns of a [`StoredPet`], before what they are asked for.
macro_rules! select_stored {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, owner_id, name, species, breed, birth_date, birth_date_is_estimate, gender, size, \
             personality, bio, city, country, latitude, longitude, verified, status, version, created_at, updated_at, \
             deleted_at FROM pets ",
            $rest
        )
    };
}

pub(in crate::pets) async fn find_stored(db: &Database, id: PetId) -> Result<Option<StoredPet>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_stored!("WHERE id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// Pets in the order in which they were added, deleted or not, from after a number.
pub(in crate::pets) async fn stored_pets(db: &Database, after: i64, at_most: i64) -> Result<Vec<StoredPet>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_stored!("WHERE number > $1 ORDER BY number LIMIT $2"))
        .bind(after).bind(at_most).fetch_all(pool).await)?)
}

/// The pets of an owner, deleted or not.
pub(crate) async fn stored_pets_of(db: &Database, owner: UserId) -> Result<Vec<StoredPet>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_stored!("WHERE owner_id = $1 ORDER BY created_at, id"))
        .bind(owner).fetch_all(pool).await)?)
}

/// Somebody who may be an owner.
#[derive(sqlx::FromRow)]
pub(in crate::pets) struct Owner {
    pub(in crate::pets) id: UserId,
    pub(in crate::pets) email: String,
    pub(in crate::pets) is_deleted: bool,
}

/// Those of these users that there are.
pub(in crate::pets) async fn find_owners(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = UserId> + Clone,
    emails: impl IntoIterator<Item = String> + Clone,
) -> Result<Vec<Owner>, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new("SELECT id, email, deleted_at IS NOT NULL AS is_deleted FROM users WHERE id IN ");
        sql.push("(NULL");
        for id in ids.clone() {
            sql.push(", ").push_bind(id);
        }
        sql.push(") OR email IN (NULL");
        for email in emails.clone() {
            sql.push(", ").push_bind(email);
        }
        sql.push(")").build_query_as().fetch_all(conn).await?
    }))
}

/// Those of these ids that pets have.
pub(in crate::pets) async fn known_ids(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = PetId> + Clone,
) -> Result<Vec<PetId>, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new("SELECT id FROM pets WHERE id IN ");
        sql.push("(NULL");
        for id in ids.clone() {
            sql.push(", ").push_bind(id);
        }
        sql.push(")").build_query_scalar().fetch_all(conn).await?
    }))
}
