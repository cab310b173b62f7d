//! `migrate`: which migrations the database has, and applying those it lacks.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::config::Value as _;
use petspark_core::database::{Database, Migration, MigrationState, State};
use petspark_core::{Clock, Timestamp};
use serde::Serialize;

use crate::context::{Context, Missing};
use crate::exit::Exit;
use crate::options::Format;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Migrate;

impl Plugin for Migrate {
    fn command(&self) -> Command {
        Command::new("migrate")
            .about("Look at the database's migrations, and apply them")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("status").about("List all migrations; exit code 5 if the database isn't up to date"),
            )
            .subcommand(
                Command::new("run")
                    .about("Apply the migrations that the database lacks")
                    .arg(
                        Arg::new("dry-run")
                            .long("dry-run")
                            .action(ArgAction::SetTrue)
                            .help("Only print the SQL that would be run"),
                    )
                    .arg(
                        Arg::new("lock-timeout")
                            .long("lock-timeout")
                            .value_name("DURATION")
                            .value_parser(duration)
                            .default_value("60s")
                            .help("How long to wait for another process that is migrating; then exit code 8"),
                    ),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let missing = match args.subcommand() {
                Some(("run", args)) if !args.get_flag("dry-run") => Missing::Make,
                _ => Missing::Refuse,
            };
            // The database alone: everything else in PetSpark wants it migrated.
            let database = cx.database(missing).await?;
            let outcome = match args.subcommand() {
                Some(("run", args)) if args.get_flag("dry-run") => dry_run(cx, &database).await,
                Some(("run", args)) => run(cx, &database, *required(args, "lock-timeout")?).await,
                _ => status(&database).await,
            };
            database.close().await;
            outcome
        })
    }
}

/// Clap puts a colon before the reason; settings say only what is expected.
fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).map_err(|expected| format!("must be {expected}"))
}

#[derive(Serialize)]
struct Step {
    version: i64,
    name: String,
    state: State,
    applied_at: Option<Timestamp>,
    took_ms: Option<u128>,
}

impl Step {
    fn of(state: &MigrationState) -> Self {
        Self {
            version: state.version,
            name: state.name.clone(),
            state: state.state,
            applied_at: state.applied_at,
            took_ms: state.took.map(|took| took.as_millis()),
        }
    }
}

const COLUMNS: &[Column<Step>] = &[
    ("version", |step| step.version.to_string()),
    ("name", |step| step.name.clone()),
    ("state", |step| step.state.to_string()),
    ("applied_at", |step| step.applied_at.map(|at| at.to_string()).unwrap_or_default()),
    ("took", |step| step.took_ms.map(|took| format!("{took}ms")).unwrap_or_default()),
];

async fn status(database: &Database) -> Result<Outcome, Failure> {
    let states = database.migrations().status().await?;
    let steps: Vec<_> = states.iter().map(Step::of).collect();
    let outcome = Outcome::list("petspark.migrate.status/v1", "migrations", &steps, COLUMNS);
    let count = |state| states.iter().filter(|step| step.state == state).count();
    // A database that knows more than this build is one that a newer release was at: fine.
    Ok(match (count(State::Modified), count(State::Pending)) {
        (0, 0) => outcome,
        (0, pending) => outcome.exit(Exit::Conflict).note(format!("{pending} pending; apply them by `migrate run`.")),
        (modified, _) => outcome
            .exit(Exit::Conflict)
            .note(format!("{modified} applied with other SQL than this build has; use the build that applied it.")),
    })
}

async fn run(cx: &Context, database: &Database, patience: Duration) -> Result<Outcome, Failure> {
    let applied = database.migrations().run(Clock::system().now(), patience).await?;
    let steps: Vec<_> = applied.iter().map(Step::of).collect();
    if steps.is_empty() && cx.format() == Format::Table {
        return Ok(Outcome::done().note("The database is up to date."));
    }
    Ok(Outcome::list("petspark.migrate.run/v1", "applied", &steps, COLUMNS))
}

#[derive(Serialize)]
struct Sql {
    version: i64,
    name: String,
    sql: &'static str,
}

async fn dry_run(cx: &Context, database: &Database) -> Result<Outcome, Failure> {
    let states = database.migrations().status().await?;
    let pending: Vec<_> = Migration::all()
        .iter()
        .filter(|step| states.iter().any(|state| state.version == step.version && state.state == State::Pending))
        .map(|step| Sql { version: step.version, name: step.name.to_owned(), sql: step.sql(database) })
        .collect();
    if cx.format() == Format::Table {
        let scripts = pending.iter().map(|step| format!("-- {}\n{}\n", step.name, step.sql.trim_end()));
        return Ok(Outcome::text(scripts.collect::<String>()).note(format!("{} would be applied.", pending.len())));
    }
    Ok(Outcome::list("petspark.migrate.dry-run/v1", "pending", &pending, &[]))
}
