//! An operator's tool of one's own: every command of `petspark-cli` but `seed`, and a group of
//! commands for a clinic with a check and a job that comes up by itself.
//!
//! ```sh
//! cargo run -p petspark-examples --bin own_admin_cli -- clinic waiting-room --json
//! cargo run -p petspark-examples --bin own_admin_cli -- check --only 'x.clinic.*'
//! ```

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_cli::{App, Check, Context, Failure, Outcome, Plugin, Severity, Verdict};
use petspark_core::jobs::{Handler, Job};
use petspark_core::{Caller, Fault, PetSpark};
use serde::Serialize;

/// Commands for a veterinary clinic.
struct Clinic;

#[derive(Serialize)]
struct WaitingRoom {
    pets: u64,
    people: u64,
}

impl WaitingRoom {
    /// More pets than that don't fit in.
    const SEATS: u64 = 1000;

    async fn look(petspark: &PetSpark, caller: &Caller) -> Result<Self, Fault> {
        Ok(Self {
            pets: petspark.pets().count().await.map_err(Fault::internal)?,
            people: petspark.auth().count_users(caller).await.map_err(Fault::internal)?,
        })
    }
}

impl Plugin for Clinic {
    fn command(&self) -> Command {
        Command::new("clinic")
            .about("Run a veterinary clinic")
            .subcommand_required(true)
            .subcommand(Command::new("waiting-room").about("How full the waiting room may get"))
            .subcommand(Command::new("rounds").about("Do the jobs that are due, as the server would"))
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let petspark = cx.petspark().await?;
            if args.subcommand_name() == Some("rounds") {
                let failed = petspark.jobs().run_due().await?;
                return Ok(Outcome::done().note(format!("{} jobs failed", failed.len())));
            }
            let room = WaitingRoom::look(petspark, &cx.caller()).await?;
            // One value, three forms: a table for people, --json and --format jsonl for programs.
            Ok(Outcome::record(
                "clinic.waiting-room/v1",
                &room,
                &[("pets", |room| room.pets.to_string()), ("people", |room| room.people.to_string())],
            ))
        })
    }

    /// `check` runs it beside its own.
    fn checks(&self) -> Vec<Box<dyn Check>> {
        vec![Box::new(RoomForAll)]
    }

    /// Whenever a PetSpark was opened, by `serve` too.
    fn opened(&self, petspark: &PetSpark) {
        petspark.jobs().handle(Rounds(petspark.clone()));
    }
}

struct RoomForAll;

impl Check for RoomForAll {
    fn id(&self) -> &str {
        "x.clinic.room"
    }

    fn title(&self) -> &str {
        "all pets fit into the waiting room"
    }

    fn severity(&self) -> Severity {
        Severity::Warn
    }

    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let petspark = match cx.petspark().await {
                Ok(petspark) => petspark,
                Err(failure) => return Verdict::Broken(failure.message().to_owned()),
            };
            match WaitingRoom::look(petspark, &cx.caller()).await {
                Ok(room) if room.pets <= WaitingRoom::SEATS => Verdict::Pass(format!("{} pets", room.pets)),
                Ok(room) => Verdict::Fail {
                    observed: format!("{} pets", room.pets),
                    expected: format!("at most {}", WaitingRoom::SEATS),
                    hint: "Build another room.".to_owned(),
                },
                Err(fault) => Verdict::Broken(fault.chain()),
            }
        })
    }
}

/// Once an hour, once for all servers together: writes down how full the waiting room is.
struct Rounds(PetSpark);

impl Handler for Rounds {
    fn kind(&self) -> &'static str {
        "clinic.rounds"
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let room = WaitingRoom::look(&self.0, &Caller::system()).await?;
            let file = self.0.settings().data_dir.join("waiting-room.txt");
            std::fs::write(file, format!("{} pets\n", room.pets)).map_err(Fault::unavailable)
        })
    }
}

fn main() -> ExitCode {
    App::standard().name("clinic-admin").without("seed").plugin(Clinic).main()
}
