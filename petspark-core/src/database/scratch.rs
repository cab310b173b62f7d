//! Databases and schemas of PostgreSQL that are made and dropped whole, for restoring and for drills.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};

use super::{Direct, connect, with_database};
use crate::error::Fault;

/// Names can't be parameters; these are of our own making, or from a manifest, and in quotes.
pub(super) async fn run(connection: &mut PgConnection, sql: String) -> Result<(), Fault> {
    #[allow(clippy::disallowed_methods, reason = "names in quotes")]
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

pub(super) async fn open(url: &str) -> Result<Box<PgConnection>, Fault> {
    match Direct::postgres(url).await? {
        Direct::Postgres(connection) => Ok(connection),
        Direct::Sqlite(_) => Err(Fault::internal("not PostgreSQL")),
    }
}

pub(super) async fn run_at(url: &str, sql: String) -> Result<(), Fault> {
    let mut connection = open(url).await?;
    let done = run(&mut connection, sql).await;
    Direct::Postgres(connection).close().await;
    done
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn database_of(url: &str) -> Result<String, Fault> {
    let options =
        PgConnectOptions::from_str(url).map_err(|_| Fault::internal("an address that can't be understood"))?;
    Ok(options.get_database().unwrap_or_else(|| options.get_username()).to_owned())
}

/// Makes an empty database on the same server.
pub(crate) async fn create_database(url: &str, name: &str) -> Result<(), Fault> {
    let mut connection = open(url).await?;
    let sql = "SELECT current_user::text, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user";
    let (role, may): (String, bool) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
    let made = match may {
        true => {
            run(&mut connection, format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quoted(name))).await
        }
        false => Err(Fault::unavailable(format!(
            "the role {role} may make no databases: ALTER ROLE {} CREATEDB, or name a role and a server for it",
            quoted(&role)
        ))),
    };
    Direct::Postgres(connection).close().await;
    made
}

/// SQLSTATE `invalid_catalog_name`.
const NO_SUCH_DATABASE: &str = "3D000";

/// Makes the database that `url` names, unless it is there.
pub(crate) async fn create_missing_database(url: &str) -> Result<(), Fault> {
    let options =
        PgConnectOptions::from_str(url).map_err(|_| Fault::internal("an address that can't be understood"))?;
    match PgConnection::connect_with(&options).await {
        Ok(connection) => {
            Direct::Postgres(Box::new(connection)).close().await;
            return Ok(());
        }
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_DATABASE) => {}
        Err(error) => return Err(connect::refused(&options, error)),
    }
    let maintenance = with_database(url, "postgres").map_err(Fault::internal)?;
    create_database(&maintenance, &database_of(url)?).await
}

/// Drops the database that `url` names, whoever is in it. Nothing but scratch databases.
pub(crate) async fn drop_database(url: &str) -> Result<(), Fault> {
    let name = database_of(url)?;
    if !name.contains("drill") {
        return Err(Fault::internal(format!("{name} is no scratch database")));
    }
    let maintenance = with_database(url, "postgres").map_err(Fault::internal)?;
    run_at(&maintenance, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&name))).await
}

/// "dril" in ASCII: the first half of the advisory lock's key, the second is the database's name.
const ADVISORY_LOCK: i32 = 0x6472_696c;

/// Held as long as somebody needs a scratch database. A process that dies gives it back.
pub(crate) struct Claim(Box<PgConnection>);

impl Claim {
    /// Claims a database that is yet to be made, on the server of this address. Locks are those of a
    /// database, so that everybody takes them in the one that every server has.
    pub(crate) async fn to(url: &str, name: &str) -> Result<Self, Fault> {
        let mut connection = open(&with_database(url, "postgres").map_err(Fault::internal)?).await?;
        sqlx::query("SELECT pg_advisory_lock($1, hashtext($2))")
            .bind(ADVISORY_LOCK)
            .bind(name)
            .execute(&mut *connection)
            .await?;
        Ok(Self(connection))
    }

    pub(crate) async fn release(self) {
        Direct::Postgres(self.0).close().await;
    }
}

/// Drops databases of ours whose name is this and an id, that nobody claims and nobody is in; says how
/// many.
pub(crate) async fn drop_unclaimed(url: &str, beginning: &str) -> Result<u64, Fault> {
    let mut connection = open(&with_database(url, "postgres").map_err(Fault::internal)?).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database d WHERE datname::text ~ ('^' || $1 || '[0-9a-f]{32}$') \
            AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user) \
            AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
    )
    .bind(beginning)
    .fetch_all(&mut *connection)
    .await?;
    let mut dropped = 0;
    for name in names {
        let is_free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, hashtext($2))")
            .bind(ADVISORY_LOCK)
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
        if is_free {
            // Somebody else may be at the same.
            run(&mut connection, format!("DROP DATABASE IF EXISTS {}", quoted(&name))).await?;
            dropped += 1;
        }
    }
    Direct::Postgres(connection).close().await;
    Ok(dropped)
}

/// Makes a schema, unless it is there.
pub(crate) async fn create_schema(url: &str, schema: &str) -> Result<(), Fault> {
    run_at(url, format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema))).await
}

pub(crate) async fn drop_schema(url: &str, schema: &str) -> Result<(), Fault> {
    run_at(url, format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema))).await
}

/// Whether there is nothing at all in the schema of this address.
pub(crate) async fn is_empty(url: &str) -> Result<bool, Fault> {
    let mut connection = open(url).await?;
    let things: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace) \
              + (SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace) \
              + (SELECT count(*) FROM pg_type WHERE typnamespace = current_schema()::regnamespace)",
    )
    .fetch_one(&mut *connection)
    .await?;
    Direct::Postgres(connection).close().await;
    Ok(things == 0)
}

/// How often, and for how long, somebody who is just leaving is waited for.
const LEAVING: (u32, Duration) = (20, Duration::from_millis(100));

/// Who is connected as a server of this address would be, if anybody.
pub(crate) async fn in_use(url: &str) -> Result<Option<String>, Fault> {
    let options =
        PgConnectOptions::from_str(url).map_err(|_| Fault::internal("an address that can't be understood"))?;
    let mut connection = open(url).await?;
    let mut sessions: i64 = 0;
    for _ in 0..LEAVING.0 {
        sessions = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
        )
        .bind(connect::application_name(&options))
        .fetch_one(&mut *connection)
        .await?;
        if sessions == 0 {
            break;
        }
        tokio::time::sleep(LEAVING.1).await;
    }
    Direct::Postgres(connection).close().await;
    Ok((sessions > 0).then(|| format!("{sessions} sessions")))
}
