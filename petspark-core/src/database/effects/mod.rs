//! What migrations do to a database that is in use: which tables they lock, how, and how large those
//! are. Read from the SQL, before anything is run; what a lock costs depends on the rows, and on how long
//! somebody else holds one.

mod statement;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, query_as, query_scalar};
use statement::{Locked, Made};

use super::lint::statements;
use super::migrate::{Migration, Migrations};
use super::{Engine, text_enum};
use crate::error::Fault;

text_enum! {
    /// How a table is locked until the step is done, the mildest first; by PostgreSQL's names.
    pub enum LockClass {
        /// It is read: nobody drops or alters it.
        AccessShare = "access share",
        /// Rows of it are kept as they are: nobody drops or alters it, either.
        RowShare = "row share",
        /// Only who writes the same rows waits.
        RowExclusive = "row exclusive",
        /// Nobody else changes the table; its rows, they do.
        ShareUpdateExclusive = "share update exclusive",
        /// Nobody else writes.
        Share = "share",
        /// Nobody else writes, nor changes the table.
        ShareRowExclusive = "share row exclusive",
        /// Nobody else reads or writes.
        AccessExclusive = "access exclusive",
        /// SQLite: nobody else writes anything; reading goes on.
        Writer = "writer",
    }
}

impl LockClass {
    /// What it means for others.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::AccessShare | Self::RowShare | Self::ShareUpdateExclusive => "who reads or writes goes on",
            Self::RowExclusive => "who writes the same rows waits",
            Self::Share | Self::ShareRowExclusive => "who writes waits",
            Self::AccessExclusive => "who reads or writes waits",
            Self::Writer => "who writes waits, whatever the table",
        }
    }
}

/// A table that a step locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableLock {
    /// Which.
    pub table: String,
    /// The strongest lock.
    pub lock: LockClass,
    /// About how many rows it has; `None` if nobody counted them yet.
    pub rows: Option<u64>,
}

/// More rows than that aren't counted.
const MANY: u64 = 1_000_000;

impl Migrations<'_> {
    /// The locks of each of these steps, as far as they are on tables that are there already.
    ///
    /// # Errors
    /// [`Fault`] when the database doesn't answer.
    pub async fn locks(&self, steps: &[&Migration]) -> Result<Vec<Vec<TableLock>>, Fault> {
        let live = self.live().await?;
        let is_sqlite = matches!(self.database().engine(), Engine::Sqlite(_));
        let of = |step: &Migration| statements(step.sql(self.database()));
        let (mut made, mut new, mut all) = (Made::default(), BTreeSet::new(), Vec::new());
        let first = steps.iter().map(|step| step.version).min();
        for step in Migration::all().iter().filter(|step| first.is_none_or(|first| step.version < first)) {
            of(step).iter().for_each(|text| made.note(text));
        }
        for step in steps {
            let before = made.tables.clone();
            let mut locks: BTreeMap<String, LockClass> = BTreeMap::new();
            let mut found = Vec::new();
            for text in of(step) {
                found.extend(made.locked(&text));
                made.note(&text);
            }
            new.extend(made.tables.difference(&before).cloned());
            for (table, lock) in found.iter().flat_map(|locked| live.resolve(locked)) {
                // On SQLite, whoever reads is in nobody's way.
                let is_felt = !is_sqlite || lock > LockClass::RowShare;
                if is_felt && !new.contains(&table) {
                    let lock = if is_sqlite { LockClass::Writer } else { lock };
                    let strongest = locks.entry(table).or_insert(lock);
                    *strongest = lock.max(*strongest);
                }
            }
            let mut told = Vec::new();
            for (table, lock) in locks {
                let table = table.to_lowercase();
                told.push(TableLock { rows: self.rows(&table).await?, table, lock });
            }
            all.push(told);
        }
        Ok(all)
    }

    /// What the SQL of the migrations alone doesn't tell.
    async fn live(&self) -> Result<Live, Fault> {
        Ok(match self.database().engine() {
            Engine::Sqlite(sqlite) => Live {
                indexes: query_as("SELECT upper(name), upper(tbl_name) FROM sqlite_schema WHERE type = 'index'")
                    .fetch_all(&sqlite.writer)
                    .await?,
                // Every lock there is one of the whole database.
                foreign_keys: Vec::new(),
            },
            Engine::Postgres(postgres) => Live {
                indexes: query_as(
                    "SELECT upper(i.relname), upper(t.relname) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
                     JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = current_schema()::regnamespace",
                )
                .fetch_all(&postgres.pool)
                .await?,
                foreign_keys: query_as(
                    "SELECT upper(t.relname) AS table_name, upper(c.conname) AS name, upper(a.attname) AS column_name, \
                        upper(r.relname) AS referenced_table, upper(b.attname) AS referenced_column \
                     FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid \
                     CROSS JOIN unnest(c.conkey, c.confkey) AS k(here, there) \
                     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.here \
                     JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = k.there \
                     WHERE c.contype = 'f' AND t.relnamespace = current_schema()::regnamespace",
                )
                .fetch_all(&postgres.pool)
                .await?,
            },
        })
    }

    async fn rows(&self, table: &str) -> Result<Option<u64>, Fault> {
        let rows: Option<i64> = match self.database().engine() {
            Engine::Sqlite(sqlite) => {
                let is_there: i64 =
                    query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1")
                        .bind(table)
                        .fetch_one(&sqlite.writer)
                        .await?;
                if is_there == 0 {
                    return Ok(None);
                }
                let name = table.replace('"', "\"\"");
                #[allow(clippy::disallowed_methods, reason = "a name of our migrations, in quotes")]
                let sql = AssertSqlSafe(format!("SELECT count(*) FROM (SELECT 1 FROM \"{name}\" LIMIT {MANY})"));
                query_scalar(sql).fetch_one(&sqlite.writer).await?
            }
            Engine::Postgres(postgres) => query_scalar(
                "SELECT nullif(reltuples, -1)::bigint FROM pg_class \
                     WHERE relkind = 'r' AND relname = $1 AND relnamespace = current_schema()::regnamespace",
            )
            .bind(table)
            .fetch_optional(&postgres.pool)
            .await?
            .flatten(),
        };
        Ok(rows.map(i64::unsigned_abs))
    }
}

/// What is in the database, in capitals.
struct Live {
    /// Indexes and their tables.
    indexes: Vec<(String, String)>,
    foreign_keys: Vec<ForeignKey>,
}

/// One column of a foreign key.
#[derive(FromRow)]
struct ForeignKey {
    table_name: String,
    name: String,
    column_name: String,
    referenced_table: String,
    referenced_column: String,
}

impl Live {
    fn resolve(&self, locked: &Locked) -> Vec<(String, LockClass)> {
        let keys = |is: &dyn Fn(&&ForeignKey) -> bool| self.foreign_keys.iter().filter(is).collect::<Vec<_>>();
        match locked {
            Locked::Table(table, lock) => vec![(table.clone(), *lock)],
            Locked::TableOf(index, lock) => {
                let tables = self.indexes.iter().filter(|(name, _)| name == index);
                tables.map(|(_, table)| (table.clone(), *lock)).collect()
            }
            Locked::ReferredBy(table, part, lock) => {
                let is_it = |part: &String, key: &ForeignKey| *part == key.name || *part == key.column_name;
                keys(&|key| key.table_name == *table && part.as_ref().is_none_or(|part| is_it(part, key)))
                    .into_iter()
                    .map(|key| (key.referenced_table.clone(), *lock))
                    .collect()
            }
            Locked::Referring(table, column, lock) => keys(&|key| {
                key.referenced_table == *table && column.as_ref().is_none_or(|column| *column == key.referenced_column)
            })
            .into_iter()
            .map(|key| (key.table_name.clone(), *lock))
            .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
