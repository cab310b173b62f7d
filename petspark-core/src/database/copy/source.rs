//! The embedded database that is copied, held so that nobody else can open it meanwhile.

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::digest::Digest;
use super::plan::{TablePlan, quoted};
use super::row::{KeyValue, told};
use super::{CopyError, during};
use crate::database::direct::damage;
use crate::database::schema::Schema;
use crate::error::Fault;

/// What is held of the source in memory at a time: so many rows, and about so many bytes.
const BATCH_ROWS: i64 = 10_000;
const BATCH_BYTES: usize = 8 << 20;

pub(super) struct Source {
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
    /// Takes the file for itself, and looks it over.
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
        let mut connection = match taken.await {
            Ok(connection) => connection,
            Err(error) if is_busy(&error) => return Err(CopyError::SourceInUse(path.to_owned())),
            Err(error) => return Err(during("the source")(error)),
        };
        let found = damage(&mut connection).await.map_err(during("the source"))?;
        if found.is_empty() {
            return Ok(Self { connection, schema, birth });
        }
        Err(CopyError::Damaged { path: path.to_owned(), found })
    }

    /// Counts the rows themselves: batches are found by an index, and one that lacks rows must not be
    /// what says how many there are.
    pub(super) async fn count(&mut self, table: &str) -> Result<u64, CopyError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM ");
        sql.push(quoted(table)).push(" NOT INDEXED");
        let count: i64 = sql.build_query_scalar().fetch_one(&mut self.connection).await.map_err(during(table))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The rows behind `after` in the order of the primary key: a batch of them.
    pub(super) async fn read(&mut self, plan: &TablePlan, after: Option<Vec<KeyValue>>) -> Result<Batch, CopyError> {
        let mut batch = Batch::default();
        let mut sql = select(plan, after);
        let mut rows = sql.build().fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(during(&plan.table))? {
            let key = key_of(plan, &row)?;
            let count = i16::try_from(plan.columns.len()).unwrap_or(i16::MAX);
            batch.bytes.extend(count.to_be_bytes());
            encode(plan, &row, &mut batch.bytes).map_err(|reason| CopyError::Row {
                table: plan.table.clone(),
                row: told(&key),
                reason,
            })?;
            batch.rows += 1;
            batch.last = Some(key);
            if batch.bytes.len() >= BATCH_BYTES {
                break;
            }
        }
        Ok(batch)
    }

    /// Reads the whole table again.
    pub(super) async fn digest(
        &mut self,
        plan: &TablePlan,
        tell: &mut (impl FnMut(u64) + Send),
    ) -> Result<Digest, CopyError> {
        let mut digest = Digest::default();
        let mut batch = self.read(plan, None).await?;
        while batch.rows > 0 {
            let mut rest = &batch.bytes[..];
            for _ in 0..batch.rows {
                // Behind the number of fields.
                let start = &rest[2..];
                let row = super::target::row_length(start, plan.columns.len()).and_then(|length| start.get(..length));
                let row = row.ok_or_else(|| during("a batch")(Fault::internal("a row ends too early")))?;
                digest
                    .add(&plan.columns, row)
                    .map_err(|reason| CopyError::Unfitting { table: plan.table.clone(), reason })?;
                rest = &start[row.len()..];
            }
            tell(batch.rows);
            batch = self.read(plan, batch.last).await?;
        }
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

fn encode(plan: &TablePlan, row: &sqlx::sqlite::SqliteRow, into: &mut Vec<u8>) -> Result<(), String> {
    for (place, (name, kind)) in plan.columns.iter().enumerate() {
        let value = row.try_get_raw(place).map_err(|error| error.to_string())?;
        kind.encode(value, into).map_err(|reason| format!("column {name}: {reason}"))?;
    }
    Ok(())
}

fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED, https://sqlite.org/rescode.html
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}
