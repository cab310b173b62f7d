//! What the documents tell people to type works as they type it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::serve::start;
use crate::support::{Place, Ran, on_both, signal};

pub(crate) fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The shell blocks of a document, in order.
fn shell_blocks(text: &str) -> Vec<&str> {
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Runs a script with `petspark-cli` on the search path, and stops at the first failing line.
fn bash(place: &Place, script: &str) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_petspark-cli")).parent().unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).env_clear().current_dir(place.path());
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", binary.display()));
    if let Some(url) = place.database_url() {
        command.env("DATABASE_URL", url);
    }
    Ran::of(command.output().unwrap())
}

#[test]
fn asvs_6_1_1_the_documented_limits_are_the_configured_ones() {
    let text = document("docs/SECURITY.md");
    let (_, limits) = text.split_once("## Limits").unwrap();
    let rows = limits.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let shown = Place::sqlite().ok("config show --json").json();
    let configured: BTreeMap<_, _> = shown["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|setting| {
            (setting["key"].as_str().unwrap().to_owned(), setting["value"].as_str().unwrap_or("").to_owned())
        })
        .filter(|(key, _)| documented.contains_key(key) || key.starts_with("auth.throttle."))
        .collect();
    assert_eq!(documented, configured);
}

on_both! {
    fn the_four_lines_of_the_readme_work(place) {
        let readme = document("README.md");
        let script = *shell_blocks(&readme).iter().find(|block| block.contains("curl")).unwrap();
        assert_eq!(script.lines().count(), 4);
        let (server, address) = start(&place, "--migrate");
        let script = script.replace("localhost:3000", &address).replace("curl -s ", "curl -sS --fail-with-body ");
        let ran = bash(&place, &script).expect(0);
        assert_eq!(ran.stdout.matches(r#""name":"Rex""#).count(), 2, "{ran:#?}");
        assert!(ran.stdout.ends_with(r#""pagination":{"limit":20,"nextCursor":null}}"#), "{ran:#?}");
        signal(&server, Signal::TERM);
    }
}

#[test]
fn the_first_command_of_the_readme_is_the_server_on_the_port_of_the_others() {
    let readme = document("README.md");
    assert_eq!(shell_blocks(&readme)[0].trim(), "cargo run --release -p petspark-cli -- serve");
    assert_eq!(
        crate::support::Place::sqlite().ok("config show --json").json()["settings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|setting| setting["key"] == "http.port")
            .unwrap()["value"],
        "3000"
    );
}

#[test]
fn every_line_of_the_setup_guide_works_in_its_order() {
    let setup = document("docs/SETUP.md");
    let blocks = shell_blocks(&setup);
    assert_eq!(blocks.len(), 3);
    let on_sqlite = bash(&Place::sqlite(), blocks[0]).expect(0);
    assert!(
        on_sqlite.stdout.contains("admin@example.org") || on_sqlite.stdout.contains("@seed1.example.org"),
        "{on_sqlite:#?}"
    );
    bash(&Place::postgres(), &blocks[1..].concat()).expect(0);
}

#[test]
fn every_line_of_the_operating_guide_works_in_its_order() {
    let operating = document("docs/OPERATING.md");
    let blocks: String = shell_blocks(&operating).concat();
    assert!(blocks.contains("backup verify") && blocks.contains("--to restored.db"));
    let place = Place::sqlite();
    place.ok("migrate run");
    place.user("ada@example.org", "");
    let ran = bash(&place, &blocks).expect(0);
    assert!(ran.stdout.contains("ada@example.org") && ran.stdout.contains("age1"), "{ran:#?}");
}
