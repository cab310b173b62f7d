//! All SQL of the counters, but for the triggers that count. Decides nothing.

use std::collections::BTreeMap;

use sqlx::{query, query_as};

use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;

/// Every counter by its name.
pub(super) async fn read(db: &Database) -> Result<BTreeMap<String, u64>, Fault> {
    let counters: Vec<(String, i64)> = on_reader!(db, pool => query_as(
        "SELECT name, CAST(sum(value) AS bigint) FROM counters GROUP BY name"
    ).fetch_all(pool).await)?;
    Ok(counters.into_iter().map(|(name, value)| (name, u64::try_from(value).unwrap_or(0))).collect())
}

/// Removes some parts that aren't totals, and gives back what they were.
pub(super) async fn take_parts(tx: &mut Tx, at_most: i64) -> Result<Vec<(String, i64)>, Fault> {
    Ok(on!(tx, conn => query_as(
        "DELETE FROM counters WHERE (name, part) IN (SELECT name, part FROM counters WHERE part <> 0 LIMIT $1) \
         RETURNING name, value"
    ).bind(at_most).fetch_all(conn).await)?)
}

/// Adds to a total.
pub(super) async fn add(tx: &mut Tx, name: &str, value: i64) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO counters (name, part, value) VALUES ($1, 0, $2) \
         ON CONFLICT (name, part) DO UPDATE SET value = counters.value + excluded.value"
    ).bind(name).bind(value).execute(conn).await.map(drop))?;
    Ok(())
}

/// Forgets counters whose names are from `from` to before `to`.
pub(super) async fn delete_between(db: &Database, from: &str, to: &str) -> Result<(), Fault> {
    on_writer!(db, pool => query("DELETE FROM counters WHERE name >= $1 AND name < $2")
        .bind(from).bind(to).execute(pool).await.map(drop))?;
    Ok(())
}
