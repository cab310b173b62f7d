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
