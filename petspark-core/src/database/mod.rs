//! The only folder that names an engine: pools, transactions, dispatch, migrations, constraint
//! names. The SQL of a domain stands in that domain's `store.rs` and runs on either engine
//! through the macros `on!`, `on_reader!` and `on_writer!`.

mod connect;
mod contents;
pub mod copy;
mod direct;
mod disk;
mod effects;
mod error;
mod full_text;
mod history;
mod lint;
mod listen;
mod lock;
mod migrate;
mod postgres_tools;
mod readers;
pub(crate) mod replacing;
mod schema;
mod schema_lock;
pub(crate) mod scratch;
mod statements;
mod types;

pub use connect::OpenError;
pub(crate) use connect::{NotClosed, beside};
pub(crate) use contents::Contents;
pub use contents::TableContents;
pub(crate) use direct::{Archiver, Direct, Turn, on_direct};
pub use effects::{LockClass, TableLock};
pub(crate) use error::{tells_of_damage, violates, violates_foreign_key};
pub(crate) use full_text::FullText;
pub use lint::{Finding, Gravity};
pub use lock::Holder;
pub use migrate::{Migration, MigrationError, MigrationState, Migrations, Run, State, Unlocked};
pub(crate) use postgres_tools::{PostgresTools, ToolFailed, with_database, with_schema};
pub(crate) use readers::Readers;
pub use replacing::HalfRestored;
pub use schema_lock::{Difference, DifferenceKind, SchemaLock};
pub use statements::StatementCount;
pub(crate) use statements::count_statement;
pub(crate) use types::text_enum;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::broadcast;

use crate::error::Fault;

/// The database that PetSpark lives in. Cheap to clone; clones share the pools.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

struct Shared {
    engine: Engine,
    /// What transactions of this process announced and committed.
    news: broadcast::Sender<&'static str>,
}

pub(crate) enum Engine {
    Sqlite(Box<SqlitePools>),
    Postgres(Box<PostgresPool>),
}

/// SQLite lets one connection write at a time, so one connection is all that writes.
pub(crate) struct SqlitePools {
    pub(crate) path: PathBuf,
    pub(crate) writer: SqlitePool,
    pub(crate) readers: Readers<SqliteConnection>,
}

pub(crate) struct PostgresPool {
    /// For transactions and statements that write.
    pub(crate) pool: PgPool,
    pub(crate) readers: Readers<PgConnection>,
    /// Host, port and database name, for messages: never the user's password.
    pub(crate) target: String,
}

/// A write transaction on a connection of a pool. Dropping it without [`TxOn::commit`] undoes it.
pub(crate) type Tx = TxOn<'static>;

/// The same, perhaps on a connection that is somebody's and only lent.
pub(crate) struct TxOn<'c> {
    pub(crate) connection: TxConnection<'c>,
    database: Database,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
}

pub(crate) enum TxConnection<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
}

/// News that a slow listener may be behind; then it is told that it missed some.
const NEWS: usize = 64;

impl Database {
    fn new(engine: Engine) -> Self {
        Self(Arc::new(Shared { engine, news: broadcast::Sender::new(NEWS) }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    /// Where the data lives, for messages: a file, or host, port and database name.
    #[must_use]
    pub fn target(&self) -> String {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.path.display().to_string(),
            Engine::Postgres(postgres) => postgres.target.clone(),
        }
    }

    /// Begins a transaction that may write. On SQLite it holds the write lock from here on
    /// (`BEGIN IMMEDIATE`), so that it can't fail half-way for want of it.
    pub(crate) async fn begin(&self) -> Result<Tx, Fault> {
        let connection = match self.engine() {
            Engine::Sqlite(sqlite) => TxConnection::Sqlite(sqlite.writer.begin_with("BEGIN IMMEDIATE").await?),
            Engine::Postgres(postgres) => {
                // Goes on to its end, whoever still waits for it. Given up on the way, it would return the
                // connection with a transaction that sqlx doesn't know of, and what is written there next,
                // alone and for good, would be part of that.
                let pool = postgres.pool.clone();
                let begun = tokio::spawn(async move { pool.begin().await });
                TxConnection::Postgres(begun.await.map_err(Fault::internal)??)
            }
        };
        Ok(TxOn::over(connection, self))
    }

    /// What makes a SELECT pass over rows that somebody else is taking, and take the others.
    /// SQLite has one writer, who meets nobody.
    pub(crate) fn skip_locked(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite(_) => "",
            Engine::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Asks the database for the smallest possible answer.
    ///
    /// # Errors
    /// [`Fault`] of kind unavailable when it doesn't answer.
    pub async fn ping(&self) -> Result<(), Fault> {
        on_reader!(self, pool => { sqlx::query("SELECT 1").execute(pool).await?; });
        Ok(())
    }

    /// The migrations of this database: what has been applied and what is pending.
    #[must_use]
    pub fn migrations(&self) -> Migrations<'_> {
        Migrations::of(self)
    }

    /// Makes an SQLite file behave as on a disk with room for this many pages of 4 KiB.
    #[cfg(feature = "testing")]
    pub async fn limit_pages_for_tests(&self, pages: u32) {
        #[allow(clippy::disallowed_methods, reason = "a PRAGMA takes no parameters; this is a number")]
        let pragma = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        if let Engine::Sqlite(sqlite) = self.engine() {
            // A test that can't set this up fails by what it then expects.
            let _ = sqlx::raw_sql(pragma).execute(&sqlite.writer).await;
        }
    }

    /// Closes all connections after the statements in flight; further use fails.
    pub async fn close(&self) {
        match self.engine() {
            Engine::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                sqlite.writer.close().await;
            }
            Engine::Postgres(postgres) => {
                postgres.readers.close().await;
                postgres.pool.close().await;
            }
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({} at {})", self.engine_name(), self.target())
    }
}

impl<'c> TxOn<'c> {
    fn over(connection: TxConnection<'c>, database: &Database) -> Self {
        Self { connection, database: database.clone(), after_commit: Vec::new() }
    }

    /// Lets one transaction at a time go on for this `topic`, until it ends. For the rare rule
    /// about several rows that no single conditional statement can hold.
    pub(crate) async fn take_turns(&mut self, topic: &str) -> Result<(), Fault> {
        match &mut self.connection {
            // `BEGIN IMMEDIATE` let nobody else in.
            TxConnection::Sqlite(_) => {}
            TxConnection::Postgres(tx) => {
                sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1 || current_schema(), 0))")
                    .bind(topic)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Ok(())
    }

    /// Has `then` done once this is committed, and not at all if it is not. It must not block.
    pub(crate) fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(then));
    }

    pub(crate) async fn commit(self) -> Result<(), Fault> {
        match self.connection {
            TxConnection::Sqlite(tx) => tx.commit().await?,
            TxConnection::Postgres(tx) => tx.commit().await?,
        }
        for then in self.after_commit {
            then();
        }
        Ok(())
    }
}

/// Runs one body against whichever engine the transaction is on; `$conn` is its connection.
macro_rules! on {
    ($tx:expr, $conn:ident => $body:expr) => {{
        $crate::database::count_statement();
        match &mut $tx.connection {
            $crate::database::TxConnection::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::database::TxConnection::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    }};
}

/// Runs one SELECT without a transaction around it; on SQLite `$conn` can't write.
macro_rules! on_reader {
    ($db:expr, $conn:ident => $body:expr) => {{
        $crate::database::count_statement();
        match $db.engine() {
            $crate::database::Engine::Sqlite(sqlite) => {
                let mut reader = sqlite.readers.borrow().await?;
                let $conn = reader.connection()?;
                let result = $body;
                reader.give_back();
                result
            }
            $crate::database::Engine::Postgres(postgres) => {
                let mut reader = postgres.readers.borrow().await?;
                let $conn = reader.connection()?;
                let result = $body;
                reader.give_back();
                result
            }
        }
    }};
}

/// Runs one statement that writes and is its own transaction.
macro_rules! on_writer {
    ($db:expr, $pool:ident => $body:expr) => {{
        $crate::database::count_statement();
        match $db.engine() {
            $crate::database::Engine::Sqlite(sqlite) => {
                let $pool = &sqlite.writer;
                $body
            }
            $crate::database::Engine::Postgres(postgres) => {
                let $pool = &postgres.pool;
                $body
            }
        }
    }};
}

pub(crate) use {on, on_reader, on_writer};

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::testing::on_both;

    on_both! {
        async fn a_transaction_that_is_given_up_while_it_begins_takes_no_later_write_along(app: TestApp) {
            app.register("ada").await;
            let (db, other) = (app.petspark.database(), app.another().await);
            for polls in 1..30 {
                {
                    let mut begin = pin!(db.begin());
                    for _ in 0..polls {
                        let mut cx = std::task::Context::from_waker(Waker::noop());
                        if begin.as_mut().poll(&mut cx).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                }
                // By every connection that there may be.
                for turn in 0..4 {
                    let name = format!("Ada {polls} {turn}");
                    on_writer!(db, pool => sqlx::query("UPDATE users SET display_name = $1").bind(&name)
                        .execute(pool).await.map(drop)).unwrap();
                    let seen = only_name(other.database()).await.unwrap();
                    assert_eq!(seen, name, "what was acknowledged is there for others");
                }
            }
        }
    }

    async fn only_name(db: &Database) -> Result<String, Fault> {
        let name = on_reader!(db, conn => sqlx::query_scalar("SELECT display_name FROM users").fetch_one(conn).await);
        Ok(name?)
    }
}
