//! A backup while everybody writes; two at once; and what is left when one fails.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use petspark_core::Failure as _;
use petspark_core::backup::{BackupError, Destination, NewBackup, Restore};
use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::pets::{PetFields, PetFilter, Species};
use petspark_core::testing::on_both;
use petspark_core::{Clock, Migrate, PageRequest, PetSpark};

use super::lab::{Lab, operator};

/// Where a backup may be restored to.
pub(super) fn new_place(lab: &Lab) -> DatabaseUrl {
    match &lab.settings.database.url {
        DatabaseUrl::Sqlite(_) => DatabaseUrl::Sqlite(lab.app.folder().join("restored/petspark.db")),
        DatabaseUrl::Postgres(url) => {
            let mut url = url::Url::parse(url.expose()).unwrap();
            url.set_path(&format!("restored_{}", petspark_core::BackupId::new().to_string().replace('-', "")));
            DatabaseUrl::Postgres(petspark_core::Secret::new(url.as_str()))
        }
    }
}

/// What was restored, opened.
pub(super) async fn open(lab: &Lab, url: DatabaseUrl) -> PetSpark {
    let mut settings: Settings = lab.settings.clone();
    settings.database.url = url;
    PetSpark::open_with(settings, Migrate::Never, Clock::system()).await.unwrap()
}

/// Drops a database that `new_place` named.
pub(super) async fn drop_place(url: &DatabaseUrl) {
    let DatabaseUrl::Postgres(url) = url else { return };
    let mut url = url::Url::parse(url.expose()).unwrap();
    let name = url.path().trim_start_matches('/').to_owned();
    url.set_path("postgres");
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::Postgres(petspark_core::Secret::new(url.as_str()));
    crate::sql::execute(&settings, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
}

on_both! {
    async fn every_row_that_was_acknowledged_before_a_backup_is_in_it(app: TestApp) {
        let lab = Lab::new(app).await;
        let ada = lab.app.sign_in("ada").await;
        let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (petspark, caller) = (lab.app.petspark.clone(), ada.caller.clone());
                let (written, stop) = (Arc::clone(&written), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let number = written.load(Ordering::SeqCst);
                        let pet = PetFields::new(format!("Storm {number}"), Species::Cat);
                        petspark.pets().create(&caller, pet).await.unwrap();
                        written.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        while written.load(Ordering::SeqCst) < 20 {
            tokio::task::yield_now().await;
        }
        let before = written.load(Ordering::SeqCst);
        let manifest = lab.backups.create(&operator(), &NewBackup::default()).await.unwrap();
        let during = written.load(Ordering::SeqCst);
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        assert!(during > before, "writers were not held up");
        let url = new_place(&lab);
        lab.backups
            .restore(&operator(), &Restore { id: Some(manifest.id), keep_sessions: true, ..Restore::to(Destination::New(url.clone())) }, &[])
            .await
            .unwrap();
        let restored = open(&lab, url.clone()).await;
        let page = PageRequest::first(1).unwrap().skip(0).unwrap();
        let all = restored.pets().list(&operator(), PetFilter::default(), &page).await.unwrap().total.unwrap();
        restored.close().await;
        drop_place(&url).await;
        // Three of before the storm.
        let pets = all - 3;
        assert!(pets >= before && pets <= during + 4, "{before} <= {pets} <= {during}");
    }

    async fn of_two_at_once_one_is_told_so(app: TestApp) {
        let lab = Lab::new(app).await;
        let (caller, new) = (operator(), NewBackup::default());
        let (one, two) = tokio::join!(lab.backups.create(&caller, &new), lab.backups.create(&caller, &new));
        let errors: Vec<_> = [&one, &two].into_iter().filter_map(|made| made.as_ref().err()).collect();
        assert!(matches!(errors[..], [BackupError::Locked]), "{one:?} {two:?}");
        assert_eq!(lab.ids().await, 1);
        // Whoever had it gave it back.
        lab.create().await;
    }

    async fn one_that_fails_leaves_nothing_that_looks_like_a_backup(app: TestApp) {
        let lab = Lab::new(app).await;
        // A folder that can't be written to, as far as root is concerned: it is a file.
        fs::write(lab.app.folder().join("file"), "").unwrap();
        let nowhere = lab.another(|settings| settings.backup.folder = lab.app.folder().join("file/backups"));
        let error = nowhere.create(&operator(), &NewBackup::default()).await.unwrap_err();
        assert_eq!(error.code(), "UNAVAILABLE", "{error:?}");
        let no_work = lab.another(|settings| settings.backup.work_folder = lab.app.folder().join("file/work"));
        no_work.create(&operator(), &NewBackup::default()).await.unwrap_err();
        assert_eq!(lab.ids().await, 0);
        assert_eq!(fs::read_dir(lab.folder()).into_iter().flatten().count(), 0, "nothing half-done");
    }

    async fn what_a_killed_process_left_is_not_listed_and_goes_with_the_next(app: TestApp) {
        let lab = Lab::new(app).await;
        let id = petspark_core::BackupId::new();
        let work = &lab.settings.backup.work_folder;
        let (partial, copy, drill) =
            (lab.folder().join(format!(".partial-{id}")), work.join(format!("petspark-copy-{id}")), work.join(format!("petspark-drill-{id}")));
        for folder in [&partial, &copy, &drill] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("database"), "half").unwrap();
        }
        assert_eq!(lab.ids().await, 0);
        // As whoever works there has it.
        let locks: Vec<_> = [&partial, &drill].map(|folder| fs::File::open(folder).unwrap()).into_iter().collect();
        locks.iter().for_each(|lock| lock.try_lock().unwrap());
        lab.create().await;
        assert!(!copy.exists(), "a copy that isn't encrypted doesn't stay");
        assert!(partial.exists() && drill.exists(), "somebody is at work");
        drop(locks);
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        assert!(!partial.exists() && !drill.exists());
        assert_eq!(lab.ids().await, 1);
    }
}
