//! A migration that is disturbed: its connection is ended, the answer to its COMMIT lost, a table in use, a
//! step wrong. What is said of it is what became of it.

use std::time::Duration;

use petspark_core::config::{DatabaseUrl, Settings, Value as _};
use petspark_core::database::{Database, Migration, MigrationError, Run, State, Unlocked};
use petspark_core::testing::{Engine, on_both, settings};
use petspark_core::{Caller, Clock, Failure as _, Kind};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// All but the newest.
fn behind() -> Run {
    Run { to: Some(newest().version - 1), ..Run::default() }
}

fn newest() -> &'static Migration {
    Migration::all().last().unwrap()
}

async fn newest_state(database: &Database) -> State {
    database.migrations().status().await.unwrap().last().unwrap().state
}

async fn postgres() -> (tempfile::TempDir, Settings, Database, PgConnection) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Postgres, &folder).await;
    let database = Database::open(&settings.database).await.unwrap();
    database.migrations().run_as(&behind(), Clock::system().now(), PATIENCE).await.unwrap();
    let crate::sql::Direct::Postgres(other) = crate::sql::connect(&settings).await else { panic!("not PostgreSQL") };
    (folder, settings, database, other)
}

/// Asks until the answer is yes.
async fn until(connection: &mut PgConnection, question: &'static str) {
    while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut *connection).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_the_connection_that_holds_the_lock_ends_the_step() {
    let (_folder, settings, database, mut other) = postgres().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END'; \
         CREATE TRIGGER slow BEFORE INSERT ON petspark_migrations FOR EACH ROW EXECUTE FUNCTION slow()";
    crate::sql::execute(&settings, slow).await;
    let migrating = tokio::spawn({
        let database = database.clone();
        async move { database.migrations().run(Clock::system().now(), PATIENCE).await }
    });
    let asleep = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid IN \
         (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = \
             hashtext(current_schema())::bigint & 4294967295))";
    until(&mut other, asleep).await;
    assert_eq!(newest_state(&database).await, State::Running);
    let holder = database.migrations().lock_holder().await.unwrap().unwrap();
    assert!(!holder.is_gone(), "it is this process: {holder}");
    let by = Caller::operator("ada");
    let unlocked = database.migrations().unlock(&holder, &by, Clock::system().now()).await.unwrap();
    assert_eq!(unlocked, Unlocked::LeftAlone);
    sqlx::query("SELECT pg_terminate_backend($1)").bind(holder.backend).execute(&mut other).await.unwrap();
    let failed = migrating.await.unwrap().unwrap_err();
    assert!(matches!(&failed, MigrationError::Failed { applied, .. } if applied.is_empty()), "{failed}");
    assert_eq!(failed.kind(), Kind::Unavailable, "{failed}");
    assert!(database.migrations().lock_holder().await.unwrap().is_none());
    assert_eq!(newest_state(&database).await, State::Pending);
    crate::sql::execute(&settings, "DROP TRIGGER slow ON petspark_migrations; DROP FUNCTION slow").await;
    database.migrations().run(Clock::system().now(), PATIENCE).await.unwrap();
    assert_eq!(newest_state(&database).await, State::Applied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_somebody_uses_is_waited_for_in_turns_that_let_others_pass() {
    let (_folder, settings, database, mut other) = postgres().await;
    let mut reader = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE petspark_migrations IN SHARE MODE").execute(&mut *reader).await.unwrap();
    let refused = database.migrations().run(Clock::system().now(), Duration::ZERO).await.unwrap_err();
    assert!(matches!(&refused, MigrationError::Failed { .. }) && refused.kind() == Kind::Unavailable, "{refused}");
    assert!(!refused.has_applied() && refused.to_string().contains("lock timeout"), "{refused}");
    let migrating = tokio::spawn({
        let database = database.clone();
        async move { database.migrations().run(Clock::system().now(), PATIENCE).await }
    });
    let crate::sql::Direct::Postgres(mut watcher) = crate::sql::connect(&settings).await else { panic!() };
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'petspark_migrations'::regclass)";
    let waits_no_more =
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'petspark_migrations'::regclass)";
    until(&mut watcher, waits).await;
    until(&mut watcher, waits_no_more).await;
    assert!(!migrating.is_finished(), "it tries again");
    reader.rollback().await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().len(), 1);
}

/// Passes everything on to a PostgreSQL until that says that it committed: then neither side hears of the
/// other again.
async fn losing_the_answer_to_commit(url: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let through = url.replace(&behind, &listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(pass_on(near, far));
        }
    });
    through
}

async fn pass_on(mut near: TcpStream, mut far: TcpStream) {
    let (mut from_near, mut from_far) = ([0; 1 << 16], [0; 1 << 16]);
    loop {
        tokio::select! {
            read = near.read(&mut from_near) => match read {
                Ok(length @ 1..) => far.write_all(&from_near[..length]).await.unwrap(),
                _ => return,
            },
            read = far.read(&mut from_far) => match read {
                Ok(length @ 1..) if !from_far[..length].windows(7).any(|told| told == b"COMMIT\0") => {
                    near.write_all(&from_far[..length]).await.unwrap();
                }
                _ => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_commit_nobody_answered_is_not_said_to_be_undone() {
    let (_folder, mut settings, direct, _) = postgres().await;
    let DatabaseUrl::Postgres(url) = &settings.database.url else { panic!("not PostgreSQL") };
    settings.database.url = DatabaseUrl::parse(&losing_the_answer_to_commit(url.expose()).await).unwrap();
    let database = Database::open(&settings.database).await.unwrap();
    let failed = database.migrations().run(Clock::system().now(), PATIENCE).await.unwrap_err();
    let MigrationError::Unsettled { name, is_applied: true, applied, .. } = &failed else { panic!("{failed}") };
    assert_eq!((name.as_str(), &applied[..]), (newest().name, &[newest().name.to_owned()][..]));
    assert!(failed.has_applied() && failed.to_string().contains("it was applied"), "{failed}");
    assert_eq!(newest_state(&direct).await, State::Applied);
}

#[tokio::test]
async fn a_step_that_can_not_be_committed_is_undone_and_said_to_be() {
    let (_folder, settings, database, _) = postgres().await;
    // Looked at when it is committed, and not before.
    let late = "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not today''; END'; \
         CREATE CONSTRAINT TRIGGER never AFTER INSERT ON petspark_migrations DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION never()";
    crate::sql::execute(&settings, late).await;
    let failed = database.migrations().run(Clock::system().now(), PATIENCE).await.unwrap_err();
    let MigrationError::Failed { reason, applied, .. } = &failed else { panic!("{failed}") };
    assert!(reason.contains("not today") && applied.is_empty(), "{failed}");
    assert_eq!(newest_state(&database).await, State::Pending);
}

on_both! {
    async fn a_run_that_fails_leaves_an_audit_row_for_each_step_it_applied(engine: Engine) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let run = |to, reason: &str| Run {
            to,
            by: Some(Caller::operator("ada")),
            reason: Some(reason.to_owned()),
            ..Run::default()
        };
        database.migrations().run_as(&run(Some(6), "release 1"), Clock::system().now(), PATIENCE).await.unwrap();
        // The ninth step can't make its table: something else has the name.
        crate::sql::execute(&settings, "CREATE TABLE throttles (id INTEGER)").await;
        let failed =
            database.migrations().run_as(&run(None, "release 2"), Clock::system().now(), PATIENCE).await.unwrap_err();
        assert!(matches!(&failed, MigrationError::Failed { applied, .. } if applied.len() == 2), "{failed}");
        let rows = crate::sql::every_row(&settings).await;
        let written = |reason: &str| rows.iter().filter(|row| row.contains(reason)).cloned().collect::<Vec<_>>();
        // A new log begins with one for all.
        let (first, then) = (written("release 1"), written("release 2"));
        assert_eq!((first.len(), then.len()), (1, 2), "{first:#?} {then:#?}");
        assert!(first[0].contains("0001_users") && first[0].contains("0006_accounts"), "{first:#?}");
        for (name, other) in [("0007_one_time_tokens", "0008"), ("0008_second_factor", "0007")] {
            assert!(then.iter().any(|row| row.contains(name) && !row.contains(other)), "{then:#?}");
        }
    }
}
