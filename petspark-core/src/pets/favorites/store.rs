//! All SQL of favourites. Decides nothing. `favorite_count` of a pet follows the rows by itself.

use sqlx::{QueryBuilder, query};

use crate::clock::Timestamp;
use crate::database::{Database, on_reader, on_writer};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::page::{Key, PageRequest};
use crate::people::push_unless_blocked;
use crate::pets::pet::{Pet, PetStatus};
use crate::pets::store::pet_columns;

/// A pet that somebody likes.
#[derive(sqlx::FromRow)]
pub(super) struct Favorite {
    #[sqlx(flatten)]
    pub(super) pet: Pet,
    pub(super) favorited_at: Timestamp,
}

/// Adds a favourite, unless it is one or the pet is gone.
pub(super) async fn insert(db: &Database, user: UserId, pet: PetId, now: Timestamp) -> Result<(), Fault> {
    on_writer!(db, pool => query(
        "INSERT INTO favorites (user_id, pet_id, created_at) \
         SELECT $1, id, $3 FROM pets WHERE id = $2 AND deleted_at IS NULL ON CONFLICT DO NOTHING"
    ).bind(user).bind(pet).bind(now).execute(pool).await.map(drop))?;
    Ok(())
}

/// Says whether it was a favourite.
pub(super) async fn delete(db: &Database, user: UserId, pet: PetId) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query("DELETE FROM favorites WHERE user_id = $1 AND pet_id = $2")
        .bind(user).bind(pet).execute(pool).await?.rows_affected() > 0))
}

/// Favourites of `user`, the last chosen first, without those of owners with whom `viewer` has a
/// block: one more than the page has.
pub(super) async fn list(
    db: &Database,
    user: UserId,
    viewer: Option<UserId>,
    hidden_too: bool,
    page: &PageRequest,
    after: Option<Key<PetId>>,
) -> Result<Vec<Favorite>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(concat!(
            "SELECT ", pet_columns!(), ", f.created_at AS favorited_at \
             FROM favorites f JOIN pets p ON p.id = f.pet_id JOIN users u ON u.id = p.owner_id \
             WHERE p.deleted_at IS NULL AND f.user_id = "
        ));
        sql.push_bind(user);
        if !hidden_too {
            sql.push(" AND (p.status = ").push_bind(PetStatus::Active)
                .push(" OR p.owner_id = ").push_bind(user).push(")");
        }
        push_unless_blocked!(sql, viewer);
        if let Some(Key { at, id }) = after {
            sql.push(" AND (f.created_at, f.pet_id) < (")
                .push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY f.created_at DESC, f.pet_id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        sql.build_query_as().fetch_all(pool).await?
    }))
}
