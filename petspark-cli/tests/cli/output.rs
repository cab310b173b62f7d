use std::process::Stdio;

use crate::support::{Place, Ran, exit_code};

#[test]
fn a_reader_that_went_away_is_no_error() {
    let place = Place::sqlite();
    for line in ["completions zsh", "--help", "config show", "version --json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(line.split_whitespace());
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn an_error_that_nobody_reads_changes_no_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let place = Place::sqlite();
    let status = place.command(["user", "show", "nobody@example.org"]).stderr(writer).status().unwrap();
    assert_eq!(exit_code(status), 4);
}

#[test]
fn json_is_one_document_and_jsonl_a_record_a_line() {
    let place = Place::sqlite();
    place.user("a@example.org", "");
    place.user("b@example.org", "");
    let document = place.ok("user list --format json").json();
    assert_eq!(document["schema"], "petspark.user.list/v1");
    let lines = place.ok("user list --limit 1 --format jsonl").stdout;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["email"], "b@example.org");
    assert_eq!(lines[1]["summary"]["count"], 1);
    assert!(lines[1]["summary"]["next_cursor"].is_string());
    assert_eq!(place.ok("--json version").stdout.lines().next(), Some("{"));
    assert_eq!(place.ok("version --format jsonl").stdout.lines().count(), 1);
}

#[test]
fn in_json_nothing_is_said_beside_the_data_and_quiet_says_nothing_either() {
    let place = Place::sqlite();
    for line in ["migrate run --json", "migrate run --json", "user create a@example.org --generate --json"] {
        assert_eq!(place.ok(line).stderr, "", "{line}");
    }
    assert_eq!(place.ok("migrate run --quiet").stderr, "");
    assert_ne!(place.ok("migrate run").stderr, "");
}

#[test]
fn colours_are_for_terminals_or_for_those_who_insist() {
    let place = Place::sqlite();
    place.ok("migrate run");
    let bold = |ran: &Ran| format!("{}{}", ran.stdout, ran.stderr).contains('\x1b');
    assert!(!bold(&place.run("plugin list")));
    assert!(bold(&place.run("plugin list --color always")));
    assert!(bold(&place.run("user show nobody@example.org --color=always")));
    assert!(!bold(&place.run("user show nobody@example.org --color=never")));
    assert!(bold(&place.run("nonsense --color always")));
    assert!(!bold(&place.run("nonsense")));
}

#[test]
fn logs_go_to_standard_error_and_are_json_in_production() {
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let place = Place::sqlite().with("JWT_SECRET", strong);
    let quiet = place.ok("migrate run");
    assert!(!quiet.stderr.contains("migration applied"), "{quiet:#?}");
    let place = Place::sqlite().with("JWT_SECRET", strong);
    place.ok("migrate run -v").says("migration applied");
    assert_eq!(place.ok("user list").stderr, "");
    let told = place.ok("user list -v").says("database opened").says("petspark.db");
    assert!(!told.stderr.contains("settings read"), "{told:#?}");
    place.ok("-vv user list").says("settings read").says("database opened");
    let place = Place::sqlite().with("JWT_SECRET", strong).with("PETSPARK_ENV", "production").with("LOG_LEVEL", "info");
    let ran = place.ok("migrate run --json");
    assert!(ran.json()["applied"].is_array());
    for line in ran.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        if event["target"] == "petspark::audit" {
            assert_eq!(event["action"], "sys_schema_migrated");
            continue;
        }
        assert_eq!((&event["level"], &event["message"]), (&"INFO".into(), &"migration applied".into()));
    }
    assert!(ran.stderr.lines().count() >= 3);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::sqlite();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.ok(&format!("completions {shell}")).stdout.contains("set-role"), "{shell}");
    }
    place.run("completions tcsh").expect(2).says("bash");
    assert!(place.ok("man").stdout.contains("petspark"));
    place.ok("man -o a/new/folder");
    for page in ["petspark-cli.1", "petspark-cli-user.1", "petspark-cli-user-set-role.1"] {
        let page = std::fs::read_to_string(place.path().join("a/new/folder").join(page)).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
    }
    place.write("file", "");
    place.run("man -o file").expect(1).says("file");
}
