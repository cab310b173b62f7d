//! What `migrate run --dry-run` tells of locks, against what PostgreSQL holds while each migration is applied.

use std::time::Duration;

use petspark_core::database::{Database, LockClass, Migration, Run, TableLock};
use petspark_core::testing::{Engine, settings};
use petspark_core::{Clock, config::Settings};
use sqlx::SqlSafeStr as _;

use crate::sql::{Direct, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_migration_locks_more_on_postgresql_than_a_dry_run_tells() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Postgres, &folder).await;
    let database = Database::open(&settings.database).await.unwrap();
    let mut seen = 0;
    for step in Migration::all() {
        let told = database.migrations().locks(&[step]).await.unwrap().remove(0);
        for (table, held) in held_by(step.sql(&database), &settings).await {
            let lock = told.iter().find(|lock| lock.table == table).map(|lock| lock.lock);
            assert!(lock >= Some(held), "{} locks {table}, {held}; told was {told:?}", step.name);
            seen += 1;
        }
        let run = Run { to: Some(step.version), ..Run::default() };
        database.migrations().run_as(&run, Clock::system().now(), Duration::from_secs(5)).await.unwrap();
        // What is done to rows locks other tables than what is done to none.
        for statement in crate::upgrades::rows_since(step.version, Engine::Postgres) {
            crate::sql::execute(&settings, &statement).await;
        }
    }
    assert!(seen > 30, "only {seen} locks were seen");
}

/// All steps at once are told as one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_step_locks_is_told_the_same_with_others_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Postgres, &folder).await;
    let database = Database::open(&settings.database).await.unwrap();
    let run = Run { to: Some(18), ..Run::default() };
    database.migrations().run_as(&run, Clock::system().now(), Duration::from_secs(5)).await.unwrap();
    let pending = database.migrations().plan(&Run::default()).await.unwrap();
    let told = database.migrations().locks(&pending).await.unwrap();
    let of = |name: &str| -> &[TableLock] {
        let place = pending.iter().position(|step| step.name == name).unwrap();
        &told[place]
    };
    let [pets] = of("0019_filters_in_indexes") else { panic!("{told:?}") };
    assert_eq!((pets.table.as_str(), pets.lock), ("pets", LockClass::AccessExclusive));
    assert_eq!(of("0023_all_photos"), [], "the table is made by a step that is pending, too");
}

/// The strongest lock on each table that was there before, while these statements are run and undone.
async fn held_by(sql: &'static str, settings: &Settings) -> Vec<(String, LockClass)> {
    let Direct::Postgres(mut connection) = connect(settings).await else { panic!("this is PostgreSQL") };
    let mut tx = sqlx::Connection::begin(&mut connection).await.unwrap();
    let tables: Vec<(i64, String)> = sqlx::query_as(
        "SELECT oid::bigint, relname::text FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'petspark\\_%'",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    sqlx::raw_sql(sql.into_sql_str()).execute(&mut *tx).await.unwrap();
    let locks: Vec<(i64, String)> = sqlx::query_as(
        "SELECT relation::bigint, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    tx.rollback().await.unwrap();
    let name = |oid| tables.iter().find(|(table, _)| *table == oid).map(|(_, name)| name.clone());
    locks.into_iter().filter_map(|(oid, mode)| Some((name(oid)?, class(&mode)))).collect()
}

fn class(mode: &str) -> LockClass {
    match mode {
        "AccessShareLock" => LockClass::AccessShare,
        "RowShareLock" => LockClass::RowShare,
        "RowExclusiveLock" => LockClass::RowExclusive,
        "ShareUpdateExclusiveLock" => LockClass::ShareUpdateExclusive,
        "ShareLock" => LockClass::Share,
        "ShareRowExclusiveLock" => LockClass::ShareRowExclusive,
        // ACCESS EXCLUSIVE is the next that is told.
        "ExclusiveLock" | "AccessExclusiveLock" => LockClass::AccessExclusive,
        mode => panic!("{mode}"),
    }
}
