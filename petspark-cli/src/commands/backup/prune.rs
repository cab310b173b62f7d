//! `backup prune` and `backup pin`.

use clap::{ArgMatches, Command};
use petspark_core::BackupId;
use petspark_core::backup::{Kept, Pruned};
use serde::Serialize;

use super::{backups, backups_and_database, chosen, close, dry_run, id};
use crate::commands::args::{flag, why, why_given};
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn command() -> Command {
    Command::new("prune")
        .about("Remove backups that no rule keeps; never the newest, nor the newest proven or full one")
        .arg(flag("yes", "Don't ask"))
        .arg(why())
        .arg(dry_run())
}

pub(super) fn pin_command() -> Command {
    Command::new("pin")
        .about("Keep a backup whatever the rules of pruning say")
        .arg(id().required(true).help("Which backup; `latest` is the newest"))
        .arg(flag("remove", "Leave it to the rules again"))
}

const COLUMNS: &[Column<Kept>] = &[
    ("id", |kept| kept.id.to_string()),
    ("target", |kept| kept.target.to_owned()),
    ("created_at", |kept| kept.created_at.map(|at| at.to_string()).unwrap_or_default()),
    ("keep", |kept| kept.keep.to_string()),
    ("reason", |kept| kept.reason.clone()),
];

pub(super) async fn run(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (backups, database) = backups_and_database(cx).await?;
    let pruned = async {
        let plan = backups.prune(&cx.caller(), true, None).await?;
        if args.get_flag("dry-run") || plan.removed + plan.media_files == 0 {
            return Ok::<_, Failure>(plan);
        }
        let what = format!(
            "This removes {} backups, and {} files of uploads that no other backup needs, for good.",
            plan.removed, plan.media_files
        );
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        Ok(backups.prune(&cx.caller(), false, why_given(args)).await?)
    };
    let pruned = pruned.await;
    close(database).await;
    let pruned = pruned?;
    let outcome = Outcome::list("petspark.backup.prune/v1", "backups", &pruned.backups, COLUMNS);
    Ok(if args.get_flag("dry-run") {
        outcome.note(format!("{} would be removed; nothing was changed.", told(&pruned)))
    } else {
        outcome.note(format!("{} removed.", told(&pruned)))
    })
}

fn told(pruned: &Pruned) -> String {
    match pruned.media_files {
        0 => pruned.removed.to_string(),
        files => format!("{}, and {files} files of uploads,", pruned.removed),
    }
}

#[derive(Serialize)]
struct Pinned {
    id: BackupId,
    pinned: bool,
}

pub(super) async fn pin(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (backups, pinned) = (backups(cx)?, !args.get_flag("remove"));
    let id = backups.get(&cx.caller(), chosen(args), false).await?.id;
    backups.set_pinned(&cx.caller(), id, pinned).await?;
    let fields: &[Column<Pinned>] = &[("id", |done| done.id.to_string()), ("pinned", |done| done.pinned.to_string())];
    Ok(Outcome::record("petspark.backup.pin/v1", &Pinned { id, pinned }, fields))
}
