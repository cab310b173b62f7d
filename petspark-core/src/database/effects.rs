//! What migrations do to a database that is in use: which tables they lock, how, and how large those
//! are. Read from the SQL, before anything is run; what a lock costs depends on the rows, and on how long
//! somebody else holds one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sqlx::{AssertSqlSafe, query_scalar};

use super::lint::{created_table, statements};
use super::migrate::{Migration, Migrations};
use super::{Engine, text_enum};
use crate::error::Fault;

text_enum! {
    /// How a table is locked until the step is done, the mildest first; by PostgreSQL's names.
    pub enum LockClass {
        /// Only who writes the same rows waits.
        RowExclusive = "row exclusive",
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
        let is_sqlite = matches!(self.database().engine(), Engine::Sqlite(_));
        let (mut made, mut all) = (BTreeSet::new(), Vec::new());
        for step in steps {
            let statements = statements(step.sql(self.database()));
            made.extend(statements.iter().filter_map(|text| created_table(text)));
            let mut locks: BTreeMap<String, LockClass> = BTreeMap::new();
            for (table, lock) in statements.iter().flat_map(|text| locked(text)) {
                if !made.contains(&table) {
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

/// The tables that a statement locks. It is in capitals, with one space wherever it had any.
fn locked(text: &str) -> Vec<(String, LockClass)> {
    use LockClass::{AccessExclusive, RowExclusive, Share, ShareRowExclusive};
    let name = |rest: &str| {
        let rest = ["IF EXISTS ", "IF NOT EXISTS ", "ONLY ", "TABLE "]
            .iter()
            .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        rest.split([' ', '(', ',', ';']).next().unwrap_or_default().trim_matches('"').to_owned()
    };
    let on = || text.split_once(" ON ").map(|(_, rest)| name(rest)).unwrap_or_default();
    let first = [
        ("ALTER TABLE ", AccessExclusive),
        ("DROP TABLE ", AccessExclusive),
        ("TRUNCATE ", AccessExclusive),
        ("LOCK ", AccessExclusive),
        ("INSERT INTO ", RowExclusive),
        ("UPDATE ", RowExclusive),
        ("DELETE FROM ", RowExclusive),
    ];
    let mut found: Vec<_> =
        first.iter().filter_map(|(words, lock)| Some((name(text.strip_prefix(words)?), *lock))).collect();
    if text.starts_with("CREATE INDEX ") || text.starts_with("CREATE UNIQUE INDEX ") {
        found.push((on(), Share));
    }
    if text.starts_with("CREATE TRIGGER ") || text.starts_with("CREATE CONSTRAINT TRIGGER ") {
        found.push((on(), ShareRowExclusive));
    }
    if text.starts_with("CREATE TABLE ") || text.starts_with("ALTER TABLE ") {
        // What a foreign key refers to gets triggers.
        found.extend(text.split(" REFERENCES ").skip(1).map(|rest| (name(rest), ShareRowExclusive)));
    }
    found.retain(|(table, _)| !table.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_both;

    #[test]
    fn every_kind_of_statement_says_what_it_locks() {
        use LockClass::{AccessExclusive, RowExclusive, Share, ShareRowExclusive};
        for (sql, expected) in [
            ("ALTER TABLE ONLY pets ADD COLUMN x bigint;", vec![("PETS", AccessExclusive)]),
            ("DROP TABLE IF EXISTS pets;", vec![("PETS", AccessExclusive)]),
            ("CREATE UNIQUE INDEX x ON pets USING gin (y);", vec![("PETS", Share)]),
            (
                "CREATE TRIGGER t AFTER UPDATE OF a ON pets FOR EACH ROW EXECUTE FUNCTION f();",
                vec![("PETS", ShareRowExclusive)],
            ),
            ("UPDATE pets SET a = 1;", vec![("PETS", RowExclusive)]),
            ("INSERT INTO counters (a) SELECT 1;", vec![("COUNTERS", RowExclusive)]),
            ("CREATE TABLE n (a bigint REFERENCES users (id));", vec![("USERS", ShareRowExclusive)]),
            ("CREATE FUNCTION f() RETURNS trigger AS $$ DELETE FROM pets; $$;", vec![]),
        ] {
            let found: Vec<_> = statements(sql).iter().flat_map(|text| locked(text)).collect();
            let expected: Vec<_> = expected.into_iter().map(|(table, lock)| (table.to_owned(), lock)).collect();
            assert_eq!(found, expected, "{sql}");
        }
    }

    on_both! {
        async fn locks_on_what_is_there_are_told_with_its_rows(app: TestApp) {
            app.register("ada").await;
            let db = app.petspark.database();
            let steps: Vec<_> = Migration::all().iter().filter(|step| matches!(step.version, 10 | 13)).collect();
            let locks = db.migrations().locks(&steps).await.unwrap();
            assert_eq!(locks[0], [], "a new table is in nobody's way");
            let users = locks[1].iter().find(|lock| lock.table == "users").unwrap();
            let (lock, rows) = match db.engine() {
                Engine::Sqlite(_) => (LockClass::Writer, Some(1)),
                // Nobody analyzed it yet.
                Engine::Postgres(_) => (LockClass::AccessExclusive, users.rows),
            };
            assert_eq!((users.lock, users.rows), (lock, rows));
        }
    }
}
