//! The SQL of customers. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;

#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::billing) struct CustomerRow {
    pub(in crate::billing) stripe_id: String,
    pub(in crate::billing) user_id: Option<UserId>,
    pub(in crate::billing) deleted_at: Option<Timestamp>,
}

pub(in crate::billing) async fn customer_of(db: &Database, user: UserId) -> Result<Option<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT stripe_id FROM billing_customers WHERE user_id = $1 AND deleted_at IS NULL"
    ).bind(user).fetch_optional(pool).await)?)
}

pub(in crate::billing) async fn customer_by_id(db: &Database, id: &str) -> Result<Option<CustomerRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT stripe_id, user_id, deleted_at FROM billing_customers WHERE stripe_id = $1"
    ).bind(id).fetch_optional(pool).await)?)
}

/// Adds a customer, unless it is known or its user has another.
pub(in crate::billing) async fn insert_customer(
    tx: &mut Tx,
    id: &str,
    user: UserId,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    on!(tx, conn => query(
        "INSERT INTO billing_customers (stripe_id, user_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    ).bind(id).bind(user).bind(now).execute(conn).await.map(|done| done.rows_affected() > 0))
}

/// Says whose it was, if it wasn't marked before.
pub(in crate::billing) async fn mark_customer_deleted(
    tx: &mut Tx,
    id: &str,
    now: Timestamp,
) -> Result<Option<Option<UserId>>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE billing_customers SET deleted_at = $2 WHERE stripe_id = $1 AND deleted_at IS NULL RETURNING user_id"
    ).bind(id).bind(now).fetch_all(conn).await)?
    .pop())
}

/// Takes a mark back that a customer who is there got by mistake, unless its user has another; says whose it is.
pub(in crate::billing) async fn unmark_customer(tx: &mut Tx, id: &str) -> Result<Option<Option<UserId>>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "UPDATE billing_customers SET deleted_at = NULL WHERE stripe_id = $1 AND deleted_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM billing_customers o WHERE o.user_id = billing_customers.user_id \
             AND o.deleted_at IS NULL) RETURNING user_id"
    ).bind(id).fetch_all(conn).await)?
    .pop())
}

/// How many customers there are.
pub(in crate::billing) async fn count_customers(db: &Database) -> Result<i64, Fault> {
    let (count,): (i64,) = on_reader!(db, pool => query_as(
        "SELECT count(*) FROM billing_customers WHERE deleted_at IS NULL"
    ).fetch_one(pool).await)?;
    Ok(count)
}

/// Some of those that were made last.
pub(in crate::billing) async fn newest_customers(db: &Database, limit: i64) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT stripe_id FROM billing_customers WHERE deleted_at IS NULL ORDER BY created_at DESC, stripe_id LIMIT $1"
    ).bind(limit).fetch_all(pool).await)?)
}

/// Customers by their ids, those after one of them.
pub(in crate::billing) async fn customers_after(
    db: &Database,
    after: &str,
    limit: i64,
) -> Result<Vec<CustomerRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT stripe_id, user_id, deleted_at FROM billing_customers WHERE stripe_id > $1 ORDER BY stripe_id LIMIT $2"
    ).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// The address of somebody who isn't erased.
pub(in crate::billing) async fn email_of(db: &Database, user: UserId) -> Result<Option<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar("SELECT email FROM users WHERE id = $1")
        .bind(user).fetch_optional(pool).await)?)
}

/// Whether there is such a user who isn't deleted.
pub(in crate::billing) async fn live_user(db: &Database, user: UserId) -> Result<bool, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NULL)"
    ).bind(user).fetch_one(pool).await)?)
}

/// Customers whose people were erased, and whom Stripe still has.
pub(in crate::billing) async fn customers_of_nobody(db: &Database, at_most: i64) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT stripe_id FROM billing_customers WHERE user_id IS NULL AND deleted_at IS NULL LIMIT $1"
    ).bind(at_most).fetch_all(pool).await)?)
}

pub(in crate::billing) async fn live_customers_of(tx: &mut Tx, user: UserId) -> Result<Vec<String>, Fault> {
    Ok(on!(tx, conn => query_scalar(
        "SELECT stripe_id FROM billing_customers WHERE user_id = $1 AND deleted_at IS NULL"
    ).bind(user).fetch_all(conn).await)?)
}
