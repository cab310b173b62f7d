//! `pet export`: all pets as a file that `pet import` takes.

use std::path::PathBuf;
use std::pin::pin;

use clap::{ArgMatches, Command};
use futures_util::TryStreamExt as _;
use petspark_core::pets::StoredPet;
use serde::Serialize;

use super::{Form, csv, form, form_option};
use crate::commands::progress::Progress;
use crate::commands::sink::{Sink, output_option};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};

pub(super) fn command() -> Command {
    Command::new("export")
        .about("Write all pets, oldest first, as a file that import takes")
        .long_about(
            "Write all pets, oldest first, as a file that import takes.\n\n\
             The file is a backup: it has every field, also where exactly pets live, which nobody but their \
             owners is told otherwise, and pets that were deleted and can still be restored. Owners are there \
             by their ids.",
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
    let mut progress = Progress::start(cx, "exporting", total);
    if form == Form::Csv {
        sink.write(&csv::header()?)?;
    }
    let mut done = 0;
    while let Some(batch) = batches.try_next().await? {
        sink.write(&match form {
            Form::Csv => csv::rows(&batch)?,
            Form::Ndjson => lines(&batch)?,
        })?;
        done += batch.len() as u64;
        // Some may have been added meanwhile.
        progress.at(done.min(total));
    }
    drop(progress);
    let Some(file) = sink.finish()? else { return Ok(Outcome::done()) };
    Ok(Outcome::record(
        "petspark.pet.export/v1",
        &Exported { file, pets: done },
        &[("file", |done| done.file.display().to_string()), ("pets", |done| done.pets.to_string())],
    ))
}

fn lines(pets: &[StoredPet]) -> Result<String, Failure> {
    let lines: Result<Vec<String>, _> = pets.iter().map(serde_json::to_string).collect();
    Ok(lines.map_err(|error| Failure::new(Exit::Failed, format!("can't write a pet: {error}")))?.join("\n") + "\n")
}
