//! Every SQL literal of the store files is prepared on both engines: a statement that no test
//! happens to run is still known to be valid.

use std::path::Path;

use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::testing::{Engine, TestApp, on_both};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection};

/// A connection beside PetSpark's own, for looking at and tampering with what it stores.
pub(crate) enum Direct {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

pub(crate) async fn connect(settings: &Settings) -> Direct {
    match &settings.database.url {
        DatabaseUrl::Sqlite(path) => {
            let url = format!("sqlite://{}", path.display());
            Direct::Sqlite(SqliteConnection::connect(&url).await.unwrap())
        }
        DatabaseUrl::Postgres(url) => Direct::Postgres(PgConnection::connect(url.expose()).await.unwrap()),
    }
}

#[allow(clippy::disallowed_methods, reason = "SQL of these tests, not of users")]
pub(crate) async fn execute(settings: &Settings, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match connect(settings).await {
        Direct::Sqlite(mut connection) => {
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        }
        Direct::Postgres(mut connection) => {
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

/// Every row of every table as text: what a copy of the database tells.
pub(crate) async fn every_row(settings: &Settings) -> Vec<String> {
    let mut rows = Vec::new();
    match connect(settings).await {
        Direct::Sqlite(mut connection) => {
            let tables = "SELECT t.name, (SELECT group_concat('quote(\"' || c.name || '\")', '||'' ''||') \
                FROM pragma_table_info(t.name) c) FROM sqlite_schema t WHERE t.type = 'table'";
            let tables: Vec<(String, String)> = sqlx::query_as(tables).fetch_all(&mut connection).await.unwrap();
            for (table, columns) in tables {
                #[allow(clippy::disallowed_methods, reason = "names of our own tables")]
                let sql = AssertSqlSafe(format!("SELECT {columns} FROM {table}"));
                rows.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut connection).await.unwrap());
            }
            // Else it may be using the file for a moment longer.
            connection.close().await.unwrap();
        }
        Direct::Postgres(mut connection) => {
            let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
            let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
            for table in tables {
                #[allow(clippy::disallowed_methods, reason = "names of our own tables")]
                let sql = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
                rows.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut connection).await.unwrap());
            }
            connection.close().await.unwrap();
        }
    }
    // The catalogue has no order, and rows that were restored have another one.
    rows.sort_unstable();
    rows
}

/// The string literals of a source file that look like whole statements, with the line they stand on.
fn statements(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(start) = rest.find('"') {
        line += rest[..start].matches('\n').count();
        let literal = &rest[start + 1..];
        let end = literal.find('"').unwrap();
        let text = literal[..end].split("\\\n").map(str::trim_start).collect::<String>();
        let is_statement = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| text.starts_with(verb));
        // What QueryBuilder begins ends in a space or waits for its conditions, and what is put
        // together has braces: both are run by the tests of their callers.
        if is_statement && !text.ends_with(' ') && !text.contains('{') {
            found.push((line, text));
        }
        line += literal[..end].matches('\n').count();
        rest = &literal[end + 1..];
    }
    found
}

/// Every `store.rs`, and every file of a folder `store`.
fn store_files() -> Vec<std::path::PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() == "store.rs" || folder.ends_with("store") {
                files.push(path);
            }
        }
    }
    files
}

on_both! {
    async fn every_sql_literal_can_be_prepared(app: TestApp) {
        let mut direct = connect(app.petspark.settings()).await;
        let mut prepared = 0;
        for file in store_files() {
            for (line, statement) in statements(&std::fs::read_to_string(&file).unwrap()) {
                #[allow(clippy::disallowed_methods, reason = "SQL of the store files, not of users")]
                let sql = AssertSqlSafe(statement.clone()).into_sql_str();
                let result = match &mut direct {
                    Direct::Sqlite(connection) => connection.prepare(sql).await.map(drop),
                    Direct::Postgres(connection) => connection.prepare(sql).await.map(drop),
                };
                assert!(result.is_ok(), "{}:{line}: {statement}\n{result:?}", file.display());
                prepared += 1;
            }
        }
        assert!(prepared >= 20, "only {prepared} statements were found: does this test still find the literals?");
    }
}

/// What reads all of something on purpose: few rows, or a count of everything that an operator asks
/// for. The list of users is read in the order of an index, which its beginning doesn't say.
const WHOLE: [&str; 7] = [
    "FROM counters",
    "FROM signing_keys",
    "FROM throttles WHERE",
    "count(*) AS users",
    "FROM users WHERE deleted_at IS NULL",
    "count(*) AS uploads",
    // Of a database that was just restored.
    "revoke_reason = $2 WHERE revoked_at IS NULL",
];

/// PostgreSQL plans by what is in its tables, SQLite by its indexes: here it shows whether there is
/// one. A whole index in order (`SCAN ... USING INDEX`) ends at the page's last row.
#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let app = TestApp::open(Engine::Sqlite).await;
    let Direct::Sqlite(mut direct) = connect(app.petspark.settings()).await else { panic!("this is SQLite") };
    let mut found = Vec::new();
    for file in store_files() {
        for (line, statement) in statements(&std::fs::read_to_string(&file).unwrap()) {
            #[allow(clippy::disallowed_methods, reason = "SQL of the store files, not of users")]
            let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(&mut direct).await.unwrap();
            for (_, _, _, step) in steps {
                // A row of nothing, or of a subquery that was looked at already.
                let is_table = !["CONSTANT ROW", "old", "pairs"].iter().any(|name| step == format!("SCAN {name}"));
                if is_table
                    && step.starts_with("SCAN")
                    && !step.contains(" USING ")
                    && !WHOLE.iter().any(|part| statement.contains(part))
                {
                    found.push(format!("{}:{line}: {step}: {statement}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
