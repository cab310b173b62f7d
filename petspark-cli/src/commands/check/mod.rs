//! `check`: whether an installation is fit to run, by the built-in checks and those of plug-ins.
//! It looks only, and never stops at the first problem.

mod billing;
mod builtin;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::config::Environment;
use serde::Serialize;

use crate::check::{self, Check, CheckResult, Severity, Status};
use crate::commands::args::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin};

pub(crate) struct Checks;

impl Plugin for Checks {
    fn command(&self) -> Command {
        Command::new("check")
            .visible_alias("doctor")
            .about("Check whether this installation is fit to run; exit code 10 if it isn't, 12 if that can't be said")
            .arg(list("only", "Only these; * stands for anything, as in db.*"))
            .arg(list("skip", "Not these"))
            .arg(list("require", "These count as failed when they would be skipped"))
            .arg(flag("strict", "Exit code 11 when a check warns"))
            .arg(flag("list", "List the checks, and run none"))
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let all: Vec<_> = cx.plugins().flat_map(|plugin| plugin.checks()).collect();
            let chosen = chosen(&all, args)?;
            if args.get_flag("list") {
                return Ok(listed(&chosen));
            }
            let required = words(args, "require");
            let lenient = cx.environment() == Environment::Development;
            let results = check::run_all(cx, &chosen, lenient, &required).await;
            Ok(outcome(&results, args.get_flag("strict")))
        })
    }

    fn checks(&self) -> Vec<Box<dyn Check>> {
        builtin::all()
    }
}

fn list(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("ID")
        .action(ArgAction::Append)
        .value_delimiter(',')
        .value_parser(NonEmptyStringValueParser::new())
        .help(help)
}

fn words(args: &ArgMatches, name: &str) -> Vec<String> {
    args.get_many::<String>(name).into_iter().flatten().cloned().collect()
}

/// Those that `--only` and `--skip` leave. A pattern that means none is a mistake: what it was
/// written for would never be checked.
fn chosen<'a>(all: &'a [Box<dyn Check>], args: &ArgMatches) -> Result<Vec<&'a dyn Check>, Failure> {
    let (only, skip, require) = (words(args, "only"), words(args, "skip"), words(args, "require"));
    for pattern in only.iter().chain(&skip).chain(&require) {
        if !all.iter().any(|check| check::matches(pattern, check.id())) {
            let message = format!("there is no check {pattern}; --list says which there are");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let is_in = |patterns: &[String], id: &str| patterns.iter().any(|pattern| check::matches(pattern, id));
    let chosen = all.iter().map(|check| &**check);
    Ok(chosen.filter(|it| (only.is_empty() || is_in(&only, it.id())) && !is_in(&skip, it.id())).collect())
}

#[derive(Serialize)]
struct Listed {
    id: String,
    items: Vec<String>,
    severity: Severity,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    docs_url: Option<String>,
}

fn listed(checks: &[&dyn Check]) -> Outcome {
    let listed: Vec<_> = checks
        .iter()
        .map(|check| Listed {
            id: check.id().to_owned(),
            items: check.items().iter().map(|item| (*item).to_owned()).collect(),
            severity: check.severity(),
            title: check.title().to_owned(),
            docs_url: check.docs_url().map(str::to_owned),
        })
        .collect();
    let columns: &[Column<Listed>] = &[
        ("id", |it| it.id.clone()),
        ("severity", |it| format!("{:?}", it.severity).to_lowercase()),
        ("title", |it| it.title.clone()),
    ];
    Outcome::list("petspark.check.list/v1", "checks", &listed, columns)
}

const COLUMNS: &[Column<CheckResult>] = &[
    ("status", |result| format!("{:?}", result.status).to_lowercase()),
    ("id", |result| result.id.clone()),
    ("observed", |result| result.observed.lines().collect::<Vec<_>>().join("; ")),
];

fn outcome(results: &[CheckResult], strict: bool) -> Outcome {
    let any = |status| results.iter().any(|result| result.status == status);
    let exit = if any(Status::Fail) {
        Exit::ChecksFailed
    } else if any(Status::Error) {
        Exit::ChecksIncomplete
    } else if strict && any(Status::Warn) {
        Exit::OnlyWarnings
    } else {
        Exit::Done
    };
    let mut outcome = Outcome::list("petspark.check/v1", "checks", results, COLUMNS).exit(exit);
    for result in results.iter().filter(|result| matches!(result.status, Status::Fail | Status::Warn)) {
        let expected = result.expected.as_deref().unwrap_or("otherwise");
        let hint = result.hint.as_deref().unwrap_or_default();
        outcome = outcome.note(format!("{}: expected {expected}. {hint}", result.id).trim_end().to_owned());
    }
    outcome
}
