//! `migrate copy`: out of one file and into PostgreSQL.

use std::io::{BufReader, Read as _};
use std::process::Stdio;

use rustix::process::Signal;
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{Place, block_on, exit_code, signal, wait_for};

/// An embedded installation, and the address of an empty PostgreSQL in `TARGET`.
fn place() -> (Place, String) {
    let url = block_on(petspark_core::testing::new_postgres_schema());
    (Place::sqlite().with("TARGET", &url), url)
}

/// The same folder, but with its rows there.
fn moved(place: Place, url: &str) -> Place {
    place.with("DATABASE_URL", url)
}

#[test]
fn an_installation_is_copied_compared_and_used() {
    let (place, url) = place();
    place.ok("seed --users 30 --pets 200");
    place.user("ada@example.org", "--role admin");
    let planned = place.ok("migrate copy --to-env TARGET --dry-run --json").json();
    let users = planned["tables"].as_array().unwrap().iter().find(|row| row["table"] == "users").unwrap().clone();
    assert_eq!((&users["rows"], &users["state"]), (&31.into(), &"to be copied".into()));
    place.run("migrate copy --to-env TARGET").expect(6).says("--yes").says("postgres://[redacted]@");
    let copied = place.ok("migrate copy --to-env TARGET --yes --json").json();
    for row in copied["tables"].as_array().unwrap() {
        assert_eq!((&row["state"], &row["rows"]), (&"equal".into(), &row["copied"]), "{row}");
    }
    place.ok("migrate copy --to-env TARGET").says("the copy has been complete since");
    place.write("target", &format!("{url}\n"));
    place.ok("migrate copy --to-file target --dry-run").says("complete since");
    place.user("eve@example.org", "");
    place.run("migrate copy --to-file target").expect(5).says("isn't in the target");
    let place = moved(place, &url);
    assert_eq!(place.ok("user show ada@example.org --json").json()["role"], "admin");
    assert_eq!(place.ok("pet list --limit 100 --json").json()["pets"].as_array().unwrap().len(), 100);
    place.ok("migrate verify");
    assert_eq!(
        place.ok("audit list --action sys_installation_copied --json").json()["entries"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_target_with_rows_of_its_own_is_refused() {
    let (place, url) = place();
    place.ok("migrate run");
    let other = Place::sqlite().with("DATABASE_URL", &url);
    other.ok("migrate run");
    other.user("bob@example.org", "");
    place.run("migrate copy --to-env TARGET --yes").expect(5).says("has rows already");
    other.ok("user show bob@example.org");
}

#[test]
fn a_damaged_source_is_told_from_a_good_one_by_the_exit_code() {
    let (place, url) = place();
    place.ok("seed --users 3 --pets 5");
    let file = place.path().join("petspark-data/petspark.db");
    block_on(async {
        let mut source = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        let lost = "PRAGMA foreign_keys = OFF; DELETE FROM users";
        sqlx::raw_sql(lost).execute(&mut source).await.unwrap();
        source.close().await.unwrap();
    });
    for line in ["migrate copy --to-env TARGET --dry-run", "migrate copy --to-env TARGET --yes"] {
        place.run(line).expect(20).says("is damaged").says("pets refers to users");
    }
    Place::sqlite().with("DATABASE_URL", &url).run("migrate status").expect(5).says("pending");
}

#[test]
fn no_password_on_the_command_line() {
    let place = Place::sqlite();
    place.ok("migrate run");
    for url in ["postgres://me:hunter2@db/petspark", "postgres://db/petspark?password=hunter2"] {
        let ran = place.run(&format!("migrate copy --to {url} --yes")).expect(2).says("--to-env or --to-file");
        assert!(!ran.stderr.contains("hunter2"), "{ran:#?}");
    }
    place.run("migrate copy --yes").expect(2).says("--to");
    place.run("migrate copy --to-env NOWHERE --yes").expect(2).says("NOWHERE");
    place.run("migrate copy --to-file nowhere --yes").expect(2).says("nowhere");
    place.run("migrate copy --to sqlite://b.db --yes").expect(2).says("postgres://");
    place.run("migrate copy --to nonsense --yes").expect(2);
    place
        .run("migrate copy --from sqlite://nowhere.db --to postgres://127.0.0.1:1/x --yes")
        .expect(4)
        .says("nowhere.db");
}

#[cfg(feature = "serve")]
#[test]
fn a_server_that_runs_is_not_copied_from_under() {
    let (place, _) = place();
    let (server, _) = crate::serve::start(&place, "");
    place.run("migrate copy --to-env TARGET --yes").expect(5).says("stop the server");
    signal(&server, Signal::TERM);
}

fn copied(planned: &serde_json::Value) -> u64 {
    planned["tables"].as_array().unwrap().iter().map(|row| row["copied"].as_u64().unwrap()).sum()
}

#[test]
fn a_copy_that_is_stopped_or_killed_goes_on() {
    let (place, url) = place();
    place.ok("seed --users 2000 --pets 60000 --yes");
    for (kind, code, format) in [(Signal::INT, 130, "table"), (Signal::INT, 130, "json"), (Signal::KILL, 137, "table")]
    {
        let mut child = place.start(&format!("migrate copy --to-env TARGET --yes --format {format}"), Stdio::null());
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        wait_for(&mut lines, " %");
        signal(&child, kind);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(exit_code(child.wait().unwrap()), code, "{rest}");
        let planned = place.ok("migrate copy --to-env TARGET --dry-run --json").json();
        assert!(copied(&planned) > 0, "{planned}");
        if kind == Signal::INT && format == "table" {
            assert!(rest.contains("the same command again goes on"), "{rest}");
        } else if kind == Signal::INT {
            let mut told = String::new();
            child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
            let told: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["tables"], planned["tables"], "what it says when it stops is what is there");
        }
    }
    let half = Place::sqlite().with("DATABASE_URL", &url);
    for line in [
        "user list",
        "migrate status",
        "migrate run",
        "migrate run --dry-run",
        "migrate verify",
        "migrate baseline --yes",
        "backup create",
    ] {
        half.run(line).expect(5).says("unfinished copy");
    }
    let checked = half.run("check --only db.migrations --strict").expect(11);
    assert!(checked.stdout.contains("unfinished copy"), "{checked:#?}");
    place.ok("migrate copy --to-env TARGET --yes").says("value by value");
    half.ok("migrate verify");
    half.ok("user list");
}
