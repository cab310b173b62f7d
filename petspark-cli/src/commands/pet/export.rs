//! `pet export`: all pets as a file that `pet import` takes.

use std::path::PathBuf;
use std::pin::pin;

use clap::{ArgMatches, Command};
use futures_util::TryStreamExt as _;
use serde::Serialize;

use super::{Form, csv, form, form_option};
use crate::commands::progress::Progress;
use crate::commands::records::Records;
use crate::commands::sink::{Sink, output_option};
use crate::context::Context;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write all pets, oldest first, as a file that import takes")
        .long_about(
            "Write all pets, oldest first, as a file that import takes.\n\n\
             The file is a backup: it has every field, also where exactly pets live, which nobody but their \
             owners is told otherwise, and pets that were deleted and can still be restored. Owners are there \
             by their ids.\n\n\
             With --format json, and without --as and --output, the pets are one JSON array, which import doesn't take.",
        )
        .arg(output_option())
        .arg(form_option())
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    pets: u64,
}

pub(super) async fn export(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let path: &PathBuf = required(args, "output")?;
    let (form, pets) = (form(args, path), cx.petspark().await?.pets());
    let total = pets.count().await?;
    let mut batches = pin!(pets.export(&cx.caller()).await?);
    let mut sink = Sink::open(path)?;
    let mut records = if args.contains_id("as") { Records::Lines } else { Records::to(cx, path) };
    let mut progress = Progress::start(cx, "exporting", total);
    if form == Form::Csv {
        sink.write(&csv::header()?)?;
    }
    let mut done = 0;
    while let Some(batch) = batches.try_next().await? {
        sink.write(&match form {
            Form::Csv => csv::rows(&batch)?,
            Form::Ndjson => records.text(&batch)?,
        })?;
        done += batch.len() as u64;
        // Some may have been added meanwhile.
        progress.at(done.min(total));
    }
    drop(progress);
    if form == Form::Ndjson {
        sink.write(records.end())?;
    }
    let Some(file) = sink.finish()? else { return Ok(Outcome::done()) };
    Ok(Outcome::record(
        "petspark.pet.export/v1",
        &Exported { file, pets: done },
        &[("file", |done| done.file.display().to_string()), ("pets", |done| done.pets.to_string())],
    ))
}
