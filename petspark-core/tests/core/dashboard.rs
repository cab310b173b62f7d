//! The dashboard's numbers: that they are what counting would give, whatever happened, and that
//! neither reading nor keeping them makes anybody wait.

use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use petspark_core::auth::{StatusChange, UserChange, UserStatus};
use petspark_core::dashboard::Numbers;
use petspark_core::jobs::{Handler, Job, NewJob};
use petspark_core::moderation::{NewDecision, NewReport, TaskFilter};
use petspark_core::people::When;
use petspark_core::pets::{Patch, PetFields, PetStatus, Species};
use petspark_core::testing::{Engine, TestApp, TestUser, on_both};
use petspark_core::{Caller, Fault, JobId, PageRequest, PetId};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::sql::{Direct, connect};

fn operator() -> Caller {
    Caller::operator("test")
}

async fn read(app: &TestApp) -> Numbers {
    app.petspark.dashboard().read(&operator()).await.unwrap()
}

/// What a statement gives that has one column.
#[allow(clippy::disallowed_methods, reason = "SQL of these tests, not of users")]
async fn column<T>(app: &TestApp, sql: &str) -> Vec<T>
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let sql = AssertSqlSafe(sql.to_owned());
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
        Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
    }
}

/// The numbers as counting gives them.
async fn counted(app: &TestApp) -> Numbers {
    let count = async |what: &str| column::<i64>(app, &format!("SELECT count(*) FROM {what}")).await[0].unsigned_abs();
    let mut numbers = read(app).await;
    for (of, table) in [(&mut numbers.users.deleted, "users"), (&mut numbers.pets.deleted, "pets")] {
        *of = count(&format!("{table} WHERE deleted_at IS NOT NULL")).await;
    }
    let there = async |table: &str, status: &str| {
        count(&format!("{table} WHERE deleted_at IS NULL AND status = '{status}'")).await
    };
    numbers.users.active = there("users", "active").await;
    numbers.users.suspended = there("users", "suspended").await;
    numbers.users.banned = there("users", "banned").await;
    numbers.pets.active = there("pets", "active").await;
    numbers.pets.hidden = there("pets", "hidden").await;
    numbers.pets.banned = there("pets", "banned").await;
    numbers.moderation.open = count("moderation_tasks WHERE status = 'open'").await;
    numbers.moderation.taken = count("moderation_tasks WHERE status = 'taken'").await;
    numbers.jobs.queued = count("jobs WHERE dead_at IS NULL AND schedule IS NULL").await;
    numbers.jobs.dead = count("jobs WHERE dead_at IS NOT NULL").await;
    numbers
}

/// A job that nobody can do.
struct Hopeless;

impl Handler for Hopeless {
    fn kind(&self) -> &'static str {
        "test.hopeless"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::lasting("hopeless")) })
    }
}

/// Does the `n`th thing that can happen, to what `n` chooses. What is refused happens as well.
async fn happens(app: &TestApp, users: &[TestUser], n: usize) {
    let pick = n / 16;
    let user = &users[pick % users.len()];
    let ids: Vec<PetId> = column(app, "SELECT id FROM pets ORDER BY id").await;
    let pet = ids.get(pick % ids.len().max(1)).copied().unwrap_or_else(PetId::new);
    let (pets, people, moderation) = (app.petspark.pets(), app.petspark.people(), app.petspark.moderation());
    let status = |status: PetStatus| PetFields { status: Patch::Set(status.to_string()), ..PetFields::default() };
    let standing = |status| UserChange {
        role: None,
        role_reason: None,
        status: Some(StatusChange { status, reason: Some("test".to_owned()), until: None }),
    };
    match n % 16 {
        0..=3 => drop(pets.create(&user.caller, PetFields::new("Rex", Species::Dog)).await),
        4 => drop(pets.update(&operator(), pet, status(PetStatus::Hidden)).await),
        5 => drop(pets.update(&operator(), pet, status(PetStatus::Banned)).await),
        6 => drop(pets.update(&operator(), pet, status(PetStatus::Active)).await),
        7 => drop(pets.delete(&operator(), pet).await),
        8 | 9 => {
            let spam = NewReport { reason: "spam".to_owned(), note: None };
            drop(moderation.report_pet(&user.caller, pet, spam).await);
        }
        10 | 11 => {
            let waiting = moderation.list(&operator(), TaskFilter::default(), &PageRequest::default()).await.unwrap();
            if let Some(task) = waiting.items.first() {
                drop(moderation.take(&operator(), task.id).await);
                if pick.is_multiple_of(4) {
                    let rejected = NewDecision { decision: "rejected".to_owned(), reason: "test".to_owned() };
                    drop(moderation.decide(&operator(), task.id, rejected).await);
                }
            }
        }
        12 => {
            let to = [UserStatus::Suspended, UserStatus::Banned, UserStatus::Active][pick % 3];
            drop(app.petspark.auth().change_user(&operator(), user.id, &standing(to), false).await);
        }
        13 if pick.is_multiple_of(3) => drop(people.delete(&operator(), user.id, When::Later, None, false).await),
        13 | 14 => drop(people.restore(&operator(), user.id, None).await),
        _ => {
            let job = NewJob::new("test.hopeless", serde_json::Value::Null);
            let job: JobId = app.petspark.jobs().enqueue(job).await.unwrap();
            if pick.is_multiple_of(3) {
                drop(app.petspark.jobs().drop(&operator(), job).await);
            }
        }
    }
}

on_both! {
    async fn the_numbers_are_what_counting_gives_after_whatever_happened(app: TestApp) {
        let mut users = Vec::new();
        for name in ["ada", "bob", "eve", "joe"] {
            users.push(app.register(name).await);
        }
        app.petspark.jobs().handle(Hopeless);
        let mut waiting = 0;
        // A pseudo-random walk, the same each time (Knuth's MMIX).
        let mut random = 7_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 40).unwrap()
        };
        for round in 0..4 {
            for _ in 0..25 {
                happens(&app, &users, next()).await;
            }
            let at_once: Vec<_> = (0..12).map(|_| next()).collect();
            join_all(at_once.into_iter().map(|n| happens(&app, &users, n))).await;
            let seen = read(&app).await;
            assert_eq!(seen, counted(&app).await, "round {round}");
            waiting += seen.moderation.open + seen.moderation.taken;
            // Some jobs fail for good, and what happened is added up.
            app.clock.advance(Duration::from_secs(300));
            drop(app.petspark.jobs().run_due().await.unwrap());
            assert_eq!(column::<i64>(&app, "SELECT count(*) FROM counters WHERE part <> 0 AND name LIKE 'pets%'").await, [0]);
            assert_eq!(read(&app).await, counted(&app).await, "round {round}, added up");
        }
        let seen = read(&app).await;
        assert!(seen.pets.deleted > 0 && seen.pets.active > 0 && seen.jobs.dead > 0 && waiting > 0, "too little happened: {seen:?}");
        app.petspark.people().delete(&operator(), users[0].id, When::Now, None, false).await.unwrap();
        assert_eq!(read(&app).await, counted(&app).await, "with a person go their pets");
        assert_eq!(read(&app).await.signups.last_day, 4, "whatever became of them");
    }

    async fn sign_ups_are_those_of_the_last_day_and_week(app: TestApp) {
        let (hour, mut seen) = (Duration::from_secs(3600), Vec::new());
        for (name, pause) in [("ada", 0), ("bob", 2), ("eve", 23), ("joe", 7 * 24 - 2)] {
            app.clock.advance(hour * pause);
            app.register(name).await;
            let signups = read(&app).await.signups;
            seen.push((signups.last_day, signups.last_week));
        }
        assert_eq!(seen, [(1, 1), (2, 2), (2, 3), (1, 2)]);
        app.clock.advance(hour * 24 * 9);
        app.run_jobs().await;
        assert_eq!(column::<i64>(&app, "SELECT count(*) FROM counters WHERE name LIKE 'signups.%'").await, [0], "old hours are forgotten");
        assert_eq!(read(&app).await.users.active, 4);
    }

    async fn reading_the_numbers_looks_at_no_other_table(app: TestApp) {
        let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dashboard/store.rs")).unwrap();
        let statement = source.split('"').find(|literal| literal.starts_with("SELECT ")).unwrap();
        let plan = match app.petspark.database().engine_name() {
            "sqlite" => {
                #[allow(clippy::disallowed_methods, reason = "SQL of the store file, not of users")]
                let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
                let Direct::Sqlite(mut connection) = connect(app.petspark.settings()).await else { panic!("not SQLite") };
                let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
                rows.into_iter().map(|row| row.3).collect()
            }
            _ => column::<String>(&app, &format!("EXPLAIN {statement}")).await,
        };
        let plan = plan.join("\n");
        assert!(plan.contains("counters"), "{plan}");
        for table in ["users", "pets", "jobs", "moderation_tasks"] {
            assert!(!plan.contains(table), "{plan}");
        }
    }

    async fn only_administrators_are_told(app: TestApp) {
        let ada = app.register("ada").await;
        for caller in [ada.caller, Caller::anonymous()] {
            assert!(app.petspark.dashboard().read(&caller).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_adds_a_pet_on_postgresql_waits_for_nobody_who_is_changing_one() {
    let app = TestApp::open(Engine::Postgres).await;
    let ada = app.register("ada").await;
    let add = async || app.petspark.pets().create(&ada.caller, PetFields::new("Rex", Species::Dog)).await.unwrap();
    add().await;
    let Direct::Postgres(mut other) = connect(app.petspark.settings()).await else { panic!("not PostgreSQL") };
    other.execute("BEGIN").await.unwrap();
    other.execute("UPDATE pets SET status = 'hidden'").await.unwrap();
    // The other has counted, and holds what it counted until it is done. Waiting would end in an error.
    add().await;
    assert_eq!((read(&app).await.pets.active, read(&app).await.pets.hidden), (2, 0));
    other.execute("COMMIT").await.unwrap();
    assert_eq!((read(&app).await.pets.active, read(&app).await.pets.hidden), (1, 1));
}
