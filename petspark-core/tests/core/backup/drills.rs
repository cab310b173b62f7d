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
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then exec \"$(dirname \"$0\")/pg_dump\" --version; fi\n\
         cat > /dev/null\necho '{says}' >&2\nexit 1\n"
    );
    // Written by another process: one that is written here may still be open where others start theirs.
    let write = "printf '%s' \"$2\" > \"$1/pg_restore\" && chmod 755 \"$1/pg_restore\"; cd \"$1\"; rm -f pg_dump; \
                 for place in \"$(dirname \"$(command -v pg_dump || echo /nowhere/x)\")\" /usr/lib/postgresql/*/bin; do \
                 if [ -x \"$place/pg_dump\" ]; then printf '#!/bin/sh\\nexec %s/pg_dump \"$@\"\\n' \"$place\" > pg_dump; \
                 chmod 755 pg_dump; fi; done";
    let done = Command::new("sh").args(["-c", write, "sh"]).arg(&tools).arg(script).status().unwrap();
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
