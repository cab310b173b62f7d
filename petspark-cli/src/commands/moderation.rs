//! `moderation`: what people reported, as an operator looks at it and decides.

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::moderation::{
    Decision, ModerationError, NewDecision, Report, SubjectKind, Task, TaskFilter, TaskStatus,
};
use petspark_core::{SubjectId, TaskId, Timestamp};
use serde::Serialize;

use crate::commands::args::{flag, one_of, page, page_options};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Moderation;

fn status() -> impl TypedValueParser<Value = TaskStatus> {
    one_of(TaskStatus::ALL.iter().map(|status| status.as_str()))
}

fn decision() -> impl TypedValueParser<Value = Decision> {
    one_of(Decision::ALL.iter().map(|decision| decision.as_str()))
}

fn id() -> Arg {
    Arg::new("id").value_name("ID").required(true).help("Which task")
}

impl Plugin for Moderation {
    fn command(&self) -> Command {
        Command::new("moderation")
            .about("Look at what people reported, and decide on it")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("list")
                    .about("List tasks, the oldest first")
                    .arg(
                        Arg::new("status")
                            .long("status")
                            .value_name("STATUS")
                            .value_parser(status())
                            .help("Only with this status [default: all that aren't decided]"),
                    )
                    .args(page_options()),
            )
            .subcommand(
                Command::new("take")
                    .about("Take a task, and show what people said; others leave it alone for a while")
                    .arg(id()),
            )
            .subcommand(
                Command::new("decide")
                    .about("Decide a task that you took; the owner is told by mail")
                    .arg(id())
                    .arg(
                        Arg::new("decision")
                            .long("decision")
                            .value_name("DECISION")
                            .required(true)
                            .value_parser(decision())
                            .help("approved: it stays; rejected: it is banned"),
                    )
                    .arg(
                        Arg::new("reason").long("reason").value_name("TEXT").required(true).help("Why, for the record"),
                    )
                    .arg(flag("yes", "Don't ask before something is banned"))
                    .arg(flag("dry-run", "Only say what would be decided")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some(("take", args)) => take(cx, args).await,
                Some((_, args)) => decide(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// What is no id is the id of nothing.
fn task_id(args: &ArgMatches) -> Result<TaskId, Failure> {
    required::<String>(args, "id")?.parse().map_err(|_| ModerationError::NotFound.into())
}

/// A task as the tool shows it.
#[derive(Serialize)]
struct Shown {
    id: TaskId,
    subject_kind: SubjectKind,
    subject_id: SubjectId,
    status: TaskStatus,
    reports: u64,
    reasons: std::collections::BTreeMap<&'static str, u64>,
    created_at: Timestamp,
    reported_at: Timestamp,
    taken_by: Option<String>,
    taken_at: Option<Timestamp>,
    decision: Option<Decision>,
    reason: Option<String>,
    decided_at: Option<Timestamp>,
}

impl Shown {
    fn of(task: Task) -> Self {
        Self {
            id: task.id,
            subject_kind: task.subject_kind,
            subject_id: task.subject_id,
            status: task.status,
            reports: task.reports(),
            reasons: task.reasons.into_iter().map(|(reason, count)| (reason.as_str(), count)).collect(),
            created_at: task.created_at,
            reported_at: task.reported_at,
            taken_by: task.taken_by,
            taken_at: task.taken_at,
            decision: task.decision,
            reason: task.reason,
            decided_at: task.decided_at,
        }
    }

    fn subject(&self) -> String {
        format!("{}:{}", self.subject_kind, self.subject_id)
    }

    /// `spam 2, other 1`
    fn reasons(&self) -> String {
        self.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
    }
}

const COLUMNS: &[Column<Shown>] = &[
    ("id", |task| task.id.to_string()),
    ("subject", Shown::subject),
    ("status", |task| task.status.to_string()),
    ("reports", |task| task.reports.to_string()),
    ("reasons", Shown::reasons),
    ("created_at", |task| task.created_at.to_string()),
    ("taken_by", |task| task.taken_by.clone().unwrap_or_default()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (page, filter) = (page(args)?, TaskFilter { status: args.get_one("status").copied() });
    let tasks = cx.petspark().await?.moderation().list(&cx.caller(), filter, &page).await?.map(Shown::of);
    let next = tasks.next_cursor.as_deref();
    Ok(Outcome::page("petspark.moderation.list/v1", "tasks", &tasks.items, next, COLUMNS))
}

#[derive(Serialize)]
struct Taken {
    #[serde(flatten)]
    task: Shown,
    last_reports: Vec<Said>,
}

/// What somebody said.
#[derive(Serialize)]
struct Said {
    reason: &'static str,
    note: Option<String>,
    created_at: Timestamp,
}

impl Said {
    fn of(report: Report) -> Self {
        Self { reason: report.reason.as_str(), note: report.note, created_at: report.created_at }
    }
}

impl Taken {
    fn said(&self) -> String {
        let said = self.last_reports.iter();
        said.map(|said| said.note.as_deref().unwrap_or(said.reason)).collect::<Vec<_>>().join(" | ")
    }
}

async fn take(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let taken = cx.petspark().await?.moderation().take(&cx.caller(), task_id(args)?).await?;
    let last_reports = taken.reports.into_iter().map(Said::of).collect();
    let fields: &[Column<Taken>] = &[
        ("id", |taken| taken.task.id.to_string()),
        ("subject", |taken| taken.task.subject()),
        ("reports", |taken| taken.task.reports.to_string()),
        ("reasons", |taken| taken.task.reasons()),
        ("said", Taken::said),
    ];
    Ok(Outcome::record("petspark.moderation.take/v1", &Taken { task: Shown::of(taken.task), last_reports }, fields))
}

#[derive(Serialize)]
struct Decided {
    dry_run: bool,
    #[serde(flatten)]
    task: Shown,
}

async fn decide(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (moderation, caller, id) = (cx.petspark().await?.moderation(), cx.caller(), task_id(args)?);
    let decision: Decision = *required(args, "decision")?;
    let new = NewDecision { decision: decision.to_string(), reason: required::<String>(args, "reason")?.clone() };
    let dry_run = args.get_flag("dry-run");
    let mut task = moderation.preview_decision(&caller, id, new.clone()).await?;
    if !dry_run {
        if decision == Decision::Rejected {
            let what = format!("Ban the {} {}", task.subject_kind, task.subject_id);
            cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        }
        task = moderation.decide(&caller, id, new).await?;
    }
    let fields: &[Column<Decided>] = &[
        ("id", |decided| decided.task.id.to_string()),
        ("subject", |decided| decided.task.subject()),
        ("decision", |decided| decided.task.decision.map(|decision| decision.to_string()).unwrap_or_default()),
        ("reason", |decided| decided.task.reason.clone().unwrap_or_default()),
    ];
    let outcome = Outcome::record("petspark.moderation.decide/v1", &Decided { dry_run, task: Shown::of(task) }, fields);
    Ok(if dry_run { outcome.note("This is what would be decided; nothing was changed.") } else { outcome })
}
