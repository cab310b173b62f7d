//! Archives of pgBackRest, Barman, litestream and WAL-G, looked at by programs that answer as those do.

use std::path::PathBuf;
use std::process::Command;

use petspark_core::backup::{Backups, Checked, External, ExternalTool, Status};
use petspark_core::testing::{Engine, TestApp, on_both};

use super::lab::{Lab, operator};

/// A program that runs this script, written by another process: one that is written here may still be
/// open where others start theirs.
fn program(lab: &Lab, script: &str) -> PathBuf {
    let path = lab.app.folder().join(format!("tool-{}", petspark_core::BackupId::new()));
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let done = Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(script).status().unwrap();
    assert!(done.success());
    path
}

fn with(lab: &Lab, tool: ExternalTool, script: &str) -> Backups {
    let program = Some(program(lab, script));
    lab.another(|settings| settings.backup.external = Some(External { tool, name: "main".to_owned(), program }))
}

async fn check(backups: &Backups, all: bool) -> Checked {
    backups.check(&operator(), None, all, &[], false).await.unwrap()
}

fn status(checked: &Checked, id: &str) -> Status {
    checked.findings.iter().find(|finding| finding.id == id && finding.target != "folder").unwrap().status
}

/// What `pgbackrest info` says of a backup that was complete then.
fn info(stop: i64) -> String {
    format!(
        r#"[{{"name":"main","status":{{"code":0,"message":"ok"}},"archive":[{{"max":"000000010000000000000009"}}],"backup":[{{"label":"20261127F","error":false,"archive":{{"stop":"000000010000000000000008"}},"timestamp":{{"start":1,"stop":{stop}}}}}]}}]"#
    )
}

on_both! {
    async fn other_programs_archives_stand_for_our_own(app: TestApp) {
        let lab = Lab::new(app).await;
        let now = lab.clock.now().as_micros() / 1_000_000;
        let fresh = format!("case $1 in info) echo '{}';; verify) echo 'status: ok';; esac", info(now - 60));
        let good = with(&lab, ExternalTool::PgBackRest, &fresh);
        for all in [false, true] {
            let checked = check(&good, all).await;
            assert!(!checked.is_invalid() && !checked.is_stale() && !checked.is_incomplete(), "{checked:#?}");
            assert_eq!(checked.findings.len(), 2, "nobody misses ours: {checked:#?}");
            assert!(checked.findings.iter().all(|finding| finding.target == "pgbackrest"));
        }
        let stale = with(&lab, ExternalTool::PgBackRest, &format!("echo '{}'", info(now - 100 * 3600)));
        let checked = check(&stale, false).await;
        assert!(checked.is_stale() && !checked.is_invalid(), "{checked:#?}");
        // As release 2.45 does it over a changed file: with exit code 0.
        let rotten =
            format!("case $1 in info) echo '{}';; verify) echo 'status: error'; echo 'checksum invalid: 1';; esac", info(now));
        let rotten = with(&lab, ExternalTool::PgBackRest, &rotten);
        assert!(!check(&rotten, false).await.is_invalid());
        assert!(check(&rotten, true).await.is_invalid());
        // With backups of our own, both are looked at.
        lab.create().await;
        let both = check(&good, false).await;
        assert!(both.findings.iter().any(|finding| finding.id == "backup.valid"));
        assert_eq!(status(&both, "backup.external"), Status::Pass);
    }
}

on_both! {
    async fn that_our_own_backups_vanished_is_told_whoever_else_has_some(app: TestApp) {
        let lab = Lab::new(app).await;
        lab.create().await;
        let now = lab.clock.now().as_micros() / 1_000_000;
        let script = format!("echo '{}'", info(now - 60));
        let mut settings = lab.settings.clone();
        let program = Some(program(&lab, &script));
        settings.backup.external = Some(External { tool: ExternalTool::PgBackRest, name: "main".to_owned(), program });
        let database = lab.app.petspark.database();
        let open = |settings: &petspark_core::config::Settings| Backups::open(settings, Some(database.clone()), lab.clock.clone()).unwrap();
        std::fs::remove_dir_all(lab.folder()).unwrap();
        let checked = check(&open(&settings), false).await;
        assert!(checked.is_stale(), "{checked:#?}");
        assert!(checked.findings.iter().any(|it| (it.id, it.status) == ("backup.count", Status::Fail)), "{checked:#?}");
        assert_eq!(status(&checked, "backup.external"), Status::Pass);
        // Whoever has given them up says so.
        settings.backup.min_keep = 0;
        let checked = check(&open(&settings), false).await;
        assert!(!checked.is_stale() && checked.findings.len() == 2, "{checked:#?}");
        settings.backup.min_keep = 1;
        settings.backup.every = Some(std::time::Duration::from_secs(86_400));
        let alone = Backups::open(&settings, None, lab.clock.clone()).unwrap();
        assert!(check(&alone, false).await.is_stale(), "there should be some");
    }
}

#[tokio::test]
async fn wal_g_is_believed_about_gaps_and_told_where_its_settings_are() {
    let lab = Lab::new(TestApp::open(Engine::Postgres).await).await;
    let listed = format!(r#"[{{"backup_name":"base_1","finish_time":"{}"}}]"#, lab.clock.now());
    let script = |status: &str| {
        let verified = format!(r#"{{"integrity":{{"status":"{status}"}},"timeline":{{"status":"OK"}}}}"#);
        format!(
            "[ \"$1\" = --config=main ] || exit 3; case $2 in backup-list) echo '{listed}';; *) echo '{verified}';; esac"
        )
    };
    let checked = check(&with(&lab, ExternalTool::WalG, &script("OK")), false).await;
    assert!(!checked.is_invalid() && !checked.is_stale() && !checked.is_incomplete(), "{checked:#?}");
    let late = check(&with(&lab, ExternalTool::WalG, &script("WARNING")), false).await;
    assert_eq!(status(&late, "backup.external"), Status::Warn);
    let gap = check(&with(&lab, ExternalTool::WalG, &script("FAILURE")), false).await;
    assert!(gap.is_invalid(), "{gap:#?}");
}

#[tokio::test]
async fn a_program_that_is_missing_or_fails_is_neither_well_nor_ill() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    let failing = with(&lab, ExternalTool::Barman, "echo 'ERROR: Unknown server main' >&2; exit 1");
    let odd = with(&lab, ExternalTool::PgBackRest, "echo hello");
    let missing = lab.another(|settings| {
        let program = Some(PathBuf::from("/nowhere/litestream"));
        settings.backup.external = Some(External { tool: ExternalTool::Litestream, name: "main".to_owned(), program });
    });
    for (backups, says) in [(failing, "Unknown server"), (odd, "JSON"), (missing, "can't start /nowhere/litestream")] {
        let checked = check(&backups, false).await;
        assert!(checked.is_incomplete() && !checked.is_invalid() && !checked.is_stale(), "{checked:#?}");
        assert!(checked.findings[0].observed.contains(says), "{checked:#?}");
    }
}

#[tokio::test]
async fn barman_has_to_be_content_with_itself_too() {
    let lab = Lab::new(TestApp::open(Engine::Postgres).await).await;
    let now = lab.clock.now().as_micros() / 1_000_000;
    let list =
        format!(r#"{{"main":[{{"backup_id":"20261127T010000","status":"DONE","end_time_timestamp":"{now}"}}]}}"#);
    let script = |check: &str| format!("if [ \"$1\" = check ]; then {check}; else echo '{list}'; fi");
    let content = with(&lab, ExternalTool::Barman, &script("echo 'BARMAN OK'"));
    let checked = check(&content, false).await;
    assert!(!checked.is_invalid() && !checked.is_stale(), "{checked:#?}");
    let worried = with(&lab, ExternalTool::Barman, &script("echo 'BARMAN CRITICAL - server main has issues'; exit 2"));
    let checked = check(&worried, false).await;
    assert!(checked.is_invalid() && checked.findings[0].observed.contains("CRITICAL"), "{checked:#?}");
}

#[tokio::test]
async fn what_litestream_restores_is_looked_into() {
    let lab = Lab::new(TestApp::open(Engine::Sqlite).await).await;
    let petspark_core::config::DatabaseUrl::Sqlite(path) = &lab.settings.database.url else { panic!("not SQLite") };
    // Everything is in the file itself, so that a plain copy is one.
    crate::sql::execute(&lab.settings, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let listed = format!("echo 'min_txid max_txid size created'; echo '1 1 4096 {}'", lab.clock.now());
    let script = |restore: &str| format!("case $1 in ltx) {listed};; restore) {restore};; esac");
    let copy = format!("cp '{}' \"$3\"", path.display());
    let good = with(&lab, ExternalTool::Litestream, &script(&copy));
    let checked = check(&good, true).await;
    assert!(!checked.is_invalid() && !checked.is_stale(), "{checked:#?}");
    assert!(checked.findings[0].observed.ends_with("restored, and sound"), "{checked:#?}");
    for (restore, says) in [
        ("echo 'no matching backups found' >&2; exit 1".to_owned(), "no matching backups"),
        (": > \"$3\"".to_owned(), "the table users is missing"),
        (format!("{copy}; printf xxxx | dd of=\"$3\" bs=1 seek=4096 conv=notrunc 2>/dev/null"), ""),
    ] {
        let checked = check(&with(&lab, ExternalTool::Litestream, &script(&restore)), true).await;
        assert!(checked.is_invalid() && checked.findings[0].observed.contains(says), "{restore}: {checked:#?}");
    }
    let older = with(&lab, ExternalTool::Litestream, &format!("case $1 in wal) {listed};; *) exit 2;; esac"));
    assert!(!check(&older, false).await.is_incomplete(), "releases before 0.5 have other words");
}
