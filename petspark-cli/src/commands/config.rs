//! `config`: what the settings are, whether they are valid, and which there are.

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::config::{Problem, Resolved, env_template};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};
use crate::settings;

pub(crate) struct Config;

impl Plugin for Config {
    fn command(&self) -> Command {
        Command::new("config")
            .about("Look at the settings")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("show").about("Show every setting and where it comes from, secrets redacted"))
            .subcommand(Command::new("check").about("List every problem with the settings; connects to nothing"))
            .subcommand(Command::new("template").about("Print a .env file with every setting and what it does"))
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand_name() {
                Some("show") => show(cx),
                Some("check") => Ok(check(cx)),
                _ => Ok(Outcome::text(env_template(&settings::defaults()?.resolved))),
            }
        })
    }
}

#[derive(Serialize)]
struct Shown {
    key: &'static str,
    env: Option<&'static str>,
    value: Option<String>,
    origin: String,
    secret: bool,
}

impl Shown {
    fn of(setting: &Resolved) -> Self {
        Self {
            key: setting.key,
            env: setting.env,
            value: setting.value.clone(),
            origin: setting.origin.to_string(),
            secret: setting.secret,
        }
    }
}

fn show(cx: &Context) -> Result<Outcome, Failure> {
    let settings: Vec<_> = cx.settings()?.resolved.iter().map(Shown::of).collect();
    Ok(Outcome::list(
        "petspark.config.show/v1",
        "settings",
        &settings,
        &[
            ("key", |shown| shown.key.to_owned()),
            ("value", |shown| shown.value.clone().unwrap_or_default()),
            ("origin", |shown| shown.origin.clone()),
        ],
    ))
}

#[derive(Serialize)]
struct Found {
    key: String,
    origin: String,
    message: String,
}

impl Found {
    fn of(problem: &Problem) -> Self {
        Self { key: problem.key.clone(), origin: problem.origin.to_string(), message: problem.message.clone() }
    }
}

fn check(cx: &Context) -> Outcome {
    let problems = cx.sources().and_then(settings::load).err();
    let found: Vec<_> = problems.iter().flat_map(|problems| &problems.0).map(Found::of).collect();
    if found.is_empty() && cx.format() == crate::options::Format::Table {
        return Outcome::done().note("The settings are valid.");
    }
    let exit = if found.is_empty() { Exit::Done } else { Exit::Config };
    Outcome::list(
        "petspark.config.check/v1",
        "problems",
        &found,
        &[
            ("key", |problem| problem.key.clone()),
            ("origin", |problem| problem.origin.clone()),
            ("problem", |problem| problem.message.clone()),
        ],
    )
    .exit(exit)
}
