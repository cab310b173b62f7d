//! What can't be read, or goes while others look: it is told, and hides nothing else.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use petspark_core::backup::{Backups, Checked, Status};
use petspark_core::testing::{Engine, TestApp, TestS3, on_both};
use petspark_core::{BackupId, Failure as _};

use super::lab::{Lab, operator};
use super::proof::find;

async fn lab(app: TestApp) -> Lab {
    let mut settings = app.petspark.settings().clone();
    settings.backup.min_keep = 1;
    Lab::with(app, settings).await
}

/// Whether the check of one backup found it good.
fn is_valid(checked: &Checked, id: BackupId) -> Option<bool> {
    let about = |finding: &&petspark_core::backup::Finding| finding.id == "backup.valid" && finding.backup == Some(id);
    let mut found = checked.findings.iter().filter(about).peekable();
    found.peek()?;
    Some(found.all(|finding| finding.status == Status::Pass))
}

/// What pruning does, at the moment when somebody else has begun to read.
fn while_reading(lab: &Lab, then: impl Fn(&Path) + Send + Sync + 'static) -> Backups {
    let (folder, is_done) = (lab.folder().to_owned(), AtomicBool::new(false));
    lab.backups.clone().watched(move |progress| {
        if progress.what == "reading, in bytes" && !is_done.swap(true, Ordering::Relaxed) {
            then(&folder);
        }
    })
}

fn prune(folder: &Path, id: BackupId) {
    fs::create_dir_all(folder.join("notes/pruned")).unwrap();
    fs::write(folder.join(format!("notes/pruned/{id}.json")), "{}\n").unwrap();
    fs::rename(folder.join(id.to_string()), folder.join(format!(".partial-{id}"))).unwrap();
}

on_both! {
    async fn a_stray_file_with_the_name_of_a_backup_hides_none(app: TestApp) {
        let lab = lab(app).await;
        let stray: BackupId = "00000000-0000-7000-8000-000000000000".parse().unwrap();
        fs::create_dir_all(lab.folder()).unwrap();
        fs::write(lab.folder().join(stray.to_string()), "hello").unwrap();
        let made = lab.create().await;
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(!checked.is_invalid() && !checked.is_stale() && !checked.is_incomplete(), "{checked:#?}");
        let all = lab.backups.check(&operator(), None, true, &[], false).await.unwrap();
        assert_eq!((is_valid(&all, stray), is_valid(&all, made.id)), (Some(false), Some(true)), "{all:#?}");
        assert!(all.is_invalid());
        let listed = lab.backups.list(&operator(), false).await.unwrap();
        assert!(listed[0].problem.is_none() && listed[1].problem.is_some(), "{listed:?}");
        let figures = lab.backups.metrics(&operator(), false, Some(&all)).await.unwrap();
        for (name, value) in [("valid_count", 1), ("target_up", 1)] {
            let is_it = |line: &str| line.starts_with(&format!("petspark_backup_{name}{{")) && line.ends_with(&format!(" {value}"));
            assert!(figures.lines().any(is_it), "{name}: {figures}");
        }
        // What nobody can read and is the newest is no good.
        let newest = BackupId::new();
        fs::write(lab.folder().join(newest.to_string()), "hello").unwrap();
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(checked.is_invalid() && is_valid(&checked, newest) == Some(false), "{checked:#?}");
    }

    async fn a_bucket_that_is_away_is_a_figure_and_the_folder_is_told_of(app: TestApp) {
        let lab = lab(app).await;
        lab.create().await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut bucket = TestS3::start().await.settings();
        bucket.endpoint_url = Some(petspark_core::config::Value::parse(&format!("http://{nobody}")).unwrap());
        let away = lab.another(|settings| settings.backup.bucket = Some(bucket.clone()));
        let checked = away.check(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!(find(&checked, "backup.offsite").status, Status::Error, "{checked:#?}");
        assert_eq!(find(&checked, "backup.valid").status, Status::Pass, "{checked:#?}");
        // It may have been proven there.
        assert_eq!(find(&checked, "backup.drill").status, Status::Error, "{checked:#?}");
        let figures = away.metrics(&operator(), false, Some(&checked)).await.unwrap();
        let of = |target: &str, value: u8| format!("target=\"{target}\"}} {value}\n");
        for (target, value) in [("folder", 1), ("bucket", 0)] {
            let up = figures.lines().find(|line| line.starts_with("petspark_backup_target_up") && line.contains(target));
            assert!(format!("{}\n", up.unwrap()).ends_with(&of(target, value)), "{figures}");
        }
        let there = away.check(&operator(), None, false, &[], true).await.unwrap();
        assert!(there.is_incomplete() && !there.is_invalid() && !there.is_stale(), "{there:#?}");
    }

    async fn what_is_pruned_while_all_are_read_is_not_called_damaged(app: TestApp) {
        let lab = lab(app).await;
        let (first, second, third) = (lab.create().await.id, lab.create().await.id, lab.create().await.id);
        let checked = while_reading(&lab, move |folder| prune(folder, second));
        let checked = checked.check(&operator(), None, true, &[], false).await.unwrap();
        let found = [first, second, third].map(|id| is_valid(&checked, id));
        assert_eq!(found, [Some(true), None, Some(true)], "{checked:#?}");
        assert!(!checked.is_invalid());
        // What went without a word is missed.
        let checked = while_reading(&lab, move |folder| {
            fs::rename(folder.join(third.to_string()), folder.join(".partial-x")).unwrap();
        });
        let checked = checked.check(&operator(), None, true, &[], false).await.unwrap();
        assert_eq!(is_valid(&checked, third), Some(false), "{checked:#?}");
    }

    async fn a_file_that_goes_while_others_are_read_is_missed(app: TestApp) {
        let lab = lab(app).await;
        let id = lab.create().await.id;
        let checked = while_reading(&lab, move |folder| {
            fs::remove_file(folder.join(id.to_string()).join("media.zst")).unwrap();
        });
        let checked = checked.check(&operator(), None, false, &[], false).await.unwrap();
        let found = find(&checked, "backup.valid");
        assert!(found.status == Status::Fail && found.observed.contains("media.zst is missing"), "{checked:#?}");
    }

    async fn a_drill_of_what_is_pruned_meanwhile_is_no_verdict(app: TestApp) {
        let lab = lab(app).await;
        let id = lab.create().await.id;
        lab.create().await;
        let drilled = while_reading(&lab, move |folder| prune(folder, id));
        let error = drilled.verify(&operator(), Some(id), false, &[], false).await.unwrap_err();
        assert_eq!(error.code(), "BACKUP_NOT_FOUND", "{error:?}");
        assert!(!lab.folder().join(format!("notes/drills/{id}.json")).exists());
    }
}

#[tokio::test]
async fn a_folder_of_backups_that_is_none_is_told_with_what_else_is_known() {
    let lab = lab(TestApp::open(Engine::Sqlite).await).await;
    fs::write(lab.folder(), "hello").unwrap();
    let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
    assert_eq!(find(&checked, "backup.fresh").status, Status::Error, "{checked:#?}");
    assert_eq!(find(&checked, "backup.configured").status, Status::Fail, "{checked:#?}");
    let figures = lab.backups.metrics(&operator(), false, Some(&checked)).await.unwrap();
    assert!(figures.lines().any(|line| line.starts_with("petspark_backup_target_up") && line.ends_with(" 0")));
}

#[tokio::test]
async fn that_there_is_no_backup_is_a_figure_too_and_so_is_that_one_was_tried() {
    let lab = lab(TestApp::open(Engine::Sqlite).await).await;
    let figure = |text: &str, name: &str| {
        let name = format!("petspark_backup_{name}_timestamp_seconds{{");
        let line = text.lines().find(|line| line.starts_with(&name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let none = lab.backups.metrics(&operator(), false, None).await.unwrap();
    for name in ["last_success", "last_attempt", "drill_last_success"] {
        assert!(figure(&none, name) == 0.0, "{name}: {none}");
    }
    lab.create().await;
    lab.clock.advance(std::time::Duration::from_secs(60));
    fs::remove_dir_all(lab.settings.backup.work_folder.as_path()).unwrap();
    fs::write(&lab.settings.backup.work_folder, "in the way").unwrap();
    lab.backups.create(&operator(), &petspark_core::backup::NewBackup::default()).await.unwrap_err();
    let text = lab.backups.metrics(&operator(), false, None).await.unwrap();
    assert!(figure(&text, "last_attempt") > figure(&text, "last_success") + 59.0, "{text}");
}
