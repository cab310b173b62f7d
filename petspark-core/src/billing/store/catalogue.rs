//! The SQL of products and prices. Decides nothing.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};

use crate::billing::remote::{Period, RemotePrice, RemoteProduct};
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;

/// A price with its product.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::billing) struct ListedPrice {
    pub(in crate::billing) product_id: String,
    pub(in crate::billing) name: String,
    pub(in crate::billing) description: Option<String>,
    #[sqlx(json)]
    pub(in crate::billing) features: Value,
    pub(in crate::billing) id: String,
    pub(in crate::billing) amount: Option<i64>,
    pub(in crate::billing) currency: String,
    pub(in crate::billing) period: Option<Period>,
    pub(in crate::billing) period_count: Option<i32>,
    pub(in crate::billing) lookup_key: Option<String>,
    pub(in crate::billing) plan: Option<String>,
    pub(in crate::billing) lifetime_days: Option<i32>,
    pub(in crate::billing) sold: bool,
}

macro_rules! select_price {
    ($rest:literal) => {
        concat!(
            "SELECT pd.id AS product_id, pd.name, pd.description, pd.features, pr.id, pr.amount, pr.currency, pr.period, \
             pr.period_count, pr.lookup_key, coalesce(pr.plan, pd.plan) AS plan, pr.lifetime_days, \
             pr.active AND pd.active AS sold \
             FROM billing_prices pr JOIN billing_products pd ON pd.id = pr.product_id ",
            $rest
        )
    };
}

/// What is sold, in the order of products.
pub(in crate::billing) async fn listed_prices(db: &Database) -> Result<Vec<ListedPrice>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_price!(
        "WHERE pr.active AND pd.active ORDER BY pd.name, pd.id, pr.amount, pr.id"
    )).fetch_all(pool).await)?)
}

pub(in crate::billing) async fn find_price(db: &Database, id: &str) -> Result<Option<ListedPrice>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_price!("WHERE pr.id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// Stores a product as it is at Stripe; says whether that changed anything.
pub(in crate::billing) async fn put_product(tx: &mut Tx, new: &RemoteProduct, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_products (id, name, description, features, plan, active, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             description = excluded.description, features = excluded.features, plan = excluded.plan, \
             active = excluded.active, updated_at = excluded.updated_at \
         WHERE billing_products.name <> excluded.name \
             OR billing_products.description IS DISTINCT FROM excluded.description \
             OR billing_products.features <> excluded.features OR billing_products.plan IS DISTINCT FROM excluded.plan \
             OR billing_products.active <> excluded.active"
    )
        .bind(&new.id).bind(&new.name).bind(&new.description).bind(Json(&new.features)).bind(&new.plan)
        .bind(new.active).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// The same with a price, whose product must be there.
pub(in crate::billing) async fn put_price(tx: &mut Tx, new: &RemotePrice, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_prices (id, product_id, amount, currency, period, period_count, lookup_key, plan, \
             lifetime_days, active, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (id) DO UPDATE SET product_id = excluded.product_id, amount = excluded.amount, \
             currency = excluded.currency, period = excluded.period, period_count = excluded.period_count, \
             lookup_key = excluded.lookup_key, plan = excluded.plan, lifetime_days = excluded.lifetime_days, \
             active = excluded.active, updated_at = excluded.updated_at \
         WHERE billing_prices.product_id <> excluded.product_id \
             OR billing_prices.amount IS DISTINCT FROM excluded.amount OR billing_prices.currency <> excluded.currency \
             OR billing_prices.period IS DISTINCT FROM excluded.period \
             OR billing_prices.period_count IS DISTINCT FROM excluded.period_count \
             OR billing_prices.lookup_key IS DISTINCT FROM excluded.lookup_key \
             OR billing_prices.plan IS DISTINCT FROM excluded.plan \
             OR billing_prices.lifetime_days IS DISTINCT FROM excluded.lifetime_days \
             OR billing_prices.active <> excluded.active"
    )
        .bind(&new.id).bind(&new.product).bind(new.amount).bind(new.currency.as_str()).bind(new.period)
        .bind(new.period_count).bind(&new.lookup_key).bind(&new.plan).bind(new.lifetime_days).bind(new.active)
        .bind(now).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::billing) async fn retire_product(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE billing_products SET active = FALSE, updated_at = $2 WHERE id = $1 AND active")
        .bind(id).bind(now).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::billing) async fn retire_price(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE billing_prices SET active = FALSE, updated_at = $2 WHERE id = $1 AND active")
        .bind(id).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Ids of what is sold.
pub(in crate::billing) async fn all_products(db: &Database) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar("SELECT id FROM billing_products WHERE active ORDER BY id")
        .fetch_all(pool).await)?)
}

pub(in crate::billing) async fn all_prices(db: &Database) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar("SELECT id FROM billing_prices WHERE active ORDER BY id")
        .fetch_all(pool).await)?)
}

pub(in crate::billing) async fn has_product(db: &Database, id: &str) -> Result<bool, Fault> {
    Ok(on_reader!(db, pool => query_scalar("SELECT EXISTS (SELECT 1 FROM billing_products WHERE id = $1)")
        .bind(id).fetch_one(pool).await)?)
}
