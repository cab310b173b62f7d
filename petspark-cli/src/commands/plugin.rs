//! `plugin`: the commands that are not built in, what they say of themselves, and why one isn't run.

use std::collections::BTreeSet;

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::external::{self, Program};
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Plugins;

#[derive(Serialize)]
struct Found {
    name: String,
    path: Option<String>,
    source: &'static str,
    state: &'static str,
    reason: Option<String>,
}

impl Plugin for Plugins {
    fn command(&self) -> Command {
        Command::new("plugin")
            .about("Look at commands that are not built in")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("list")
                    .about("List them: compiled in, and programs in configured folders and on the search path"),
            )
            .subcommand(
                Command::new("describe")
                    .about("Ask a program what it is, by --petspark-describe")
                    .arg(Arg::new("name").value_name("NAME").required(true).help("The command's name")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("describe", args)) => describe(cx, required::<String>(args, "name")?),
                _ => Ok(list(cx)),
            }
        })
    }
}

const FOUND: &[Column<Found>] = &[
    ("name", |found| found.name.clone()),
    ("source", |found| found.source.to_owned()),
    ("state", |found| found.state.to_owned()),
    ("path", |found| found.path.clone().unwrap_or_default()),
    ("reason", |found| found.reason.clone().unwrap_or_default()),
];

fn list(cx: &Context) -> Outcome {
    let outcome = Outcome::list("petspark.plugin.list/v1", "plugins", &found(cx), FOUND);
    let outcome = external::missing_folders(cx).into_iter().fold(outcome, Outcome::note);
    match external::ignores_search_path(cx) {
        true => outcome.note(
            "Root runs nothing from the search path, so it was not looked at: only folders that plugins.dirs names were.",
        ),
        false => outcome,
    }
}

fn found(cx: &Context) -> Vec<Found> {
    let compiled_in = cx.own_plugins().map(|plugin| Found {
        name: plugin.command().get_name().to_owned(),
        path: None,
        source: "compiled in",
        state: "ok",
        reason: None,
    });
    let mut seen = BTreeSet::new();
    let programs = external::all(cx).into_iter().map(|program| {
        let first = seen.insert(program.name.clone());
        let (state, reason) = if external::is_taken(&program.name, cx.command()) {
            ("shadowed", Some("the name is built in or reserved".to_owned()))
        } else if !first {
            ("shadowed", Some("another one comes first".to_owned()))
        } else {
            match program.unsafe_because() {
                Some(reason) => ("unsafe", Some(reason.to_owned())),
                None => ("ok", None),
            }
        };
        Found {
            name: program.name,
            path: Some(program.path.display().to_string()),
            source: program.source.as_str(),
            state,
            reason,
        }
    });
    compiled_in.chain(programs).collect()
}

#[derive(Serialize)]
struct Described {
    name: String,
    path: String,
    about: String,
    version: String,
    usage: String,
}

const DESCRIBED: &[Column<Described>] = &[
    ("name", |it| it.name.clone()),
    ("path", |it| it.path.clone()),
    ("about", |it| it.about.clone()),
    ("version", |it| it.version.clone()),
    ("usage", |it| it.usage.clone()),
];

fn describe(cx: &Context, name: &str) -> Result<Outcome, Failure> {
    let missing = || Failure::new(Exit::NotFound, format!("there is no external command {name}; see `plugin list`"));
    let program = external::find(cx, name)?.ok_or_else(missing)?;
    let described = external::ask_one(cx.command().get_name(), &program);
    let Program { name, path, .. } = program;
    let Some(description) = described else {
        let message = format!("{} doesn't answer --petspark-describe as docs/PLUGINS.md has it", path.display());
        return Err(Failure::new(Exit::Failed, message));
    };
    let described = Described {
        name,
        path: path.display().to_string(),
        about: description.about,
        version: description.version,
        usage: description.usage,
    };
    Ok(Outcome::record("petspark.plugin.describe/v1", &described, DESCRIBED))
}
