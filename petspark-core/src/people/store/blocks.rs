//! The SQL of blocks, and the condition by which lists of pets heed them. Decides nothing.

use sqlx::{QueryBuilder, query, query_as};

use crate::clock::Timestamp;
use crate::database::{Database, on_reader, on_writer};
use crate::error::Fault;
use crate::id::UserId;
use crate::page::{Key, PageRequest};
use crate::people::blocks::Blocked;

/// The condition that there is no block between the owner of the pet `p` and a viewer, for the
/// end of a statement; `$viewer` is the literal of their parameter. Nobody's blocks (NULL) are none.
macro_rules! unless_blocked {
    ($viewer:literal) => {
        concat!(
            " AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = ",
            $viewer,
            " AND b.blocked_id = p.owner_id) \
             AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocked_id = ",
            $viewer,
            " AND b.blocker_id = p.owner_id)"
        )
    };
}
pub(crate) use unless_blocked;

/// Appends [`unless_blocked`] to a statement on either engine, for an `Option<UserId>`.
macro_rules! push_unless_blocked {
    ($sql:expr, $viewer:expr) => {
        if let Some(viewer) = $viewer {
            for (n, part) in $crate::people::unless_blocked!("$").split('$').enumerate() {
                if n > 0 {
                    $sql.push_bind(viewer);
                }
                $sql.push(part);
            }
        }
    };
}
pub(crate) use push_unless_blocked;

/// Says whether there is a new block; there is none for somebody who isn't there or is blocked
/// already, nor beyond `at_most` of one user.
pub(in crate::people) async fn add_block(
    db: &Database,
    blocker: UserId,
    blocked: UserId,
    at_most: i64,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on_writer!(db, pool => query(
        "INSERT INTO blocks (blocker_id, blocked_id, created_at) \
         SELECT $1, id, $3 FROM users WHERE id = $2 AND deleted_at IS NULL \
             AND (SELECT count(*) FROM blocks WHERE blocker_id = $1) < $4 \
         ON CONFLICT DO NOTHING"
    ).bind(blocker).bind(blocked).bind(now).bind(at_most).execute(pool).await?.rows_affected() > 0))
}

/// Whether there is such a user, and whether `blocker` blocks them.
pub(in crate::people) async fn is_blocked(db: &Database, blocker: UserId, user: UserId) -> Result<Option<bool>, Fault> {
    let found: Option<(bool,)> = on_reader!(db, pool => query_as(
        "SELECT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) \
         FROM users WHERE id = $2 AND deleted_at IS NULL"
    ).bind(blocker).bind(user).fetch_optional(pool).await)?;
    Ok(found.map(|(blocked,)| blocked))
}

pub(in crate::people) async fn remove_block(db: &Database, blocker: UserId, blocked: UserId) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2")
        .bind(blocker).bind(blocked).execute(pool).await.map(drop))?;
    Ok(())
}

/// Whom somebody blocks, the last first: one more than the page has.
pub(in crate::people) async fn list_blocked(
    db: &Database,
    blocker: UserId,
    page: &PageRequest,
    after: Option<Key<UserId>>,
) -> Result<Vec<Blocked>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT u.id, u.display_name, b.created_at FROM blocks b JOIN users u ON u.id = b.blocked_id \
             WHERE u.deleted_at IS NULL AND b.blocker_id = ",
        );
        sql.push_bind(blocker);
        if let Some(Key { at, id }) = after {
            sql.push(" AND (b.created_at, b.blocked_id) < (")
                .push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY b.created_at DESC, b.blocked_id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        sql.build_query_as().fetch_all(pool).await?
    }))
}
