//! What migrations do to a database that is in use: which tables they lock, how, and how large those
//! are. Read from the SQL, before anything is run; what a lock costs depends on the rows, and on how long
//! somebody else holds one.

mod statement;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::{AssertSqlSafe, query_as, query_scalar};
use statement::{Locked, Made};

use super::lint::statements;
use super::migrate::{Migration, Migrations};
use super::schema::Schema;
use super::{Engine, history, text_enum};
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
                schema: Schema::default(),
            },
            Engine::Postgres(postgres) => Live {
                indexes: query_as(
                    "SELECT upper(i.relname), upper(t.relname) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
                     JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = current_schema()::regnamespace",
                )
                .fetch_all(&postgres.pool)
                .await?,
                schema: Schema::read(self.database()).await?,
            },
        })
    }

    async fn rows(&self, table: &str) -> Result<Option<u64>, Fault> {
        let rows: Option<i64> = match self.database().engine() {
            Engine::Sqlite(sqlite) => {
                if !history::exists(self.database(), table).await? {
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

/// What is in the database.
struct Live {
    /// Indexes and their tables, in capitals.
    indexes: Vec<(String, String)>,
    /// For its foreign keys.
    schema: Schema,
}

impl Live {
    /// Of what a statement locks, in capitals as that is, the tables.
    fn resolve(&self, locked: &Locked) -> Vec<(String, LockClass)> {
        let tables = self.schema.tables.iter();
        let keys = tables.flat_map(|(name, table)| table.foreign_keys.iter().map(move |key| (name, key)));
        let is = |name: &String, wanted: &String| name.to_uppercase() == *wanted;
        match locked {
            Locked::Table(table, lock) => vec![(table.clone(), *lock)],
            Locked::TableOf(index, lock) => {
                let tables = self.indexes.iter().filter(|(name, _)| name == index);
                tables.map(|(_, table)| (table.clone(), *lock)).collect()
            }
            Locked::ReferredBy(table, part, lock) => keys
                .filter(|(name, key)| {
                    let mut parts = key.columns.iter().chain([&key.name]);
                    is(name, table) && part.as_ref().is_none_or(|part| parts.any(|it| is(it, part)))
                })
                .map(|(_, key)| (key.table.to_uppercase(), *lock))
                .collect(),
            Locked::Referring(table, column, lock) => keys
                .filter(|(_, key)| {
                    let mut columns = key.referenced.iter();
                    is(&key.table, table) && column.as_ref().is_none_or(|column| columns.any(|it| is(it, column)))
                })
                .map(|(name, _)| (name.to_uppercase(), *lock))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
