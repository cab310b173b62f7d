//! The table `petspark_copy` of the target. While it is there, this is no installation, and neither a
//! server nor a migration goes on: it says of which installation a copy was begun and how far each table
//! is. When the copy is complete, the audit log says so instead.

use std::collections::HashMap;

use sqlx::types::Json;
use sqlx::{Connection as _, PgConnection, Postgres, QueryBuilder, query, query_as, query_scalar, raw_sql};

use super::CopyError;
use super::error::during;
use super::plan::quoted;
use super::row::KeyValue;
use crate::audit::Action;
use crate::clock::Timestamp;
use crate::database::{Database, Engine, Tx, TxConnection};
use crate::error::Fault;

/// A copy that was begun.
pub(super) struct Mark {
    /// Of which installation: see [`Source::birth`](super::source::Source).
    pub(super) birth: String,
    tables: HashMap<String, Progress>,
}

/// How far a table is.
struct Progress {
    copied: u64,
    last: Vec<KeyValue>,
}

impl Mark {
    fn of(birth: &str) -> Self {
        Self { birth: birth.to_owned(), tables: HashMap::new() }
    }

    /// How many rows of a table were copied.
    pub(super) fn copied(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |progress| progress.copied)
    }

    /// The primary key of the last one.
    pub(super) fn last_key(&self, table: &str) -> Option<Vec<KeyValue>> {
        self.tables.get(table).map(|progress| progress.last.clone())
    }
}

/// A copy that is complete, and when that was.
pub(super) struct Complete {
    pub(super) at: Timestamp,
    /// What the source had then.
    pub(super) digest: String,
}

const FAILED: &str = "the state of the copy";

/// What is known of an earlier copy that didn't come to its end.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Option<Mark>, CopyError> {
    if !is_there(connection).await.map_err(during(FAILED))? {
        return Ok(None);
    }
    // What begins like this is how to make something again, the empty name is the installation.
    let rows: Vec<(String, i64, String)> = query_as(
        "SELECT table_name, copied, last_key FROM petspark_copy WHERE table_name !~ '^(index|reference) ' \
         ORDER BY table_name",
    )
    .fetch_all(connection)
    .await
    .map_err(during(FAILED))?;
    let mut rows = rows.into_iter();
    let Some((_, _, birth)) = rows.next().filter(|(table, _, _)| table.is_empty()) else { return Ok(None) };
    let mut mark = Mark::of(&birth);
    for (table, copied, key) in rows {
        let last = serde_json::from_str(&key).map_err(|error| during(&table)(Fault::internal(error)))?;
        mark.tables.insert(table, Progress { copied: copied.unsigned_abs(), last });
    }
    Ok(Some(mark))
}

/// Goes on with a copy of this installation, or sets the mark on a target that has no row in any of these
/// tables, which is looked at and marked in one transaction. Gives whether it was set only now. Whoever
/// calls holds the lock.
pub(super) async fn set(
    connection: &mut PgConnection,
    birth: &str,
    tables: &[String],
) -> Result<(Mark, bool), CopyError> {
    let mut tx = connection.begin().await.map_err(during(FAILED))?;
    raw_sql(
        "SET LOCAL client_min_messages = warning; CREATE TABLE IF NOT EXISTS petspark_copy (
             table_name text NOT NULL PRIMARY KEY, copied bigint NOT NULL, last_key text NOT NULL
         )",
    )
    .execute(&mut *tx)
    .await
    .map_err(during(FAILED))?;
    let (mark, is_new) = match read(&mut tx).await? {
        Some(mark) if mark.birth != birth => return Err(CopyError::OtherSource),
        Some(mark) => (mark, false),
        None => {
            require_empty(&mut tx, tables).await?;
            query("INSERT INTO petspark_copy VALUES ('', 0, $1)")
                .bind(birth)
                .execute(&mut *tx)
                .await
                .map_err(during(FAILED))?;
            (Mark::of(birth), true)
        }
    };
    tx.commit().await.map_err(during(FAILED))?;
    Ok((mark, is_new))
}

/// Refuses a target that has rows. It may lack tables: whoever migrated it died over that.
pub(super) async fn require_empty(connection: &mut PgConnection, tables: &[String]) -> Result<(), CopyError> {
    let there: Vec<String> = query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(during(FAILED))?;
    for table in tables.iter().filter(|table| there.contains(table)) {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT EXISTS (SELECT 1 FROM ");
        sql.push(quoted(table)).push(")");
        if sql.build_query_scalar().fetch_one(&mut *connection).await.map_err(during(table))? {
            return Err(CopyError::NotEmpty { table: table.clone() });
        }
    }
    Ok(())
}

/// Refuses a schema that isn't there or may not be added to.
pub(super) async fn require_schema(connection: &mut PgConnection) -> Result<(), CopyError> {
    let may: bool = query_scalar("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
        .fetch_one(connection)
        .await
        .map_err(during(FAILED))?;
    if may { Ok(()) } else { Err(CopyError::NoSchema) }
}

/// Refuses tables of somebody else's, before anything is changed.
pub(super) async fn require_own(connection: &mut PgConnection, tables: &[String]) -> Result<(), CopyError> {
    let foreign: Option<(String, String)> = query_as(
        "SELECT c.relname::text, pg_get_userbyid(c.relowner)::text FROM pg_class c \
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1) \
            AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 1",
    )
    .bind(tables)
    .fetch_optional(connection)
    .await
    .map_err(during(FAILED))?;
    foreign.map_or(Ok(()), |(table, owner)| Err(CopyError::NotOwner { table, owner }))
}

/// Takes back a mark that was set for nothing.
pub(super) async fn take_back(connection: &mut PgConnection) -> Result<(), CopyError> {
    raw_sql("DROP TABLE petspark_copy").execute(connection).await.map_err(during(FAILED)).map(drop)
}

/// It came to its end.
pub(super) async fn forget(tx: &mut Tx) -> Result<(), Fault> {
    if let TxConnection::Postgres(tx) = &mut tx.connection {
        raw_sql("DROP TABLE petspark_copy").execute(&mut **tx).await?;
    }
    Ok(())
}

/// Whether a copy of this installation is complete here. Its audit log says so, as long as it keeps that.
pub(super) async fn completed(connection: &mut PgConnection, birth: &str) -> Result<Option<Complete>, CopyError> {
    let found: Option<(Timestamp, Json<serde_json::Value>)> = query_as(
        "SELECT at, details FROM audit_log WHERE action = $1 AND details ->> 'source' = $2 ORDER BY at DESC LIMIT 1",
    )
    .bind(Action::InstallationCopied.as_str())
    .bind(birth)
    .fetch_optional(connection)
    .await
    .map_err(during(FAILED))?;
    Ok(found.map(|(at, details)| Complete {
        at,
        digest: details.get("digest").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
    }))
}

async fn is_there(connection: &mut PgConnection) -> sqlx::Result<bool> {
    query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables \
         WHERE schemaname = current_schema() AND tablename = 'petspark_copy')",
    )
    .fetch_one(connection)
    .await
}

/// Whether this database holds a copy that is not complete, and is no installation yet.
pub(in crate::database) async fn is_unfinished(database: &Database) -> Result<bool, Fault> {
    match database.engine() {
        Engine::Sqlite(_) => Ok(false),
        Engine::Postgres(postgres) => Ok(is_there(&mut *postgres.pool.acquire().await?).await?),
    }
}
