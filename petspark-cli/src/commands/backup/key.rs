//! `backup key`: the keys that backups are encrypted with. The private one never goes to the screen.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::backup::IdentityKey;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

pub(super) fn command() -> Command {
    Command::new("key")
        .about("Make a key that backups are encrypted with, and tell its public half")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("generate").about("Make a new key: the private half goes to a file, the public is told").arg(
                Arg::new("output")
                    .short('o')
                    .long("output")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .required(true)
                    .help("Where the private half goes; a file that isn't there"),
            ),
        )
        .subcommand(
            Command::new("show").about("Tell the public half of a key").arg(
                Arg::new("identity-file")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .required(true)
                    .help("The key"),
            ),
        )
}

#[derive(Serialize)]
struct Public {
    recipient: String,
    file: String,
}

const COLUMNS: &[Column<Public>] =
    &[("recipient", |public| public.recipient.clone()), ("file", |public| public.file.clone())];

pub(super) fn run(_: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    match args.subcommand() {
        Some(("generate", args)) => {
            let path = required::<PathBuf>(args, "output")?;
            let key = IdentityKey::generate();
            key.write(path)?;
            let made = Public { recipient: key.public().to_string(), file: path.display().to_string() };
            Ok(Outcome::record("petspark.backup.key.generate/v1", &made, COLUMNS).note(
                "Take this file to a safe place, two if you can: without it, no encrypted backup can be read. The server \
                 needs only backup.recipients.",
            ))
        }
        Some((_, args)) => {
            let path = required::<PathBuf>(args, "identity-file")?;
            let keys = IdentityKey::read(path)?;
            let file = path.display().to_string();
            let public = |key: &IdentityKey| Public { recipient: key.public().to_string(), file: file.clone() };
            let shown: Vec<_> = keys.iter().map(public).collect();
            Ok(Outcome::list("petspark.backup.key.show/v1", "keys", &shown, COLUMNS))
        }
        None => Ok(Outcome::done().exit(Exit::Usage)),
    }
}
