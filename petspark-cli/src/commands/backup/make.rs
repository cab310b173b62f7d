//! `backup create`.

use clap::{Arg, ArgMatches, Command};
use petspark_core::backup::{BackupMedia, Backups, Manifest, NewBackup};
use petspark_core::config::Environment;
use petspark_core::{BackupId, Clock, Timestamp};
use serde::Serialize;

use super::{metrics_file, size, tell_metrics, watched};
use crate::commands::args::{flag, one_of};
use crate::context::{Context, Missing};
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn command() -> Command {
    Command::new("create")
        .about("Make a backup; servers go on to write meanwhile")
        .arg(
            Arg::new("media")
                .long("media")
                .value_name("HOW")
                .value_parser(one_of::<BackupMedia>(BackupMedia::ALL.iter().copied().map(BackupMedia::as_str)))
                .help("What to have of uploads, instead of backup.media"),
        )
        .arg(Arg::new("label").long("label").value_name("TEXT").help("What to know it by"))
        .arg(flag("pin", "Keep it whatever the rules of pruning say"))
        .arg(metrics_file())
}

#[derive(Serialize)]
struct Made {
    id: BackupId,
    created_at: Timestamp,
    finished_at: Timestamp,
    label: Option<String>,
    engine: String,
    rows: u64,
    bytes: u64,
    database_bytes: u64,
    media_objects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_problem: Option<String>,
    encrypted: bool,
    folder: String,
}

const FIELDS: &[Column<Made>] = &[
    ("id", |made| made.id.to_string()),
    ("created_at", |made| made.created_at.to_string()),
    ("rows", |made| made.rows.to_string()),
    ("size", |made| format!("{} of {}", size(made.bytes), size(made.database_bytes))),
    ("media_objects", |made| made.media_objects.to_string()),
    ("media_problem", |made| made.media_problem.clone().unwrap_or_default()),
    ("encrypted", |made| made.encrypted.to_string()),
    ("folder", |made| made.folder.clone()),
];

pub(super) async fn run(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    // Whichever migrations it has: before migrating is when one wants a backup.
    let database = cx.database(Missing::Refuse).await?;
    let core = &cx.settings()?.core;
    let backups = watched(cx, Backups::open(core, Some(database.clone()), Clock::system())?);
    let new = NewBackup {
        label: args.get_one("label").cloned(),
        media: args.get_one("media").copied(),
        pin: args.get_flag("pin"),
    };
    let made = backups.create(&cx.caller(), &new).await;
    let told = tell_metrics(cx, args, &backups, false, &[]).await;
    database.close().await;
    let manifest: Manifest = made?;
    let made = Made {
        rows: manifest.rows(),
        bytes: manifest.bytes(),
        folder: core.backup.folder.join(manifest.id.to_string()).display().to_string(),
        id: manifest.id,
        created_at: manifest.created_at,
        finished_at: manifest.finished_at,
        label: manifest.label,
        engine: manifest.database.engine,
        database_bytes: manifest.database.bytes,
        media_objects: manifest.media.objects,
        media_problem: manifest.media.problem,
        encrypted: manifest.encryption.is_some(),
    };
    let outcome = Outcome::record("petspark.backup.create/v1", &made, FIELDS)
        .note("It is not proven yet: `backup verify` restores it into a scratch database.")
        .besides(told);
    let outcome = match (core.environment, made.encrypted) {
        (Environment::Production, false) => {
            outcome.note("It is not encrypted: with backup.recipients, only who has their key could read it.")
        }
        _ => outcome,
    };
    Ok(match &made.media_problem {
        None => outcome,
        Some(problem) => outcome.exit(Exit::Unreachable).note(format!(
            "It has the database and a list of uploads, and not their files, which were asked for: {problem}"
        )),
    })
}
