//! `migrations/schema.lock.json` is what the migrations make, and a schema that was changed by hand
//! is told from it. After a new migration, run this once with `PETSPARK_UPDATE_GOLDEN=1`.

use std::time::Duration;

use petspark_core::database::{Database, DifferenceKind, MigrationError};
use petspark_core::testing::{Engine, TestApp, on_both, settings};
use petspark_core::{Caller, Clock};

#[tokio::test]
async fn the_schema_lock_is_what_the_migrations_make() {
    let mut lock = serde_json::Map::new();
    for (name, engine) in [("postgres", Engine::Postgres), ("sqlite", Engine::Sqlite)] {
        let app = TestApp::open(engine).await;
        let schema = app.petspark.database().migrations().schema().await.unwrap();
        lock.insert(name.to_owned(), serde_json::to_value(schema).unwrap());
    }
    let text = serde_json::to_string_pretty(&lock).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.lock.json");
    #[allow(clippy::disallowed_methods, reason = "a switch of the tests")]
    if std::env::var_os("PETSPARK_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == text,
        "{path} is not what the migrations make; see the top of this file"
    );
}

on_both! {
    async fn what_was_changed_by_hand_is_found_by_kind(app: TestApp) {
        let migrations = app.petspark.database().migrations();
        assert_eq!(migrations.verify().await.unwrap(), []);
        let settings = app.petspark.settings();
        crate::sql::execute(settings, "CREATE TABLE somebodys (id INTEGER)").await;
        crate::sql::execute(settings, "CREATE INDEX somebodys_own_idx ON pets (name)").await;
        assert_eq!(migrations.verify().await.unwrap(), [], "what somebody added is theirs");
        crate::sql::execute(settings, "DROP INDEX users_email_key").await;
        crate::sql::execute(settings, "DROP INDEX sessions_user_id_idx").await;
        crate::sql::execute(settings, "ALTER TABLE pets ADD COLUMN extra text").await;
        crate::sql::execute(settings, "ALTER TABLE users DROP COLUMN bio").await;
        crate::sql::execute(settings, "DROP TABLE photo_buckets").await;
        crate::sql::execute(settings, "CREATE UNIQUE INDEX pets_breed_odd ON pets (breed)").await;
        let differences = migrations.verify().await.unwrap();
        let told: Vec<_> = differences.iter().map(ToString::to_string).collect();
        for (kind, text) in [
            (DifferenceKind::Table, "table photo_buckets is missing"),
            (DifferenceKind::Index, "index users_email_key of users is missing (unique (email))"),
            (DifferenceKind::Index, "index sessions_user_id_idx of sessions is missing"),
            (DifferenceKind::ForeignKey, "foreign key user_id of sessions is without an index instead of indexed"),
            (DifferenceKind::Column, "column bio of users is missing (text)"),
            (DifferenceKind::Column, "column extra of pets is none of ours (text)"),
            (DifferenceKind::Index, "index pets_breed_odd of pets is none of ours (unique (breed))"),
        ] {
            let found = differences.iter().zip(&told).any(|(it, told)| it.kind == kind && told.starts_with(text));
            assert!(found, "{text}: {told:#?}");
        }
        assert_eq!(told.len(), 7, "{told:#?}");
    }

    async fn a_baseline_needs_the_very_schema_and_is_written_down(app: TestApp) {
        let (database, settings) = (app.petspark.database(), app.petspark.settings());
        let migrations = database.migrations();
        let operator = Caller::operator("cli:ada@example");
        let baseline = || migrations.baseline(&operator, Some("restored"), app.clock.now(), Duration::from_secs(1));
        assert!(baseline().await.unwrap().is_empty(), "there is a history");
        crate::sql::execute(settings, "DROP TABLE petspark_migrations").await;
        crate::sql::execute(settings, "DROP INDEX pets_owner_id_idx").await;
        let refused = baseline().await.unwrap_err();
        assert!(matches!(&refused, MigrationError::Differs(all) if all.len() == 2), "{refused}");
        assert!(migrations.require_current().await.is_err());
        crate::sql::execute(settings, "CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id)").await;
        let recorded = baseline().await.unwrap();
        assert_eq!(recorded.len(), petspark_core::database::Migration::all().len());
        migrations.require_current().await.unwrap();
        let written = crate::sql::every_row(settings).await;
        assert!(written.iter().any(|row| row.contains("sys_schema_baselined") && row.contains("restored")));
    }
}

#[tokio::test]
async fn a_trigger_that_is_switched_off_is_found() {
    let app = TestApp::open(Engine::Postgres).await;
    crate::sql::execute(app.petspark.settings(), "ALTER TABLE pets DISABLE TRIGGER pets_count_insert").await;
    let differences = app.petspark.database().migrations().verify().await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].to_string(), "trigger pets_count_insert of pets is switched off instead of fires");
}

#[tokio::test]
async fn a_database_without_anything_differs_in_every_table() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let differences = database.migrations().verify().await.unwrap();
        assert!(differences.iter().all(|it| it.kind == DifferenceKind::Table) && differences.len() > 10);
        let refused = database
            .migrations()
            .baseline(&Caller::system(), None, Clock::system().now(), Duration::from_secs(1))
            .await
            .unwrap_err();
        assert!(matches!(refused, MigrationError::Differs(_)));
    }
}
