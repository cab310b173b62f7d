//! `backup`: make backups, look at them, prove them by restoring them, and restore them in earnest.
//! What a backup is, and whether one is any good, the library decides.

mod check;
mod key;
mod list;
mod make;
mod prune;
mod restore;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::backup::{BackupError, Backups, Checked, IdentityKey, write_metrics};
use petspark_core::config::DatabaseUrl;
use petspark_core::database::Database;
use petspark_core::{BackupId, Clock, chain};
pub(crate) use restore::name_of;
pub(crate) use watch::watched;

use crate::commands::args::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};

pub(crate) struct Backup;

impl Plugin for Backup {
    fn command(&self) -> Command {
        Command::new("backup")
            .about("Make backups, prove them, and restore them")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(make::command())
            .subcommand(list::command())
            .subcommand(list::show_command())
            .subcommand(check::command())
            .subcommand(check::verify_command())
            .subcommand(restore::command())
            .subcommand(prune::command())
            .subcommand(prune::pin_command())
            .subcommand(key::command())
    }

    fn runs_to_its_end(&self, args: &ArgMatches) -> Option<&'static str> {
        match args.subcommand() {
            // Files of uploads alone can be given back in as many goes as one likes.
            Some(("restore", args)) if !args.get_flag("media-only") => {
                Some("given up in the middle, `backup restore` would leave a database of which something is missing")
            }
            _ => None,
        }
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("create", args)) => make::run(cx, args).await,
                Some(("list", args)) => list::run(cx, args).await,
                Some(("show", args)) => list::show(cx, args).await,
                Some(("check", args)) => check::run(cx, args).await,
                Some(("verify", args)) => check::verify(cx, args).await,
                Some(("restore", args)) => restore::run(cx, args).await,
                Some(("prune", args)) => prune::run(cx, args).await,
                Some(("pin", args)) => prune::pin(cx, args).await,
                Some((_, args)) => key::run(cx, args),
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// Which backup; without it, the newest.
fn id() -> Arg {
    Arg::new("id").value_name("ID").value_parser(which).help("Which backup; `latest`, or nothing, is the newest")
}

/// `None` is the newest.
#[derive(Clone, Copy)]
struct Which(Option<BackupId>);

fn which(text: &str) -> Result<Which, String> {
    match text {
        "latest" => Ok(Which(None)),
        text => text.parse().map(|id| Which(Some(id))).map_err(|error: petspark_core::InvalidId| error.to_string()),
    }
}

fn chosen(args: &ArgMatches) -> Option<BackupId> {
    args.get_one::<Which>("id").and_then(|which| which.0)
}

fn target() -> Arg {
    Arg::new("target")
        .long("target")
        .value_name("PLACE")
        .value_parser(PossibleValuesParser::new(["folder", "bucket"]).map(|text| text == "bucket"))
        .default_value("folder")
        .help("Where to look for it")
}

fn in_bucket(args: &ArgMatches) -> bool {
    args.get_one::<bool>("target").copied().unwrap_or(false)
}

fn identity() -> Arg {
    Arg::new("identity-file")
        .long("identity-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("The private age key of encrypted backups, instead of backup.identity_file")
}

fn metrics_file() -> Arg {
    Arg::new("metrics-file")
        .long("metrics-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Also write figures for Prometheus' node exporter, instead of to backup.metrics_file")
}

fn keys(cx: &Context, args: &ArgMatches) -> Result<Vec<IdentityKey>, Failure> {
    let set = cx.settings()?.core.backup.identity_file.clone();
    match args.get_one::<PathBuf>("identity-file").cloned().or(set) {
        Some(path) => Ok(IdentityKey::read(&path)?),
        None => Ok(Vec::new()),
    }
}

/// The backups alone: for looking at them, when there may be nothing else left.
fn backups(cx: &Context) -> Result<Backups, Failure> {
    Ok(watched(cx, Backups::open(&cx.settings()?.core, None, Clock::system())?))
}

/// A database that is away is not waited for: backups are there for just that.
const PATIENCE: Duration = Duration::from_secs(3);

/// The backups, and the live database to be told what was done, if it is there.
async fn backups_and_database(cx: &Context) -> Result<(Backups, Option<Database>), Failure> {
    let core = &cx.settings()?.core;
    let mut settings = core.database.clone();
    settings.connect_timeout = PATIENCE;
    let is_there = match &settings.url {
        DatabaseUrl::Sqlite(path) => path.exists(),
        DatabaseUrl::Postgres(_) => true,
    };
    let database = if is_there { Some(Database::open(&settings).await) } else { None };
    let database = match database {
        Some(Ok(database)) => Some(database),
        Some(Err(error)) => {
            tracing::warn!(reason = chain(&error), "the database is not told of this");
            None
        }
        None => None,
    };
    Ok((watched(cx, Backups::open(core, database.clone(), Clock::system())?), database))
}

/// Where figures go, if they are wanted.
fn wanted_metrics(cx: &Context, args: &ArgMatches) -> Result<Option<PathBuf>, Failure> {
    let set = cx.settings()?.core.backup.metrics_file.clone();
    Ok(args.get_one::<PathBuf>("metrics-file").cloned().or(set))
}

/// Writes figures, if they are wanted, with what a check finds now: without that, the file would lack it until the next
/// one, and whoever watches would take it for mended.
async fn tell_metrics(
    cx: &Context,
    args: &ArgMatches,
    backups: &Backups,
    in_bucket: bool,
    keys: &[IdentityKey],
) -> Result<(), Failure> {
    if wanted_metrics(cx, args)?.is_none() {
        return Ok(());
    }
    let checked = backups.check(&cx.caller(), None, false, keys, in_bucket).await?;
    tell_checked(cx, args, backups, in_bucket, &checked).await
}

/// Writes figures, if they are wanted, with what was found.
async fn tell_checked(
    cx: &Context,
    args: &ArgMatches,
    backups: &Backups,
    in_bucket: bool,
    checked: &Checked,
) -> Result<(), Failure> {
    let Some(path) = wanted_metrics(cx, args)? else { return Ok(()) };
    let text = backups.metrics(&cx.caller(), in_bucket, Some(checked)).await?;
    write_metrics(&path, &text).map_err(|error| {
        Failure::new(Exit::of(&error), format!("no figures could be written to {}: {}", path.display(), chain(&error)))
    })
}

async fn close(database: Option<Database>) {
    if let Some(database) = database {
        database.close().await;
    }
}

/// As a person reads it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

fn dry_run() -> Arg {
    flag("dry-run", "Only say what would be done")
}

fn no_backup() -> BackupError {
    BackupError::NotFound
}
