//! The two engines have the same tables, columns, nullability, unique and foreign keys, and
//! every foreign key has an index.

use std::collections::BTreeSet;

use petspark_core::testing::{Engine, TestApp};
use sqlx::Row as _;

use crate::sql::{Direct, connect};

/// One fact a line, in words that are the same for both engines.
async fn facts(engine: Engine) -> BTreeSet<String> {
    let app = TestApp::open(engine).await;
    let mut facts = BTreeSet::new();
    let queries: [&str; 3] = match engine {
        Engine::Sqlite => [
            "SELECT t.name || '.' || c.name || CASE c.\"notnull\" WHEN 1 THEN ' required' ELSE ' optional' END \
             FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
            "SELECT 'index ' || i.name || CASE i.\"unique\" WHEN 1 THEN ' unique' ELSE '' END || ' on ' || t.name || ': ' || \
                (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) \
             FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'c'",
            "SELECT 'foreign key ' || t.name || '.' || f.\"from\" || ' to ' || f.\"table\" || '.' || f.\"to\" || ' on delete ' || f.on_delete \
             FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
        ],
        Engine::Postgres => [
            "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN ' required' ELSE ' optional' END \
             FROM information_schema.columns WHERE table_schema = current_schema()",
            "SELECT 'index ' || i.relname || CASE WHEN x.indisunique THEN ' unique' ELSE '' END || ' on ' || t.relname || ': ' || \
                (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k(attnum, n) \
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) \
             FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
             WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary",
            "SELECT 'foreign key ' || c.relname || '.' || a.attname || ' to ' || f.relname || '.' || b.attname || ' on delete ' || \
                CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' WHEN 'n' THEN 'SET NULL' ELSE 'RESTRICT' END \
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] \
             JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.confkey[1] \
             WHERE k.contype = 'f' AND c.relnamespace = current_schema()::regnamespace",
        ],
    };
    for query in queries {
        let rows: Vec<String> = match connect(app.petspark.settings()).await {
            Direct::Sqlite(mut connection) => {
                sqlx::query(query).fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Direct::Postgres(mut connection) => {
                sqlx::query(query).fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        };
        facts.extend(rows.into_iter().filter(|fact| !is_of_one_engine(fact)));
    }
    facts
}

/// What the engines' full-text search needs (a table and its shadows, a column and its index), and
/// what is primary and what merely unique: SQLite keeps its tables in the order of a number.
fn is_of_one_engine(fact: &str) -> bool {
    ["pets_search", "pets.search ", "index pets_search_idx", "index pets_id_key", "index pets_number_key"]
        .iter()
        .any(|beginning| fact.starts_with(beginning))
}

#[tokio::test]
async fn both_engines_have_the_same_schema() {
    let (sqlite, postgres) = (facts(Engine::Sqlite).await, facts(Engine::Postgres).await);
    assert_eq!(sqlite.difference(&postgres).collect::<Vec<_>>(), Vec::<&String>::new(), "only on SQLite");
    assert_eq!(postgres.difference(&sqlite).collect::<Vec<_>>(), Vec::<&String>::new(), "only on PostgreSQL");
    assert!(sqlite.contains("index users_email_key unique on users: email"), "{sqlite:#?}");
}

#[tokio::test]
async fn every_foreign_key_has_an_index_and_every_unique_index_a_telling_name() {
    let facts = facts(Engine::Sqlite).await;
    let mut foreign_keys = 0;
    for key in facts.iter().filter_map(|fact| fact.strip_prefix("foreign key ")) {
        let (table, column) = key.split_once(' ').unwrap().0.split_once('.').unwrap();
        let leading = format!(" on {table}: {column}");
        assert!(facts.iter().any(|fact| fact.starts_with("index ") && fact.contains(&leading)), "no index for {key}");
        foreign_keys += 1;
    }
    assert!(foreign_keys >= 2);
    for index in facts.iter().filter(|fact| fact.contains(" unique on ")) {
        let (name, columns) = index.strip_prefix("index ").unwrap().split_once(" unique on ").unwrap();
        let (table, columns) = columns.split_once(": ").unwrap();
        assert_eq!(name, format!("{table}_{}_key", columns.replace(", ", "_")));
    }
}
