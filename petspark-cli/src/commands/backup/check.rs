//! `backup check`, the cheap look, and `backup verify`, the proof.

use clap::{ArgMatches, Command};
use petspark_core::backup::{Checked, Drill, Finding};

use super::{
    backups_and_database, chosen, close, id, identity, in_bucket, keys, metrics_file, target, tell_checked,
    tell_metrics,
};
use crate::commands::args::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn command() -> Command {
    Command::new("check")
        .about("See whether backups are there, fresh, complete and unaltered")
        .long_about(
            "See whether backups are there, fresh, complete and unaltered. Exit code 20 if one is no good or can't be \
             read, 21 if there should be more or newer ones, or a drill; 7 if something could not be found out.",
        )
        .arg(id())
        .arg(target())
        .arg(flag("all", "Read all of them, not only the newest").conflicts_with("id"))
        .arg(identity())
        .arg(metrics_file())
}

pub(super) fn verify_command() -> Command {
    Command::new("verify")
        .about("Prove a backup: restore it into a scratch database, compare, migrate and use it")
        .long_about(
            "Prove a backup: restore it into a scratch database, compare all rows, migrate it to this release, sign \
             somebody in and look for its uploads. The live database is not touched, no mail is sent. Exit code 20 \
             if the backup is no good.",
        )
        .arg(id())
        .arg(target())
        .arg(identity())
        .arg(flag("keep", "Leave the scratch database where it is"))
        .arg(metrics_file())
}

const COLUMNS: &[Column<Finding>] = &[
    ("backup", |finding| finding.backup.map(|id| id.to_string()).unwrap_or_default()),
    ("check", |finding| finding.id.to_owned()),
    ("status", |finding| finding.status.to_string()),
    ("observed", |finding| finding.observed.clone()),
    ("expected", |finding| finding.expected.clone()),
    ("hint", |finding| finding.hint.clone()),
];

pub(super) async fn run(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let keys = keys(cx, args)?;
    let (backups, database) = backups_and_database(cx).await?;
    let (in_bucket, all) = (in_bucket(args), args.get_flag("all"));
    let checked = backups.check(&cx.caller(), chosen(args), all, &keys, in_bucket).await;
    let told = match &checked {
        Ok(checked) => tell_checked(cx, args, &backups, in_bucket, checked).await,
        Err(_) => Ok(()),
    };
    close(database).await;
    let checked = checked?;
    let exit = exit_of(&checked);
    // All are about the same one, unless several are looked at.
    let columns = if all { COLUMNS } else { &COLUMNS[1..] };
    Ok(Outcome::list("petspark.backup.check/v1", "findings", &checked.findings, columns).exit(exit).besides(told))
}

fn exit_of(checked: &Checked) -> Exit {
    if checked.is_invalid() {
        Exit::BackupInvalid
    } else if checked.is_stale() {
        Exit::BackupStale
    } else if checked.is_incomplete() {
        Exit::Unreachable
    } else {
        Exit::Done
    }
}

const FIELDS: &[Column<Drill>] = &[
    ("backup", |drill| drill.backup_id.to_string()),
    ("proven", |drill| drill.ok.to_string()),
    ("phase", |drill| drill.phase.clone().unwrap_or_default()),
    ("problem", |drill| drill.problem.clone().unwrap_or_default()),
    ("bytes", |drill| drill.bytes.to_string()),
    ("rows", |drill| drill.rows.to_string()),
    ("restored_in", |drill| format!("{:.1} s", drill.restore_seconds)),
    ("compared_in", |drill| format!("{:.1} s", drill.compare_seconds)),
    ("migrated_in", |drill| format!("{:.1} s", drill.migrate_seconds)),
    ("media_objects", |drill| drill.media_objects.to_string()),
];

pub(super) async fn verify(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let keys = keys(cx, args)?;
    let (backups, database) = backups_and_database(cx).await?;
    let drill = backups.verify(&cx.caller(), chosen(args), in_bucket(args), &keys, args.get_flag("keep")).await;
    let told = tell_metrics(cx, args, &backups, in_bucket(args), &keys).await;
    close(database).await;
    let drill = drill?;
    let exit = if drill.ok { Exit::Done } else { Exit::BackupInvalid };
    Ok(Outcome::record("petspark.backup.verify/v1", &drill, FIELDS).exit(exit).besides(told))
}
