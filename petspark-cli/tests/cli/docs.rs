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

/// The shell blocks of one section, in order.
fn section(text: &str, heading: &str) -> String {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    shell_blocks(rest.split("\n## ").next().unwrap()).concat()
}

/// Ada, with a second factor, and an access token of hers in a file.
fn ada_and_her_token(place: &Place) {
    use petspark_core::auth::{Client, Password};
    use petspark_core::testing::{TestApp, totp_code};
    place.ok("migrate run");
    place.run_with_input("user create ada@example.org --password-stdin", TestApp::PASSWORD).expect(0);
    let token = crate::support::block_on(async {
        let petspark = petspark_core::PetSpark::open(place.settings()).await.unwrap();
        let auth = petspark.auth();
        let login = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        let ada = auth.authenticate(login.tokens.access.expose()).await.unwrap();
        let secret = auth.begin_totp(&ada).await.unwrap().secret;
        let enrolled = auth.confirm_totp(&ada, &totp_code(&secret, petspark.clock().now())).await.unwrap();
        petspark.close().await;
        enrolled.tokens.access.expose().to_owned()
    });
    place.write("leaked-token", &token);
}

#[test]
fn every_section_of_the_operating_guide_works() {
    let guide = document("docs/OPERATING.md");
    let place = Place::sqlite();
    let ran = bash(&place, &(section(&guide, "First install") + &section(&guide, "First administrator"))).expect(0);
    assert!(ran.stdout.contains("admin@example.org") && ran.stdout.contains("db.migrations"), "{ran:#?}");
    let place = Place::sqlite();
    ada_and_her_token(&place);
    let ran = bash(&place, &section(&guide, "A lost second factor")).expect(0);
    assert!(ran.stdout.contains("authn_second_factor_reset"), "{ran:#?}");
    let place = Place::sqlite();
    ada_and_her_token(&place);
    bash(&place, &section(&guide, "A leaked token")).expect(0);
    let left = place.ok("session list ada@example.org --json").json();
    assert_eq!(left["sessions"].as_array().unwrap().len(), 0, "{left}");
    let ran = bash(&place, &section(&guide, "A release that brings migrations")).expect(0);
    assert!(ran.stderr.contains("0 would be applied"), "{ran:#?}");
    bash(&place, &section(&guide, "A migration that doesn't go on")).expect(0);
    let target = Place::postgres();
    let moving = format!(
        "export TARGET='{}'\n{}",
        target.database_url().unwrap(),
        section(&guide, "Moving from SQLite to PostgreSQL")
    );
    let ran = bash(&place, &moving).expect(0);
    assert!(ran.stdout.contains("equal") && ran.stdout.contains("ada@example.org"), "{ran:#?}");
}

/// Those that can be typed as they stand, also in a sentence.
#[test]
fn the_guides_give_a_reason_where_production_wants_one() {
    let mut found = 0;
    for name in
        ["README.md", "docs/OPERATING.md", "docs/SETUP.md", "docs/AUTH.md", "docs/SECURITY.md", "docs/PLUGINS.md"]
    {
        let text = document(name);
        for words in text.split(['`', '\n']) {
            let about = |command: &str| words.split_once(command).is_some_and(|(_, rest)| !rest.trim().is_empty());
            let is_whole = about("user set-role ")
                || about("user delete ")
                || words.contains("--all --confirm")
                || words.contains("--in-place --confirm");
            if is_whole {
                assert!(words.contains("--reason") || words.contains("--dry-run"), "{name}: {words}");
                found += 1;
            }
        }
    }
    assert!(found > 1, "only {found} were found");
}

/// Also those that stand in a sentence: each begins with words that are a command.
#[test]
fn every_command_that_the_guides_name_exists() {
    let place = Place::sqlite();
    for name in ["docs/OPERATING.md", "docs/PLUGINS.md"] {
        let text = document(name);
        let prose: String = text.split("```").step_by(2).collect();
        let quoted =
            prose.split('`').skip(1).step_by(2).map(|quoted| quoted.strip_prefix("petspark-cli ").unwrap_or(quoted));
        let commands: std::collections::BTreeSet<&str> = [
            "migrate", "user", "mfa", "token", "session", "key", "apikey", "throttle", "admin", "check", "plugin",
            "audit", "backup", "media", "mail", "config",
        ]
        .into();
        let mut named = 0;
        for words in quoted.map(|quoted| quoted.split_whitespace().collect::<Vec<_>>()) {
            let is_word =
                |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            let path: Vec<_> = words.iter().copied().take_while(|word| is_word(word)).take(2).collect();
            let options: Vec<_> = words.iter().filter(|word| word.starts_with("--")).collect();
            if path.len() < 2 && options.is_empty() || !path.first().is_some_and(|first| commands.contains(first)) {
                continue;
            }
            let help = place.run(&format!("{} --help", path.join(" "))).expect(0).stdout;
            for option in options {
                assert!(help.contains(&**option), "{name}: {words:?}: {option} is not in\n{help}");
            }
            named += 1;
        }
        assert!(named > 2, "{name}: only {named} were found");
    }
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
fn what_the_operating_guide_says_of_backups_works_in_its_order() {
    let blocks = section(&document("docs/OPERATING.md"), "Backups");
    assert!(blocks.contains("backup verify") && blocks.contains("--to restored.db"));
    let place = Place::sqlite();
    place.ok("migrate run");
    place.user("ada@example.org", "");
    let ran = bash(&place, &blocks).expect(0);
    assert!(ran.stdout.contains("ada@example.org") && ran.stdout.contains("age1"), "{ran:#?}");
}
