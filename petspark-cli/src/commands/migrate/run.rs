//! `migrate status` and `migrate run`.

use clap::ArgMatches;
use petspark_core::Clock;
use petspark_core::database::{Database, Run, State};
use serde::Serialize;

use super::{COLUMNS, Step, patience};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::outcome::Outcome;
use crate::plugin::Failure;

pub(super) async fn status(database: &Database) -> Result<Outcome, Failure> {
    let states = database.migrations().status().await?;
    let steps: Vec<_> = states.iter().map(Step::of).collect();
    let mut outcome = Outcome::list("petspark.migrate.status/v1", "migrations", &steps, COLUMNS);
    let count = |state| states.iter().filter(|step| step.state == state).count();
    let pending = states.iter().filter(|step| step.is_pending()).count();
    if let Some(step) = states.iter().find(|step| step.state == State::Interrupted) {
        outcome = outcome.note(format!(
            "{} was begun by a process that died over it. Nothing is left of it; `migrate run` applies it.",
            step.name
        ));
    }
    // A database that knows more than this build is one that a newer release was at: fine.
    Ok(match (count(State::Modified), pending) {
        (0, 0) => outcome,
        (0, pending) => outcome.exit(Exit::Conflict).note(format!("{pending} pending; apply them by `migrate run`.")),
        (modified, _) => outcome
            .exit(Exit::Conflict)
            .note(format!("{modified} applied with other SQL than this build has; use the build that applied it.")),
    })
}

pub(super) async fn run(cx: &Context, database: &Database, args: &ArgMatches) -> Result<Outcome, Failure> {
    let run = Run {
        to: args.get_one::<i64>("to").copied(),
        out_of_order: args.get_flag("allow-out-of-order"),
        by: Some(cx.caller()),
        reason: args.get_one::<String>("reason").cloned(),
    };
    if args.get_flag("dry-run") {
        return dry_run(cx, database, &run).await;
    }
    let applied = database.migrations().run_as(&run, Clock::system().now(), patience(args)?).await?;
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

async fn dry_run(cx: &Context, database: &Database, run: &Run) -> Result<Outcome, Failure> {
    let pending: Vec<_> = database
        .migrations()
        .plan(run)
        .await?
        .into_iter()
        .map(|step| Sql { version: step.version, name: step.name.to_owned(), sql: step.sql(database) })
        .collect();
    if cx.format() == Format::Table {
        let scripts = pending.iter().map(|step| format!("-- {}\n{}\n", step.name, step.sql.trim_end()));
        return Ok(Outcome::text(scripts.collect::<String>()).note(format!("{} would be applied.", pending.len())));
    }
    Ok(Outcome::list("petspark.migrate.dry-run/v1", "pending", &pending, &[]))
}
