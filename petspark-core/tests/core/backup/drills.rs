//! Drills on PostgreSQL that were killed, or whose surroundings fail them.

use std::path::{Path, PathBuf};
use std::process::Command;

use petspark_core::backup::{Destination, Restore};
use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::testing::{Engine, TestApp};
use petspark_core::{BackupId, Failure as _, Kind, Secret};
use sqlx::{Connection as _, PgConnection};

use super::lab::{Lab, operator};
use super::storm::new_place;

async fn lab() -> Lab {
    let lab = Lab::new(TestApp::open(Engine::Postgres).await).await;
    lab.create().await;
    lab
}

/// The database that every server has.
fn maintenance(lab: &Lab) -> String {
    let DatabaseUrl::Postgres(url) = &lab.settings.database.url else { panic!("not PostgreSQL") };
    let mut url = url::Url::parse(url.expose()).unwrap();
    url.set_path("postgres");
    url.to_string()
}

async fn make_database(lab: &Lab, beginning: &str) -> String {
    let name = format!("{beginning}{}", BackupId::new().to_string().replace('-', ""));
    run(lab, &format!("CREATE DATABASE {name}")).await;
    name
}

async fn run(lab: &Lab, sql: &str) {
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::Postgres(Secret::new(maintenance(lab)));
    crate::sql::execute(&settings, sql).await;
}

async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    let sql = "SELECT count(*) FROM pg_database WHERE datname = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(connection).await.unwrap();
    count > 0
}

#[tokio::test]
async fn what_a_killed_drill_left_goes_with_the_next_and_what_is_claimed_or_kept_stays() {
    let lab = lab().await;
    let mut connection = PgConnection::connect(&maintenance(&lab)).await.unwrap();
    // As a drill claims what it is about to make, for as long as it lives.
    let claimed = format!("petspark_drill_{}", BackupId::new().to_string().replace('-', ""));
    let claim = "SELECT pg_advisory_lock($1, hashtext($2))";
    sqlx::query(claim).bind(0x6472_696c_i32).bind(&claimed).execute(&mut connection).await.unwrap();
    run(&lab, &format!("CREATE DATABASE {claimed}")).await;
    let dead = make_database(&lab, "petspark_drill_").await;
    // No other test has a drill keep its database.
    let kept = "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, 'petspark_kept_drill_')";
    assert!(lab.backups.verify(&operator(), None, false, &[], true).await.unwrap().ok);
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&mut connection).await.unwrap();
    let others = kept.last().unwrap().clone();
    assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
    sqlx::query(claim).bind(0x6472_696c_i32).bind(&dead).execute(&mut connection).await.unwrap();
    assert!(!exists(&mut connection, &dead).await, "nobody claims it");
    assert!(exists(&mut connection, &claimed).await && exists(&mut connection, &others).await);
    // Pruning looks for them too.
    let release = "SELECT pg_advisory_unlock($1, hashtext($2))";
    sqlx::query(release).bind(0x6472_696c_i32).bind(&claimed).execute(&mut connection).await.unwrap();
    lab.backups.prune(&operator(), false, None).await.unwrap();
    // Another test's drill may be the one that drops it, and has the claim until it is done.
    sqlx::query(claim).bind(0x6472_696c_i32).bind(&claimed).execute(&mut connection).await.unwrap();
    assert!(!exists(&mut connection, &claimed).await, "who claimed it is gone");
    for name in kept {
        run(&lab, &format!("DROP DATABASE {name}")).await;
    }
}

/// A folder with the real tools, but for a `pg_restore` that says this and fails.
fn failing_tools(folder: &Path, says: &str) -> PathBuf {
    tools(folder, "pg_restore", &format!("cat > /dev/null\necho '{says}' >&2\nexit 1"))
}

/// A folder with the real tools, but for one that does this unless it is asked for its release; `$REAL` is the
/// real one.
fn tools(folder: &Path, name: &str, does: &str) -> PathBuf {
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let script = format!("if [ \"$1\" = --version ]; then exec \"$REAL\" --version; fi\n{does}\n");
    // Written by another process: one that is written here may still be open where others start theirs.
    let write = "cd \"$1\"; for place in \"$(dirname \"$(command -v pg_dump || echo /nowhere/x)\")\" /usr/lib/postgresql/*/bin; do \
                 if [ -x \"$place/pg_dump\" ]; then real=$place; fi; done; \
                 for tool in pg_dump pg_restore; do rm -f $tool; \
                 printf '#!/bin/sh\nREAL=%s/%s\nPATH=%s:$PATH\n' \"$real\" $tool \"$real\" > $tool; \
                 if [ $tool = \"$2\" ]; then printf '%s' \"$3\" >> $tool; else printf 'exec \"$REAL\" \"$@\"\n' >> $tool; fi; \
                 chmod 755 $tool; done";
    let done = Command::new("sh").args(["-c", write, "sh"]).arg(&tools).args([name, &script]).status().unwrap();
    assert!(done.success());
    tools
}

#[tokio::test]
async fn what_a_server_a_role_or_a_disk_refuses_is_no_verdict_on_the_backup() {
    let lab = lab().await;
    for (says, is_verdict) in [
        ("pg_restore: error: connection to server at \"db\" failed: Connection refused", false),
        ("pg_restore: error: could not execute query: ERROR:  permission denied for schema public", false),
        ("pg_restore: error: COPY failed: ERROR:  could not extend file \"base/1\": No space left on device", false),
        ("pg_restore: error: FATAL:  terminating connection due to administrator command", false),
        ("pg_restore: error: COPY failed for table \"pets\": FEHLER:  Datei konnte nicht erweitert werden", false),
        ("pg_restore: error: could not execute query: SSL SYSCALL error: EOF detected", false),
        ("pg_restore: error: ERROR:  unrecognized configuration parameter \"transaction_timeout\"", false),
        ("pg_restore: error: could not execute query: ERROR:  insert or update violates foreign key constraint", true),
        ("pg_restore: error: could not read from input file: end of file", true),
    ] {
        let tools = failing_tools(lab.app.folder(), says);
        let failing = lab.another(|settings| settings.backup.postgres_tools = Some(tools));
        let drill = failing.verify(&operator(), None, false, &[], false).await;
        let restored = failing.restore(&operator(), &Restore::to(Destination::New(new_place(&lab))), &[]).await;
        let restored = restored.unwrap_err();
        if is_verdict {
            assert_eq!(drill.unwrap().phase.as_deref(), Some("restore"), "{says}");
            assert_eq!(restored.code(), "BACKUP_DAMAGED", "{says}");
        } else {
            let error = drill.unwrap_err();
            assert!(error.kind() == Kind::Unavailable && restored.kind() == Kind::Unavailable, "{says}: {error:?}");
        }
    }
    assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
}

#[tokio::test]
async fn tools_that_could_not_read_a_backup_say_nothing_about_it() {
    let lab = lab().await;
    let manifest = lab.create().await;
    super::lab::reseal(&lab.file(&manifest, "manifest.json"), |manifest| manifest["tools"]["pg_dump"] = "99.1".into());
    let error = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap_err();
    assert_eq!(error.code(), "BACKUP_TOOLS", "{error}");
    assert!(error.to_string().contains("PostgreSQL 99"), "{error}");
}

#[tokio::test]
async fn a_backup_whose_lock_was_lost_is_not_shown() {
    let lab = lab().await;
    let ends_the_lock = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND \
                         classid = x'62636b70'::int::oid AND objid = (hashtext('$SCHEMA')::bigint & 4294967295)::oid";
    let schema =
        &lab.backups.list(&operator(), false).await.unwrap()[0].manifest.as_ref().unwrap().database.schema.clone();
    let tools = tools(
        lab.app.folder(),
        "pg_dump",
        &format!("psql -qAtc \"{}\" > /dev/null && exec \"$REAL\" \"$@\"", ends_the_lock.replace("$SCHEMA", schema)),
    );
    let losing = lab.another(|settings| settings.backup.postgres_tools = Some(tools));
    let error = losing.create(&operator(), &Default::default()).await.unwrap_err();
    assert!(petspark_core::chain(&error).contains("the lock on backups was lost"), "{error:?}");
    assert_eq!(lab.ids().await, 1);
}
