//! A schema of PostgreSQL that is being restored. From the moment that what was there has another name
//! until all is done the schema says so in its comment: who dies in between leaves it to be seen, and
//! neither a server nor a migration takes what is there for a database.

use std::fmt;

use sqlx::{PgConnection, query_as, query_scalar};

use super::scratch::{open, quoted, run, run_at};
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

/// What was granted on one schema and what is in it, as statements that grant it on another one of the same content.
/// Column by column is left out: nobody knows whether the columns are the same.
const RIGHTS: &str = "WITH was AS (SELECT oid FROM pg_namespace WHERE nspname = $1), \
        now AS (SELECT oid, quote_ident(nspname) AS name FROM pg_namespace WHERE nspname = $2), \
        rights AS ( \
            SELECT '' AS whose, 'SCHEMA ' || now.name AS what, a.* \
            FROM pg_namespace n JOIN was USING (oid), now, aclexplode(n.nspacl) a \
            UNION ALL \
            SELECT '', CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || now.name || '.' || quote_ident(c.relname), a.* \
            FROM pg_class c JOIN was ON was.oid = c.relnamespace, now, aclexplode(c.relacl) a \
            WHERE EXISTS (SELECT FROM pg_class same WHERE same.relnamespace = now.oid AND same.relname = c.relname) \
            UNION ALL \
            SELECT 'ALTER DEFAULT PRIVILEGES IN SCHEMA ' || now.name || ' ', \
                CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END, a.* \
            FROM pg_default_acl d JOIN was ON was.oid = d.defaclnamespace, now, aclexplode(d.defaclacl) a \
            WHERE d.defaclrole = current_user::regrole) \
     SELECT whose || format('GRANT %s ON %s TO %s%s', privilege_type, what, \
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, \
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
     FROM rights WHERE grantee <> current_user::regrole";

/// Grants on a schema, and on what it has, what was granted on the one that was set aside. Backups don't have it.
pub(crate) async fn carry_rights(url: &str, aside: &str, schema: &str) -> Result<(), Fault> {
    let mut connection = open(url).await?;
    let granted = async {
        let statements: Vec<String> = query_scalar(RIGHTS).bind(aside).bind(schema).fetch_all(&mut *connection).await?;
        for statement in statements {
            run(&mut connection, statement).await?;
        }
        Ok(())
    };
    let granted = granted.await;
    Direct::Postgres(connection).close().await;
    granted
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
