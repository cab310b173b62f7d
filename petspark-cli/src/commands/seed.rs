//! `seed`: demonstration data. Stops in good order on Ctrl-C, and goes on when run again.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::config::Environment;
use petspark_core::seed::{SeedPlan, Seeded};
use petspark_core::{Caller, PetSpark};
use serde::Serialize;

use super::progress::Progress;
use crate::context::Context;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin, required};
use crate::prompt::{self, Source};
use crate::signals::Signals;

pub(crate) struct Seed;

fn number(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("N")
        .value_parser(value_parser!(u32).range(0..=i64::from(SeedPlan::MAX)))
        .default_value(default)
        .help(help)
}

impl Plugin for Seed {
    fn command(&self) -> Command {
        let command = Command::new("seed")
            .about("Fill the database with invented users and pets")
            .arg(number("users", "100", "How many users"))
            .arg(number("pets", "300", "How many pets, spread over the users"))
            .arg(
                Arg::new("seed")
                    .long("seed")
                    .value_name("NUMBER")
                    .value_parser(value_parser!(u64))
                    .default_value("1")
                    .help("The same number makes the same data; what is there already isn't made again"),
            )
            .arg(
                Arg::new("yes")
                    .long("yes")
                    .action(ArgAction::SetTrue)
                    .help("Don't ask, even if the database has users"),
            )
            .arg(
                Arg::new("confirm")
                    .long("confirm")
                    .value_name("ENVIRONMENT")
                    .help("Needed in production: its name, production"),
            )
            .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Only say what would be made"));
        prompt::password_options(command)
            .mut_arg("password-file", |arg| arg.help("The password of all invented users: first line of a file"))
            .mut_arg("password-stdin", |arg| {
                arg.help("The same from standard input; without a password nobody can sign in as them")
            })
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let password = match prompt::password_source(args) {
                Source::Nowhere => None,
                source => Some(prompt::new_password(&cx.options, &source)?.password()),
            };
            let plan = SeedPlan {
                users: *required(args, "users")?,
                pets: *required(args, "pets")?,
                seed: *required(args, "seed")?,
                password,
            };
            let (caller, dry_run) = (cx.caller(), args.get_flag("dry-run"));
            let petspark = if dry_run { cx.petspark().await? } else { cx.petspark_or_new().await? };
            let existing = petspark.auth().count_users(&caller).await?;
            if dry_run {
                let note = format!(
                    "Would make up to {} users and {} pets in {} beside the {existing} that are there; nothing was done.",
                    plan.users,
                    plan.pets,
                    petspark.database().target()
                );
                return Ok(outcome(&plan, Seeded::default(), true).note(note));
            }
            confirm(cx, args, petspark, existing)?;
            run(cx, petspark, &caller, plan).await
        })
    }
}

fn confirm(cx: &Context, args: &ArgMatches, petspark: &PetSpark, existing: u64) -> Result<(), Failure> {
    let place = petspark.database().target();
    if petspark.settings().environment == Environment::Production {
        let what = format!("This puts invented users into the production database {place}.");
        return cx.confirm_by_name(&what, "production", args.get_one::<String>("confirm").map(String::as_str));
    }
    if existing == 0 {
        return Ok(());
    }
    let what = format!("The database {place} has users ({existing}), and invented ones would come among them.");
    cx.confirm(&what, "--yes", args.get_flag("yes"))
}

async fn run(cx: &Context, petspark: &PetSpark, caller: &Caller, plan: SeedPlan) -> Result<Outcome, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::io("can't listen for signals", &error))?;
    let mut progress = Progress::start(cx, "seeding", u64::from(plan.users) + u64::from(plan.pets));
    let stop = OnceLock::new();
    let seeds = petspark.seeds();
    let seeding = seeds.run(caller, plan.clone(), |done| {
        progress.at(done);
        if stop.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let seeded = tokio::select! {
        seeded = seeding => seeded?,
        // The second signal: the batch at hand is undone.
        exit = async {
            let first = signals.next().await;
            stop.get_or_init(|| first);
            signals.next().await
        } => return Ok(Outcome::done().exit(exit)),
    };
    drop(progress);
    let outcome = outcome(&plan, seeded, false);
    Ok(match stop.get().filter(|_| seeded.interrupted) {
        Some(exit) => outcome.exit(*exit).note("Stopped; the same command again makes the rest."),
        None => outcome,
    })
}

#[derive(Serialize)]
struct Report {
    users: u32,
    pets: u32,
    seed: u64,
    dry_run: bool,
    users_added: u64,
    pets_added: u64,
    interrupted: bool,
}

fn outcome(plan: &SeedPlan, seeded: Seeded, dry_run: bool) -> Outcome {
    let report = Report {
        users: plan.users,
        pets: plan.pets,
        seed: plan.seed,
        dry_run,
        users_added: seeded.users_added,
        pets_added: seeded.pets_added,
        interrupted: seeded.interrupted,
    };
    Outcome::record(
        "petspark.seed/v1",
        &report,
        &[
            ("users added", |report| report.users_added.to_string()),
            ("pets added", |report| report.pets_added.to_string()),
        ],
    )
}
