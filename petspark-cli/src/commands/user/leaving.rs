//! `user delete`, `restore` and `export`: leaving, coming back, and taking everything along.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::config::Value as _;
use petspark_core::people::When;
use petspark_core::{Failure as _, Kind, Timestamp, UserId};
use serde::Serialize;

use super::{flag, selector};
use crate::commands::args::{reason, reason_given, why, why_given};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

pub(super) fn commands() -> [Command; 3] {
    [
        Command::new("delete")
            .about("Delete a user: signed out at once, erased with everything that is theirs after a while")
            .arg(selector())
            .arg(
                Arg::new("grace")
                    .long("grace")
                    .value_name("DURATION")
                    .value_parser(|text: &str| Duration::parse(text))
                    .help("How long they can be restored, such as 30d [default: the setting people.erase_after]"),
            )
            .arg(flag("hard", "Erase them now, for good, also when they are deleted already").conflicts_with("grace"))
            .arg(
                Arg::new("confirm")
                    .long("confirm")
                    .value_name("EMAIL")
                    .requires("hard")
                    .help("Their address, to erase them without being asked"),
            )
            .arg(reason())
            .arg(flag("force", "Even if nobody is left who can administer"))
            .arg(flag("ignore-missing", "Succeed if there is no such user"))
            .arg(flag("yes", "Don't ask, unless with --hard"))
            .arg(flag("dry-run", "Only say what would change")),
        Command::new("restore").about("Take the deletion of a user back").arg(selector()).arg(why()),
        Command::new("export")
            .about("Write everything that is kept about a user, as one JSON document")
            .arg(selector())
            .arg(
                Arg::new("output")
                    .short('o')
                    .long("output")
                    .value_name("FILE")
                    .value_parser(value_parser!(std::path::PathBuf))
                    .help("A new file that nobody else can read [default: standard output]"),
            ),
    ]
}

#[derive(Serialize)]
struct Deletion {
    changed: bool,
    dry_run: bool,
    id: Option<UserId>,
    email: Option<String>,
    sessions_ended: u64,
    pets: u64,
    erase_at: Option<Timestamp>,
}

const DELETION: &[Column<Deletion>] = &[
    ("email", |done| done.email.clone().unwrap_or_default()),
    ("sessions ended", |done| done.sessions_ended.to_string()),
    ("pets", |done| done.pets.to_string()),
    ("erased", |done| done.erase_at.map_or_else(|| "now".to_owned(), |at| at.to_string())),
];

const DELETE: &str = "petspark.user.delete/v1";

pub(super) async fn delete(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, people) = (cx.caller(), cx.petspark().await?.people());
    let (force, dry_run) = (args.get_flag("force"), args.get_flag("dry-run"));
    let reason = if dry_run { None } else { reason_given(cx, args, "why is this user deleted?")? };
    let when = match args.get_one::<Duration>("grace") {
        _ if args.get_flag("hard") => When::Now,
        Some(grace) => When::After(*grace),
        None => When::Later,
    };
    let known = match people.find(&caller, required::<String>(args, "user")?).await {
        Err(error) if error.kind() == Kind::NotFound && args.get_flag("ignore-missing") => {
            let nobody =
                Deletion { changed: false, dry_run, id: None, email: None, sessions_ended: 0, pets: 0, erase_at: None };
            return Ok(Outcome::record(DELETE, &nobody, &[]).note("There is no such user; nothing was changed."));
        }
        found => found?,
    };
    if let (Some(_), Some(erase_at), false) = (known.deleted_at, known.erase_at, when == When::Now) {
        let message =
            format!("{} is deleted already, to be erased at {erase_at}; --hard does it now", known.user.email);
        return Err(Failure::new(Exit::Conflict, message));
    }
    let plan = people.preview_deletion(&caller, known.user.id, when, force).await?;
    let done = if dry_run {
        plan
    } else {
        let (email, sessions, pets) = (&plan.user.email, plan.sessions_ended, plan.pets);
        match plan.erase_at {
            None => {
                let what = format!(
                    "This erases {email} for good: account, {sessions} live sessions, {pets} pets, and who they were in the audit log."
                );
                cx.confirm_by_name(&what, email, args.get_one::<String>("confirm").map(String::as_str))?;
            }
            Some(erase_at) => {
                let what = format!(
                    "This deletes {email}, ends {sessions} sessions and hides {pets} pets; all of it is erased at {erase_at}."
                );
                cx.confirm(&what, "--yes", args.get_flag("yes"))?;
            }
        }
        people.delete(&caller, known.user.id, when, reason.as_deref(), force).await?
    };
    let deletion = Deletion {
        changed: !dry_run,
        dry_run,
        id: Some(done.user.id),
        email: Some(done.user.email),
        sessions_ended: done.sessions_ended,
        pets: done.pets,
        erase_at: done.erase_at,
    };
    let outcome = Outcome::record(DELETE, &deletion, DELETION);
    Ok(if dry_run { outcome.note("This is what would change; nothing was changed.") } else { outcome })
}

#[derive(Serialize)]
struct Restored {
    changed: bool,
    id: UserId,
    email: String,
}

pub(super) async fn restore(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, people) = (cx.caller(), cx.petspark().await?.people());
    let known = people.find(&caller, required::<String>(args, "user")?).await?;
    let is_deleted = known.deleted_at.is_some();
    let user = if is_deleted { people.restore(&caller, known.user.id, why_given(args)).await? } else { known.user };
    let restored = Restored { changed: is_deleted, id: user.id, email: user.email };
    let outcome = Outcome::record(
        "petspark.user.restore/v1",
        &restored,
        &[("id", |user| user.id.to_string()), ("email", |user| user.email.clone())],
    );
    Ok(if is_deleted { outcome } else { outcome.note("They aren't deleted; nothing was changed.") })
}

#[derive(Serialize)]
struct Exported {
    id: UserId,
    email: String,
    file: String,
    bytes: u64,
}

pub(super) async fn export(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, people) = (cx.caller(), cx.petspark().await?.people());
    let known = people.find(&caller, required::<String>(args, "user")?).await?;
    let archive = people.export(&caller, known.user.id).await?;
    let mut text = serde_json::to_string_pretty(&archive)
        .map_err(|error| Failure::new(Exit::Failed, format!("can't write the archive: {error}")))?;
    text.push('\n');
    let Some(path) = args.get_one::<std::path::PathBuf>("output") else { return Ok(Outcome::text(text)) };
    write_new(path, &text)?;
    let exported = Exported {
        id: known.user.id,
        email: known.user.email,
        file: path.display().to_string(),
        bytes: text.len() as u64,
    };
    Ok(Outcome::record(
        "petspark.user.export/v1",
        &exported,
        &[
            ("email", |done| done.email.clone()),
            ("file", |done| done.file.clone()),
            ("bytes", |done| done.bytes.to_string()),
        ],
    ))
}

/// Writes a file that wasn't there, for nobody else to read.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Conflict, format!("{} is there already", path.display()))
        }
        _ => Failure::io(format!("can't write {}", path.display()), &error),
    };
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
