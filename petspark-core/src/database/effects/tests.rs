use std::str::FromStr as _;

use sqlx::raw_sql;

use super::*;
use crate::testing::{self, TestApp, on_both};

#[test]
fn every_kind_of_statement_says_what_it_locks() {
    use LockClass::{AccessExclusive, AccessShare, RowExclusive, Share, ShareRowExclusive, ShareUpdateExclusive};
    let mut made = Made::default();
    for text in statements(
        "CREATE TABLE pets (id bigint); CREATE UNIQUE INDEX IF NOT EXISTS pets_id_key ON pets (id);
         CREATE TRIGGER pets_count AFTER INSERT ON pets BEGIN SELECT 1; END;",
    ) {
        made.note(&text);
    }
    for (sql, expected) in [
        ("ALTER TABLE ONLY pets ADD COLUMN x bigint;", vec![("PETS", AccessExclusive)]),
        ("ALTER TABLE pets ADD CHECK (x IN (1, 2)) NOT VALID;", vec![("PETS", AccessExclusive)]),
        ("CREATE UNIQUE INDEX x ON pets USING gin (y);", vec![("PETS", Share)]),
        ("CREATE INDEX CONCURRENTLY x ON pets (y);", vec![("PETS", ShareUpdateExclusive)]),
        ("DROP INDEX IF EXISTS public.pets_id_key CASCADE;", vec![("PETS", AccessExclusive)]),
        ("DROP INDEX CONCURRENTLY pets_id_key;", vec![("PETS", ShareUpdateExclusive)]),
        ("DROP TRIGGER pets_count;", vec![("PETS", AccessExclusive)]),
        ("DROP TRIGGER IF EXISTS other ON pets;", vec![("PETS", AccessExclusive)]),
        (
            "CREATE OR REPLACE TRIGGER t AFTER UPDATE OF a ON pets FOR EACH ROW EXECUTE FUNCTION f();",
            vec![("PETS", ShareRowExclusive)],
        ),
        ("UPDATE other SET a = 1 FROM pets;", vec![("OTHER", RowExclusive), ("PETS", AccessShare)]),
        ("WITH gone AS (DELETE FROM pets RETURNING 1) SELECT 1;", vec![("PETS", RowExclusive), ("PETS", AccessShare)]),
        ("INSERT INTO counters (a) SELECT 1;", vec![("COUNTERS", RowExclusive)]),
        ("CREATE TABLE n (a bigint REFERENCES users (id));", vec![("USERS", ShareRowExclusive)]),
        ("CREATE FUNCTION f() RETURNS trigger AS $$ DELETE FROM pets; $$;", vec![]),
    ] {
        let found: Vec<_> = statements(sql).iter().flat_map(|text| made.locked(text)).collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(table, lock)| Locked::Table(table.to_owned(), lock)).collect();
        assert_eq!(found, expected, "{sql}");
    }
}

on_both! {
    async fn locks_on_what_is_there_are_told_with_its_rows(app: TestApp) {
        app.register("ada").await;
        let db = app.petspark.database();
        let steps: Vec<_> = Migration::all().iter().filter(|step| matches!(step.version, 10 | 13 | 19)).collect();
        let locks = db.migrations().locks(&steps).await.unwrap();
        assert_eq!(locks[0], [], "a new table is in nobody's way");
        let users = locks[1].iter().find(|lock| lock.table == "users").unwrap();
        let (lock, rows) = match db.engine() {
            Engine::Sqlite(_) => (LockClass::Writer, Some(1)),
            // Nobody analyzed it yet.
            Engine::Postgres(_) => (LockClass::AccessExclusive, users.rows),
        };
        assert_eq!((users.lock, users.rows), (lock, rows));
        let [pets] = &locks[2][..] else { panic!("{:?}", locks[2]) };
        assert_eq!((pets.table.as_str(), pets.lock), ("pets", lock), "its indexes are dropped");
    }
}

/// Statements as migrations may have them. The migrations that there are have a test of their own, with rows.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE pets ADD COLUMN x bigint",
    "ALTER TABLE pets ADD COLUMN x uuid REFERENCES users (id)",
    "ALTER TABLE pets ADD CONSTRAINT x CHECK (version > 0) NOT VALID",
    "ALTER TABLE pets ADD CONSTRAINT x FOREIGN KEY (owner_id) REFERENCES users (id) NOT VALID",
    "ALTER TABLE pets VALIDATE CONSTRAINT pets_owner_id_fkey",
    "ALTER TABLE pets DROP CONSTRAINT pets_owner_id_fkey",
    "ALTER TABLE pets DROP COLUMN owner_id",
    "ALTER TABLE pets DROP owner_id",
    "ALTER TABLE pets ALTER COLUMN name SET STATISTICS 200, ALTER COLUMN bio SET NOT NULL",
    "ALTER TABLE pets ALTER COLUMN name SET STATISTICS 200",
    "ALTER TABLE pets ALTER COLUMN name TYPE varchar(100)",
    "ALTER TABLE billing_subscriptions ALTER COLUMN customer_id TYPE varchar(100)",
    "ALTER TABLE billing_customers ALTER COLUMN stripe_id TYPE varchar(100)",
    "ALTER TABLE pets DISABLE TRIGGER pets_count_insert",
    "ALTER TABLE pets RENAME COLUMN name TO called",
    "ALTER TABLE pets RENAME TO animals",
    "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE",
    "DROP TABLE favorites, reports",
    "DROP TABLE moderation_tasks CASCADE",
    "TRUNCATE moderation_tasks CASCADE",
    "CREATE INDEX x ON pets (name)",
    "DROP INDEX pets_status_idx, users_role_idx",
    "ALTER INDEX pets_status_idx RENAME TO x",
    "REINDEX INDEX pets_status_idx",
    "REINDEX TABLE pets",
    "CREATE TRIGGER x AFTER DELETE ON favorites FOR EACH ROW EXECUTE FUNCTION favorites_count()",
    "DROP TRIGGER favorites_count ON favorites",
    "ALTER TRIGGER favorites_count ON favorites RENAME TO x",
    "CREATE OR REPLACE FUNCTION favorites_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    "CREATE TABLE x (a uuid REFERENCES users (id), b uuid REFERENCES pets (id))",
    "CREATE TABLE x AS SELECT * FROM pets",
    "CREATE TABLE x (LIKE pets INCLUDING ALL)",
    "CREATE VIEW x AS SELECT pets.name FROM pets JOIN users ON users.id = pets.owner_id",
    "CREATE STATISTICS x ON status, species FROM pets",
    "CREATE RULE x AS ON DELETE TO operations DO ALSO NOTHING",
    "CREATE POLICY x ON operations",
    "COMMENT ON TABLE pets IS 'p'",
    "COMMENT ON COLUMN pets.name IS 'p'",
    "ANALYZE pets",
    "LOCK TABLE pets",
    "INSERT INTO removed_uploads (id, owner_id, content_type, expires_at) SELECT id, id, 'x', created_at FROM users",
    "UPDATE pets SET version = 2 FROM users WHERE users.id = pets.owner_id",
    "DELETE FROM operations USING users WHERE operations.id = users.id",
    "WITH gone AS (DELETE FROM operations RETURNING id) SELECT count(*) FROM gone, users",
    "MERGE INTO operations USING users ON operations.id = users.id WHEN MATCHED THEN DELETE",
    "SELECT setval(pg_get_serial_sequence('pets', 'number'), 7) FROM pets",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_locks_more_on_postgresql_than_is_told() {
    let app = TestApp::open(testing::Engine::Postgres).await;
    let Engine::Postgres(postgres) = app.petspark.database().engine() else { panic!("this is PostgreSQL") };
    for &sql in STATEMENTS {
        let step = Migration { version: 9999, name: "9999_x", oldest_build: 9998, sqlite: "", postgres: sql };
        let told = app.petspark.database().migrations().locks(&[&step]).await.unwrap().remove(0);
        let mut tx = postgres.pool.begin().await.unwrap();
        let tables: Vec<(i64, String)> = query_as(
            "SELECT oid::bigint, relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        if let Err(error) = raw_sql(sql).execute(&mut *tx).await {
            // MERGE is younger than the oldest version that we run on.
            assert!(sql.starts_with("MERGE ") && error.to_string().contains("syntax error"), "{sql}: {error}");
            continue;
        }
        let held: Vec<(i64, String)> = query_as(
            "SELECT relation::bigint, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        tx.rollback().await.unwrap();
        for (table, mode) in held {
            let Some((_, table)) = tables.iter().find(|(oid, _)| *oid == table) else { continue };
            let lock = told.iter().find(|lock| lock.table == *table).map(|lock| lock.lock);
            assert!(lock >= Some(by_mode(&mode)), "{sql}: {mode} on {table}, told was {told:?}");
        }
    }
}

/// As PostgreSQL calls it.
fn by_mode(mode: &str) -> LockClass {
    let spaced = mode.trim_end_matches("Lock").chars().fold(String::new(), |mut text, c| {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
        text
    });
    LockClass::from_str(&spaced).unwrap()
}
