//! `migrate`: which migrations the database has, applying those it lacks, whether its schema is
//! what they make, and moving an embedded installation to PostgreSQL.

mod copy;
mod run;
mod schema;
mod unlock;

use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::Timestamp;
use petspark_core::database::{MigrationState, State};
use serde::Serialize;

use crate::commands::args::{duration, flag, why};
use crate::context::{Context, Missing};
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
                        Arg::new("to")
                            .long("to")
                            .value_name("VERSION")
                            .value_parser(value_parser!(i64).range(1..))
                            .help("Only up to this one, its number"),
                    )
                    .arg(flag("dry-run", "Only print the SQL that would be run"))
                    .arg(flag("backup-first", "Back the database up first; without a good backup nothing is applied"))
                    .arg(flag("allow-out-of-order", "Also apply what is older than something that was applied"))
                    .arg(why())
                    .arg(lock_timeout()),
            )
            .subcommand(
                Command::new("verify")
                    .about("Compare the schema with what the migrations make; exit code 5 if it differs"),
            )
            .subcommand(
                Command::new("baseline")
                    .about("Write all migrations down as applied, in a database that has their schema but no history")
                    .arg(flag("dry-run", "Only say which would be written down"))
                    .arg(flag("yes", "Don't ask"))
                    .arg(why())
                    .arg(lock_timeout()),
            )
            .subcommand(
                Command::new("lint")
                    .about("Look for what is known to hurt in the migrations of this build; connects to nothing"),
            )
            .subcommand(
                Command::new("unlock").about("Say who is migrating, and end their lock if they are provably gone"),
            )
            .subcommand(copy::command())
    }

    fn runs_to_its_end(&self, args: &ArgMatches) -> Option<&'static str> {
        match args.subcommand() {
            Some(("run", args)) if !args.get_flag("dry-run") => Some(
                "given up in the middle, `migrate run` would leave some migrations applied and others not; how long it waits for others is said by --lock-timeout",
            ),
            _ => None,
        }
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("lint", _)) => return schema::lint(cx),
                Some(("copy", args)) => return copy::copy(cx, args).await,
                _ => {}
            }
            let missing = match args.subcommand() {
                Some(("run", args)) if !args.get_flag("dry-run") => Missing::Make,
                _ => Missing::Refuse,
            };
            // The database alone: everything else in PetSpark wants it migrated.
            let database = cx.database(missing).await?;
            let outcome = match args.subcommand() {
                Some(("run", args)) => run::run(cx, &database, args).await,
                Some(("verify", _)) => schema::verify(cx, &database).await,
                Some(("baseline", args)) => schema::baseline(cx, &database, args).await,
                Some(("unlock", _)) => unlock::unlock(cx, &database).await,
                _ => run::status(&database).await,
            };
            database.close().await;
            outcome
        })
    }
}

fn lock_timeout() -> Arg {
    Arg::new("lock-timeout")
        .long("lock-timeout")
        .value_name("DURATION")
        .value_parser(duration)
        .default_value("60s")
        .help("How long to wait for others who migrate (then exit code 8), or use a table (then 7)")
}

fn patience(args: &ArgMatches) -> Result<Duration, Failure> {
    Ok(*required(args, "lock-timeout")?)
}

/// For a sentence.
pub(super) fn names(states: &[MigrationState]) -> String {
    states.iter().map(|state| &*state.name).collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct Step {
    version: i64,
    name: String,
    state: State,
    applied_at: Option<Timestamp>,
    took_ms: Option<u128>,
    checksum: String,
}

impl Step {
    fn of(state: &MigrationState) -> Self {
        Self {
            version: state.version,
            name: state.name.clone(),
            state: state.state,
            applied_at: state.applied_at,
            took_ms: state.took.map(|took| took.as_millis()),
            checksum: state.checksum.chars().take(12).collect(),
        }
    }
}

const COLUMNS: &[Column<Step>] = &[
    ("version", |step| step.version.to_string()),
    ("name", |step| step.name.clone()),
    ("state", |step| step.state.to_string()),
    ("applied_at", |step| step.applied_at.map(|at| at.to_string()).unwrap_or_default()),
    ("took", |step| step.took_ms.map(|took| format!("{took}ms")).unwrap_or_default()),
    ("checksum", |step| step.checksum.clone()),
];
