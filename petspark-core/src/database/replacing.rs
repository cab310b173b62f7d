//! A schema of PostgreSQL that is being restored. From the moment that what was there has another name
//! until all is done the schema says so in its comment: who dies in between leaves it to be seen, and
//! neither a server nor a migration takes what is there for a database.

use std::fmt;

use sqlx::{PgConnection, query_as};

use super::scratch::{open, quoted, run_at};
use super::{Database, Direct, Engine};
use crate::error::Fault;

const MARK: &str = "petspark: being restored";
const SET_ASIDE: &str = "; what was there is the schema ";

/// A schema whose restoring didn't come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfRestored {
    /// Which.
    pub schema: String,
    /// The schema that has what was there before.
    pub set_aside: Option<String>,
}

impl fmt::Display for HalfRestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = quoted(&self.schema);
        match &self.set_aside {
            None => write!(f, "the same `backup restore` again begins anew"),
            Some(aside) => {
                let aside = quoted(aside);
                write!(
                    f,
                    "`backup restore ID --in-place` again puts back what was there, and begins anew. Without it: "
                )?;
                write!(f, "DROP SCHEMA {schema} CASCADE; ALTER SCHEMA {aside} RENAME TO {schema};")
            }
        }
    }
}

/// Gives what is there another name, and makes an empty schema in its place: both or neither.
pub(crate) async fn begin(url: &str, schema: &str, aside: &str) -> Result<(), Fault> {
    // What is sent at once is one transaction.
    let (schema, comment) = (quoted(schema), text(&format!("{MARK}{SET_ASIDE}{aside}")));
    let aside = quoted(aside);
    let sql = format!(
        "ALTER SCHEMA {schema} RENAME TO {aside}; CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS {comment}"
    );
    run_at(url, sql).await
}

/// Marks a new schema, which has nothing that could be set aside.
pub(crate) async fn mark(url: &str, schema: &str) -> Result<(), Fault> {
    run_at(url, format!("COMMENT ON SCHEMA {} IS {}", quoted(schema), text(MARK))).await
}

/// All is done.
pub(crate) async fn end(url: &str, schema: &str) -> Result<(), Fault> {
    run_at(url, format!("COMMENT ON SCHEMA {} IS NULL", quoted(schema))).await
}

/// Puts back what was there: both or neither.
pub(crate) async fn put_back(url: &str, schema: &str, aside: &str) -> Result<(), Fault> {
    let (schema, aside) = (quoted(schema), quoted(aside));
    run_at(url, format!("DROP SCHEMA IF EXISTS {schema} CASCADE; ALTER SCHEMA {aside} RENAME TO {schema}")).await
}

/// What a restoring left that didn't come to its end in the schema of this address.
pub(crate) async fn interrupted(url: &str) -> Result<Option<HalfRestored>, Fault> {
    let mut connection = open(url).await?;
    let found = read(&mut connection).await;
    Direct::Postgres(connection).close().await;
    found
}

/// The same of an open database.
pub(super) async fn of(database: &Database) -> Result<Option<HalfRestored>, Fault> {
    match database.engine() {
        // There a restored file gets its name when all is done.
        Engine::Sqlite(_) => Ok(None),
        Engine::Postgres(postgres) => read(&mut *postgres.pool.acquire().await?).await,
    }
}

async fn read(connection: &mut PgConnection) -> Result<Option<HalfRestored>, Fault> {
    let found: Option<(String, Option<String>)> = query_as(
        "SELECT nspname::text, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = current_schema()",
    )
    .fetch_optional(connection)
    .await?;
    let Some((schema, Some(comment))) = found else { return Ok(None) };
    let Some(rest) = comment.strip_prefix(MARK) else { return Ok(None) };
    Ok(Some(HalfRestored { schema, set_aside: rest.strip_prefix(SET_ASIDE).map(str::to_owned) }))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
