//! `backup restore`.

use clap::{Arg, ArgGroup, ArgMatches, Command};
use petspark_core::Clock;
use petspark_core::backup::{Backups, Destination, Restore, Restored, RestoredUploads};
use petspark_core::config::{DatabaseUrl, Value as _};

use super::{backups, identity, in_bucket, keys, no_backup, target, watched, which};
use crate::commands::args::{flag, reason_given, why_given};
use crate::context::{Context, Missing};
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

pub(super) fn command() -> Command {
    Command::new("restore")
        .about("Restore a backup to a new place, or in place of the live database")
        .long_about(
            "Restore a backup to a new place, or in place of the live database: then the server must be stopped, a \
             backup of what is there is made first, and what is there is set aside. Sessions in the backup are ended: \
             some may have been revoked since it was made. With --media-only the database stays as it is. Exit code 7 if the \
             database was restored and something is left to be done, which is then told.",
        )
        .arg(Arg::new("id").value_name("ID").required(true).value_parser(which).help("Which; `latest` is the newest"))
        .arg(Arg::new("to").long("to").value_name("URL").help(
            "A file that isn't there, as sqlite://path or a path; or a PostgreSQL database that is empty or not there. \
             A password comes from PGPASSWORD or ~/.pgpass",
        ))
        .arg(flag("in-place", "Replace the live database"))
        .arg(
            flag("media-only", "Only give the store of uploads what it lacks of those that the live database knows")
                .conflicts_with_all(["media", "keep-sessions"]),
        )
        .group(ArgGroup::new("where").args(["to", "in-place", "media-only"]).required(true))
        .arg(
            Arg::new("confirm")
                .long("confirm")
                .value_name("NAME")
                .requires("in-place")
                .help("Needed in place: the name of the database, or of its file"),
        )
        .arg(
            flag("without-safety-backup", "Don't back up what is there; when it is too damaged for that")
                .requires("in-place"),
        )
        .arg(flag("keep-sessions", "Don't end the sessions in the backup"))
        .arg(flag("media", "Also give the store of uploads what it lacks of them; the backup must be a full one"))
        .arg(
            Arg::new("reason")
                .long("reason")
                .value_name("TEXT")
                .help("Why, for the audit log of what is restored; needed in production to restore in place"),
        )
        .arg(target())
        .arg(identity())
}

const FIELDS: &[Column<Restored>] = &[
    ("backup", |restored| restored.backup_id.to_string()),
    ("place", |restored| restored.place.clone()),
    ("rows", |restored| restored.rows.to_string()),
    ("seconds", |restored| format!("{:.1}", restored.seconds)),
    ("sessions_ended", |restored| restored.sessions_ended.map(|ended| ended.to_string()).unwrap_or_default()),
    ("problem", |restored| restored.problem.clone().unwrap_or_default()),
    ("safety_backup", |restored| restored.safety_backup.map(|id| id.to_string()).unwrap_or_default()),
    ("set_aside", |restored| restored.set_aside.clone().unwrap_or_default()),
    ("media_objects", |restored| restored.media_objects.map(|objects| objects.to_string()).unwrap_or_default()),
    ("media_problem", |restored| restored.media_problem.clone().unwrap_or_default()),
];

pub(super) async fn run(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    if args.get_flag("media-only") {
        return media_only(cx, args).await;
    }
    // Before anything else: a password on the command line has to be told of, whatever else is wrong.
    let to = args.get_one::<String>("to").map(|to| address(to)).transpose()?;
    let (keys, backups) = (keys(cx, args)?, backups(cx)?);
    let id = required::<super::Which>(args, "id")?.0;
    let listed = backups.get(&cx.caller(), id, in_bucket(args)).await?;
    let (reason, destination) = match to {
        Some(url) => (args.get_one::<String>("reason").cloned(), Destination::New(url)),
        None => {
            let reason = reason_given(cx, args, "why is the live database replaced?")?;
            let live = &cx.settings()?.core.database.url;
            let made = listed.manifest.as_ref().ok_or_else(no_backup)?.created_at;
            let what = format!("This replaces the database {} by what it was at {made}.", live.render());
            cx.confirm_by_name(&what, &name_of(live), args.get_one::<String>("confirm").map(String::as_str))?;
            let is_damaged = args.get_flag("without-safety-backup");
            (reason, if is_damaged { Destination::InPlaceOfDamaged } else { Destination::InPlace })
        }
    };
    let wanted = Restore {
        id: Some(listed.id),
        in_bucket: in_bucket(args),
        destination,
        keep_sessions: args.get_flag("keep-sessions"),
        with_media: args.get_flag("media"),
        reason,
    };
    let restored = backups.restore(&cx.caller(), &wanted, &keys).await?;
    let mut outcome = Outcome::record("petspark.backup.restore/v1", &restored, FIELDS);
    for left in left_to_do(&wanted, &restored) {
        outcome = outcome.exit(Exit::Unreachable).note(left);
    }
    Ok(outcome.note(
        "What happened since the backup is not in it: people who were deleted since are there again, and so are API \
         keys that were revoked. See docs/OPERATING.md.",
    ))
}

/// What didn't work after the database was there, and what to do about it: in place of the live database, or
/// beside it, at a place that the settings don't name.
fn left_to_do(wanted: &Restore, restored: &Restored) -> impl Iterator<Item = String> {
    let Restored { backup_id, place, .. } = restored;
    let (done, there) = match wanted.destination {
        Destination::New(_) => {
            let done = format!("The live database was not touched. The backup was restored to {place}");
            (done, ", with DATABASE_URL leading there")
        }
        Destination::InPlace | Destination::InPlaceOfDamaged => ("The database WAS replaced".to_owned(), ""),
    };
    let unfinished =
        restored.problem.as_ref().map(|problem| format!("{done}, and this is left to be done: {problem}."));
    let incomplete = restored.media_problem.as_ref().map(|problem| {
        format!(
            "{done}, and files of uploads are missing in their store: {problem}. `backup restore {backup_id} \
             --media-only` goes on with them{there}."
        )
    });
    unfinished.into_iter().chain(incomplete)
}

const UPLOADS: &[Column<RestoredUploads>] = &[
    ("backup", |restored| restored.backup_id.to_string()),
    ("media_objects", |restored| restored.media_objects.to_string()),
    ("media_problem", |restored| restored.media_problem.clone().unwrap_or_default()),
    ("seconds", |restored| format!("{:.1}", restored.seconds)),
];

async fn media_only(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (keys, id) = (keys(cx, args)?, required::<super::Which>(args, "id")?.0);
    let database = cx.database(Missing::Refuse).await?;
    let backups = watched(cx, Backups::open(&cx.settings()?.core, Some(database.clone()), Clock::system())?);
    let reason = why_given(args);
    let restored = backups.restore_uploads(&cx.caller(), id, in_bucket(args), reason, &keys).await;
    database.close().await;
    let restored = restored?;
    let outcome = Outcome::record("petspark.backup.restore.media/v1", &restored, UPLOADS);
    Ok(match &restored.media_problem {
        None => outcome,
        Some(problem) => outcome.exit(Exit::BackupInvalid).note(format!("These can't be given back: {problem}.")),
    })
}

/// As DATABASE_URL has it, or a path; a password on the command line is for everybody to see.
fn address(text: &str) -> Result<DatabaseUrl, Failure> {
    let text = if text.contains("://") { text.to_owned() } else { format!("sqlite://{text}") };
    let authority = text.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    let has_password = authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'));
    if has_password || text.contains("password=") {
        return Err(Failure::new(
            Exit::Usage,
            "a password must not stand on the command line: leave it out, and set PGPASSWORD or use ~/.pgpass",
        ));
    }
    DatabaseUrl::parse(&text).map_err(|expected| Failure::new(Exit::Usage, format!("--to must be {expected}")))
}

/// What an operator types to confirm.
pub(crate) fn name_of(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        DatabaseUrl::Postgres(_) => {
            let place = url.render();
            place.rsplit('/').next().unwrap_or_default().to_owned()
        }
    }
}
