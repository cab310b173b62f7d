//! An embedded installation that has everything is copied to PostgreSQL and goes on there; what
//! interrupts a copy costs a batch, and nothing half-copied is ever taken for an installation.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use petspark_core::auth::{Client, KeyStep, NewApiKey, Password, Permission};
use petspark_core::backup::{BackupError, Backups, NewBackup};
use petspark_core::config::{DatabaseSettings, DatabaseUrl, Settings};
use petspark_core::database::copy::{Copied, CopyError, InstallationCopy};
use petspark_core::database::{Database, MigrationError, Run};
use petspark_core::jobs::NewJob;
use petspark_core::media::NewUpload;
use petspark_core::moderation::NewReport;
use petspark_core::pets::{Coordinates, LocationFields, Near, Patch, PetFields, PetFilter, Species};
use petspark_core::seed::SeedPlan;
use petspark_core::testing::{Engine, TestApp, jpeg, new_postgres_schema, totp_code};
use petspark_core::{Caller, Migrate, PageRequest, PetId, PetSpark, Secret, StartError};
use sqlx::Connection as _;

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

/// An installation with a row in every table that operating one fills.
struct Everything {
    app: TestApp,
    rex: PetId,
    factor: Secret,
    api_key: Secret,
}

impl Everything {
    async fn embedded() -> Self {
        let app = TestApp::open(Engine::Sqlite).await;
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let pets = app.petspark.pets();
        let at = LocationFields { latitude: Some(52.5), longitude: Some(13.4), ..LocationFields::default() };
        let rex = PetFields {
            location: Patch::Set(at),
            bio: Patch::Set("Élevé à Berlin, \"très\" doux\t🐕".to_owned()),
            ..PetFields::new("Rex", Species::Dog)
        };
        let rex = pets.create(&ada.caller, rex).await.unwrap().id;
        let gone = pets.create(&ada.caller, PetFields::new("Gone", Species::Cat)).await.unwrap().id;
        pets.delete(&ada.caller, gone).await.unwrap();
        pets.add_favorite(&bob.caller, rex).await.unwrap();
        let eve = app.register("eve").await;
        app.petspark.people().block(&bob.caller, eve.id).await.unwrap();
        let report = NewReport { reason: "spam".to_owned(), note: Some("twice".to_owned()) };
        app.petspark.moderation().report_pet(&bob.caller, rex, report).await.unwrap();
        Self::upload(&app, &ada.caller, rex).await;
        app.run_jobs().await;
        let auth = app.petspark.auth();
        let key = NewApiKey { name: "reports".to_owned(), scopes: vec![Permission::ReadUsers], expires_in: None };
        let api_key = auth.create_api_key(&operator(), &key).await.unwrap().token;
        auth.change_keys(&operator(), &KeyStep::Generate).await.unwrap();
        let setup = auth.begin_totp(&bob.caller).await.unwrap();
        auth.confirm_totp(&bob.caller, &totp_code(&setup.secret, app.clock.now())).await.unwrap();
        app.petspark.jobs().enqueue(NewJob::new("nobody.does", serde_json::json!({"a": [1, 2.50]}))).await.unwrap();
        let plan = SeedPlan { users: 50, pets: 3000, seed: 1, password: None };
        app.petspark.seeds().run(&operator(), plan, |_| ControlFlow::Continue(())).await.unwrap();
        Self { app, rex, factor: setup.secret, api_key }
    }

    async fn upload(app: &TestApp, owner: &Caller, pet: PetId) {
        let bytes = jpeg(64, 48, 1);
        let new = NewUpload {
            file_name: "rex.jpg".to_owned(),
            file_size: bytes.len() as u64,
            file_type: "image/jpeg".to_owned(),
            upload_type: "pet-photo".to_owned(),
            pet_id: Some(pet.to_string()),
            checksum_sha256: None,
        };
        let media = app.petspark.media();
        let reserved = media.reserve(owner, &new).await.unwrap();
        let (_, token) = reserved.url.expose().split_once("?token=").unwrap();
        let size = Some(bytes.len() as u64);
        let pieces = stream::iter([Ok(Bytes::from(bytes.clone()))]);
        media.receive(&reserved.key, token, Some("image/jpeg"), size, pieces).await.unwrap();
        media.complete(owner, &reserved.key, None, None).await.unwrap();
    }

    /// Ends the server that has the file open.
    async fn stop(&self) -> DatabaseSettings {
        self.app.petspark.close().await;
        self.app.petspark.settings().database.clone()
    }

    /// The same installation with its rows in another place.
    async fn open_at(&self, target: &DatabaseSettings) -> Result<PetSpark, StartError> {
        let settings = Settings { database: target.clone(), ..self.app.petspark.settings().clone() };
        PetSpark::open_with(settings, Migrate::EmbeddedOnly, self.app.clock.clone()).await
    }
}

async fn empty_postgres(like: &DatabaseSettings) -> DatabaseSettings {
    let url = DatabaseUrl::Postgres(Secret::new(new_postgres_schema().await));
    DatabaseSettings { url, ..like.clone() }
}

async fn copy_until(
    everything: &Everything,
    from: &DatabaseSettings,
    to: &DatabaseSettings,
    stop_at: u64,
) -> Result<Copied, CopyError> {
    let mut copy = InstallationCopy::open(from, to).await?;
    let copied = copy
        .run(&operator(), &everything.app.clock, |step| {
            if step.done >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await;
    copy.close().await;
    copied
}

async fn copy(everything: &Everything, from: &DatabaseSettings, to: &DatabaseSettings) -> Result<Copied, CopyError> {
    copy_until(everything, from, to, u64::MAX).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_that_has_everything_goes_on_on_postgresql() {
    let everything = Everything::embedded().await;
    let before = everything.app.petspark.dashboard().read(&operator()).await.unwrap();
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let copied = copy(&everything, &from, &to).await.unwrap();
    assert!(copied.tables.iter().all(petspark_core::database::copy::Compared::is_equal), "{copied:#?}");
    let total: u64 = copied.tables.iter().map(|table| table.source.rows).sum();
    assert_eq!(copied.rows, total);
    for table in [
        "users",
        "sessions",
        "pets",
        "jobs",
        "audit_log",
        "totp_factors",
        "recovery_codes",
        "signing_keys",
        "api_keys",
        "favorites",
        "blocks",
        "moderation_tasks",
        "reports",
        "uploads",
        "photo_buckets",
        "counters",
    ] {
        let rows = copied.tables.iter().find(|it| it.table == table).map(|it| it.target.rows);
        assert!(rows.is_some_and(|rows| rows > 0), "{table}: {rows:?}");
    }

    let petspark = everything.open_at(&to).await.unwrap();
    assert_eq!(petspark.database().migrations().verify().await.unwrap(), []);
    assert_eq!(petspark.dashboard().read(&operator()).await.unwrap(), before);
    let auth = petspark.auth();
    let login = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
    let ada = auth.authenticate(login.tokens.access.expose()).await.unwrap();
    auth.authenticate(everything.api_key.expose()).await.unwrap();
    let pets = petspark.pets();
    let rex = pets.get(&ada, everything.rex).await.unwrap();
    assert_eq!(rex.bio.as_deref(), Some("Élevé à Berlin, \"très\" doux\t🐕"));
    assert_eq!(rex.photos().len(), 1);
    let near = Near::new(Coordinates::new(52.5, 13.4).unwrap(), 5.0);
    for filter in [
        PetFilter { q: Some("eleve doux".to_owned()), ..PetFilter::default() },
        PetFilter { near, q: Some("rex".to_owned()), ..PetFilter::default() },
    ] {
        let found = pets.list(&ada, filter, &PageRequest::default()).await.unwrap().items;
        assert!(found.iter().any(|pet| pet.id == everything.rex));
    }
    // What counts goes on behind what is there, and what triggers count is counted once.
    pets.create(&ada, PetFields::new("New", Species::Dog)).await.unwrap();
    let after = petspark.dashboard().read(&operator()).await.unwrap();
    assert_eq!(after.pets.active, before.pets.active + 1);
    let audited = crate::sql::every_row(petspark.settings()).await;
    assert!(audited.iter().any(|row| row.contains("sys_installation_copied")));
    assert!(!everything.factor.expose().is_empty());
    petspark.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_copy_is_no_installation_and_goes_on() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let first = copy_until(&everything, &from, &to, 200).await.unwrap();
    assert!(first.interrupted && first.rows >= 200 && first.tables.is_empty(), "{first:?}");
    let refused = everything.open_at(&to).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::HalfCopied)), "{refused}");
    nothing_takes_it_for_an_installation(&everything, &to).await;
    let (other, others) = another().await;
    let refused = copy(&other, &others, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::OtherSource), "{refused}");
    let again = InstallationCopy::open(&from, &to).await.unwrap();
    assert_eq!(again.tables().iter().map(|table| table.copied).sum::<u64>(), first.rows);
    again.close().await;
    let second = copy(&everything, &from, &to).await.unwrap();
    assert!(second.tables.iter().all(petspark_core::database::copy::Compared::is_equal));
    assert_eq!(first.rows + second.rows, second.tables.iter().map(|table| table.source.rows).sum::<u64>());
    let petspark = everything.open_at(&to).await.unwrap();
    assert_eq!(petspark.database().migrations().verify().await.unwrap(), []);
    petspark.close().await;
}

/// Whoever asks for the migrations is told, and no backup is made of it.
async fn nothing_takes_it_for_an_installation(everything: &Everything, to: &DatabaseSettings) {
    let settings = Settings { database: to.clone(), ..everything.app.petspark.settings().clone() };
    let database = Database::open(to).await.unwrap();
    let migrations = database.migrations();
    let (now, patience) = (everything.app.clock.now(), Duration::ZERO);
    for refused in [
        migrations.status().await.unwrap_err(),
        migrations.require_current().await.unwrap_err(),
        migrations.plan(&Run::default()).await.unwrap_err(),
        migrations.run(now, patience).await.unwrap_err(),
        migrations.baseline(&operator(), None, now, patience).await.unwrap_err(),
    ] {
        assert!(matches!(refused, MigrationError::HalfCopied), "{refused}");
    }
    let backups = Backups::open(&settings, Some(database.clone()), everything.app.clock.clone()).unwrap();
    let refused = backups.create(&operator(), &NewBackup::default()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Migration(MigrationError::HalfCopied)), "{refused}");
    database.close().await;
}

/// An empty target, and another installation with its own birth.
async fn another() -> (Everything, DatabaseSettings) {
    let other = Everything::embedded().await;
    let others = other.stop().await;
    // The clock of the tests stands still, and no two installations are made in one microsecond.
    let later = "UPDATE petspark_migrations SET applied_at = applied_at + 1";
    crate::sql::execute(other.app.petspark.settings(), later).await;
    (other, others)
}

fn at(everything: &Everything, place: &DatabaseSettings) -> Settings {
    Settings { database: place.clone(), ..everything.app.petspark.settings().clone() }
}

/// The index of a primary key loses an entry: it changes places with one that lacks it.
async fn damage_an_index(settings: &Settings) {
    crate::sql::execute(
        settings,
        "CREATE TABLE fewer (id BLOB NOT NULL PRIMARY KEY) STRICT; \
         INSERT INTO fewer (rowid, id) SELECT rowid, id FROM audit_log WHERE id <> (SELECT min(id) FROM audit_log); \
         PRAGMA writable_schema = ON; \
         UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema \
            WHERE name IN ('sqlite_autoindex_fewer_1', 'sqlite_autoindex_audit_log_1')) - rootpage \
            WHERE name IN ('sqlite_autoindex_fewer_1', 'sqlite_autoindex_audit_log_1')",
    )
    .await;
}

fn require_told(refused: &CopyError) {
    assert!(matches!(refused, CopyError::Damaged { .. }), "{refused}");
    let told = refused.to_string();
    assert!(
        told.contains("missing from index sqlite_autoindex_audit_log_1") && told.contains("empty database"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_of_the_source_hides_no_row() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    damage_an_index(&at(&everything, &from)).await;
    let mut look = InstallationCopy::open(&from, &to).await.unwrap();
    require_told(&look.look_over().await.unwrap_err());
    look.close().await;
    for _ in 0..2 {
        require_told(&copy(&everything, &from, &to).await.unwrap_err());
        let refused = everything.open_at(&to).await.err().unwrap();
        assert!(matches!(refused, StartError::Migration(MigrationError::HalfCopied)), "{refused}");
    }

    // What was copied lacks the row that was hidden, which is seen when the source is mended.
    crate::sql::execute(&at(&everything, &from), "REINDEX").await;
    let copied = copy(&everything, &from, &to).await.unwrap();
    let different: Vec<_> = copied.tables.iter().filter(|it| !it.is_equal()).map(|it| it.table.as_str()).collect();
    assert_eq!(different, ["audit_log"]);
    let refused = everything.open_at(&to).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::HalfCopied)), "{refused}");
    let to = empty_postgres(&from).await;
    copy(&everything, &from, &to).await.unwrap();
    everything.open_at(&to).await.unwrap().close().await;
    // The source of a complete copy is looked over, too.
    crate::sql::execute(&at(&everything, &from), "DROP TABLE fewer").await;
    damage_an_index(&at(&everything, &from)).await;
    require_told(&copy(&everything, &from, &to).await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_pages_make_no_sense_is_called_damaged() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let DatabaseUrl::Sqlite(path) = &from.url else { unreachable!() };
    let crate::sql::Direct::Sqlite(mut source) = crate::sql::connect(&at(&everything, &from)).await else {
        unreachable!()
    };
    let place = "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'pets'";
    let (page, size): (i64, i64) = sqlx::query_as(place).fetch_one(&mut source).await.unwrap();
    source.close().await.unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(((page - 1) * size).unsigned_abs())).unwrap();
    file.write_all(&[0xff; 100]).unwrap();
    let refused = InstallationCopy::open(&from, &to).await.err().unwrap();
    assert!(matches!(refused, CopyError::Damaged { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_rows_refer_to_nothing_is_refused() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let lost = "PRAGMA foreign_keys = OFF; DELETE FROM users WHERE email = 'ada@example.org'";
    crate::sql::execute(&at(&everything, &from), lost).await;
    let refused = InstallationCopy::open(&from, &to).await.err().unwrap();
    assert!(refused.to_string().contains("pets refers to users that isn't there"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_to_the_target_since_it_was_looked_at_is_seen() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let run = async |copy: &mut InstallationCopy| {
        copy.run(&operator(), &everything.app.clock, |_| ControlFlow::Break(())).await
    };

    let to = empty_postgres(&from).await;
    let mut copy = InstallationCopy::open(&from, &to).await.unwrap();
    let server =
        PetSpark::open_with(at(&everything, &to), Migrate::Always, everything.app.clock.clone()).await.unwrap();
    let refused = run(&mut copy).await.unwrap_err();
    assert!(matches!(refused, CopyError::TargetInUse { .. }), "{refused}");
    server.database().migrations().require_current().await.unwrap();
    let plan = SeedPlan { users: 1, pets: 1, seed: 1, password: None };
    server.seeds().run(&operator(), plan, |_| ControlFlow::Continue(())).await.unwrap();
    server.close().await;
    let refused = run(&mut copy).await.unwrap_err();
    assert!(matches!(refused, CopyError::NotEmpty { .. }), "{refused}");
    everything.open_at(&to).await.unwrap().close().await;

    let (to, (_other, others)) = (empty_postgres(&from).await, another().await);
    let mut second = InstallationCopy::open(&others, &to).await.unwrap();
    copy.close().await;
    let mut first = InstallationCopy::open(&from, &to).await.unwrap();
    assert!(run(&mut first).await.unwrap().interrupted);
    let refused = run(&mut second).await.unwrap_err();
    assert!(matches!(refused, CopyError::OtherSource), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_died_while_it_migrated_the_target_goes_on() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let mut dying = InstallationCopy::open(&from, &to).await.unwrap();
    let began = async {
        while !crate::sql::every_row(&at(&everything, &to)).await.iter().any(|row| row.contains("0003_pets")) {}
    };
    let caller = operator();
    tokio::select! {
        biased;
        () = began => {}
        _ = dying.run(&caller, &everything.app.clock, |_| ControlFlow::Continue(())) => panic!("it was too fast"),
    }
    dying.close().await;
    let refused = everything.open_at(&to).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::HalfCopied)), "{refused}");
    let again = InstallationCopy::open(&from, &to).await.unwrap();
    assert!(again.migrates_target());
    again.close().await;
    let copied = copy(&everything, &from, &to).await.unwrap();
    assert!(!copied.tables.is_empty() && copied.tables.iter().all(petspark_core::database::copy::Compared::is_equal));

    // The same of a target that somebody else began to migrate, and that has no rows.
    let to = empty_postgres(&from).await;
    let database = Database::open(&to).await.unwrap();
    let some = Run { to: Some(4), ..Run::default() };
    database.migrations().run_as(&some, everything.app.clock.now(), Duration::ZERO).await.unwrap();
    database.close().await;
    copy(&everything, &from, &to).await.unwrap();
    everything.open_at(&to).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_copy_is_known_as_one_until_the_source_goes_on() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    copy(&everything, &from, &to).await.unwrap();
    // People have begun to use it.
    let server = everything.open_at(&to).await.unwrap();
    server
        .seeds()
        .run(&operator(), SeedPlan { users: 1, pets: 1, seed: 9, password: None }, |_| ControlFlow::Continue(()))
        .await
        .unwrap();
    let again = copy(&everything, &from, &to).await.unwrap();
    assert_eq!((again.rows, again.complete_since), (0, Some(everything.app.clock.now())));
    let (other, others) = another().await;
    let refused = copy(&other, &others, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::NotEmpty { .. }), "{refused}");
    let name = "UPDATE users SET display_name = 'Another' WHERE email = 'ada@example.org'";
    crate::sql::execute(&at(&everything, &from), name).await;
    let refused = copy(&everything, &from, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::SourceChanged { .. }), "{refused}");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_lost_its_lock_writes_nothing_more() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let mut copy_of_it = InstallationCopy::open(&from, &to).await.unwrap();
    let onlooker = Database::open(&to).await.unwrap();
    let settings = at(&everything, &to);
    let copied = copy_of_it
        .run(&operator(), &everything.app.clock, |_| {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let holder = onlooker.migrations().lock_holder().await.unwrap().unwrap();
                    let end = format!("SELECT pg_terminate_backend({})", holder.backend.unwrap());
                    crate::sql::execute(&settings, &end).await;
                });
            });
            ControlFlow::Continue(())
        })
        .await;
    assert!(matches!(copied, Err(CopyError::Fault { .. })), "{copied:?}");
    let told: u64 = copy_of_it.tables().iter().map(|table| table.copied).sum();
    copy_of_it.close().await;
    onlooker.close().await;
    let again = InstallationCopy::open(&from, &to).await.unwrap();
    assert_eq!(again.tables().iter().map(|table| table.copied).sum::<u64>(), told, "what was told is what is there");
    again.close().await;
    copy(&everything, &from, &to).await.unwrap();
    everything.open_at(&to).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_somebody_made_by_hand_is_in_nobodys_way() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    copy_until(&everything, &from, &to, 1000).await.unwrap();
    let by_hand = "CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id)";
    crate::sql::execute(&at(&everything, &to), by_hand).await;
    copy(&everything, &from, &to).await.unwrap();
    everything.open_at(&to).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_somebody_has_open_is_not_copied_and_nobody_opens_it_meanwhile() {
    let everything = Everything::embedded().await;
    let from = everything.app.petspark.settings().database.clone();
    let to = empty_postgres(&from).await;
    let refused = InstallationCopy::open(&from, &to).await.err().unwrap();
    assert!(matches!(refused, CopyError::SourceInUse(_)), "{refused}");
    everything.stop().await;
    let copy = InstallationCopy::open(&from, &to).await.unwrap();
    let impatient = DatabaseSettings { busy_timeout: std::time::Duration::from_millis(50), ..from.clone() };
    assert!(everything.open_at(&impatient).await.is_err(), "a server could have written meanwhile");
    copy.close().await;
    everything.open_at(&from).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changed_between_two_parts_is_noticed() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    copy_until(&everything, &from, &to, 4000).await.unwrap();
    crate::sql::execute(
        everything.app.petspark.settings(),
        "UPDATE users SET display_name = 'Another' WHERE email = 'ada@example.org'",
    )
    .await;
    let copied = copy(&everything, &from, &to).await.unwrap();
    let different: Vec<_> = copied.tables.iter().filter(|it| !it.is_equal()).map(|it| it.table.as_str()).collect();
    assert_eq!(different, ["users"]);
    let refused = everything.open_at(&to).await.err().unwrap();
    assert!(matches!(refused, StartError::Migration(MigrationError::HalfCopied)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_copied_is_refused_before_anything_is_written() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let refused = InstallationCopy::open(&to, &from).await.err().unwrap();
    assert!(matches!(refused, CopyError::Engines));
    let missing = DatabaseSettings { url: DatabaseUrl::Sqlite("nowhere.db".into()), ..from.clone() };
    let refused = InstallationCopy::open(&missing, &to).await.err().unwrap();
    assert!(matches!(refused, CopyError::NoSource(_)));
    assert!(!std::path::Path::new("nowhere.db").exists());
    crate::sql::execute(everything.app.petspark.settings(), "DROP INDEX pets_owner_id_idx").await;
    let refused = InstallationCopy::open(&from, &to).await.err().unwrap();
    assert!(matches!(refused, CopyError::Migration { side: "source", .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_make_or_change_tables_is_told_before_anything_is_written() {
    let everything = Everything::embedded().await;
    let from = everything.stop().await;
    let to = empty_postgres(&from).await;
    let DatabaseUrl::Postgres(owners) = &to.url else { unreachable!() };
    let (_, schema) = owners.expose().split_once("search_path%3D").unwrap();
    let role = schema.replace("test_", "role_");
    let settings = at(&everything, &to);
    crate::sql::execute(&settings, &format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")).await;
    let (_, place) = owners.expose().split_once('@').unwrap();
    let url = DatabaseUrl::Postgres(Secret::new(format!("postgres://{role}:hunter2@{place}")));
    let by_role = DatabaseSettings { url, ..to.clone() };
    // It does not even see the schema, then sees it and may not add to it.
    for grant in ["SELECT 1", &format!("GRANT USAGE ON SCHEMA {schema} TO {role}")] {
        crate::sql::execute(&settings, grant).await;
        let refused = InstallationCopy::open(&from, &by_role).await.err().unwrap();
        assert!(matches!(refused, CopyError::NoSchema), "{refused}");
    }
    let database = Database::open(&to).await.unwrap();
    database.migrations().run(everything.app.clock.now(), Duration::ZERO).await.unwrap();
    database.close().await;
    let grant =
        format!("GRANT CREATE ON SCHEMA {schema} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}");
    crate::sql::execute(&settings, &grant).await;
    let refused = InstallationCopy::open(&from, &by_role).await.err().unwrap();
    assert!(matches!(refused, CopyError::NotOwner { .. }), "{refused}");
    assert!(!refused.to_string().contains("hunter2"));
    crate::sql::execute(&settings, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
