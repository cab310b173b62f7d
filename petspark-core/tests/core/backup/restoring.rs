//! Restoring: to a new place, in place, and what is refused.

use std::fs;
use std::time::Duration;

use petspark_core::Failure as _;
use petspark_core::backup::{Backups, Destination, NewBackup, Restore};
use petspark_core::config::DatabaseUrl;
use petspark_core::database::{Database, Run};
use petspark_core::media::Collect;
use petspark_core::pets::{PetFields, Species};
use petspark_core::testing::{TestApp, new_postgres_schema, on_both};
use petspark_core::{Clock, Migrate, PetSpark, Secret};
use serde_json::json;

use super::lab::{Lab, operator, reseal, tamper};
use super::storm::{drop_place, new_place, open};
use crate::sql::every_row;

on_both! {
    async fn what_comes_back_is_what_was_there_without_its_sessions(app: TestApp) {
        let lab = Lab::new(app).await;
        let manifest = lab.create().await;
        let url = new_place(&lab);
        let destination = Destination::New(url.clone());
        let restored = lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap();
        assert_eq!((restored.backup_id, restored.rows), (manifest.id, manifest.rows()));
        assert_eq!(restored.sessions_ended, Some(3));
        let mut settings = lab.settings.clone();
        settings.database.url = url.clone();
        let rows = every_row(&settings).await;
        assert!(rows.iter().any(|row| row.contains("ada@example.org")));
        // Again, onto what is there now: no.
        let refused = lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_OCCUPIED", "{refused}");
        assert_eq!(every_row(&settings).await.len(), rows.len());
        let petspark = open(&lab, url.clone()).await;
        // Written and read again, and in another schema, it is the same to the letter.
        assert_eq!(petspark.database().migrations().verify().await.unwrap(), []);
        let sessions = petspark.auth().count_sessions(&operator(), &Default::default()).await.unwrap();
        assert_eq!(sessions, 0);
        let (email, password) = ("ada@example.org", petspark_core::auth::Password::new(TestApp::PASSWORD));
        petspark.auth().login(email, password, Default::default()).await.unwrap();
        petspark.close().await;
        drop_place(&url).await;
    }

    async fn what_is_damaged_is_not_restored_at_all(app: TestApp) {
        let lab = Lab::new(app).await;
        let manifest = lab.create().await;
        let url = new_place(&lab);
        let destination = Destination::New(url.clone());
        // The files fit the manifest, and what is in them doesn't: that is seen when it is there already.
        lab.claim_other_contents(&manifest);
        let refused = lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED");
        tamper(&lab.database_file(&manifest), |bytes| bytes[100] ^= 1);
        let refused = lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED");
        reseal(&lab.file(&manifest, "manifest.json"), |manifest| manifest["migrations"]["version"] = json!(9999));
        let newer = lab.create().await;
        reseal(&lab.file(&newer, "manifest.json"), |manifest| manifest["migrations"]["version"] = json!(9999));
        let refused = lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_NEWER", "{refused}");
        match &url {
            DatabaseUrl::Sqlite(path) => assert!(!path.exists()),
            DatabaseUrl::Postgres(_) => {
                let mut settings = lab.settings.clone();
                settings.database.url = url.clone();
                assert_eq!(every_row(&settings).await, Vec::<String>::new());
            }
        }
        drop_place(&url).await;
    }

    async fn in_place_it_replaces_what_nobody_uses_and_sets_it_aside(app: TestApp) {
        let lab = Lab::new(app).await;
        let manifest = lab.create().await;
        let ada = lab.app.sign_in("ada").await;
        lab.app.petspark.pets().create(&ada.caller, PetFields::new("Later", Species::Cat)).await.unwrap();
        // As the tool does it: without a connection of its own.
        let alone = Backups::open(&lab.settings, None, lab.clock.clone()).unwrap();
        let refused = alone
            .restore(&operator(), &Restore { id: Some(manifest.id), ..Restore::to(Destination::InPlace) }, &[])
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "BACKUP_IN_USE", "{refused}");
        assert_eq!(lab.ids().await, 1, "nothing was done");
        lab.app.petspark.close().await;
        let restored = alone
            .restore(&operator(), &Restore { id: Some(manifest.id), ..Restore::to(Destination::InPlace) }, &[])
            .await
            .unwrap();
        assert_eq!(restored.rows, manifest.rows());
        let safety = restored.safety_backup.unwrap();
        let listed = alone.get(&operator(), Some(safety), false).await.unwrap();
        assert!(listed.pinned && listed.manifest.unwrap().rows() > manifest.rows());
        assert!(restored.set_aside.is_some());
        let rows = every_row(&lab.settings).await;
        assert!(!rows.iter().any(|row| row.contains("Later")) && rows.iter().any(|row| row.contains("Rex")));
        // And back to where we were.
        let back = alone.restore(&operator(), &Restore { id: Some(safety), keep_sessions: true, ..Restore::to(Destination::InPlaceOfDamaged) }, &[]).await.unwrap();
        assert_eq!((back.safety_backup, back.sessions_ended), (None, None));
        assert!(every_row(&lab.settings).await.iter().any(|row| row.contains("Later")));
        let database = Database::open(&lab.settings.database).await.unwrap();
        assert_eq!(database.migrations().verify().await.unwrap(), []);
        database.close().await;
    }

    async fn a_backup_that_fails_in_place_leaves_everything_as_it_was(app: TestApp) {
        let lab = Lab::new(app).await;
        let manifest = lab.create().await;
        lab.claim_other_contents(&manifest);
        lab.app.petspark.close().await;
        let alone = Backups::open(&lab.settings, None, lab.clock.clone()).unwrap();
        let before = every_row(&lab.settings).await;
        let refused = alone
            .restore(&operator(), &Restore { id: Some(manifest.id), ..Restore::to(Destination::InPlace) }, &[])
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED", "{refused}");
        assert_eq!(every_row(&lab.settings).await, before);
        let listed = alone.list(&operator(), false).await.unwrap();
        assert!(listed.len() == 2 && listed.iter().all(|backup| !backup.pinned), "trying again would add another");
    }

    async fn what_is_left_to_be_done_when_the_database_was_replaced_is_told(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.database.url = match &settings.database.url {
            DatabaseUrl::Sqlite(_) => DatabaseUrl::Sqlite(app.folder().join("older.db")),
            DatabaseUrl::Postgres(_) => DatabaseUrl::Postgres(Secret::new(new_postgres_schema().await)),
        };
        // Before there was an audit log.
        let database = Database::open(&settings.database).await.unwrap();
        let run = Run { to: Some(4), ..Run::default() };
        database.migrations().run_as(&run, app.clock.now(), Duration::from_secs(60)).await.unwrap();
        let backups = Backups::open(&settings, Some(database.clone()), Clock::system()).unwrap();
        let manifest = backups.create(&operator(), &NewBackup::default()).await.unwrap();
        database.migrations().run(app.clock.now(), Duration::from_secs(60)).await.unwrap();
        database.close().await;
        let alone = Backups::open(&settings, None, Clock::system()).unwrap();
        let restored = alone.restore(&operator(), &Restore::to(Destination::InPlace), &[]).await.unwrap();
        assert_eq!((restored.backup_id, restored.rows), (manifest.id, manifest.rows()), "it was replaced");
        assert!(restored.problem.as_ref().is_some_and(|told| told.contains("audit log can't be told")), "{restored:?}");
    }

    async fn what_came_after_the_moment_of_a_restored_backup_stays_for_a_month(app: TestApp) {
        let lab = Lab::new(app).await;
        let clock = Clock::manual(Clock::system().now());
        let backups = Backups::open(&lab.settings, None, clock.clone()).unwrap();
        backups.create(&operator(), &NewBackup::default()).await.unwrap();
        // As a photo that was sent after the backup, and that only the database of before the restoring knows.
        let stray = format!("{}/{}/original.jpg", petspark_core::UserId::new(), petspark_core::UploadId::new());
        let stray = stray.parse().unwrap();
        lab.store().put(&stray, "later".into()).await.unwrap();
        let url = new_place(&lab);
        clock.advance(Duration::from_secs(60));
        backups.restore(&operator(), &Restore::to(Destination::New(url.clone())), &[]).await.unwrap();
        let mut settings = lab.settings.clone();
        settings.database.url = url.clone();
        clock.advance(Duration::from_secs(2 * 86_400));
        let petspark = PetSpark::open_with(settings, Migrate::Never, clock.clone()).await.unwrap();
        let collected = petspark.media().collect(&operator(), &Collect::default(), |_| true).await.unwrap();
        assert_eq!((collected.leftovers, collected.spared), (0, 1), "the restoring may be undone");
        assert!(lab.store().head(&stray).await.is_ok());
        clock.advance(Duration::from_secs(30 * 86_400));
        let collected = petspark.media().collect(&operator(), &Collect::default(), |_| true).await.unwrap();
        assert_eq!((collected.leftovers, collected.spared), (1, 0));
        petspark.close().await;
        drop_place(&url).await;
    }

    async fn one_of_an_older_release_is_proven_by_migrating_it_and_comes_back_as_it_was(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.database.url = match &settings.database.url {
            DatabaseUrl::Sqlite(_) => DatabaseUrl::Sqlite(app.folder().join("older.db")),
            DatabaseUrl::Postgres(_) => DatabaseUrl::Postgres(Secret::new(new_postgres_schema().await)),
        };
        // Before there was a log of operations.
        let database = Database::open(&settings.database).await.unwrap();
        let run = Run { to: Some(21), ..Run::default() };
        database.migrations().run_as(&run, app.clock.now(), Duration::from_secs(60)).await.unwrap();
        let clock = Clock::manual(Clock::system().now());
        let backups = Backups::open(&settings, Some(database.clone()), clock).unwrap();
        let manifest = backups.create_and_read(&operator(), &NewBackup::default()).await.unwrap();
        assert_eq!(manifest.migrations.version, 21);
        let drill = backups.verify(&operator(), None, false, &[], false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
        let checked = backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(!checked.is_invalid(), "{checked:#?}");
        // Migrated, and back again.
        database.migrations().run(app.clock.now(), Duration::from_secs(60)).await.unwrap();
        database.close().await;
        let wanted = Restore { reason: Some("it went wrong".to_owned()), ..Restore::to(Destination::InPlace) };
        let alone = Backups::open(&settings, None, Clock::system()).unwrap();
        let restored = alone.restore(&operator(), &wanted, &[]).await.unwrap();
        assert_eq!((restored.backup_id, restored.rows), (manifest.id, manifest.rows()));
        let rows = every_row(&settings).await;
        assert!(rows.iter().any(|row| row.contains("it went wrong")) && !rows.iter().any(|row| row.contains("0022_")));
    }
}

#[tokio::test]
async fn a_backup_of_another_schema_replaces_nothing() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Postgres).await).await;
    lab.create().await;
    let mut settings = lab.settings.clone();
    settings.database.url = DatabaseUrl::Postgres(Secret::new(new_postgres_schema().await));
    let other = Backups::open(&settings, None, lab.clock.clone()).unwrap();
    lab.app.petspark.close().await;
    let before = every_row(&lab.settings).await;
    let refused = other.restore(&operator(), &Restore::to(Destination::InPlaceOfDamaged), &[]).await.unwrap_err();
    assert!(refused.to_string().contains("this is a backup of the schema"), "{refused}");
    assert_eq!(every_row(&lab.settings).await, before);
}

#[tokio::test]
async fn what_was_granted_to_others_is_granted_on_what_is_restored_in_place() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Postgres).await).await;
    let schema = lab.create().await.database.schema;
    let grants = format!(
        "GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT SELECT ON {schema}.pets TO PUBLIC; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC"
    );
    crate::sql::execute(&lab.settings, &grants).await;
    lab.app.petspark.close().await;
    let alone = Backups::open(&lab.settings, None, lab.clock.clone()).unwrap();
    let restored = alone.restore(&operator(), &Restore::to(Destination::InPlace), &[]).await.unwrap();
    assert_eq!(restored.problem, None);
    let made = format!("CREATE TABLE {schema}.later (id int)");
    crate::sql::execute(&lab.settings, &made).await;
    let crate::sql::Direct::Postgres(mut connection) = crate::sql::connect(&lab.settings).await else { panic!() };
    let may = "SELECT has_schema_privilege('public', $1, 'USAGE'), has_table_privilege('public', $1 || '.pets', 'SELECT'), \
               has_table_privilege('public', $1 || '.later', 'SELECT'), has_table_privilege('public', $1 || '.users', 'SELECT')";
    let may: (bool, bool, bool, bool) = sqlx::query_as(may).bind(&schema).fetch_one(&mut connection).await.unwrap();
    assert_eq!(may, (true, true, true, false));
}

#[tokio::test]
async fn a_new_place_that_was_left_half_restored_is_begun_anew() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Postgres).await).await;
    let manifest = lab.create().await;
    let url = new_place(&lab);
    let destination = Destination::New(url.clone());
    lab.backups.restore(&operator(), &Restore::to(destination.clone()), &[]).await.unwrap();
    let mut settings = lab.settings.clone();
    settings.database.url = url.clone();
    let schema = &manifest.database.schema;
    // As it is until the last step.
    crate::sql::execute(&settings, &format!("COMMENT ON SCHEMA \"{schema}\" IS 'petspark: being restored'")).await;
    let opened = PetSpark::open(settings.clone()).await;
    let refused = opened.err().unwrap();
    assert!(refused.to_string().contains("half restored"), "{refused}");
    let restored = lab.backups.restore(&operator(), &Restore::to(destination), &[]).await.unwrap();
    assert_eq!(restored.rows, manifest.rows());
    open(&lab, url.clone()).await.close().await;
    drop_place(&url).await;
}

#[tokio::test]
async fn a_database_without_the_tables_of_operations_can_be_backed_up_before_it_is_migrated() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await).await;
    crate::sql::execute(&lab.settings, "DROP TABLE operations").await;
    lab.backups.create(&operator(), &NewBackup::default()).await.unwrap();
    assert_eq!(lab.ids().await, 1);
    let file = fs::metadata(lab.folder()).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(file.permissions().mode() & 0o077, 0, "nobody else can read backups");
}

#[tokio::test]
async fn a_damaged_database_is_told_from_a_defect_of_ours_and_one_half_restored_is_not_made_anew() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await).await;
    let DatabaseUrl::Sqlite(path) = &lab.settings.database.url else { panic!("not SQLite") };
    lab.app.petspark.close().await;
    let whole = fs::read(path).unwrap();
    fs::write(path, [&whole[..4096], &vec![7; whole.len() - 4096]].concat()).unwrap();
    let alone = lab.another(|_| {});
    let refused = alone.create(&operator(), &NewBackup::default()).await.unwrap_err();
    assert_eq!(refused.code(), "BACKUP_DAMAGED", "{refused:?}");
    fs::rename(path, format!("{}.restoring", path.display())).unwrap();
    let refused = Database::open(&lab.settings.database).await.err().unwrap();
    assert!(refused.to_string().contains("a restoring of it was interrupted") && !path.exists(), "{refused}");
}

#[tokio::test]
async fn who_does_not_own_the_folder_is_told_so_before_anything_is_written() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await).await;
    let theirs = match rustix::process::geteuid().is_root() {
        true => {
            let folder = lab.app.folder().join("theirs");
            fs::create_dir(&folder).unwrap();
            std::os::unix::fs::chown(&folder, Some(12_345), None).unwrap();
            folder
        }
        // Root's, and not shared with a group.
        false => "/usr".into(),
    };
    let before = fs::read_dir(&theirs).unwrap().count();
    let mut folders = vec![theirs.clone()];
    if rustix::process::geteuid().is_root() {
        // What isn't there yet would be root's, in a place that isn't.
        folders.push(theirs.join("backups"));
    }
    for folder in folders {
        let backups = lab.another(|settings| settings.backup.folder = folder);
        let refused = backups.create(&operator(), &NewBackup::default()).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_NOT_OWNER", "{refused}");
        assert_eq!(backups.prune(&operator(), false, None).await.unwrap_err().code(), "BACKUP_NOT_OWNER");
        let checked = backups.check(&operator(), None, false, &[], false).await.unwrap();
        let finding = checked.findings.iter().find(|finding| finding.id == "backup.configured").unwrap();
        assert_eq!(finding.status, petspark_core::backup::Status::Fail, "{finding:?}");
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), before, "nothing was written");
}
