//! The SQL of payments that are made once. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::UserId;

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::billing) struct PaymentRow {
    pub(in crate::billing) id: String,
    pub(in crate::billing) customer_id: String,
    pub(in crate::billing) user_id: Option<UserId>,
    pub(in crate::billing) price_id: Option<String>,
    pub(in crate::billing) quantity: i64,
    pub(in crate::billing) amount: i64,
    pub(in crate::billing) currency: String,
    pub(in crate::billing) status: String,
    pub(in crate::billing) refunded: i64,
    pub(in crate::billing) disputed: bool,
    pub(in crate::billing) created_at: Timestamp,
    pub(in crate::billing) paid_at: Option<Timestamp>,
    pub(in crate::billing) synced_at: Timestamp,
}

macro_rules! select_payment {
    ($rest:literal) => {
        concat!(
            "SELECT id, customer_id, user_id, price_id, quantity, amount, currency, status, refunded, disputed, \
             created_at, paid_at, synced_at FROM billing_payments ",
            $rest
        )
    };
}

pub(in crate::billing) async fn find_payment(db: &Database, id: &str) -> Result<Option<PaymentRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_payment!("WHERE id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// How much of a payment went back as far as is written down.
pub(in crate::billing) async fn refunded_of(tx: &mut Tx, id: &str) -> Result<Option<i64>, Fault> {
    Ok(on!(tx, conn => query_scalar("SELECT refunded FROM billing_payments WHERE id = $1")
        .bind(id).fetch_optional(conn).await)?)
}

/// Somebody's, the newest first.
pub(in crate::billing) async fn payments_of(db: &Database, user: UserId) -> Result<Vec<PaymentRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_payment!(
        "WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT 100"
    )).bind(user).fetch_all(pool).await)?)
}

/// Stores a payment as it is at Stripe. What it is for and whose it is was known before, and a lost dispute
/// stays lost.
pub(in crate::billing) async fn put_payment(tx: &mut Tx, row: &PaymentRow) -> Result<PaymentRow, Fault> {
    let mut rows: Vec<PaymentRow> = on!(tx, conn => query_as(
        "INSERT INTO billing_payments (id, customer_id, user_id, price_id, quantity, amount, currency, status, refunded, \
             disputed, created_at, paid_at, synced_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (id) DO UPDATE SET price_id = coalesce(billing_payments.price_id, excluded.price_id), \
             amount = excluded.amount, currency = excluded.currency, status = excluded.status, \
             refunded = excluded.refunded, disputed = billing_payments.disputed OR excluded.disputed, \
             paid_at = coalesce(billing_payments.paid_at, excluded.paid_at), synced_at = excluded.synced_at \
         RETURNING id, customer_id, user_id, price_id, quantity, amount, currency, status, refunded, disputed, \
             created_at, paid_at, synced_at"
    )
        .bind(&row.id).bind(&row.customer_id).bind(row.user_id).bind(&row.price_id).bind(row.quantity).bind(row.amount)
        .bind(&row.currency).bind(&row.status).bind(row.refunded).bind(row.disputed).bind(row.created_at)
        .bind(row.paid_at).bind(row.synced_at).fetch_all(conn).await)?;
    rows.pop().ok_or_else(|| Fault::internal("a payment wasn't stored"))
}

pub(in crate::billing) async fn mark_disputed(tx: &mut Tx, id: &str) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE billing_payments SET disputed = TRUE WHERE id = $1 AND NOT disputed")
        .bind(id).execute(conn).await?.rows_affected() > 0))
}

/// Payments begun since then that are neither made nor given up.
pub(in crate::billing) async fn unsettled_payments(
    db: &Database,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT id FROM billing_payments WHERE status IN ('processing', 'requires_action', 'requires_capture', \
             'requires_confirmation', 'requires_payment_method') AND created_at >= $1 ORDER BY created_at LIMIT $2"
    ).bind(since).bind(limit).fetch_all(pool).await)?)
}

/// Payments that were made since then and of which something was given back, the newest first.
pub(in crate::billing) async fn refunded_payments(
    db: &Database,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT id FROM billing_payments WHERE status = 'succeeded' AND created_at >= $1 AND refunded > 0 \
         ORDER BY created_at DESC LIMIT $2"
    ).bind(since).bind(limit).fetch_all(pool).await)?)
}
