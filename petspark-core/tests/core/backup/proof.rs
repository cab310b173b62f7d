//! What drills found: a backup that is no good is called good by nobody, and one that was proven stays so until a drill
//! says otherwise of the backup itself.

use std::fs;
use std::time::Duration;

use petspark_core::Secret;
use petspark_core::auth::KeyStep;
use petspark_core::backup::{BackupError, Checked, Finding, Manifest, NewBackup, Status};
use petspark_core::config::{DatabaseSettings, DatabaseUrl};
use petspark_core::database::Database;
use petspark_core::media::objects::ObjectStore;
use petspark_core::testing::{Engine, TestApp, TestS3, on_both};
use serde_json::json;

use super::lab::{Lab, bad, operator, reseal, tamper};
use crate::sql::execute;

pub(super) fn find<'a>(checked: &'a Checked, id: &str) -> &'a Finding {
    checked.findings.iter().find(|finding| finding.id == id).unwrap()
}

/// Has the manifest say something else of a table than what is in the database.
fn make_wrong(lab: &Lab, of: &Manifest) {
    reseal(&lab.file(of, "manifest.json"), |manifest| {
        let tables = manifest["tables"].as_array_mut().unwrap();
        let table = tables.iter_mut().find(|table| table["name"] == "favorites").unwrap();
        table["rows"] = json!(table["rows"].as_u64().unwrap() + 1);
    });
}

async fn with_bucket(app: TestApp) -> (Lab, TestS3, ObjectStore) {
    let s3 = TestS3::start().await;
    let mut settings = app.petspark.settings().clone();
    settings.backup.bucket = Some(s3.settings());
    settings.backup.min_keep = 1;
    let lab = Lab::with(app, settings).await;
    let bucket = ObjectStore::open(&s3.objects(lab.app.folder())).unwrap();
    (lab, s3, bucket)
}

on_both! {
    async fn what_a_drill_found_to_be_no_good_is_called_good_by_nobody(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.backup.min_keep = 1;
        let lab = Lab::with(app, settings).await;
        let (old, new) = (lab.create().await, lab.create().await);
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        let whole = fs::read(lab.file(&new, "manifest.json")).unwrap();
        make_wrong(&lab, &new);
        let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!(drill.phase.as_deref(), Some("contents"), "{drill:?}");
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        let verdict = checked.findings.iter().find(|it| (it.id, it.status) == ("backup.valid", Status::Fail)).unwrap();
        assert!(checked.is_invalid() && verdict.backup == Some(new.id), "{checked:#?}");
        assert!(verdict.observed.contains("contents") && verdict.observed.contains("favorites"), "{verdict:?}");
        assert_eq!(find(&checked, "backup.fresh").backup, Some(old.id));
        assert_eq!(find(&checked, "backup.count").observed, "1");
        let listed = lab.backups.list(&operator(), false).await.unwrap();
        assert!(listed[0].problem.as_ref().unwrap().contains("contents") && listed[1].problem.is_none(), "{listed:?}");
        let figures = lab.backups.metrics(&operator(), false, Some(&checked)).await.unwrap();
        assert!(figures.lines().any(|line| line.starts_with("petspark_backup_valid_count") && line.ends_with(" 1")));
        let refused = lab.backups.prune(&operator(), false, None).await.unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
        // Its files alone are what was written, and a drill is tried again.
        fs::write(lab.file(&new, "manifest.json"), whole).unwrap();
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(bad(&checked).is_empty(), "{checked:#?}");
    }

    async fn what_is_wrong_around_a_backup_takes_no_proof_from_it(app: TestApp) {
        let lab = Lab::new(app).await;
        lab.app.petspark.auth().change_keys(&operator(), &KeyStep::Generate).await.unwrap();
        lab.create().await;
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        let proven_at = lab.backups.list(&operator(), false).await.unwrap()[0].proven_at;
        lab.clock.advance(Duration::from_secs(60));
        let other = lab.another(|settings| {
            let secret = "9c1f7b0e7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
            settings.auth.jwt_secret = Some(Secret::new(secret));
        });
        let drill = other.verify(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!((drill.ok, drill.phase.as_deref()), (false, Some("secrets")), "{drill:?}");
        lab.store().delete(&lab.object(0).parse().unwrap()).await.unwrap();
        let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!((drill.ok, drill.phase.as_deref()), (false, Some("media")), "{drill:?}");
        lab.store().put(&lab.object(0).parse().unwrap(), vec![0; 1000].into()).await.unwrap();
        let listed = lab.backups.list(&operator(), false).await.unwrap();
        assert!(proven_at.is_some() && listed[0].proven_at == proven_at && listed[0].problem.is_none(), "{listed:?}");
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(!checked.is_invalid() && find(&checked, "backup.drill").status == Status::Pass, "{checked:#?}");
    }

    async fn what_a_drill_from_the_bucket_found_counts_for_the_folder_too(app: TestApp) {
        let (lab, _s3, bucket) = with_bucket(app).await;
        let made = lab.create().await;
        assert!(lab.backups.verify(&operator(), None, true, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        let proof = find(&checked, "backup.drill");
        assert_eq!((proof.status, proof.target), (Status::Pass, "bucket"), "{checked:#?}");
        lab.clock.advance(Duration::from_secs(60));
        make_wrong(&lab, &made);
        let manifest = fs::read(lab.file(&made, "manifest.json")).unwrap();
        bucket.put(&format!("{}/manifest.json", made.id).parse().unwrap(), manifest.into()).await.unwrap();
        assert!(!lab.backups.verify(&operator(), None, true, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(checked.is_invalid() && find(&checked, "backup.fresh").status == Status::Fail, "{checked:#?}");
    }

    async fn what_is_cut_off_or_gone_in_the_bucket_is_found(app: TestApp) {
        let (lab, s3, bucket) = with_bucket(app).await;
        let made = lab.create().await;
        assert!(lab.backups.verify(&operator(), None, true, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, true, &[], true).await.unwrap();
        assert!(bad(&checked).is_empty(), "{checked:#?}");
        assert!(checked.findings.iter().all(|finding| finding.target == "bucket"), "{checked:#?}");
        let name = format!("{}/{}", made.id, made.database_file().unwrap().path);
        let file = s3.folder().join("uploads/test").join(&name);
        let whole = fs::read(&file).unwrap();
        for what in ["cut off", "gone"] {
            match what {
                "gone" => bucket.delete(&name.parse().unwrap()).await.unwrap(),
                _ => bucket.put(&name.parse().unwrap(), whole[..100].to_vec().into()).await.unwrap(),
            }
            let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
            let offsite = find(&checked, "backup.offsite");
            assert_eq!(offsite.status, Status::Warn, "{what}: {checked:#?}");
            assert!(offsite.observed.contains(&made.database_file().unwrap().path), "{what}: {offsite:?}");
            let checked = lab.backups.check(&operator(), None, false, &[], true).await.unwrap();
            assert!(checked.is_invalid(), "{what}: {checked:#?}");
        }
        // That the copy is no good says nothing of the other.
        assert!(!lab.backups.verify(&operator(), None, true, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(!checked.is_invalid() && find(&checked, "backup.fresh").status == Status::Pass, "{checked:#?}");
    }

    async fn secrets_that_can_not_be_read_are_not_called_lacking_and_none_are_made(app: TestApp) {
        let lab = Lab::new(app).await;
        lab.app.petspark.auth().change_keys(&operator(), &KeyStep::Generate).await.unwrap();
        assert_eq!(lab.create().await.keys_required.len(), 1);
        let folder = lab.app.folder().join("elsewhere");
        let other = lab.another(|settings| {
            (settings.data_dir, settings.auth.jwt_secret, settings.auth.encryption_key) = (folder.clone(), None, None);
        });
        let checked = other.check(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!(find(&checked, "backup.keys").status, Status::Fail, "{checked:#?}");
        assert!(!folder.exists(), "looking changes nothing");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("jwt-secret"), "short").unwrap();
        let checked = other.check(&operator(), None, false, &[], false).await.unwrap();
        let keys = find(&checked, "backup.keys");
        assert!(keys.status == Status::Error && keys.observed.contains("jwt-secret"), "{checked:#?}");
        assert!(!checked.is_invalid());
    }
}

#[tokio::test]
async fn a_drill_that_is_kept_stays_and_what_a_killed_one_left_goes() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    lab.create().await;
    assert!(lab.backups.verify(&operator(), None, false, &[], true).await.unwrap().ok);
    let work = &lab.settings.backup.work_folder;
    let kept = fs::read_dir(work).unwrap().next().unwrap().unwrap().path();
    let dead = work.join("petspark-drill-01980000-0000-7000-8000-000000000000");
    fs::create_dir(&dead).unwrap();
    lab.clock.advance(Duration::from_secs(3 * 86_400));
    lab.create().await;
    assert!(kept.join("drill.sqlite").exists() && !dead.exists());
}

#[tokio::test]
async fn what_is_not_ours_in_the_work_folder_stays_even_if_it_is_the_folder_of_backups() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    let first = lab.create().await;
    let careless = lab.another(|settings| settings.backup.work_folder = settings.backup.folder.clone());
    for stranger in ["6f9619ff-8b86-4011-b42d-00c04fc964ff", "01980000-0000-7000-8000-000000000000", "drill-notes"] {
        fs::create_dir(lab.folder().join(stranger)).unwrap();
    }
    let second = careless.create(&operator(), &NewBackup::default()).await.unwrap();
    for id in [first.id, second.id] {
        assert!(careless.verify(&operator(), Some(id), false, &[], false).await.unwrap().ok);
    }
    let names = fs::read_dir(lab.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("notes")).collect();
    names.sort();
    let mut expected = vec![
        first.id.to_string(),
        second.id.to_string(),
        "01980000-0000-7000-8000-000000000000".to_owned(),
        "6f9619ff-8b86-4011-b42d-00c04fc964ff".to_owned(),
        "drill-notes".to_owned(),
    ];
    expected.sort();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn who_comes_by_a_link_takes_the_locks_of_the_file_itself() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    let DatabaseUrl::Sqlite(path) = &lab.settings.database.url else { panic!("not SQLite") };
    let link = lab.app.folder().join("link.db");
    std::os::unix::fs::symlink(fs::canonicalize(path).unwrap(), &link).unwrap();
    let by_link = lab.another(|settings| settings.database.url = DatabaseUrl::Sqlite(link.clone()));
    by_link.create(&operator(), &NewBackup::default()).await.unwrap();
    Database::open(&DatabaseSettings { url: DatabaseUrl::Sqlite(link), ..lab.settings.database.clone() })
        .await
        .unwrap()
        .close()
        .await;
    let names = fs::read_dir(lab.app.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("link.db")).collect::<Vec<_>>(), ["link.db"]);
}

/// `pg_dump` leaves out what an extension brings along.
#[tokio::test]
async fn what_belongs_to_an_extension_is_no_part_of_a_backup() {
    let lab = Lab::new(TestApp::open(Engine::Postgres).await).await;
    let brought = ["FUNCTION brought_along()", "TABLE brought"];
    execute(&lab.settings, "CREATE FUNCTION brought_along() RETURNS int LANGUAGE sql AS 'SELECT 1'").await;
    execute(&lab.settings, "CREATE TABLE brought (id bigint PRIMARY KEY, n int CHECK (n > 0) DEFAULT 1)").await;
    execute(&lab.settings, "CREATE INDEX brought_n_idx ON brought (n)").await;
    for what in brought {
        execute(&lab.settings, &format!("ALTER EXTENSION plpgsql ADD {what}")).await;
    }
    lab.create().await;
    let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
    for what in brought {
        execute(&lab.settings, &format!("ALTER EXTENSION plpgsql DROP {what}")).await;
    }
    assert!(drill.ok, "{drill:#?}");
}

#[tokio::test]
async fn a_changed_file_is_no_reason_to_forget_which_backup_was_proven_before() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    let old = lab.create().await;
    assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
    let new = lab.create().await;
    tamper(&lab.database_file(&new), |bytes| bytes[99] ^= 1);
    assert!(!lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
    let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
    let proof = find(&checked, "backup.drill");
    assert_eq!((proof.status, proof.backup), (Status::Pass, Some(old.id)), "{checked:#?}");
}
