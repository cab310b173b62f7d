//! The embedded database that is copied, held so that nobody else can open it meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::CopyError;
use super::digest::Digest;
use super::error::during;
use super::plan::{TablePlan, quoted};
use super::row::{KeyValue, told};
use crate::database::direct::{damaged_pages, orphans};
use crate::database::error::tells_of_damage;
use crate::database::schema::Schema;
use crate::error::Fault;

/// What is held of the source in memory at a time: so many rows, and about so many bytes.
const BATCH_ROWS: i64 = 10_000;
const BATCH_BYTES: usize = 8 << 20;
/// How many rows are compared before the other side has its turn.
const TURN: u64 = 64;

pub(super) struct Source {
    path: PathBuf,
    connection: SqliteConnection,
    pub(super) schema: Schema,
    /// When its first migration was applied, in microseconds: the same for no other installation.
    pub(super) birth: String,
}

/// Rows in the form of binary COPY.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: u64,
    pub(super) bytes: Vec<u8>,
    /// The primary key of the last one.
    pub(super) last: Option<Vec<KeyValue>>,
}

impl Source {
    /// Takes the file for itself, and looks whether its rows refer to what is there.
    pub(super) async fn open(path: &Path, schema: Schema, birth: String) -> Result<Self, CopyError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            // In this mode a connection wants the file for itself: it can be had only if nobody has
            // it open, and nobody can open it until this process lets go of it or dies.
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(Duration::from_millis(500))
            .disable_statement_logging();
        let taken = async {
            let mut connection = options.connect().await?;
            sqlx::raw_sql("BEGIN IMMEDIATE; COMMIT").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = match taken.await {
            Ok(connection) => connection,
            Err(error) if is_busy(&error) => return Err(CopyError::SourceInUse(path.to_owned())),
            Err(error) => return Err(during("the source")(error)),
        };
        let mut source = Self { path: path.to_owned(), connection, schema, birth };
        let found = orphans(&mut source.connection).await;
        source.require_none(found)?;
        Ok(source)
    }

    /// Looks all of it over, which takes about as long as making the target's indexes.
    pub(super) async fn require_undamaged(&mut self) -> Result<(), CopyError> {
        let found = damaged_pages(&mut self.connection).await;
        self.require_none(found)
    }

    fn require_none(&self, found: sqlx::Result<Vec<String>>) -> Result<(), CopyError> {
        let found = found.map_err(reading(&self.path, "the source"))?;
        if found.is_empty() { Ok(()) } else { Err(CopyError::Damaged { path: self.path.clone(), found }) }
    }

    /// Counts the rows themselves: batches are found by an index, and one that lacks rows must not be
    /// what says how many there are.
    pub(super) async fn count(&mut self, table: &str) -> Result<u64, CopyError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM ");
        sql.push(quoted(table)).push(" NOT INDEXED");
        let count = sql.build_query_scalar().fetch_one(&mut self.connection).await;
        let count: i64 = count.map_err(reading(&self.path, table))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The rows behind `after` in the order of the primary key: a batch of them.
    pub(super) async fn read(&mut self, plan: &TablePlan, after: Option<Vec<KeyValue>>) -> Result<Batch, CopyError> {
        let mut batch = Batch::default();
        let mut sql = select(plan, after);
        let mut rows = sql.build().fetch(&mut self.connection);
        let mut last = None;
        let count = i16::try_from(plan.columns.len()).unwrap_or(i16::MAX);
        while let Some(row) = rows.try_next().await.map_err(reading(&self.path, &plan.table))? {
            batch.bytes.extend(count.to_be_bytes());
            encode(plan, &row, &mut batch.bytes)?;
            batch.rows += 1;
            last = Some(row);
            if batch.bytes.len() >= BATCH_BYTES {
                break;
            }
        }
        batch.last = last.map(|row| key_of(plan, &row)).transpose()?;
        Ok(batch)
    }

    /// Reads the whole table again, as its rows lie: what hid some from the batches, which were found by an index,
    /// doesn't hide them here.
    pub(super) async fn digest(
        &mut self,
        plan: &TablePlan,
        tell: &mut (impl FnMut(u64) + Send),
    ) -> Result<Digest, CopyError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
        sql.push(plan.column_list()).push(" FROM ").push(quoted(&plan.table)).push(" NOT INDEXED");
        let mut rows = sql.build().fetch(&mut self.connection);
        let (mut digest, mut fields, mut counted) = (Digest::default(), Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(reading(&self.path, &plan.table))? {
            fields.clear();
            encode(plan, &row, &mut fields)?;
            digest
                .add(&plan.columns, &fields)
                .map_err(|reason| CopyError::Unfitting { table: plan.table.clone(), reason })?;
            if digest.rows - counted == BATCH_ROWS.unsigned_abs() {
                counted = digest.rows;
                tell(BATCH_ROWS.unsigned_abs());
            }
            if digest.rows.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        tell(digest.rows - counted);
        Ok(digest)
    }

    pub(super) async fn close(self) {
        // Whoever is at the end of reading loses nothing by a bad good-bye.
        let _ = self.connection.close().await;
    }
}

fn select(plan: &TablePlan, after: Option<Vec<KeyValue>>) -> QueryBuilder<Sqlite> {
    let key = plan.key.iter().map(|place| quoted(&plan.columns[*place].0)).collect::<Vec<_>>().join(", ");
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(plan.column_list()).push(" FROM ").push(quoted(&plan.table));
    if let Some(after) = after {
        sql.push(format!(" WHERE ({key}) > ("));
        let mut values = sql.separated(", ");
        for value in after {
            match value {
                KeyValue::Int(number) => values.push_bind(number),
                KeyValue::Text(text) => values.push_bind(text),
                KeyValue::Blob(bytes) => values.push_bind(bytes),
            };
        }
        sql.push(")");
    }
    sql.push(format!(" ORDER BY {key} LIMIT {BATCH_ROWS}"));
    sql
}

fn key_of(plan: &TablePlan, row: &sqlx::sqlite::SqliteRow) -> Result<Vec<KeyValue>, CopyError> {
    plan.key
        .iter()
        .map(|place| KeyValue::of(row, *place, plan.columns[*place].1).map_err(during(&plan.table)))
        .collect()
}

/// Appends a row's fields in the form of binary COPY.
fn encode(plan: &TablePlan, row: &sqlx::sqlite::SqliteRow, into: &mut Vec<u8>) -> Result<(), CopyError> {
    for (place, (name, kind)) in plan.columns.iter().enumerate() {
        let encoded =
            row.try_get_raw(place).map_err(|error| error.to_string()).and_then(|value| kind.encode(value, into));
        encoded.map_err(|reason| {
            let reason = format!("column {name}: {reason}");
            match key_of(plan, row) {
                Ok(key) => CopyError::Row { table: plan.table.clone(), row: told(&key), reason },
                Err(error) => error,
            }
        })?;
    }
    Ok(())
}

/// For `map_err`: what SQLite itself calls damage is told as such, wherever it is met.
fn reading(path: &Path, what: &str) -> impl FnOnce(sqlx::Error) -> CopyError {
    move |error| {
        let fault = Fault::from(error);
        match tells_of_damage(&fault) {
            true => CopyError::Damaged { path: path.to_owned(), found: vec![format!("{what}: {}", fault.chain())] },
            false => during(what)(fault),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED, https://sqlite.org/rescode.html
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}
