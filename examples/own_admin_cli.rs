//! An operator's tool of one's own: every command of `petspark-cli`, and `clinic waiting-room`.
//!
//!     cargo run -p petspark-examples --bin own_admin_cli -- clinic waiting-room --json

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_cli::{App, Context, Failure, Outcome, Plugin};
use serde::Serialize;

/// Commands for a veterinary clinic.
struct Clinic;

#[derive(Serialize)]
struct WaitingRoom {
    pets: u64,
    people: u64,
}

impl Plugin for Clinic {
    fn command(&self) -> Command {
        Command::new("clinic")
            .about("Run a veterinary clinic")
            .subcommand_required(true)
            .subcommand(Command::new("waiting-room").about("How full the waiting room may get"))
    }

    fn run<'a>(&'a self, cx: &'a Context, _: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let petspark = cx.petspark().await?;
            let room = WaitingRoom {
                pets: petspark.pets().count().await?,
                people: petspark.auth().count_users(&cx.caller()).await?,
            };
            // One value, three forms: a table for people, --json and --format jsonl for programs.
            Ok(Outcome::record(
                "clinic.waiting-room/v1",
                &room,
                &[("pets", |room| room.pets.to_string()), ("people", |room| room.people.to_string())],
            ))
        })
    }
}

fn main() -> ExitCode {
    App::standard().name("clinic-admin").plugin(Clinic).main()
}
