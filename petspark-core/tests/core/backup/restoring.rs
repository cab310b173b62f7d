//! Restoring: to a new place, in place, and what is refused.

use std::fs;

use petspark_core::Failure as _;
use petspark_core::backup::{Backups, Destination, NewBackup};
use petspark_core::config::DatabaseUrl;
use petspark_core::pets::{PetFields, Species};
use petspark_core::testing::{TestApp, on_both};
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
        let restored = lab.backups.restore(&operator(), None, false, &[], &destination, false).await.unwrap();
        assert_eq!((restored.backup_id, restored.rows), (manifest.id, manifest.rows()));
        assert_eq!(restored.sessions_ended, Some(3));
        let mut settings = lab.settings.clone();
        settings.database.url = url.clone();
        let rows = every_row(&settings).await;
        assert!(rows.iter().any(|row| row.contains("ada@example.org")));
        // Again, onto what is there now: no.
        let refused = lab.backups.restore(&operator(), None, false, &[], &destination, false).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_OCCUPIED", "{refused}");
        assert_eq!(every_row(&settings).await.len(), rows.len());
        let petspark = open(&lab, url.clone()).await;
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
        // The files fit the manifest, and the rows don't: that is seen when they are there already.
        reseal(&lab.file(&manifest, "manifest.json"), |manifest| manifest["tables"][0]["digest"] = json!("sha256:00"));
        let refused = lab.backups.restore(&operator(), None, false, &[], &destination, false).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED");
        tamper(&lab.database_file(&manifest), |bytes| bytes[100] ^= 1);
        let refused = lab.backups.restore(&operator(), None, false, &[], &destination, false).await.unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED");
        reseal(&lab.file(&manifest, "manifest.json"), |manifest| manifest["migrations"]["version"] = json!(9999));
        let newer = lab.create().await;
        reseal(&lab.file(&newer, "manifest.json"), |manifest| manifest["migrations"]["version"] = json!(9999));
        let refused = lab.backups.restore(&operator(), None, false, &[], &destination, false).await.unwrap_err();
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
            .restore(&operator(), Some(manifest.id), false, &[], &Destination::InPlace, false)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "BACKUP_IN_USE", "{refused}");
        assert_eq!(lab.ids().await, 1, "nothing was done");
        lab.app.petspark.close().await;
        let restored = alone
            .restore(&operator(), Some(manifest.id), false, &[], &Destination::InPlace, false)
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
        let back = alone.restore(&operator(), Some(safety), false, &[], &Destination::InPlaceOfDamaged, true).await.unwrap();
        assert_eq!((back.safety_backup, back.sessions_ended), (None, None));
        assert!(every_row(&lab.settings).await.iter().any(|row| row.contains("Later")));
    }

    async fn a_backup_that_fails_in_place_leaves_everything_as_it_was(app: TestApp) {
        let lab = Lab::new(app).await;
        let manifest = lab.create().await;
        reseal(&lab.file(&manifest, "manifest.json"), |manifest| manifest["tables"][0]["digest"] = json!("sha256:00"));
        lab.app.petspark.close().await;
        let alone = Backups::open(&lab.settings, None, lab.clock.clone()).unwrap();
        let before = every_row(&lab.settings).await;
        let refused = alone
            .restore(&operator(), Some(manifest.id), false, &[], &Destination::InPlace, false)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "BACKUP_DAMAGED", "{refused}");
        assert_eq!(every_row(&lab.settings).await, before);
    }

    async fn one_of_an_older_release_is_proven_by_migrating_it(app: TestApp) {
        let lab = Lab::new(app).await;
        // As if the last migration had not been there yet.
        for undone in [
            "DROP TABLE billing_account",
            "DROP INDEX billing_operations_object_id_idx",
            "ALTER TABLE billing_operations DROP COLUMN object_id",
            "ALTER TABLE billing_payments DROP COLUMN paid_at",
            "ALTER TABLE billing_subscriptions DROP COLUMN ends_with_account",
            "ALTER TABLE billing_events DROP COLUMN was_unavailable",
            "DROP INDEX billing_turns_taken_at_idx",
            "ALTER TABLE billing_turns DROP COLUMN taken_at",
            "DELETE FROM petspark_migrations WHERE version = 24",
        ] {
            crate::sql::execute(&lab.settings, undone).await;
        }
        let alone = Backups::open(&lab.settings, None, lab.clock.clone()).unwrap();
        let manifest = alone.create(&operator(), &NewBackup::default()).await.unwrap();
        assert!(manifest.migrations.version < 24);
        let drill = alone.verify(&operator(), None, false, &[], false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
        let checked = alone.check(&operator(), None, false, &[]).await.unwrap();
        assert!(!checked.is_invalid(), "{checked:#?}");
    }
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
