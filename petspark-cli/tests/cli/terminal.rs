//! What is asked of a person. `script` (of util-linux) gives the command a terminal, and types.

use std::process::Stdio;

use crate::support::{Place, Ran};

/// What a terminal shows when `typed` is typed at it.
fn at_a_terminal(place: &Place, line: &str, typed: &str) -> Ran {
    use std::io::Write as _;
    let binary = place.command([""; 0]);
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("{} {line}", env!("CARGO_BIN_EXE_petspark-cli")), "/dev/null"]);
    command.env_clear().envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/bin:/bin").env("TERM", "dumb").current_dir(place.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("script, of util-linux, can't be run: {error}"));
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn a_password_is_typed_twice() {
    let place = Place::sqlite();
    let typed = "correct horse battery\ncorrect horse battery\n";
    let ran = at_a_terminal(&place, "user create ada@example.org", typed).expect(0);
    assert!(ran.stdout.contains("Password: ") && ran.stdout.contains("The same again: "), "{ran:#?}");
    place.ok("user show ada@example.org");
}

#[test]
fn two_different_passwords_make_no_user() {
    let place = Place::sqlite();
    let typed = "correct horse battery\nanother horse battery\n";
    let ran = at_a_terminal(&place, "user create ada@example.org", typed).expect(2);
    assert!(ran.stdout.contains("two different passwords"), "{ran:#?}");
    place.run("user show ada@example.org").expect(4);
}

#[test]
fn nobody_is_asked_who_does_not_want_to_be() {
    let place = Place::sqlite();
    let ran = at_a_terminal(&place, "user create ada@example.org --no-input", "").expect(2);
    assert!(ran.stdout.contains("--password-stdin"), "{ran:#?}");
}

#[test]
fn only_a_yes_is_a_yes() {
    let place = Place::sqlite();
    place.user("ada@example.org", "");
    for (answer, code) in [("n\n", 6), ("\n", 6), ("yeah\n", 6), ("Y\n", 0)] {
        let ran = at_a_terminal(&place, "seed --users 1 --pets 0", answer).expect(code);
        assert!(ran.stdout.contains("Go on? [y/N]"), "{ran:#?}");
    }
    assert_eq!(place.ok("user list --json").json()["users"].as_array().unwrap().len(), 2);
}

#[test]
fn production_is_typed_out() {
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let place = Place::sqlite().with("PETSPARK_ENV", "production").with("JWT_SECRET", strong);
    place.ok("migrate run");
    for (answer, code) in [("y\n", 6), ("production\n", 0)] {
        at_a_terminal(&place, "seed --users 1 --pets 0", answer).expect(code);
    }
}

#[test]
fn a_backup_writes_no_lines_of_progress_to_a_terminal() {
    let place = Place::sqlite();
    place.user("ada@example.org", "");
    let ran = at_a_terminal(&place, "backup create", "").expect(0);
    assert!(!ran.stdout.contains("packing, in bytes: "), "{ran:#?}");
    // Where nobody looks it does.
    place.ok("backup create").says("packing, in bytes: 100 %");
}
