//! Completion as bash does it: the function is called with the words typed so far.

use std::process::Command;

use crate::support::{Place, Ran};

/// What bash offers behind the last of these words, which may be empty.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    const DRIVER: &str = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
        function=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", DRIVER, "bash", script, "petspark-cli"]).args(words);
    let ran = Ran::of(command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap()).expect(0);
    assert_eq!(ran.stderr, "", "{ran:#?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_what_stands_below_the_first_word() {
    let place = Place::sqlite();
    let script = place.write("completions.bash", &place.ok("completions bash").stdout);
    let script = script.to_str().unwrap();
    for (words, expected) in [
        (&["user", ""][..], &["create", "list", "show", "set-role"][..]),
        (&["-c", "petspark.toml", "user", ""], &["create", "list", "show", "set-role"]),
        (&["user", "set-role", "x", ""], &["user", "moderator", "admin", "--force", "--dry-run"]),
        (&["completions", ""], &["bash", "zsh", "fish"]),
        (&["help", "user", ""], &["create", "list", "show", "set-role"]),
    ] {
        let offered = offered(script, words);
        assert!(expected.iter().all(|word| offered.iter().any(|offer| offer == word)), "{words:?}: {offered:?}");
    }
    for (words, expected) in [
        (&["us"][..], &["user"][..]),
        (&["user", "sh"], &["show"]),
        (&["user", "list", "--role", ""], &["user", "moderator", "admin"]),
        (&["user", "list", "--st"], &["--status"]),
        (&["user", "set-role", "x", "m"], &["moderator"]),
        (&["migrate", "run", "--l"], &["--lock-timeout"]),
        (&["config", "t"], &["template"]),
    ] {
        assert_eq!(offered(script, words), expected, "{words:?}");
    }
}

/// So that a label that the script looks for and never sets, or the other way round, is noticed
/// whatever the next release of the generator makes of it.
#[test]
fn every_command_that_the_bash_script_recognises_has_a_case_of_its_own() {
    let script = Place::sqlite().ok("completions bash").stdout;
    let set = script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'));
    for label in set.filter(|label| !label.is_empty()) {
        assert!(script.lines().any(|line| line.strip_prefix("        ") == Some(&format!("{label})"))), "{label}");
    }
}

/// Each shell that this machine has reads its script without running it.
#[test]
fn the_shells_themselves_find_nothing_wrong() {
    let place = Place::sqlite();
    let mut read = 0;
    for (shell, options) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = place.write(&format!("completions.{shell}"), &place.ok(&format!("completions {shell}")).stdout);
        match Command::new(shell).args(options).arg(script).output() {
            Ok(output) => {
                let ran = Ran::of(output).expect(0);
                assert_eq!(ran.stderr, "", "{ran:#?}");
                read += 1;
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{shell}: {error}"),
        }
    }
    assert!(read > 0, "bash at least is there");
}

#[test]
fn the_formatter_of_manual_pages_warns_of_nothing() {
    let place = Place::sqlite();
    place.ok("man -o pages");
    let mut pages: Vec<_> =
        std::fs::read_dir(place.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 50, "{}", pages.len());
    let mut man = Command::new("man");
    man.args(["--warnings=all", "--encoding=UTF-8", "--local-file", "--ditroff"])
        .args(&pages)
        .env("MANWIDTH", "80")
        .env("LC_ALL", "C.UTF-8");
    match man.output() {
        Ok(output) => assert_eq!(Ran::of(output).expect(0).stderr, ""),
        // A container without documentation: nothing to check it with.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}
