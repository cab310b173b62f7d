//! `job`: the queue of work that is done later, as an operator looks at it and mends it.

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::jobs::{JobError, JobInfo, JobState};
use petspark_core::{JobId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::commands::args::{flag, one_of, page, page_options};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Job;

fn state() -> impl TypedValueParser<Value = JobState> {
    one_of(JobState::ALL.iter().map(|state| state.as_str()))
}

fn id() -> Arg {
    Arg::new("id").value_name("ID").help("Which job")
}

impl Plugin for Job {
    fn command(&self) -> Command {
        Command::new("job")
            .about("Look at work that is done later, such as mails, and have it tried again")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("list")
                    .about("List jobs, those enqueued last first; jobs that are done are gone")
                    .arg(
                        Arg::new("state")
                            .long("state")
                            .value_name("STATE")
                            .value_parser(state())
                            .help("Only in this state"),
                    )
                    .args(page_options()),
            )
            .subcommand(Command::new("show").about("Show a job").arg(id().required(true)))
            .subcommand(
                Command::new("retry")
                    .about("Have a job done now, with all its attempts, dead or not; or all dead ones by --all-dead")
                    .arg(id().required_unless_present("all-dead").conflicts_with("all-dead"))
                    .arg(flag("all-dead", "All that have failed for good"))
                    .arg(flag("dry-run", "Only say what would be tried again").requires("all-dead")),
            )
            .subcommand(
                Command::new("drop")
                    .about("Remove a job undone")
                    .arg(id().required(true))
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would be removed")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some(("show", args)) => {
                    let job = cx.petspark().await?.jobs().get(&cx.caller(), job_id(args)?).await?;
                    Ok(Outcome::record("petspark.job.show/v1", &Shown::of(job), FIELDS))
                }
                Some(("retry", args)) if args.get_flag("all-dead") => retry_all_dead(cx, args).await,
                Some(("retry", args)) => {
                    let job = cx.petspark().await?.jobs().retry(&cx.caller(), job_id(args)?).await?;
                    Ok(Outcome::record("petspark.job.retry/v1", &Shown::of(job), FIELDS))
                }
                Some((_, args)) => drop_job(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// What is no id is the id of nothing.
fn job_id(args: &ArgMatches) -> Result<JobId, Failure> {
    required::<String>(args, "id")?.parse().map_err(|_| JobError::NotFound.into())
}

/// A job as the tool shows it.
#[derive(Serialize)]
struct Shown {
    id: JobId,
    kind: String,
    state: JobState,
    payload: Value,
    priority: i32,
    due_at: Timestamp,
    attempts: i32,
    max_attempts: i32,
    schedule: Option<String>,
    last_error: Option<String>,
    dead_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl Shown {
    fn of(job: JobInfo) -> Self {
        Self {
            id: job.id,
            state: job.state(),
            kind: job.kind,
            payload: job.payload,
            priority: job.priority,
            due_at: job.due_at,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            schedule: job.schedule,
            last_error: job.last_error,
            dead_at: job.dead_at,
            created_at: job.created_at,
        }
    }
}

const FIELDS: &[Column<Shown>] = &[
    ("id", |job| job.id.to_string()),
    ("kind", |job| job.kind.clone()),
    ("state", |job| job.state.to_string()),
    ("payload", |job| job.payload.to_string()),
    ("priority", |job| job.priority.to_string()),
    ("due_at", |job| job.due_at.to_string()),
    ("attempts", |job| format!("{} of {}", job.attempts, job.max_attempts)),
    ("schedule", |job| job.schedule.clone().unwrap_or_default()),
    ("last_error", |job| job.last_error.clone().unwrap_or_default()),
    ("dead_at", |job| job.dead_at.map(|at| at.to_string()).unwrap_or_default()),
    ("created_at", |job| job.created_at.to_string()),
];

const COLUMNS: &[Column<Shown>] = &[
    ("id", |job| job.id.to_string()),
    ("kind", |job| job.kind.clone()),
    ("state", |job| job.state.to_string()),
    ("due_at", |job| job.due_at.to_string()),
    ("attempts", |job| format!("{} of {}", job.attempts, job.max_attempts)),
    ("last_error", |job| job.last_error.clone().unwrap_or_default()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let page = page(args)?;
    let state = args.get_one("state").copied();
    let jobs = cx.petspark().await?.jobs().list(&cx.caller(), state, &page).await?.map(Shown::of);
    let next = jobs.next_cursor.as_deref();
    Ok(Outcome::page("petspark.job.list/v1", "jobs", &jobs.items, next, COLUMNS))
}

#[derive(Serialize)]
struct Revived {
    dry_run: bool,
    jobs: u64,
}

async fn retry_all_dead(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (jobs, dry_run) = (cx.petspark().await?.jobs(), args.get_flag("dry-run"));
    let count = if dry_run {
        jobs.preview_retry_all_dead(&cx.caller()).await?
    } else {
        jobs.retry_all_dead(&cx.caller()).await?
    };
    let revived = Revived { dry_run, jobs: count };
    let outcome =
        Outcome::record("petspark.job.retry-all/v1", &revived, &[("jobs", |revived| revived.jobs.to_string())]);
    Ok(if dry_run { outcome.note("This is what would be tried again; nothing was changed.") } else { outcome })
}

#[derive(Serialize)]
struct Dropped {
    dry_run: bool,
    id: JobId,
    kind: String,
    state: JobState,
}

async fn drop_job(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (jobs, id, dry_run) = (cx.petspark().await?.jobs(), job_id(args)?, args.get_flag("dry-run"));
    let plan = jobs.preview_drop(&cx.caller(), id).await?;
    if !dry_run {
        let what = format!("Remove the {} job {id} ({}) undone.", plan.state(), plan.kind);
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        jobs.drop(&cx.caller(), id).await?;
    }
    let dropped = Dropped { dry_run, id, state: plan.state(), kind: plan.kind };
    let outcome = Outcome::record(
        "petspark.job.drop/v1",
        &dropped,
        &[
            ("id", |dropped| dropped.id.to_string()),
            ("kind", |dropped| dropped.kind.clone()),
            ("state", |dropped| dropped.state.to_string()),
        ],
    );
    Ok(if dry_run { outcome.note("This is what would be removed; nothing was changed.") } else { outcome })
}
