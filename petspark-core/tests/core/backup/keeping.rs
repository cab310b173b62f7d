//! What stays of full backups while others can't be made: the last copies of uploads, and what is known of
//! their damage.

use std::fs;
use std::path::Path;
use std::time::Duration;

use petspark_core::Failure as _;
use petspark_core::backup::{BackupMedia, Backups, Finding, IdentityKey, NewBackup, Pruned, Retention, Status};
use petspark_core::media::objects::{ObjectKey, ObjectSettings, ObjectStore};
use petspark_core::testing::{TestApp, TestS3, on_both};

use super::full::{files, media, rot};
use super::lab::{Lab, bad, operator};

const DAY: Duration = Duration::from_secs(86_400);

/// Full backups, of which the rules keep one.
async fn lab_with(app: TestApp, change: impl FnOnce(&mut petspark_core::config::Settings)) -> Lab {
    let mut settings = app.petspark.settings().clone();
    settings.backup.media = BackupMedia::Full;
    settings.backup.retention = Retention { last: 1, daily: 0, weekly: 0, monthly: 0 };
    change(&mut settings);
    Lab::with(app, settings).await
}

async fn lab(app: TestApp) -> Lab {
    lab_with(app, |_| {}).await
}

/// A store that lets nobody in.
fn dead(s3: &TestS3, folder: &Path) -> ObjectSettings {
    let mut objects = s3.objects(folder);
    objects.s3.as_mut().unwrap().secret_access_key = petspark_core::Secret::new("another");
    objects
}

async fn create_list(lab: &Lab) {
    lab.clock.advance(Duration::from_secs(60));
    let new = NewBackup { media: Some(BackupMedia::Inventory), ..NewBackup::default() };
    lab.backups.create(&operator(), &new).await.unwrap();
}

async fn prune(backups: &Backups) -> Pruned {
    backups.prune(&operator(), false, None).await.unwrap()
}

async fn found(lab: &Lab, id: &str) -> Option<Finding> {
    let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
    checked.findings.into_iter().find(|finding| finding.id == id)
}

/// Removes the rows of all uploads.
async fn forget_uploads(lab: &Lab) {
    crate::sql::execute(&lab.settings, "DELETE FROM uploads").await;
}

on_both! {
    async fn while_the_store_of_uploads_is_dead_nothing_goes_and_the_last_copies_stay(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab(app).await;
        lab.create().await;
        // Of what is beside the backups already nobody asks the store.
        lab.add_upload(2).await;
        let without_store = lab.another(|settings| settings.objects = dead(&s3, lab.app.folder()));
        for _ in 0..3 {
            lab.clock.advance(2 * DAY);
            without_store.create(&operator(), &NewBackup::default()).await.unwrap();
            for dry_run in [true, false] {
                let refused = without_store.prune(&operator(), dry_run, None).await.unwrap_err();
                assert_eq!(refused.code(), "BACKUP_WITHOUT_FILES");
                assert!(refused.to_string().contains("nothing was removed"), "{refused}");
            }
        }
        assert_eq!((lab.ids().await, files(&lab.folder().join("media")).len()), (4, 2));
        // A list that was asked for says nothing of the store: it may be as dead as before.
        create_list(&lab).await;
        assert!(lab.backups.prune(&operator(), false, None).await.is_err());
        // It is back, and so is order.
        lab.create().await;
        assert_eq!((prune(&lab.backups).await.removed, lab.ids().await), (5, 1));
        assert_eq!(files(&lab.folder().join("media")).len(), 3);
    }

    async fn what_has_a_list_only_takes_no_place_of_a_full_backup(app: TestApp) {
        let lab = lab(app).await;
        let full = lab.create().await;
        forget_uploads(&lab).await;
        for _ in 0..2 {
            lab.clock.advance(2 * DAY);
            create_list(&lab).await;
        }
        let pruned = prune(&lab.backups).await;
        assert_eq!((pruned.removed, pruned.media_files), (1, 0));
        let kept = pruned.backups.iter().find(|kept| kept.id == full.id).unwrap();
        assert!(kept.keep && kept.reason.contains("the newest with the files of uploads"), "{kept:?}");
        assert_eq!(files(&lab.folder().join("media")).len(), 2);
    }

    async fn who_wants_no_files_any_more_is_left_the_newest_until_it_is_removed_by_hand(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let newest = lab.create().await;
        let lists_only = lab.another(|settings| settings.backup.media = BackupMedia::Inventory);
        lab.clock.advance(2 * DAY);
        lists_only.create(&operator(), &NewBackup::default()).await.unwrap();
        let pruned = prune(&lists_only).await;
        assert_eq!((pruned.removed, pruned.media_files, lab.ids().await), (1, 0, 2));
        fs::remove_dir_all(lab.folder().join(newest.id.to_string())).unwrap();
        assert_eq!(prune(&lab.backups).await.media_files, 0, "who wants files may put them back");
        assert_eq!(prune(&lists_only).await.media_files, 2);
    }

    async fn a_backup_that_lacks_its_files_is_no_success(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab(app).await;
        let full = lab.create().await;
        lab.add_upload(2).await;
        let mut settings = lab.settings.clone();
        settings.objects = dead(&s3, lab.app.folder());
        let without_store = Backups::open(&settings, Some(lab.app.petspark.database().clone()), lab.clock.clone()).unwrap();
        lab.clock.advance(DAY);
        without_store.create(&operator(), &NewBackup::default()).await.unwrap();
        let last = lab.backups.last_operations().await.unwrap().backup.unwrap();
        assert_eq!(last.backup_id, Some(full.id));
        let rows = crate::sql::every_row(&lab.settings).await;
        assert!(rows.iter().any(|row| row.contains("media_problem")), "why stands with it");
        let figures = lab.backups.metrics(&operator(), false, None).await.unwrap();
        let at = full.finished_at.as_micros() as f64 / 1e6;
        for name in ["petspark_backup_last_success", "petspark_backup_media_last_success"] {
            let line = figures.lines().find(|line| line.starts_with(&format!("{name}_timestamp_seconds{{"))).unwrap();
            assert!(line.ends_with(&format!(" {at}")), "{line}");
        }
        assert!(figures.contains("target=\"folder\"} 2\n"), "both are sound: {figures}");
    }

    async fn a_server_whose_store_of_uploads_is_dead_says_so_once_a_time_and_removes_nothing(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab(app).await;
        lab.create().await;
        lab.add_upload(2).await;
        let objects = dead(&s3, lab.app.folder());
        let server = lab.app.another_with(|settings| {
            settings.backup = lab.settings.backup.clone();
            settings.backup.every = Some(Duration::from_secs(3600));
            settings.objects = objects;
        });
        let server = server.await;
        for round in 1..3 {
            for again in [false, true] {
                let faults = server.jobs().run_due().await.unwrap();
                let told = faults.iter().filter(|fault| fault.chain().contains("was to have the files of uploads")).count();
                assert_eq!(told, usize::from(!again), "another attempt would be another backup");
                lab.app.clock.advance(Duration::from_secs(60));
            }
            assert_eq!(lab.ids().await, 1 + round);
            lab.app.clock.advance(Duration::from_secs(3600));
        }
        server.close().await;
    }

    async fn newer_backups_of_the_database_alone_do_not_stand_for_full_ones(app: TestApp) {
        let lab = lab(app).await;
        create_list(&lab).await;
        assert_eq!(found(&lab, "backup.media.full").await.unwrap().status, Status::Fail, "there is none");
        let full = lab.create().await;
        assert_eq!(found(&lab, "backup.media.full").await.unwrap().status, Status::Pass);
        lab.clock.advance(lab.settings.backup.max_age);
        create_list(&lab).await;
        assert_eq!(found(&lab, "backup.fresh").await.unwrap().status, Status::Pass);
        let old = found(&lab, "backup.media.full").await.unwrap();
        assert_eq!((old.status, old.backup), (Status::Fail, Some(full.id)));
        lab.create().await;
        assert_eq!(found(&lab, "backup.media.full").await.unwrap().status, Status::Pass);
    }

    async fn what_is_damaged_stays_known_when_the_backup_goes_with_which_it_was_found(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab_with(app, |settings| settings.backup.bucket = Some(s3.settings())).await;
        let bucket = ObjectStore::open(&s3.objects(lab.app.folder())).unwrap();
        let first = lab.create().await;
        lab.create().await;
        files(&lab.folder().join("media")).iter().for_each(|file| rot(file));
        for object in bucket.list("media/", None, 10).await.unwrap() {
            bucket.put(&object.key, "rotten".into()).await.unwrap();
        }
        // Not by a drill: one that such a one found to be no good is left for a person.
        let in_folder = lab.backups.check(&operator(), Some(first.id), false, &[], false).await.unwrap();
        let in_bucket = lab.backups.check(&operator(), Some(first.id), false, &[], true).await.unwrap();
        for checked in [in_folder, in_bucket] {
            assert!(bad(&checked).iter().any(|finding| finding.id == "backup.media"), "{checked:?}");
        }
        assert_eq!(prune(&lab.backups).await.removed, 2, "one here and one there");
        lab.create().await;
        for in_bucket in [false, true] {
            let drill = lab.backups.verify(&operator(), None, in_bucket, &[], false).await.unwrap();
            assert!(drill.ok, "{drill:?}");
        }
        assert!(files(&lab.folder().join("notes/damaged")).is_empty(), "it is mended, and forgotten");
        assert!(bucket.list("notes/damaged/", None, 10).await.unwrap().is_empty());
    }

    async fn who_has_no_key_believes_who_found_damage_until_it_is_mended(app: TestApp) {
        let ours = IdentityKey::generate();
        let lab = lab_with(app, |settings| settings.backup.recipients = vec![ours.public()]).await;
        lab.create().await;
        let ours = std::slice::from_ref(&ours);
        let file = files(&lab.folder().join("media")).remove(0);
        let whole = fs::read(&file).unwrap();
        rot(&file);
        assert_eq!(media(&lab, &[]).await.status, Status::Pass, "nobody knows");
        assert_eq!(media(&lab, ours).await.status, Status::Fail);
        let told = media(&lab, &[]).await;
        assert!(told.status == Status::Fail && told.observed.contains("was found damaged before"), "{told:?}");
        // Somebody had a copy.
        fs::write(&file, whole).unwrap();
        assert_eq!(media(&lab, ours).await.status, Status::Pass);
        assert_eq!(media(&lab, &[]).await.status, Status::Pass);
        assert!(files(&lab.folder().join("notes/damaged")).is_empty());
    }

    async fn damage_is_forgotten_with_the_file_that_nobody_needs(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let kept = files(&lab.folder().join("media"));
        rot(&kept[0]);
        fs::remove_file(&kept[1]).unwrap();
        assert_eq!(media(&lab, &[]).await.status, Status::Fail);
        forget_uploads(&lab).await;
        lab.create().await;
        // What is young stays, and so does what is known of it.
        assert_eq!((prune(&lab.backups).await.removed, files(&lab.folder().join("notes/damaged")).len()), (1, 1));
        lab.clock.advance(2 * DAY);
        assert_eq!(prune(&lab.backups).await.media_files, 1);
        assert!(files(&lab.folder().join("notes/damaged")).is_empty());
    }

    async fn nothing_is_removed_anywhere_while_the_newest_of_one_place_is_no_good(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab_with(app, |settings| settings.backup.bucket = Some(s3.settings())).await;
        lab.create().await;
        let newest = lab.create().await;
        let name = format!("{}/{}", newest.id, newest.database_file().unwrap().path);
        let bucket = ObjectStore::open(&s3.objects(lab.app.folder())).unwrap();
        let mut bytes = bucket.read(&name.parse().unwrap(), u64::MAX).await.unwrap().to_vec();
        bytes[99] ^= 1;
        bucket.put(&name.parse().unwrap(), bytes.into()).await.unwrap();
        let refused = lab.backups.prune(&operator(), false, None).await.unwrap_err();
        assert!(refused.to_string().contains("nothing was removed"), "{refused}");
        assert_eq!(lab.ids().await, 2);
    }
    async fn what_is_pinned_while_pruning_looks_at_the_newest_stays(app: TestApp) {
        let lab = lab(app).await;
        let first = lab.create().await;
        lab.create().await;
        let pin = lab.folder().join("notes/pins").join(format!("{}.json", first.id));
        let slow = lab.backups.clone().watched(move |_| {
            fs::create_dir_all(pin.parent().unwrap()).unwrap();
            fs::write(&pin, "{}\n").unwrap();
        });
        let pruned = prune(&slow).await;
        assert_eq!((pruned.removed, pruned.media_files, lab.ids().await), (0, 0, 2));
        assert!(pruned.backups.iter().all(|kept| kept.keep), "{pruned:?}");
    }

    async fn what_is_pinned_while_pruning_removes_others_stays_and_pinning_waits_for_a_removal(app: TestApp) {
        let lab = lab(app).await;
        let first = lab.create().await;
        for _ in 0..3 {
            lab.create().await;
        }
        let (folder, pin) = (lab.folder().to_owned(), format!("notes/pins/{}.json", first.id));
        let slow = lab.backups.clone().watched(move |progress| {
            if progress.what == "removing, in backups" {
                // Whoever pins holds this.
                let lock = fs::File::open(&folder).unwrap().try_lock();
                assert!(matches!(lock, Err(fs::TryLockError::WouldBlock)), "{lock:?}");
                fs::create_dir_all(folder.join(&pin).parent().unwrap()).unwrap();
                fs::write(folder.join(&pin), "{}\n").unwrap();
            }
        });
        let pruned = prune(&slow).await;
        assert_eq!((pruned.removed, lab.ids().await), (2, 2));
        let oldest = pruned.backups.last().unwrap();
        assert!(oldest.id == first.id && oldest.keep && oldest.reason == "pinned", "{pruned:?}");
        lab.backups.set_pinned(&operator(), first.id, false).await.unwrap();
        assert_eq!(prune(&lab.backups).await.removed, 1);
    }

    async fn what_a_process_left_in_the_bucket_that_died_while_removing_goes_when_it_is_a_day_old(app: TestApp) {
        let s3 = TestS3::start().await;
        let lab = lab_with(app, |settings| settings.backup.bucket = Some(s3.settings())).await;
        let bucket = ObjectStore::open(&s3.objects(lab.app.folder())).unwrap();
        let first = lab.create().await;
        let left = async || bucket.list(&format!("{}/", first.id), None, 10).await.unwrap().len();
        bucket.put(&format!("notes/pruned/{}.json", first.id).parse().unwrap(), "{}".into()).await.unwrap();
        bucket.delete(&format!("{}/manifest.json", first.id).parse().unwrap()).await.unwrap();
        // Somebody copies uploads to here, which are named by ids too.
        let copy: ObjectKey = lab.object(0).parse().unwrap();
        bucket.put(&copy, "a photo".into()).await.unwrap();
        lab.create().await;
        let in_bucket = lab.backups.list(&operator(), true).await.unwrap();
        assert_eq!((in_bucket.len(), left().await), (1, 2), "it isn't taken for a backup");
        prune(&lab.backups).await;
        assert_eq!(left().await, 2, "somebody may be putting it back");
        lab.clock.advance(2 * DAY);
        prune(&lab.backups).await;
        assert_eq!((left().await, lab.backups.list(&operator(), true).await.unwrap().len()), (0, 1));
        assert_eq!(bucket.read(&copy, 100).await.unwrap(), "a photo");
        let drill = lab.backups.verify(&operator(), None, true, &[], false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
    }
}
