//! `user import`: accounts from elsewhere, a line of JSON each.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::auth::{Import, Imported};
use serde::Serialize;

use super::flag;
use crate::commands::source::{Source, tell_problems};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};
use crate::signals::{Stop, stoppable_reading};

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Make accounts of a file of JSON lines, whose passwords go on working")
        .long_about(
            "Make accounts of a file of JSON lines, whose passwords go on working.\n\n\
             A line is {\"email\": ..., \"displayName\": ..., \"passwordHash\": ..., \"emailVerified\": true, \
             \"role\": \"user\", \"createdAt\": ...}; all but the address may be left out. A hash is an Argon2 PHC \
             string or bcrypt, and is replaced by one of today's strength when its user signs in. Lines whose \
             address has an account are reported and change nothing, so an import that was interrupted can be \
             started again.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file; - is standard input"),
        )
        .arg(flag("dry-run", "Only say what would be imported"))
}

#[derive(Serialize)]
struct Report {
    changed: bool,
    dry_run: bool,
    #[serde(flatten)]
    done: Imported,
}

pub(super) async fn import(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (path, dry_run) = (required::<PathBuf>(args, "file")?, args.get_flag("dry-run"));
    let mut from = Source::open(path)?;
    let mut import = cx.petspark().await?.auth().import(&cx.caller(), dry_run)?;
    let stop = Stop::default();
    let importing = async {
        let mut line = Vec::new();
        while stop.asked().is_none() && from.read_line(&mut line, Import::MAX_LINE)? {
            import.add(&line).await?;
        }
        Ok(import.finish().await?)
    };
    let done = match stoppable_reading(path, &stop, importing).await? {
        Ok(done) => done,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    let report = Report { changed: done.imported > 0 && !dry_run, dry_run, done };
    let mut outcome = Outcome::record(
        "petspark.user.import/v1",
        &report,
        &[
            ("lines", |report| report.done.lines.to_string()),
            ("imported", |report| report.done.imported.to_string()),
            ("duplicates", |report| report.done.duplicates.to_string()),
            ("invalid", |report| report.done.invalid.to_string()),
        ],
    );
    outcome = tell_problems(outcome, &report.done.problems, report.done.duplicates + report.done.invalid);
    if dry_run {
        outcome = outcome.note("This is what would be imported; nothing was changed.");
    }
    if let Some(exit) = stop.asked() {
        return Ok(outcome
            .exit(exit)
            .note("Stopped; the same command again goes on: addresses that are there are skipped."));
    }
    Ok(if report.done.invalid > 0 { outcome.exit(Exit::Usage) } else { outcome })
}
