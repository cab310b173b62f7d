//! `completions`: a script that makes a shell complete our command line.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use futures_util::future::BoxFuture;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Completions;

impl Plugin for Completions {
    fn command(&self) -> Command {
        Command::new("completions").about("Print a completion script for a shell").arg(
            Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("Which shell"),
        )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let mut command = cx.command().clone();
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(*required::<Shell>(args, "shell")?, &mut command, name, &mut script);
            let script = String::from_utf8(script).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            Ok(Outcome::text(script))
        })
    }
}
