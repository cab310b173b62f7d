//! Full backups: the files of uploads are beside them, once, whole, for nobody else to read, and come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use petspark_core::Failure as _;
use petspark_core::backup::{BackupMedia, Destination, Finding, IdentityKey, Manifest, NewBackup, Restore, Status};
use petspark_core::media::objects::{ObjectKey, ObjectStore};
use petspark_core::testing::{TestApp, TestS3, on_both};

use super::lab::{Lab, operator, tamper};
use super::storm::{drop_place, new_place};

async fn lab(app: TestApp) -> Lab {
    let mut settings = app.petspark.settings().clone();
    settings.backup.media = BackupMedia::Full;
    Lab::with(app, settings).await
}

/// Every file below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Changes a bit of a file.
pub(super) fn rot(file: &Path) {
    tamper(file, |bytes| {
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
    });
}

pub(super) async fn media(lab: &Lab, keys: &[IdentityKey]) -> Finding {
    let checked = lab.backups.check(&operator(), None, false, keys, false).await.unwrap();
    checked.findings.into_iter().find(|finding| finding.id == "backup.media").unwrap()
}

async fn restore_beside(lab: &Lab, keys: &[IdentityKey]) -> Result<u64, petspark_core::backup::BackupError> {
    let url = new_place(lab);
    let wanted = Restore { with_media: true, ..Restore::to(Destination::New(url.clone())) };
    let restored = lab.backups.restore(&operator(), &wanted, keys).await;
    drop_place(&url).await;
    let _ = fs::remove_dir_all(lab.app.folder().join("restored"));
    restored.map(|restored| restored.media_objects.unwrap())
}

on_both! {
    async fn files_are_copied_once_proven_and_given_back(app: TestApp) {
        let lab = lab(app).await;
        let kept = lab.folder().join("media");
        let first = lab.create().await;
        assert_eq!((first.media.objects, first.media.lacking.len(), files(&kept).len()), (2, 0, 2));
        lab.create().await;
        assert_eq!(files(&kept).len(), 2, "once, however many backups need them");
        let found = media(&lab, &[]).await;
        assert_eq!((found.status, &*found.observed), (Status::Pass, "2 of 2 files of objects are as they were"));
        let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
        assert!(drill.ok && drill.media_objects == 2, "{drill:?}");
        // The store loses one, and another is rotten; with a full backup that is no reason to despair.
        let store = lab.store();
        store.delete(&lab.object(0).parse().unwrap()).await.unwrap();
        store.put(&lab.object(1).parse().unwrap(), vec![9; 1000].into()).await.unwrap();
        assert_eq!(media(&lab, &[]).await.status, Status::Pass);
        assert_eq!(restore_beside(&lab, &[]).await.unwrap(), 2);
        for n in 0..2 {
            assert_eq!(store.read(&lab.object(n).parse().unwrap(), 2000).await.unwrap(), vec![n; 1000]);
        }
        assert_eq!(restore_beside(&lab, &[]).await.unwrap(), 0, "all is there");
    }

    async fn a_file_that_was_changed_or_is_gone_is_found(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let file = files(&lab.folder().join("media")).pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for change in ["a bit", "empty", "gone"] {
            match change {
                "a bit" => rot(&file),
                "empty" => fs::write(&file, "").unwrap(),
                _ => fs::remove_file(&file).unwrap(),
            }
            let found = media(&lab, &[]).await;
            assert_eq!(found.status, Status::Fail, "{change}: {found:?}");
            let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
            assert_eq!(drill.phase.as_deref(), Some("media"), "{change}: {drill:?}");
            lab.store().delete(&lab.object(0).parse().unwrap()).await.unwrap();
            lab.store().delete(&lab.object(1).parse().unwrap()).await.unwrap();
            assert_eq!(restore_beside(&lab, &[]).await.unwrap_err().code(), "BACKUP_DAMAGED", "{change}");
            fs::write(&file, &whole).unwrap();
            restore_beside(&lab, &[]).await.unwrap();
        }
    }

    async fn a_damaged_file_is_named_and_written_anew_by_the_next_full_backup(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let kept = files(&lab.folder().join("media"));
        kept.iter().for_each(|file| rot(file));
        let found = media(&lab, &[]).await;
        for file in &kept {
            let name = file.strip_prefix(lab.folder()).unwrap().display().to_string();
            assert!(found.status == Status::Fail && found.observed.contains(&name), "{name}: {found:?}");
        }
        lab.create().await;
        assert_eq!(media(&lab, &[]).await.status, Status::Pass);
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        assert_eq!(files(&lab.folder().join("notes/damaged")).len(), 0, "it is mended, and forgotten");
        // That one is empty, everybody sees.
        fs::write(&kept[0], "").unwrap();
        lab.create().await;
        assert_eq!(media(&lab, &[]).await.status, Status::Pass);
    }

    async fn of_encrypted_files_whoever_has_the_key_says_which_are_written_anew(app: TestApp) {
        let (ours, other) = (IdentityKey::generate(), IdentityKey::generate());
        let mut settings = app.petspark.settings().clone();
        (settings.backup.media, settings.backup.recipients) = (BackupMedia::Full, vec![ours.public()]);
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        rot(&files(&lab.folder().join("media"))[0]);
        assert_eq!(media(&lab, &[other]).await.status, Status::Pass, "who can't read it finds nothing wrong with it");
        lab.create().await;
        let ours = std::slice::from_ref(&ours);
        let drill = lab.backups.verify(&operator(), None, false, ours, false).await.unwrap();
        assert_eq!(drill.phase.as_deref(), Some("media"), "{drill:?}");
        lab.create().await;
        assert_eq!(media(&lab, ours).await.status, Status::Pass, "mended by who has no key");
    }

    async fn what_is_damaged_in_the_bucket_is_sent_anew(app: TestApp) {
        let s3 = TestS3::start().await;
        let mut settings = app.petspark.settings().clone();
        (settings.backup.media, settings.backup.bucket) = (BackupMedia::Full, Some(s3.settings()));
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        let bucket = ObjectStore::open(&s3.objects(lab.app.folder())).unwrap();
        let first = bucket.list("media/", None, 1).await.unwrap().remove(0).key;
        bucket.put(&first, "rotten".into()).await.unwrap();
        let drill = lab.backups.verify(&operator(), None, true, &[], false).await.unwrap();
        assert!(drill.problem.is_some_and(|problem| problem.contains(first.as_str())));
        lab.create().await;
        let drill = lab.backups.verify(&operator(), None, true, &[], false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
    }

    async fn a_store_that_fails_leaves_a_backup_of_the_database_that_says_so(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab(app).await;
        let mut away = s3.objects(lab.app.folder());
        away.s3.as_mut().unwrap().secret_access_key = petspark_core::Secret::new("another");
        let made = lab.another(|settings| settings.objects = away).create(&operator(), &NewBackup::default()).await.unwrap();
        assert_eq!((made.media.mode, made.media.objects), (BackupMedia::Inventory, 2));
        assert!(made.media.problem.is_some());
        let full = async || {
            let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
            let found = checked.findings.iter().find(|finding| finding.id == "backup.media.full").unwrap().status;
            (found, checked.is_invalid())
        };
        assert_eq!(full().await, (Status::Fail, false), "the database is safe");
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        lab.create().await;
        assert_eq!(full().await, (Status::Pass, false));
    }

    async fn files_of_uploads_come_back_alone_and_as_far_as_the_database_knows_them(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let (store, objects) = (lab.store(), [0, 1].map(|n| lab.object(n).parse::<ObjectKey>().unwrap()));
        // One is rotten, and so is its file; the other is gone.
        store.put(&objects[0], "rotten".into()).await.unwrap();
        store.delete(&objects[1]).await.unwrap();
        let digest = crate::backup::lab::sha256(&[0; 1000]);
        let file = files(&lab.folder().join("media")).into_iter().find(|file| file.display().to_string().contains(&digest));
        rot(&file.unwrap());
        let again = async || lab.backups.restore_uploads(&operator(), None, false, Some("fire"), &[]).await.unwrap();
        let restored = again().await;
        assert_eq!(restored.media_objects, 1);
        assert!(restored.media_problem.is_some_and(|problem| problem.contains(&digest)));
        assert_eq!(store.read(&objects[1], 2000).await.unwrap(), vec![1; 1000]);
        assert_eq!(store.read(&objects[0], 2000).await.unwrap(), "rotten", "it stays until there is something better");
        let audit = crate::sql::every_row(&lab.settings).await;
        assert!(audit.iter().any(|row| row.contains("sys_uploads_restored") && row.contains("fire")));
        // Whoever was deleted since doesn't come back.
        crate::sql::execute(&lab.settings, "DELETE FROM uploads WHERE id = (SELECT id FROM uploads ORDER BY id DESC LIMIT 1)").await;
        store.delete(&objects[1]).await.unwrap();
        assert_eq!(again().await.media_objects, 0);
        assert!(store.head(&objects[1]).await.is_err());
    }

    async fn a_list_that_was_changed_has_nothing_removed(app: TestApp) {
        let lab = lab(app).await;
        let first = lab.create().await;
        let of_the_first = "DELETE FROM uploads WHERE id = (SELECT id FROM uploads ORDER BY id LIMIT 1)";
        crate::sql::execute(&lab.settings, of_the_first).await;
        let second = lab.create().await;
        // It reads well, and says less than is needed.
        fs::copy(lab.file(&second, "media.zst"), lab.file(&first, "media.zst")).unwrap();
        lab.clock.advance(Duration::from_secs(2 * 86_400));
        let pruned = lab.backups.prune(&operator(), false, None).await.unwrap();
        assert_eq!((pruned.media_files, files(&lab.folder().join("media")).len()), (0, 2));
    }

    async fn what_was_pruned_is_written_down_even_if_it_is_files_only_or_ends_in_the_middle(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.backup.media = BackupMedia::Full;
        settings.backup.retention = petspark_core::backup::Retention { last: 1, daily: 0, weekly: 0, monthly: 0 };
        let lab = Lab::with(app, settings).await;
        let told = async || {
            let rows = crate::sql::every_row(&lab.settings).await;
            rows.into_iter().filter(|row| row.contains("sys_backups_pruned")).collect::<Vec<_>>()
        };
        let first = lab.create().await;
        let of_the_first = "DELETE FROM uploads WHERE id = (SELECT id FROM uploads ORDER BY id LIMIT 1)";
        crate::sql::execute(&lab.settings, of_the_first).await;
        lab.create().await;
        fs::remove_dir_all(lab.folder().join(first.id.to_string())).unwrap();
        lab.clock.advance(Duration::from_secs(2 * 86_400));
        let pruned = lab.backups.prune(&operator(), false, None).await.unwrap();
        assert_eq!((pruned.removed, pruned.media_files, told().await.len()), (0, 1, 1));
        // What can't be removed, when a backup was removed already.
        lab.create().await;
        fs::create_dir_all(lab.folder().join("media/plain/zz/odd")).unwrap();
        lab.clock.advance(Duration::from_secs(2 * 86_400));
        lab.backups.prune(&operator(), false, Some("odd")).await.unwrap_err();
        assert_eq!(lab.ids().await, 1);
        assert!(told().await.iter().any(|row| row.contains("odd")), "{:?}", told().await);
    }

    async fn what_the_store_did_not_have_is_written_down_and_warned_of(app: TestApp) {
        let lab = lab(app).await;
        lab.store().put(&lab.object(0).parse().unwrap(), vec![7; 1000].into()).await.unwrap();
        lab.store().delete(&lab.object(1).parse().unwrap()).await.unwrap();
        let manifest: Manifest = lab.create().await;
        assert_eq!(manifest.media.lacking, [lab.object(0), lab.object(1)], "neither what is rotten nor what is missing");
        let found = media(&lab, &[]).await;
        assert_eq!(found.status, Status::Warn, "{found:?}");
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        assert_eq!(files(&lab.folder().join("media")).len(), 0);
    }

    async fn what_no_backup_needs_any_more_goes_with_the_last_that_did(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.backup.media = BackupMedia::Full;
        settings.backup.retention = petspark_core::backup::Retention { last: 1, daily: 0, weekly: 0, monthly: 0 };
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        let kept = lab.folder().join("media");
        let of_the_first = "DELETE FROM uploads WHERE id = (SELECT id FROM uploads ORDER BY id LIMIT 1)";
        crate::sql::execute(&lab.settings, of_the_first).await;
        lab.clock.advance(Duration::from_secs(2 * 86_400));
        lab.create().await;
        let plan = lab.backups.prune(&operator(), true, None).await.unwrap();
        assert_eq!((plan.removed, plan.media_files, files(&kept).len()), (1, 1, 2));
        let pruned = lab.backups.prune(&operator(), false, Some("spring")).await.unwrap();
        assert_eq!((pruned.removed, pruned.media_files, files(&kept).len()), (1, 1, 1));
        assert_eq!(media(&lab, &[]).await.status, Status::Pass, "what the newest needs is still there");
        let audit = crate::sql::every_row(&lab.settings).await;
        assert!(audit.iter().any(|row| row.contains("sys_backups_pruned") && row.contains("spring")));
    }

    async fn encrypted_ones_are_read_by_the_holder_of_the_key_only(app: TestApp) {
        let ours = IdentityKey::generate();
        let mut settings = app.petspark.settings().clone();
        (settings.backup.media, settings.backup.recipients) = (BackupMedia::Full, vec![ours.public()]);
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        for file in files(&lab.folder().join("media")) {
            assert!(fs::read(&file).unwrap().starts_with(b"age-encryption.org/v1\n"), "{}", file.display());
        }
        assert_eq!(media(&lab, &[]).await.observed, "2 of 2 files of objects are there");
        let keys = std::slice::from_ref(&ours);
        assert_eq!(media(&lab, keys).await.observed, "2 of 2 files of objects are as they were");
        assert!(lab.backups.verify(&operator(), None, false, keys, false).await.unwrap().ok);
        lab.store().delete(&lab.object(0).parse().unwrap()).await.unwrap();
        assert_eq!(restore_beside(&lab, keys).await.unwrap(), 1);
        // For another key there are other files.
        let other = IdentityKey::generate();
        let changed = lab.another(|settings| settings.backup.recipients = vec![other.public()]);
        changed.create(&operator(), &NewBackup::default()).await.unwrap();
        assert_eq!(files(&lab.folder().join("media")).len(), 4);
        assert!(changed.verify(&operator(), None, false, &[other], false).await.unwrap().ok);
    }

    async fn the_bucket_has_them_too_and_gives_them_back_alone(app: TestApp) {
        let s3 = TestS3::start().await;
        let mut settings = app.petspark.settings().clone();
        (settings.backup.media, settings.backup.bucket) = (BackupMedia::Full, Some(s3.settings()));
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        lab.create().await;
        fs::remove_dir_all(lab.folder()).unwrap();
        let drill = lab.backups.verify(&operator(), None, true, &[], false).await.unwrap();
        assert!(drill.ok && drill.media_objects == 2, "{drill:?}");
        lab.store().delete(&lab.object(1).parse().unwrap()).await.unwrap();
        let url = new_place(&lab);
        let wanted = Restore { in_bucket: true, with_media: true, ..Restore::to(Destination::New(url.clone())) };
        let restored = lab.backups.restore(&operator(), &wanted, &[]).await.unwrap();
        assert_eq!(restored.media_objects, Some(1));
        drop_place(&url).await;
    }
}

#[tokio::test]
async fn a_list_alone_gives_no_files_back() {
    let lab = Lab::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await).await;
    lab.create().await;
    assert_eq!(restore_beside(&lab, &[]).await.unwrap_err().code(), "BACKUP_SETTINGS");
}
