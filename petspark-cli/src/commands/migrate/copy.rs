//! `migrate copy`: moves an embedded installation to PostgreSQL. Stops in good order on Ctrl-C,
//! and goes on when run again.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use petspark_core::Clock;
use petspark_core::config::{DatabaseSettings, DatabaseUrl, Value as _};
use petspark_core::database::copy::{Copied, InstallationCopy};
use serde::Serialize;

use crate::commands::args::flag;
use crate::commands::progress::Progress;
use crate::context::Context;
use crate::exit::Exit;
use crate::os;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;
use crate::signals::{Stop, stoppable};

pub(super) fn command() -> Command {
    let command = Command::new("copy")
        .about("Copy an embedded installation to an empty PostgreSQL, and compare both")
        .long_about(
            "Copy an embedded installation to an empty PostgreSQL, and compare both, value by value. The server has to \
             be stopped: the source is held so that nobody else can open it. A copy that was interrupted goes on when \
             the same command is run again, and until it is complete no server opens the target. Addresses with a \
             password come from a file or from the environment, never from the command line.",
        );
    let command = place(command, "from", "The SQLite to copy, sqlite://...; by default that of the settings");
    place(command, "to", "The PostgreSQL to copy to, postgres://... without a password")
        .mut_group("target", |group| group.required(true))
        .arg(flag("dry-run", "Only look at both ends, all over for damage, and say what would be copied"))
        .arg(flag("yes", "Don't ask"))
}

/// Three ways to name a database.
fn place(command: Command, name: &'static str, help: &'static str) -> Command {
    let (group, env, file) =
        if name == "from" { ("source", "from-env", "from-file") } else { ("target", "to-env", "to-file") };
    command
        .arg(Arg::new(name).long(name).value_name("URL").help(help))
        .arg(Arg::new(env).long(env).value_name("NAME").help("The same from the environment variable of that name"))
        .arg(
            Arg::new(file)
                .long(file)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The same from the first line of a file"),
        )
        .group(ArgGroup::new(group).args([name, env, file]))
}

/// The address that one of the three names; `None` if none does.
fn address(args: &ArgMatches, name: &str) -> Result<Option<DatabaseUrl>, Failure> {
    let wrong = |what: String| Failure::new(Exit::Usage, what);
    let (text, source) = if let Some(url) = args.get_one::<String>(name) {
        if has_password(url) {
            return Err(wrong(format!(
                "--{name} has a password, which everybody on this machine can read on the command line: \
                 use --{name}-env or --{name}-file"
            )));
        }
        (url.clone(), format!("--{name}"))
    } else if let Some(variable) = args.get_one::<String>(&format!("{name}-env")) {
        let text = os::variable(variable).and_then(|text| text.into_string().ok());
        (text.ok_or_else(|| wrong(format!("the environment has no {variable}")))?, variable.clone())
    } else if let Some(path) = args.get_one::<PathBuf>(&format!("{name}-file")) {
        (first_line(path)?, path.display().to_string())
    } else {
        return Ok(None);
    };
    DatabaseUrl::parse(text.trim()).map(Some).map_err(|expected| wrong(format!("{source} must be {expected}")))
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("can't read an address from {}: {error}", path.display()))
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether an address gives its secret away: `user:password@`, or the option `password`.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.split('/').next().and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || options.split('&').any(|option| option.starts_with("password="))
}

pub(super) async fn copy(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (from, to) = (address(args, "from")?, address(args, "to")?);
    let settings = &cx.settings()?.core.database;
    let with = |url: Option<DatabaseUrl>| DatabaseSettings {
        url: url.unwrap_or_else(|| settings.url.clone()),
        ..settings.clone()
    };
    let (from, to) = (with(from), with(to));
    let mut copy = InstallationCopy::open(&from, &to).await?;
    let outcome = copy_opened(cx, args, &mut copy, &to.url.render()).await;
    copy.close().await;
    outcome
}

async fn copy_opened(
    cx: &Context,
    args: &ArgMatches,
    copy: &mut InstallationCopy,
    target: &str,
) -> Result<Outcome, Failure> {
    let left_out = copy.left_out().join(", ");
    let note = |outcome: Outcome| match &*left_out {
        "" => outcome,
        tables => outcome.note(format!("Not PetSpark's, and not copied: {tables}.")),
    };
    if args.get_flag("dry-run") {
        // Damage is found in the end otherwise, when hours may have been spent.
        copy.look_over().await?;
        let migrates = copy.migrates_target();
        let outcome = planned(copy).note("Nothing was copied.");
        if let Some(since) = copy.complete_since() {
            return Ok(outcome.note(format!("The copy has been complete since {since}.")));
        }
        return Ok(note(if migrates { outcome.note("The target's migrations would be run first.") } else { outcome }));
    }
    if copy.complete_since().is_none() {
        let rows: u64 = copy.tables().iter().map(|table| table.rows).sum();
        let what = format!("This copies {rows} rows to {target}, and no server may run meanwhile.");
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
    }
    let mut progress = Progress::start(cx, "copying and comparing", copy.total());
    let (stop, caller, clock) = (Stop::default(), cx.caller(), Clock::system());
    let copying = async {
        let told = copy.run(&caller, &clock, |step| {
            progress.at(step.done);
            if stop.asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Ok(told.await?)
    };
    let copied = match stoppable(&stop, copying).await? {
        Ok(copied) => copied,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    drop(progress);
    if let Some(since) = copied.complete_since {
        return Ok(planned(copy).note(format!(
            "Nothing was left to copy: the copy has been complete since {since}, and nothing was written to the source \
             since. Set DATABASE_URL, and start the server."
        )));
    }
    Ok(match stop.asked().filter(|_| copied.interrupted) {
        Some(exit) => planned(copy).exit(exit).note("Stopped; the same command again goes on."),
        None => note(compared(&copied)),
    })
}

#[derive(Serialize)]
struct Row {
    table: String,
    rows: u64,
    copied: u64,
    state: &'static str,
    digest: Option<String>,
}

const COLUMNS: &[Column<Row>] = &[
    ("table", |row| row.table.clone()),
    ("rows", |row| row.rows.to_string()),
    ("copied", |row| row.copied.to_string()),
    ("state", |row| row.state.to_owned()),
    ("digest", |row| row.digest.clone().unwrap_or_default()),
];

/// What there is to copy, and how much of it is copied by now.
fn planned(copy: &InstallationCopy) -> Outcome {
    let row = |table: &petspark_core::database::copy::TableState| Row {
        table: table.table.clone(),
        rows: table.rows,
        copied: table.copied,
        state: if table.copied < table.rows { "to be copied" } else { "copied" },
        digest: None,
    };
    let rows: Vec<_> = copy.tables().iter().map(row).collect();
    Outcome::list("petspark.migrate.copy/v1", "tables", &rows, COLUMNS)
}

fn compared(copied: &Copied) -> Outcome {
    let rows: Vec<_> = copied
        .tables
        .iter()
        .map(|table| Row {
            table: table.table.clone(),
            rows: table.rows,
            copied: table.target.rows,
            state: if table.is_equal() { "equal" } else { "different" },
            digest: Some(table.target.to_string()),
        })
        .collect();
    let outcome = Outcome::list("petspark.migrate.copy/v1", "tables", &rows, COLUMNS);
    if rows.iter().all(|row| row.state == "equal") {
        return outcome.note("Everything is there, value by value. Set DATABASE_URL, and start the server.");
    }
    outcome.exit(Exit::Failed).note(
        "The two sides differ: one of them was written to, or mended, between two parts of the copy. Copy again into an \
         empty database; no server opens this one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_noticed_wherever_it_stands() {
        for url in [
            "postgres://me:secret@db/petspark",
            "postgres://me:p@ss@db:5432/petspark",
            "postgres://db/petspark?sslmode=require&password=secret",
            "postgres://me:@db/petspark",
        ] {
            assert!(has_password(url), "{url}");
        }
        for url in [
            "postgres://db:5432/petspark",
            "postgres://me@db:5432/petspark?sslmode=verify-full",
            "sqlite://a:b@c/petspark.db".trim_end_matches("a:b@c/petspark.db"),
            "sqlite://petspark-data/petspark.db",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }
}
