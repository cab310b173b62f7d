//! `pet`: other people's pets, as an operator finds them, keeps them in order, and takes them all
//! out and in.

mod csv;
mod export;
mod find;
mod import;
mod oversight;

use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::PetId;
use petspark_core::pets::{Intervention, PetError};

use crate::commands::args::one_of;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Pet;

impl Plugin for Pet {
    fn command(&self) -> Command {
        Command::new("pet")
            .about("Find pets, keep them in order, export and import them")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(find::commands())
            .subcommands(oversight::commands())
            .subcommand(export::command())
            .subcommand(import::command())
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => find::list(cx, args).await,
                Some(("hide", args)) => oversight::intervene(cx, args, Intervention::Hide).await,
                Some(("ban", args)) => oversight::intervene(cx, args, Intervention::Ban).await,
                Some(("unban", args)) => oversight::intervene(cx, args, Intervention::Unban).await,
                Some(("delete", args)) => oversight::intervene(cx, args, Intervention::Delete).await,
                Some(("restore", args)) => oversight::intervene(cx, args, Intervention::Restore).await,
                Some(("purge", args)) => oversight::purge(cx, args).await,
                Some(("export", args)) => export::export(cx, args).await,
                Some(("import", args)) => import::import(cx, args).await,
                Some((_, args)) => find::show(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

fn id() -> Arg {
    Arg::new("id").value_name("ID").help("Which pet")
}

/// What is no id is the id of nothing.
fn pet_id(args: &ArgMatches) -> Result<PetId, Failure> {
    required::<String>(args, "id")?.parse().map_err(|_| PetError::NotFound.into())
}

/// How pets are written in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Ndjson,
    Csv,
}

impl std::str::FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err("must be ndjson or csv".to_owned()),
        }
    }
}

/// `--as`: `--format` is how the command itself talks.
fn form_option() -> Arg {
    Arg::new("as")
        .long("as")
        .value_name("FORM")
        .value_parser(one_of::<Form>(["ndjson", "csv"].into_iter()))
        .help("JSON lines or comma-separated values [default: csv for a file called so, else ndjson]")
}

fn form(args: &ArgMatches, path: &Path) -> Form {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    args.get_one("as").copied().unwrap_or(if is_csv { Form::Csv } else { Form::Ndjson })
}
