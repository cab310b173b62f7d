//! `migrate status` and `migrate run`.

use clap::ArgMatches;
use petspark_core::Clock;
use petspark_core::backup::{BackupMedia, Backups, Manifest, NewBackup};
use petspark_core::database::{Database, MigrationError, Run, State, TableLock};
use serde::Serialize;

use super::{COLUMNS, Step, names, patience};
use crate::commands::backup::{name_of, watched};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::outcome::Outcome;
use crate::output;
use crate::plugin::Failure;

pub(super) async fn status(database: &Database) -> Result<Outcome, Failure> {
    let migrations = database.migrations();
    let states = migrations.status().await?;
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
    let newer = migrations.newer().await?;
    if !newer.is_empty() {
        outcome = outcome
            .note(format!("A newer release was here, and applied what this build doesn't have: {}.", names(&newer)));
    }
    if let Err(MigrationError::TooOld { needed }) = migrations.require_current().await {
        return Ok(outcome.exit(Exit::Conflict).note(format!(
            "This build can't work with that any more: use a release that has {needed}, or go back to the backup from \
             before by `backup restore`."
        )));
    }
    Ok(match (count(State::Modified), pending) {
        (0, 0) if newer.is_empty() => outcome,
        (0, 0) => outcome.note("What this build needs is there, and it can work with what came after."),
        (0, pending) if !newer.is_empty() => outcome.exit(Exit::Conflict).note(format!(
            "{pending} pending: replace this build by that release, or go back to the backup from before it by `backup restore`."
        )),
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
        only_new: false,
        by: Some(cx.caller()),
        reason: args.get_one::<String>("reason").cloned(),
    };
    let backup_first = args.get_flag("backup-first");
    if args.get_flag("dry-run") {
        let outcome = dry_run(cx, database, &run).await?;
        return Ok(if backup_first { outcome.note("A backup would be made first.") } else { outcome });
    }
    let backup = if backup_first { back_up(cx, database, &run).await? } else { None };
    let applied = database.migrations().run_as(&run, Clock::system().now(), patience(args)?).await;
    let applied = applied.map_err(|error| {
        let has_applied = error.has_applied();
        let failure = Failure::from(error);
        match &backup {
            // Whoever goes back without need loses what was written since.
            Some(backup) if has_applied => {
                Failure::new(failure.exit(), format!("{}; {}", failure.message(), way_back(cx, backup)))
            }
            _ => failure,
        }
    })?;
    let steps: Vec<_> = applied.iter().map(Step::of).collect();
    if steps.is_empty() && cx.format() == Format::Table {
        return Ok(Outcome::done().note(nothing(database, run.to).await?));
    }
    let backup = backup.map(|backup| backup.id.to_string());
    let facts: Vec<_> = backup.iter().map(|id| ("backup", id.as_str())).collect();
    Ok(Outcome::list_with("petspark.migrate.run/v1", "applied", &steps, &facts, COLUMNS))
}

/// What there is to say when nothing was applied.
async fn nothing(database: &Database, to: Option<i64>) -> Result<String, Failure> {
    let beyond = database.migrations().status().await?.iter().filter(|step| step.is_pending()).count();
    Ok(match (to, beyond) {
        (Some(to), 1) => format!("Nothing up to {to:04} is pending; 1 migration beyond it is."),
        (Some(to), 2..) => format!("Nothing up to {to:04} is pending; {beyond} migrations beyond it are."),
        _ => "The database is up to date.".to_owned(),
    })
}

/// A backup of what is there, made and read again; `None` if there is nothing to apply, or nothing that
/// could be lost. Where it is, is said at once: whoever is needed afterwards may find nothing else.
async fn back_up(cx: &Context, database: &Database, run: &Run) -> Result<Option<Manifest>, Failure> {
    let migrations = database.migrations();
    let (pending, states) = (migrations.plan(run).await?, migrations.status().await?);
    let Some(last) = pending.last() else { return Ok(None) };
    if states.iter().all(|state| state.is_pending()) {
        say(cx, "There is nothing to back up: the database is new.");
        return Ok(None);
    }
    let backups = Backups::open(&cx.settings()?.core, Some(database.clone()), Clock::system())?;
    // No migration touches the files of uploads, nor is to wait for their store.
    let media = Some(BackupMedia::Inventory);
    // It stays until somebody says that it isn't needed any more, whatever the rules of pruning are.
    let new = NewBackup { label: Some(format!("before {}", last.name)), media, pin: true };
    let made = watched(cx, backups).create_and_read(&cx.caller(), &new).await.map_err(|error| {
        let failure = Failure::from(error);
        Failure::new(failure.exit(), format!("{}; nothing was applied", failure.message()))
    })?;
    // Also with --quiet: whoever needs it needs it badly.
    output::remark(&way_back(cx, &made));
    Ok(Some(made))
}

fn say(cx: &Context, text: &str) {
    if !cx.options.quiet {
        output::remark(text);
    }
}

fn way_back(cx: &Context, backup: &Manifest) -> String {
    let (tool, id) = (cx.command().get_name(), backup.id);
    let Ok(settings) = cx.settings() else { return format!("backup {id} is of before") };
    let folder = settings.core.backup.folder.join(id.to_string());
    let name = name_of(&settings.core.database.url);
    let key = match (&backup.encryption, &settings.core.backup.identity_file) {
        (Some(_), None) => " --identity-file KEY",
        _ => "",
    };
    format!(
        "backup {id} is of before, in {}; the way back, with the server stopped, is `{tool} backup restore {id} --in-place \
         --confirm {name} --reason migration{key}`, and then the release of before",
        folder.display()
    )
}

#[derive(Serialize)]
struct Sql {
    version: i64,
    name: String,
    sql: &'static str,
    locks: Vec<TableLock>,
}

async fn dry_run(cx: &Context, database: &Database, run: &Run) -> Result<Outcome, Failure> {
    let migrations = database.migrations();
    let steps = migrations.plan(run).await?;
    let locks = migrations.locks(&steps).await?;
    let pending: Vec<_> = steps
        .into_iter()
        .zip(locks)
        .map(|(step, locks)| Sql { version: step.version, name: step.name.to_owned(), sql: step.sql(database), locks })
        .collect();
    if cx.format() == Format::Table {
        return Ok(Outcome::text(pending.iter().map(script).collect::<String>())
            .note(format!("{} would be applied.", pending.len())));
    }
    Ok(Outcome::list("petspark.migrate.dry-run/v1", "pending", &pending, &[]))
}

/// A step with its locks as comments, so that the whole is still SQL.
fn script(step: &Sql) -> String {
    let lock = |lock: &TableLock| {
        let rows = match lock.rows {
            Some(1) => "about 1 row".to_owned(),
            Some(rows) => format!("about {rows} rows"),
            None => "rows not counted".to_owned(),
        };
        format!("-- locks {}, {} ({}), {rows}\n", lock.table, lock.lock, lock.lock.about())
    };
    let locks: String = step.locks.iter().map(lock).collect();
    format!("-- {}\n{locks}{}\n", step.name, step.sql.trim_end())
}
