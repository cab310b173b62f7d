//! Migrating once, telling the truth about it, and leaving nothing half-done.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::config::{DatabaseUrl, Environment};
use petspark_core::database::{Database, Migration, MigrationError, Run, State};
use petspark_core::testing::{Engine, on_both, settings};
use petspark_core::{Clock, Failure as _, Migrate, PetSpark, Secret, StartError};

use crate::sql::Direct;

const PATIENCE: Duration = Duration::from_secs(30);

async fn states(database: &Database) -> Vec<State> {
    database.migrations().status().await.unwrap().into_iter().map(|migration| migration.state).collect()
}

on_both! {
    async fn ten_that_start_at_once_on_a_new_database_migrate_once(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let runs = join_all((0..10).map(|_| async {
            let database = Database::open(&settings.database).await.unwrap();
            let applied = database.migrations().run(Clock::system().now(), PATIENCE).await.unwrap().len();
            database.close().await;
            applied
        }))
        .await;
        assert_eq!(runs.iter().sum::<usize>(), Migration::all().len(), "{runs:?}");
        let database = Database::open(&settings.database).await.unwrap();
        assert!(states(&database).await.iter().all(|state| *state == State::Applied));
    }
}

#[tokio::test]
async fn a_postgresql_that_lacks_migrations_is_not_opened_unless_told_to_migrate() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Postgres, &folder).await;
    let refused = PetSpark::open(settings.clone()).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::Pending { count: 4.. })), "{refused}");
    assert!(refused.to_string().contains("--migrate"));
    let petspark = PetSpark::open_with(settings.clone(), Migrate::Never, Clock::system()).await.unwrap();
    assert!(states(petspark.database()).await.iter().all(|state| *state == State::Pending));
    PetSpark::open_with(settings.clone(), Migrate::Always, Clock::system()).await.unwrap();
    PetSpark::open(settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_migrates_a_new_file_unasked_also_for_ten_at_once_and_never_one_with_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Sqlite, &folder).await;
    settings.environment = Environment::Production;
    settings.auth.jwt_secret = Some(Secret::new("4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2"));
    for opened in join_all((0..10).map(|_| PetSpark::open(settings.clone()))).await {
        opened.unwrap().close().await;
    }
    let older = tempfile::tempdir().unwrap();
    let run = Run { to: Some(3), ..Run::default() };
    // A first start that was killed in the middle goes on.
    settings.database.url = DatabaseUrl::Sqlite(older.path().join("killed.db"));
    let database = Database::open(&settings.database).await.unwrap();
    database.migrations().run_as(&run, Clock::system().now(), PATIENCE).await.unwrap();
    PetSpark::open(settings.clone()).await.unwrap().close().await;
    settings.database.url = DatabaseUrl::Sqlite(older.path().join("petspark.db"));
    let database = Database::open(&settings.database).await.unwrap();
    database.migrations().run_as(&run, Clock::system().now(), PATIENCE).await.unwrap();
    let bob = "INSERT INTO users (id, email, display_name, role, status, created_at, updated_at) \
        VALUES (zeroblob(16), 'bob@example.org', 'Bob', 'user', 'active', 0, 0)";
    crate::sql::execute(&settings, bob).await;
    let refused = PetSpark::open(settings.clone()).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::Pending { count: 4.. })), "{refused}");
    assert!(refused.to_string().contains("migrate run --backup-first"), "{refused}");
    assert_eq!(states(&database).await[3], State::Pending);
    settings.environment = Environment::Development;
    PetSpark::open(settings).await.unwrap();
    assert!(states(&database).await.iter().all(|state| *state == State::Applied));
}

/// As if a newer release had applied that, which works with builds that have `oldest_build`.
fn future(version: i64, oldest_build: &str) -> String {
    format!(
        "INSERT INTO petspark_migrations (version, name, checksum, applied_at, took_ms, oldest_build) \
         SELECT {version}, 'future_{version}', 'x', applied_at, 1, {oldest_build} FROM petspark_migrations WHERE version = 1"
    )
}

on_both! {
    async fn a_changed_and_an_unknown_migration_are_told(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let petspark = PetSpark::open_with(settings.clone(), Migrate::Always, Clock::system()).await.unwrap();
        let newest = Migration::all().last().unwrap().version;
        crate::sql::execute(&settings, &future(98, &newest.to_string())).await;
        assert_eq!(states(petspark.database()).await.last(), Some(&State::Unknown));
        // A newer release was here, and left what this build needs: going back to this one works.
        PetSpark::open(settings.clone()).await.unwrap();
        let told = petspark.database().migrations().newer().await.unwrap();
        assert_eq!(told.iter().map(|state| &*state.name).collect::<Vec<_>>(), ["future_98"]);
        // It took something away; the next one, that only adds, changes nothing about that. Nor may what doesn't say.
        for oldest_build in ["99", "NULL"] {
            crate::sql::execute(&settings, &future(99, oldest_build)).await;
            crate::sql::execute(&settings, &future(100, &newest.to_string())).await;
            for migrate in [Migrate::EmbeddedOnly, Migrate::Always] {
                let refused = PetSpark::open_with(settings.clone(), migrate, Clock::system()).await.err().unwrap();
                let StartError::Migration(error @ MigrationError::TooOld { needed }) = &refused else {
                    panic!("{refused}")
                };
                assert_eq!((&**needed, error.code()), ("future_99", "MIGRATION_NEWER"));
            }
            crate::sql::execute(&settings, "DELETE FROM petspark_migrations WHERE version > 98").await;
            petspark.database().migrations().require_current().await.unwrap();
        }
        crate::sql::execute(petspark.settings(), "UPDATE petspark_migrations SET checksum = 'x' WHERE version = 2").await;
        assert_eq!(states(petspark.database()).await[1], State::Modified);
        let refused = PetSpark::open(settings).await.err().unwrap();
        assert!(matches!(refused, StartError::Migration(MigrationError::Modified { .. })), "{refused}");
    }
}

on_both! {
    async fn every_step_says_which_builds_work_with_it_also_in_a_history_of_before(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let migrations = database.migrations();
        let run = Run { to: Some(3), ..Run::default() };
        migrations.run_as(&run, Clock::system().now(), PATIENCE).await.unwrap();
        // As a release of before made the table; what looked at it before goes on to do so.
        crate::sql::execute(&settings, "ALTER TABLE petspark_migrations DROP COLUMN oldest_build").await;
        assert_eq!(states(&database).await[..4], [State::Applied, State::Applied, State::Applied, State::Pending]);
        migrations.run(Clock::system().now(), PATIENCE).await.unwrap();
        migrations.require_current().await.unwrap();
        let written = "SELECT version, oldest_build FROM petspark_migrations ORDER BY version";
        let written: Vec<(i64, Option<i64>)> = match crate::sql::connect(&settings).await {
            Direct::Sqlite(mut connection) => sqlx::query_as(written).fetch_all(&mut connection).await.unwrap(),
            Direct::Postgres(mut connection) => sqlx::query_as(written).fetch_all(&mut connection).await.unwrap(),
        };
        let expected: Vec<_> = Migration::all()
            .iter()
            .map(|step| (step.version, if step.version <= 3 { None } else { Some(step.oldest_build) }))
            .collect();
        assert_eq!(written, expected);
        // Also who looked before the column was there sees what it says.
        let newest = Migration::all().last().unwrap().version;
        crate::sql::execute(&settings, &future(98, &newest.to_string())).await;
        migrations.require_current().await.unwrap();
    }
}

on_both! {
    async fn a_step_that_fails_leaves_nothing_and_the_lock_free(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        // The third step can't make its table: something else has the name.
        crate::sql::execute(&settings, "CREATE TABLE pets (id INTEGER)").await;
        let run = || async { database.migrations().run(Clock::system().now(), Duration::from_millis(100)).await };
        for before in [&["0001_users", "0002_sessions"][..], &[]] {
            let failed = run().await.unwrap_err();
            let MigrationError::Failed { name, applied, .. } = &failed else { panic!("{failed}") };
            assert_eq!(name, "0003_pets");
            assert_eq!(applied, before);
        }
        assert_eq!(states(&database).await[..3], [State::Applied, State::Applied, State::Pending]);
        crate::sql::execute(&settings, "DROP TABLE pets").await;
        assert!(run().await.unwrap().len() > 1);
    }
}

on_both! {
    async fn what_is_older_than_something_applied_is_not_applied_by_itself(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let migrations = database.migrations();
        migrations.run(Clock::system().now(), PATIENCE).await.unwrap();
        // As if this step had been written on a branch, and landed after those behind it.
        crate::sql::execute(&settings, "DELETE FROM petspark_migrations WHERE version = 17").await;
        crate::sql::execute(&settings, "DROP INDEX pets_deleted_at_idx").await;
        let refused = migrations.run(Clock::system().now(), PATIENCE).await.unwrap_err();
        assert!(matches!(&refused, MigrationError::OutOfOrder { name, .. } if name == "0017_deleted_pets"), "{refused}");
        assert!(refused.to_string().contains("--allow-out-of-order"));
        let run = Run { out_of_order: true, ..Run::default() };
        assert_eq!(migrations.run_as(&run, Clock::system().now(), PATIENCE).await.unwrap().len(), 1);
        assert_eq!(migrations.verify().await.unwrap(), []);
    }
}

on_both! {
    async fn a_step_that_a_dead_process_began_is_told_and_applied(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let migrations = database.migrations();
        let run = Run { to: Some(3), ..Run::default() };
        migrations.run_as(&run, Clock::system().now(), PATIENCE).await.unwrap();
        // What a process leaves that dies in the middle of a step: the transaction is undone, this not.
        let begun = "INSERT INTO petspark_migrations_begun SELECT 4, applied_at FROM petspark_migrations WHERE version = 1";
        crate::sql::execute(&settings, begun).await;
        assert_eq!(
            states(&database).await[..5],
            [State::Applied, State::Applied, State::Applied, State::Interrupted, State::Pending]
        );
        assert!(matches!(migrations.require_current().await, Err(MigrationError::Pending { .. })));
        migrations.run(Clock::system().now(), PATIENCE).await.unwrap();
        assert!(states(&database).await.iter().all(|state| *state == State::Applied));
    }
}

#[tokio::test]
async fn there_is_no_stopping_at_a_migration_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Sqlite, &folder).await;
    let database = Database::open(&settings.database).await.unwrap();
    let run = Run { to: Some(4711), ..Run::default() };
    let refused = database.migrations().run_as(&run, Clock::system().now(), PATIENCE).await.unwrap_err();
    assert!(matches!(refused, MigrationError::NoSuchVersion(4711)));
}
