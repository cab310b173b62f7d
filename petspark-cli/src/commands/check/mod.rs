//! `check`: whether an installation is fit to run, by the built-in checks and those of plug-ins.
//! It looks only, and never stops at the first problem.

mod billing;
mod builtin;
mod database;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::config::Environment;
use serde::Serialize;

use crate::check::{self, Check, CheckResult, Severity, Status};
use crate::commands::args::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::external::{self, Checker};
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
            let external = external::checkers(cx);
            let chosen = Chosen::of(&all, &external, args)?;
            let checks: Vec<_> = all.iter().map(|check| &**check).filter(|check| chosen.has(check.id())).collect();
            let external: Vec<_> = external.into_iter().filter(|it| chosen.may_have(&it.prefix)).collect();
            // Their checks would be lost without a word.
            let missing = external::missing_folders(cx);
            if args.get_flag("list") {
                return Ok(missing.into_iter().fold(listed(&checks, &external), Outcome::note));
            }
            let required = words(args, "require");
            let lenient = cx.environment() == Environment::Development;
            let mut results = check::run_all(cx, &checks, lenient, &required).await;
            let theirs = external::check(cx, &external, lenient, &required).await;
            chosen.require_all(&all, &external, &theirs, &required)?;
            let is_chosen = |id: &str| chosen.has(id) || external.iter().any(|checker| checker.is_answer(id));
            results.extend(theirs.into_iter().filter(|result| is_chosen(&result.id)));
            Ok(missing.into_iter().fold(outcome(&results, args.get_flag("strict")), Outcome::note))
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

/// Those that `--only` and `--skip` leave.
struct Chosen {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Chosen {
    /// A pattern that means no check is a mistake: what it was written for would never be checked. Of those of
    /// external commands only they know which there are.
    fn of(all: &[Box<dyn Check>], external: &[Checker], args: &ArgMatches) -> Result<Self, Failure> {
        let chosen = Self { only: words(args, "only"), skip: words(args, "skip") };
        for pattern in chosen.only.iter().chain(&chosen.skip).chain(&words(args, "require")) {
            let is_ours = all.iter().any(|check| check::matches(pattern, check.id()));
            if !is_ours && !external.iter().any(|checker| may_mean(pattern, &checker.prefix)) {
                return Err(unknown(pattern));
            }
        }
        Ok(chosen)
    }

    /// The same once external commands have told which there are. One that didn't answer counts as all of its
    /// own.
    fn require_all(
        &self,
        all: &[Box<dyn Check>],
        external: &[Checker],
        theirs: &[CheckResult],
        required: &[String],
    ) -> Result<(), Failure> {
        for pattern in self.only.iter().chain(required) {
            let is_ours = all.iter().any(|check| check::matches(pattern, check.id()));
            let is_theirs = theirs.iter().any(|result| {
                check::matches(pattern, &result.id)
                    || external.iter().any(|it| it.is_answer(&result.id) && may_mean(pattern, &it.prefix))
            });
            if !is_ours && !is_theirs {
                return Err(unknown(pattern));
            }
        }
        Ok(())
    }

    fn has(&self, id: &str) -> bool {
        let is_in = |patterns: &[String]| patterns.iter().any(|pattern| check::matches(pattern, id));
        (self.only.is_empty() || is_in(&self.only)) && !is_in(&self.skip)
    }

    /// Whether it may have some of those whose ids begin so.
    fn may_have(&self, prefix: &str) -> bool {
        let is_skipped = self.skip.iter().any(|pattern| check::matches(pattern, prefix));
        !is_skipped && (self.only.is_empty() || self.only.iter().any(|pattern| may_mean(pattern, prefix)))
    }
}

fn unknown(pattern: &str) -> Failure {
    Failure::new(Exit::Usage, format!("there is no check {pattern}; --list says which there are"))
}

/// Whether a pattern may mean an id that begins so.
fn may_mean(pattern: &str, prefix: &str) -> bool {
    pattern.starts_with(prefix) || check::matches(pattern, prefix)
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

fn listed(checks: &[&dyn Check], external: &[Checker]) -> Outcome {
    let mut listed: Vec<_> = checks
        .iter()
        .map(|check| Listed {
            id: check.id().to_owned(),
            items: check.items().iter().map(|item| (*item).to_owned()).collect(),
            severity: check.severity(),
            title: check.title().to_owned(),
            docs_url: check.docs_url().map(str::to_owned),
        })
        .collect();
    // Which there are, only they know.
    listed.extend(external.iter().map(|checker| Listed {
        id: format!("{}*", checker.prefix),
        items: Vec::new(),
        severity: Severity::Error,
        title: "What an external command looks at".to_owned(),
        docs_url: None,
    }));
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
