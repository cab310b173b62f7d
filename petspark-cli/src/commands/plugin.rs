//! `plugin list`: the commands that are not built in, and why one isn't run.

use std::collections::BTreeSet;

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::context::Context;
use crate::external;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};

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
            .subcommand(Command::new("list").about("List them: compiled in, and programs on the search path"))
    }

    fn run<'a>(&'a self, cx: &'a Context, _: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            Ok(Outcome::list(
                "petspark.plugin.list/v1",
                "plugins",
                &found(cx),
                &[
                    ("name", |found| found.name.clone()),
                    ("source", |found| found.source.to_owned()),
                    ("state", |found| found.state.to_owned()),
                    ("path", |found| found.path.clone().unwrap_or_default()),
                    ("reason", |found| found.reason.clone().unwrap_or_default()),
                ],
            ))
        })
    }
}

fn found(cx: &Context) -> Vec<Found> {
    let compiled_in = cx.own_commands.iter().map(|name| Found {
        name: name.clone(),
        path: None,
        source: "compiled in",
        state: "ok",
        reason: None,
    });
    let mut seen = BTreeSet::new();
    let on_path = external::all(cx.command().get_name()).into_iter().map(|program| {
        let first = seen.insert(program.name.clone());
        let (state, reason) = if external::is_taken(&program.name, cx.command()) {
            ("shadowed", Some("the name is built in or reserved".to_owned()))
        } else if !first {
            ("shadowed", Some("another one comes first on the search path".to_owned()))
        } else if program.unsafe_because.is_some() {
            ("unsafe", program.unsafe_because)
        } else {
            ("ok", None)
        };
        Found {
            name: program.name,
            path: Some(program.path.display().to_string()),
            source: "search path",
            state,
            reason,
        }
    });
    compiled_in.chain(on_path).collect()
}
