//! All SQL of users. Decides nothing.

use sqlx::{QueryBuilder, query, query_as, query_scalar};

use crate::auth::UserFilter;
use crate::auth::user::{DisplayName, Email, Role, User, UserStatus};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;
use crate::page::{Key, PageRequest};

/// A user to be stored.
pub(crate) struct NewUserRow {
    pub(crate) id: UserId,
    pub(crate) email: Email,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) password_hash: Option<String>,
    pub(crate) display_name: DisplayName,
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
}

/// Stores users whose id and e-mail are free, and says how many those were.
pub(crate) async fn insert_users(tx: &mut Tx, users: &[NewUserRow]) -> Result<u64, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO users (id, email, email_verified_at, password_hash, display_name, role, status, \
             created_at, updated_at, last_seen_at) ",
        );
        sql.push_values(users, |mut row, user| {
            row.push_bind(user.id).push_bind(user.email.as_str().to_owned()).push_bind(user.email_verified_at)
                .push_bind(user.password_hash.clone()).push_bind(user.display_name.as_str().to_owned())
                .push_bind(user.role).push_bind(UserStatus::Active).push_bind(user.created_at)
                .push_bind(user.created_at).push_bind(None::<Timestamp>);
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(conn).await?.rows_affected()
    }))
}

#[derive(sqlx::FromRow)]
pub(in crate::auth) struct LoginRow {
    #[sqlx(flatten)]
    pub(in crate::auth) user: User,
    pub(in crate::auth) password_hash: Option<String>,
    pub(in crate::auth) session_version: i64,
}

pub(in crate::auth) async fn find_login(db: &Database, email: &Email) -> Result<Option<LoginRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                password_hash, session_version \
         FROM users WHERE email = $1 AND deleted_at IS NULL"
    ).bind(email.as_str()).fetch_optional(pool).await)?)
}

/// The same by id, in a transaction.
pub(in crate::auth) async fn find_login_by_id(tx: &mut Tx, id: UserId) -> Result<Option<LoginRow>, Fault> {
    Ok(on!(tx, conn => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at, \
                password_hash, session_version \
         FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(conn).await)?)
}

pub(in crate::auth) async fn find_password_hash(db: &Database, id: UserId) -> Result<Option<String>, Fault> {
    let hash: Option<Option<String>> = on_reader!(db, pool => query_scalar(
        "SELECT password_hash FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(pool).await)?;
    Ok(hash.flatten())
}

pub(in crate::auth) async fn find_user(db: &Database, id: UserId) -> Result<Option<User>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at \
         FROM users WHERE id = $1 AND deleted_at IS NULL"
    ).bind(id).fetch_optional(pool).await)?)
}

/// The pattern for LIKE of what begins with `text`.
fn beginning(text: &str) -> String {
    let plain = text.trim().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("{plain}%")
}

/// Users, newest first: one more than the page has, to see whether there are more.
pub(in crate::auth) async fn list_users(
    db: &Database,
    filter: &UserFilter,
    page: &PageRequest,
    after: Option<Key<UserId>>,
) -> Result<Vec<User>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT id, email, email_verified_at, display_name, avatar, role, status, created_at, updated_at, last_seen_at \
             FROM users WHERE deleted_at IS NULL",
        );
        if let Some(q) = &filter.q {
            // `lower` of SQLite knows ASCII only; a name with other letters is found as it is written.
            sql.push(" AND (email LIKE ").push_bind(beginning(&q.to_lowercase()))
                .push(" ESCAPE '!' OR lower(display_name) LIKE ").push_bind(beginning(&q.to_lowercase()))
                .push(" ESCAPE '!' OR display_name LIKE ").push_bind(beginning(q)).push(" ESCAPE '!')");
        }
        if let Some(role) = filter.role {
            sql.push(" AND role = ").push_bind(role);
        }
        if let Some(status) = filter.status {
            sql.push(" AND status = ").push_bind(status);
        }
        if let Some(verified) = filter.verified {
            sql.push(if verified { " AND email_verified_at IS NOT NULL" } else { " AND email_verified_at IS NULL" });
        }
        if let Some(created_after) = filter.created_after {
            sql.push(" AND created_at > ").push_bind(created_after);
        }
        if let Some(Key { at, id }) = after {
            sql.push(" AND (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit()) + 1);
        if let Some(offset) = page.offset() {
            sql.push(" OFFSET ").push_bind(i64::from(offset));
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

pub(in crate::auth) async fn count_users(db: &Database) -> Result<u64, Fault> {
    let count: i64 = on_reader!(db, pool => query_scalar("SELECT count(*) FROM users").fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Replaces a hash, unless it was replaced by somebody else meanwhile.
pub(in crate::auth) async fn replace_password_hash(tx: &mut Tx, id: UserId, old: &str, new: &str) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
        .bind(new).bind(id).bind(old).execute(conn).await.map(drop))?;
    Ok(())
}

pub(in crate::auth) async fn touch_user(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE users SET last_seen_at = $1 WHERE id = $2")
        .bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Ends a suspension whose time is over, and says whether it was one.
pub(in crate::auth) async fn end_suspension(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE users SET status = 'active', suspended_until = NULL, status_reason = NULL, updated_at = $2 \
         WHERE id = $1 AND status = 'suspended' AND suspended_until <= $2"
    ).bind(id).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Whether there is an active administrator besides `id`.
pub(in crate::auth) async fn has_other_admin(tx: &mut Tx, id: UserId) -> Result<bool, Fault> {
    // SQLite doesn't see by itself that an admin is among those whom the index has.
    let count: i64 = on!(tx, conn => query_scalar(
        "SELECT count(*) FROM users WHERE role <> 'user' AND role = 'admin' AND status = 'active' AND deleted_at IS NULL AND id <> $1"
    ).bind(id).fetch_one(conn).await)?;
    Ok(count > 0)
}
