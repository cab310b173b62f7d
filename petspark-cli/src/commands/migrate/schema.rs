//! `migrate verify`, `migrate baseline` and `migrate lint`.

use clap::ArgMatches;
use petspark_core::Clock;
use petspark_core::database::{Database, Difference, Finding, Gravity, Migration, MigrationError, State};

use super::{COLUMNS, Step, patience};
use crate::commands::args::why_given;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

const DIFFERENCES: &[Column<Difference>] = &[
    ("kind", |difference| difference.kind.to_string()),
    ("table", |difference| difference.table.clone()),
    ("name", |difference| difference.name.clone()),
    ("expected", |difference| difference.expected.clone().unwrap_or_default()),
    ("found", |difference| difference.found.clone().unwrap_or_default()),
];

pub(super) async fn verify(cx: &Context, database: &Database) -> Result<Outcome, Failure> {
    let migrations = database.migrations();
    // What isn't migrated differs, of course; that would only hide why.
    migrations.require_current().await.map_err(|error| cx.unmigrated(error))?;
    let differences = migrations.verify().await?;
    if differences.is_empty() && cx.format() == Format::Table {
        return Ok(Outcome::done().note("The schema is exactly what the migrations make."));
    }
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Conflict };
    Ok(Outcome::list("petspark.migrate.verify/v1", "differences", &differences, DIFFERENCES).exit(exit))
}

pub(super) async fn baseline(cx: &Context, database: &Database, args: &ArgMatches) -> Result<Outcome, Failure> {
    let migrations = database.migrations();
    let states = migrations.status().await?;
    let missing: Vec<_> = states.iter().filter(|state| state.is_pending()).map(Step::of).collect();
    let schema = "petspark.migrate.baseline/v1";
    if missing.is_empty() {
        return Ok(
            Outcome::list(schema, "recorded", &missing, COLUMNS).note("Every migration is written down already.")
        );
    }
    if states.iter().any(|state| state.state == State::Running) {
        return Err(Failure::new(Exit::Locked, "another process is migrating this database"));
    }
    let differences = migrations.verify().await?;
    if !differences.is_empty() {
        return Err(MigrationError::Differs(differences).into());
    }
    if args.get_flag("dry-run") {
        return Ok(Outcome::list(schema, "recorded", &missing, COLUMNS).note("These would be written down as applied."));
    }
    let what = format!("This writes {} migrations down as applied to {}.", missing.len(), database.target());
    cx.confirm(&what, "--yes", args.get_flag("yes"))?;
    let reason = why_given(args);
    let recorded = migrations.baseline(&cx.caller(), reason, Clock::system().now(), patience(args)?).await?;
    let recorded: Vec<_> = recorded.iter().map(Step::of).collect();
    Ok(Outcome::list(schema, "recorded", &recorded, COLUMNS))
}

const FINDINGS: &[Column<Finding>] = &[
    ("gravity", |finding| finding.gravity.to_string()),
    ("rule", |finding| finding.rule.to_owned()),
    ("migration", |finding| finding.migration.clone()),
    ("engine", |finding| finding.engine.to_owned()),
    ("subject", |finding| finding.subject.clone()),
    ("hint", |finding| finding.hint.to_owned()),
];

pub(super) fn lint(cx: &Context) -> Result<Outcome, Failure> {
    let findings = Migration::lint()?;
    if findings.is_empty() && cx.format() == Format::Table {
        return Ok(Outcome::done().note("Nothing was found."));
    }
    let is_wrong = findings.iter().any(|finding| finding.gravity == Gravity::Error);
    let exit = if is_wrong { Exit::ChecksFailed } else { Exit::Done };
    Ok(Outcome::list("petspark.migrate.lint/v1", "findings", &findings, FINDINGS).exit(exit))
}
