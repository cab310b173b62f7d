//! The library as an embedder uses it.

use std::ffi::OsString;

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_cli::{App, Check, Context, Exit, Failure, Outcome, Plugin, Verdict};

struct Named(Command);

impl Plugin for Named {
    fn command(&self) -> Command {
        self.0.clone()
    }

    fn run<'a>(&'a self, cx: &'a Context, _: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            assert!(cx.command().find_subcommand("user").is_some(), "built-in commands are there, too");
            Ok(Outcome::done().exit(Exit::Other(64)))
        })
    }
}

fn run(app: App, line: &str) -> Exit {
    app.run(line.split_whitespace().map(OsString::from).collect())
}

#[test]
fn a_plug_in_is_a_command_and_has_exit_codes_of_its_own() {
    let app = App::standard().name("clinic-admin").version("7.1").plugin(Named(Command::new("clinic")));
    assert_eq!(run(app, "clinic-admin clinic"), Exit::Other(64));
}

#[test]
fn a_name_that_is_taken_reserved_or_odd_is_an_error_never_the_last_one_wins() {
    for command in [
        Command::new("user"),
        Command::new("backup"),
        Command::new("backup-nightly"),
        Command::new("help"),
        Command::new("Clinic"),
        Command::new("clinic").alias("version"),
        Command::new(""),
    ] {
        let name = command.get_name().to_owned();
        let app = App::standard().plugin(Named(command));
        assert_eq!(run(app, "petspark-cli version"), Exit::Failed, "{name:?}");
    }
    let twice = App::standard().plugin(Named(Command::new("clinic"))).plugin(Named(Command::new("clinic")));
    assert_eq!(run(twice, "petspark-cli clinic"), Exit::Failed);
}

#[test]
fn a_built_in_command_can_be_left_out_and_its_name_used() {
    let without = || App::standard().without("seed").without("serve");
    assert_eq!(run(without(), "petspark-cli seed"), Exit::Usage);
    assert_eq!(run(without(), "petspark-cli version"), Exit::Done);
    assert_eq!(run(without().plugin(Named(Command::new("seed"))), "petspark-cli seed"), Exit::Other(64));
    assert_eq!(run(App::standard().without("sede"), "petspark-cli version"), Exit::Failed);
}

struct Checked(&'static str);

impl Check for Checked {
    fn id(&self) -> &str {
        self.0
    }

    fn title(&self) -> &str {
        "something is so"
    }

    fn run<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Verdict> {
        Box::pin(async { Verdict::Pass("it is".to_owned()) })
    }
}

struct WithChecks(Vec<&'static str>);

impl Plugin for WithChecks {
    fn command(&self) -> Command {
        Command::new("clinic")
    }

    fn run<'a>(&'a self, _: &'a Context, _: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async { Ok(Outcome::done()) })
    }

    fn checks(&self) -> Vec<Box<dyn Check>> {
        self.0.iter().map(|id| -> Box<dyn Check> { Box::new(Checked(id)) }).collect()
    }
}

#[test]
fn a_check_of_a_plug_in_says_whose_it_is_and_is_there_once() {
    for (ids, exit) in [
        (vec!["x.clinic.room", "x.clinic.beds"], Exit::Done),
        (vec!["clinic.room"], Exit::Failed),
        (vec!["db.connect"], Exit::Failed),
        (vec!["x.other.room"], Exit::Failed),
        (vec!["x.clinic.Room"], Exit::Failed),
        (vec!["x.clinic.room", "x.clinic.room"], Exit::Failed),
    ] {
        let told = format!("{ids:?}");
        assert_eq!(run(App::standard().plugin(WithChecks(ids)), "petspark-cli check --list"), exit, "{told}");
    }
}

#[test]
fn clap_finds_nothing_wrong_with_any_command() {
    // In a debug build clap checks every definition when it first parses.
    assert_eq!(run(App::standard(), "petspark-cli user create a --generate --password-stdin"), Exit::Usage);
    assert_eq!(run(App::standard(), "petspark-cli nonsense"), Exit::Usage);
}
