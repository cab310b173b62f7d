//! `pet import`: pets from elsewhere, or from a backup.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::pets::{PetImport, PetLine, PetsImported};
use serde::Serialize;

use super::csv::Rows;
use super::{Form, form, form_option};
use crate::commands::args::flag;
use crate::commands::progress::Progress;
use crate::commands::source::{Source, tell_problems, unreadable};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};
use crate::signals::{Stop, stoppable_reading};

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Make pets of a file of JSON lines or comma-separated values")
        .long_about(
            "Make pets of a file of JSON lines or comma-separated values.\n\n\
             Name, species and ownerId or ownerEmail are needed; the other fields are those that export writes, and \
             age in full years for birthDate. Pets keep the ids that they have in the file, and those whose id is \
             known are skipped, so an import that was interrupted can be started again; a line without an id is a \
             new pet each time. Lines are stored 5000 at a time. What is wrong with one is said with its \
             number; the others are imported.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file; - is standard input"),
        )
        .arg(form_option())
        .arg(flag("strict", "Stop where a line can't be a pet, and store none of its 5000"))
        .arg(flag("dry-run", "Only say what would be imported"))
}

#[derive(Serialize)]
struct Report {
    changed: bool,
    dry_run: bool,
    #[serde(flatten)]
    done: PetsImported,
}

pub(super) async fn import(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (path, dry_run) = (required::<PathBuf>(args, "file")?, args.get_flag("dry-run"));
    let source = Source::open(path)?;
    let (position, mut progress) = (source.position(), Progress::start(cx, "importing, in bytes", source.size));
    let mut import = cx.petspark().await?.pets().import(&cx.caller(), dry_run, args.get_flag("strict"))?;
    let stop = Stop::default();
    let at = || {
        progress.at(position.load(Ordering::Relaxed));
        stop.asked().is_none()
    };
    let importing = async {
        match form(args, path) {
            Form::Ndjson => add_lines(&mut import, source, at).await?,
            Form::Csv => add_rows(&mut import, source, path, at).await?,
        }
        Ok(import.finish().await?)
    };
    let done = match stoppable_reading(path, &stop, importing).await? {
        Ok(done) => done,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    drop(progress);
    let outcome = outcome(done, dry_run);
    Ok(match stop.asked() {
        Some(exit) => {
            outcome.exit(exit).note("Stopped; the same command again goes on: pets whose id is there are skipped.")
        }
        None => outcome,
    })
}

async fn add_lines(import: &mut PetImport, mut from: Source, mut at: impl FnMut() -> bool) -> Result<(), Failure> {
    let (mut line, mut number) = (Vec::new(), 0);
    while from.read_line(&mut line, PetLine::MAX_BYTES)? {
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if !at() || !import.add(number, PetLine::from_json(&line)).await? {
            break;
        }
    }
    Ok(())
}

async fn add_rows(
    import: &mut PetImport,
    from: Source,
    path: &Path,
    mut at: impl FnMut() -> bool,
) -> Result<(), Failure> {
    let mut rows = Rows::open(from.into_reader()).map_err(|problem| unreadable(path, &problem))?;
    while let Some((line, pet)) = rows.next().map_err(|error| unreadable(path, &error))? {
        if !at() || !import.add(line, pet).await? {
            break;
        }
    }
    Ok(())
}

fn outcome(done: PetsImported, dry_run: bool) -> Outcome {
    let report = Report { changed: done.imported > 0 && !dry_run, dry_run, done };
    let mut outcome = Outcome::record(
        "petspark.pet.import/v1",
        &report,
        &[
            ("lines", |report| report.done.lines.to_string()),
            ("imported", |report| report.done.imported.to_string()),
            ("skipped", |report| report.done.skipped.to_string()),
            ("invalid", |report| report.done.invalid.to_string()),
        ],
    );
    outcome = tell_problems(outcome, &report.done.problems, report.done.invalid);
    if report.done.skipped > 0 {
        outcome =
            outcome.note(format!("{} pets are there already, by their ids, and were skipped.", report.done.skipped));
    }
    if dry_run {
        outcome = outcome.note("This is what would be imported; nothing was changed.");
    }
    if report.done.invalid > 0 { outcome.exit(Exit::Usage) } else { outcome }
}
