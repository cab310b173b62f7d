//! One test for each exit code that no other module has: 4, 5, 8, 20, 21, 126, 130, 143 and those of
//! external commands are where they arise.

use std::process::Stdio;

use crate::support::{Place, Ran};

#[test]
fn done_is_0() {
    Place::sqlite().ok("version");
    Place::sqlite().ok("--help");
}

#[test]
fn an_unexpected_failure_is_1() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let place = Place::sqlite();
    let output = place.command(["completions", "bash"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    Ran::of(output).expect(1).says("can't write to standard output");
}

#[test]
fn a_wrong_command_line_is_2() {
    let place = Place::sqlite();
    place.run("").expect(2).says("Usage");
    place.run("user").expect(2).says("Usage");
    place.run("usr").expect(2).says("'user'");
    place.run("user lst").expect(2).says("list");
    place.run("user list --lmit 3").expect(2).says("--limit");
    place.run("version --json --format table").expect(2);
    place.run("version -q -v").expect(2);
    place.run("version --env staging").expect(2).says("production");
}

#[test]
fn an_abbreviation_is_no_command() {
    Place::sqlite().run("vers").expect(2);
}

#[test]
fn wrong_settings_are_3() {
    Place::sqlite().with("PETSPARK_ENV", "staging").run("user list").expect(3).says("development or production");
}

#[test]
fn a_missing_confirmation_is_6_and_nothing_is_done() {
    let place = Place::sqlite();
    place.user("ada@example.org", "");
    place.run("seed").expect(6).says("--yes");
    place.run_with_input("seed --no-input", "y\n").expect(6).says("nothing was done");
    assert_eq!(place.ok("user list --json").json()["users"].as_array().unwrap().len(), 1);
}

#[test]
fn a_database_that_is_away_is_7_and_its_password_is_not_told() {
    // A port that was just free, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::sqlite()
        .with("DATABASE_URL", &format!("postgres://me:hunter2@127.0.0.1:{port}/petspark"))
        .with("PETSPARK__DATABASE__CONNECT_TIMEOUT", "50ms");
    for line in ["user list", "migrate status", "migrate run"] {
        let ran = place.run(line).expect(7).says(&format!("127.0.0.1:{port}/petspark"));
        assert!(!ran.stderr.contains("hunter2"), "{ran:#?}");
    }
}

#[test]
fn what_takes_longer_than_it_may_is_7() {
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let place = Place::sqlite().with("DATABASE_URL", &format!("postgres://me@127.0.0.1:{port}/petspark"));
    place.run("--timeout 100ms user list").expect(7).says("not done within 100ms");
    place.run("user list --timeout soon").expect(2).says("--timeout");
    Place::sqlite().ok("--timeout 1m version");
}

#[test]
fn what_must_not_be_given_up_in_the_middle_takes_no_time_limit() {
    let place = Place::sqlite();
    for line in [
        #[cfg(feature = "serve")]
        "serve",
        "migrate run",
        "backup restore latest --to new.db",
        "backup restore latest --in-place --confirm petspark.db",
        "billing webhook setup https://pets.example.org/api/v1/payments/webhook",
    ] {
        place.run(&format!("--timeout 1m {line}")).expect(2).says("--timeout is not for this");
        place.run(&format!("{line} --timeout 1m")).expect(2).says("nothing was done");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    place.ok("migrate run");
    place.ok("migrate run --dry-run --timeout 1m");
    place.ok("migrate status --timeout 1m");
    place.run("backup restore latest --media-only --timeout 1m").expect(4);
}

#[test]
fn a_full_disk_is_7_and_named() {
    let place = Place::sqlite();
    place.ok("migrate run");
    // Files end at 64 KiB, and writing more is an error, as on a disk that is full.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" seed --users 100 --pets 1000 --yes";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petspark-cli")]).env_clear().current_dir(place.path());
    let folder = place.path().join("petspark-data").display().to_string();
    Ran::of(command.output().unwrap()).expect(7).says("the disk may be full").says(&format!("{folder} has "));
}

#[test]
fn a_database_file_that_cannot_be_made_is_7() {
    let place = Place::sqlite();
    place.write("a-file", "");
    let place = place.with("DATABASE_URL", "sqlite://a-file/petspark.db");
    place.run("user list").expect(7).says("a-file");
    place.run("migrate run").expect(7).says("a-file");
    std::fs::create_dir(place.path().join("a-folder")).unwrap();
    place.with("DATABASE_URL", "sqlite://a-folder").run("user list").expect(7).says("a-folder");
}

#[test]
fn a_file_that_is_no_database_is_7_and_left_alone() {
    let place = Place::sqlite().with("DATABASE_URL", "sqlite://notes.txt");
    place.write("notes.txt", &"These are notes, not rows. ".repeat(100));
    place.run("user list").expect(7).says("notes.txt").says("not a database");
    assert!(std::fs::read_to_string(place.path().join("notes.txt")).unwrap().starts_with("These are notes"));
}
