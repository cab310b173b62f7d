//! A bucket beside the folder: every backup is there too, can be proven from there, and is pruned there.

use std::time::Duration;

use petspark_core::backup::{BackupError, Destination, NewBackup, Restore, Retention, Status};
use petspark_core::testing::{TestApp, TestS3, on_both};

use super::lab::{Lab, operator, tamper};

on_both! {
    async fn what_is_in_the_bucket_is_as_good_as_what_is_in_the_folder(app: TestApp) {
        let s3 = TestS3::start().await;
        let mut settings = app.petspark.settings().clone();
        settings.backup.bucket = Some(s3.settings());
        settings.backup.retention = Retention { last: 1, daily: 1, weekly: 1, monthly: 1 };
        let lab = Lab::with(app, settings).await;
        let first = lab.create().await;
        let drill = lab.backups.verify(&operator(), Some(first.id), true, &[], false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
        let listed = lab.backups.list(&operator(), true).await.unwrap();
        assert_eq!(listed[0].manifest.as_ref(), Some(&first));
        assert!(listed[0].proven_at.is_some());
        let second = lab.create().await;
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        let offsite = checked.findings.iter().find(|finding| finding.id == "backup.offsite").unwrap();
        assert_eq!(offsite.status, Status::Pass, "{checked:#?}");
        // In the folder nothing was proven, so the older one goes; in the bucket it was, and stays.
        let plan = lab.backups.prune(&operator(), true, None).await.unwrap();
        assert_eq!(plan.removed, 1);
        assert_eq!(lab.ids().await, 2, "a dry run");
        let pruned = lab.backups.prune(&operator(), false, None).await.unwrap();
        assert_eq!(pruned.backups, plan.backups);
        assert_eq!(lab.ids().await, 1);
        assert_eq!(lab.backups.list(&operator(), true).await.unwrap().len(), 2);
        lab.clock.advance(Duration::from_secs(60));
        let third = lab.create().await;
        assert_eq!(third.prev, Some(second.id));
    }

    async fn nothing_is_pruned_while_the_newest_is_no_good(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.backup.retention = Retention { last: 1, daily: 0, weekly: 0, monthly: 0 };
        let lab = Lab::with(app, settings).await;
        lab.create().await;
        let newest = lab.create().await;
        tamper(&lab.database_file(&newest), |bytes| bytes[99] ^= 1);
        let refused = lab.backups.prune(&operator(), false, None).await.unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
        assert_eq!(lab.ids().await, 2);
        lab.create().await;
        assert_eq!(lab.backups.prune(&operator(), false, None).await.unwrap().removed, 2);
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_leaves_a_backup_in_the_folder_and_says_so() {
    let app = TestApp::open(petspark_core::testing::Engine::Sqlite).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut settings = app.petspark.settings().clone();
    let mut bucket = TestS3::start().await.settings();
    bucket.endpoint_url = Some(petspark_core::config::Value::parse(&format!("http://{nobody}")).unwrap());
    settings.backup.bucket = Some(bucket);
    let lab = Lab::with(app, settings).await;
    let new = NewBackup { pin: true, ..NewBackup::default() };
    let error = lab.backups.create(&operator(), &new).await.unwrap_err();
    assert!(matches!(error, BackupError::NotCopied { .. }), "{error:?}");
    assert_eq!(lab.ids().await, 1);
    // It is what a restoring in place goes back by, too.
    lab.app.petspark.close().await;
    let alone = lab.another(|_| {});
    let restored = alone.restore(&operator(), &Restore::to(Destination::InPlace), &[]).await.unwrap();
    let listed = alone.list(&operator(), false).await.unwrap();
    assert_eq!(restored.safety_backup, Some(listed[0].id));
    assert!(listed.len() == 2 && listed.iter().all(|backup| backup.pinned));
}
