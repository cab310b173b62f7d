//! All that is in a database, boiled down: rows and a digest for every table, and one digest of the
//! schema. Two databases of one engine that agree in these hold the same.

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection, query_scalar};

use super::Direct;
use crate::error::Fault;
use crate::text::hex;

/// What is in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) tables: Vec<TableContents>,
    /// SHA-256 of the schema, in hexadecimal digits.
    pub(crate) schema_sha256: String,
}

/// What is in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableContents {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// `sha256:` and the SHA-256 of all rows, in the order of their primary key.
    pub digest: String,
}

impl Contents {
    pub(crate) async fn read(from: &mut Direct) -> Result<Self, Fault> {
        let (tables, facts) = match from {
            Direct::Sqlite(connection) => (sqlite_tables(connection).await?, sqlite_schema(connection).await?),
            Direct::Postgres(connection) => (postgres_tables(connection).await?, postgres_schema(connection).await?),
        };
        let digest = facts.iter().fold(Sha256::new(), |digest, fact| digest.chain_update(fact).chain_update("\0"));
        Ok(Self { tables, schema_sha256: hex(&digest.finalize()) })
    }

    /// The same of a database that nobody writes to, or what is wrong inside. Looking for that takes as long as
    /// reading it all, and goes on beside it where that is another core's work.
    pub(crate) async fn examine(from: &mut Direct) -> Result<Result<Self, String>, Fault> {
        let (damage, contents) = match from.beside().await? {
            Some(mut beside) => {
                let both = tokio::join!(beside.damage(), Self::read(from));
                beside.close().await;
                both
            }
            None => (from.damage().await, Self::read(from).await),
        };
        let damage = damage?;
        // What is damaged may not be readable at all.
        Ok(if damage.is_empty() { Ok(contents?) } else { Err(damage.join("; ")) })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// In quotes, as both engines understand it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads all rows as text, one after the other.
macro_rules! digest_rows {
    ($connection:expr, $name:expr, $sql:expr) => {{
        #[allow(clippy::disallowed_methods, reason = "names from the catalogue, in quotes")]
        let sql = AssertSqlSafe($sql);
        let mut rows = query_scalar::<_, String>(sql).persistent(false).fetch(&mut *$connection);
        let (mut digest, mut count) = (Sha256::new(), 0);
        while let Some(row) = rows.try_next().await? {
            digest.update(row.as_bytes());
            digest.update(b"\n");
            count += 1;
        }
        TableContents { name: $name, rows: count, digest: format!("sha256:{}", hex(&digest.finalize())) }
    }};
}

async fn sqlite_tables(connection: &mut SqliteConnection) -> Result<Vec<TableContents>, Fault> {
    // Not the shadows of full-text search, which follow from other tables.
    let names: Vec<String> = query_scalar(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        let columns: Vec<(String, i64)> =
            sqlx::query_as("SELECT name, pk FROM pragma_table_xinfo($1) WHERE hidden = 0 ORDER BY cid")
                .bind(&name)
                .fetch_all(&mut *connection)
                .await?;
        let mut key: Vec<_> = columns.iter().filter(|(_, place)| *place > 0).collect();
        key.sort_by_key(|(_, place)| *place);
        let order: Vec<_> = key.iter().map(|(column, _)| quoted(column)).collect();
        let order = if order.is_empty() { "rowid".to_owned() } else { order.join(", ") };
        let texts: Vec<_> = columns.iter().map(|(column, _)| format!("quote({})", quoted(column))).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {order}", texts.join(" || ',' || "), quoted(&name));
        tables.push(digest_rows!(connection, name, sql));
    }
    Ok(tables)
}

async fn sqlite_schema(connection: &mut SqliteConnection) -> Result<Vec<String>, Fault> {
    Ok(query_scalar(
        "SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema \
         WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1",
    )
    .fetch_all(connection)
    .await?)
}

async fn postgres_tables(connection: &mut PgConnection) -> Result<Vec<TableContents>, Fault> {
    let names: Vec<String> = query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace \
         AND oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e') ORDER BY relname::text COLLATE \"C\"",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        // Texts are compared byte by byte: the order must be that of any server.
        let key: Vec<(String, bool)> = sqlx::query_as(
            "SELECT a.attname::text, a.attcollation <> 0 FROM pg_class c \
             JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
             CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(attnum, place) \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 ORDER BY k.place",
        )
        .bind(&name)
        .fetch_all(&mut *connection)
        .await?;
        let collated = |(column, is_text): &(String, bool)| {
            format!("t.{}{}", quoted(column), if *is_text { " COLLATE \"C\"" } else { "" })
        };
        let order: Vec<_> = key.iter().map(collated).collect();
        let order = if order.is_empty() { "t::text COLLATE \"C\"".to_owned() } else { order.join(", ") };
        let sql = format!("SELECT t::text FROM {} t ORDER BY {order}", quoted(&name));
        tables.push(digest_rows!(connection, name, sql));
    }
    Ok(tables)
}

async fn postgres_schema(connection: &mut PgConnection) -> Result<Vec<String>, Fault> {
    let mut facts: Vec<String> = query_scalar(
        "WITH ours AS (SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
             AND oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e')) \
         SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
             || CASE WHEN a.attnotnull THEN ' required' ELSE '' END || ' ' || a.attidentity::text || a.attgenerated::text \
             || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') \
         FROM ours c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relkind = 'r' \
         UNION ALL SELECT 'constraint ' || conname || ' on ' || conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) \
         FROM pg_constraint WHERE conrelid IN (SELECT oid FROM ours) AND contype <> 'n' \
         UNION ALL SELECT 'index ' || pg_get_indexdef(c.oid) FROM ours c JOIN pg_index i ON i.indexrelid = c.oid \
         WHERE c.relkind = 'i' AND i.indrelid IN (SELECT oid FROM ours) \
         UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger \
         WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM ours) \
         UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc \
         WHERE pronamespace = current_schema()::regnamespace AND prokind = 'f' AND oid NOT IN \
             (SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass AND deptype = 'e')",
    )
    .fetch_all(connection)
    .await?;
    facts.sort_unstable();
    Ok(facts)
}
