//! `media`: what was uploaded, in numbers; whether all of it is there and sound; clearing away what
//! belongs to nothing; making photos anew; and moving everything to another store.

use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::media::objects::{Copied, ObjectStore, StoreKind};
use petspark_core::media::{Collect, Collected, MediaCount, MediaError, Reread};
use petspark_core::{Caller, UploadId};
use serde::Serialize;

use crate::commands::args::{duration, flag, one_of};
use crate::commands::progress::Progress;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};
use crate::signals::{Stop, stoppable};

pub(crate) struct Media;

impl Plugin for Media {
    fn command(&self) -> Command {
        Command::new("media")
            .about("Look after what was uploaded")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("stats").about("Count uploads and the bytes that are kept of them"))
            .subcommand(
                Command::new("gc")
                    .about("Remove objects that belong to nothing, and name uploads whose objects are missing")
                    .long_about(
                        "Remove objects that belong to nothing, and name uploads whose objects are missing. If that would \
                         be more than a fifth of all objects, nothing is removed, as it may be the wrong database: \
                         --at-most says that so many are all right. For 30 days after this database was restored, what \
                         came after the moment that it was restored to stays.",
                    )
                    .arg(
                        Arg::new("older-than")
                            .long("older-than")
                            .value_name("DURATION")
                            .value_parser(duration)
                            .default_value("24h")
                            .help("Only what is older; never what is younger than an hour"),
                    )
                    .arg(
                        Arg::new("at-most")
                            .long("at-most")
                            .value_name("N")
                            .value_parser(value_parser!(u64))
                            .help("So many may go; if there are more, none does"),
                    )
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would be removed")),
            )
            .subcommand(
                Command::new("verify")
                    .about("Read what is kept and compare it with its checksums")
                    .arg(
                        Arg::new("sample")
                            .long("sample")
                            .value_name("N")
                            .value_parser(value_parser!(u64).range(1..))
                            .default_value("100")
                            .help("So many uploads, here and there"),
                    )
                    .arg(flag("all", "All of them").conflicts_with("sample"))
                    .arg(
                        Arg::new("after")
                            .long("after")
                            .value_name("UPLOAD")
                            .value_parser(value_parser!(UploadId))
                            .requires("all")
                            .help("All behind this one: where another run was ended"),
                    ),
            )
            .subcommand(
                Command::new("reprocess")
                    .about("Have photos made anew from what was uploaded, by jobs of the server")
                    .arg(Arg::new("id").value_name("PHOTO").value_parser(value_parser!(UploadId)).help("This one"))
                    .arg(flag("all", "All of them").conflicts_with("id"))
                    .arg(flag("yes", "Don't ask")),
            )
            .subcommand(
                Command::new("migrate")
                    .about("Copy everything that is kept to another store")
                    .long_about(
                        "Copy everything that is kept to another store, compared by checksums. What is there already \
                         isn't copied again, so that a copy that was interrupted goes on. Nothing is removed: set \
                         media.store when all is there, and copy once more for what came meanwhile.",
                    )
                    .arg(store("from", "Where it is"))
                    .arg(store("to", "Where it is to be"))
                    .arg(flag("dry-run", "Only say what would be copied")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("stats", _)) => stats(cx).await,
                Some(("gc", args)) => gc(cx, args).await,
                Some(("verify", args)) => verify(cx, args).await,
                Some(("reprocess", args)) => reprocess(cx, args).await,
                Some((_, args)) => migrate(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

fn store(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("STORE")
        .required(true)
        .value_parser(one_of::<StoreKind>(StoreKind::ALL.iter().copied().map(StoreKind::as_str)))
        .help(about)
}

const COUNTS: &[Column<MediaCount>] = &[
    ("purpose", |count| count.purpose.to_string()),
    ("status", |count| count.status.to_string()),
    ("uploads", |count| count.uploads.to_string()),
    ("bytes", |count| count.bytes.to_string()),
];

async fn stats(cx: &Context) -> Result<Outcome, Failure> {
    let counts = cx.petspark().await?.media().stats(&cx.caller()).await?;
    Ok(Outcome::list("petspark.media.stats/v1", "uploads", &counts, COUNTS))
}

#[derive(Serialize)]
struct Cleared {
    changed: bool,
    dry_run: bool,
    #[serde(flatten)]
    collected: Collected,
}

const CLEARED: &[Column<Cleared>] = &[
    ("objects", |cleared| cleared.collected.objects.to_string()),
    ("leftovers", |cleared| cleared.collected.leftovers.to_string()),
    ("leftover_bytes", |cleared| cleared.collected.leftover_bytes.to_string()),
    ("spared", |cleared| cleared.collected.spared.to_string()),
    ("missing", |cleared| cleared.collected.missing.len().to_string()),
];

const STOPPED: &str = "Stopped; these are the numbers until then, and the same command again does the rest.";

/// Removes about so many objects. Ends between two of them when a signal asks for it, and says how the
/// process ends then.
async fn remove(
    cx: &Context,
    caller: &Caller,
    how: &Collect,
    count: u64,
) -> Result<Result<(Collected, Option<Exit>), Exit>, Failure> {
    let (media, stop) = (cx.petspark().await?.media(), Stop::default());
    let mut progress = Progress::start(cx, "removing objects", count);
    let go_on = |so_far: &Collected| {
        progress.at(so_far.leftovers.min(count));
        stop.asked().is_none()
    };
    let removing = async { media.collect(caller, how, go_on).await.map_err(refused) };
    Ok(stoppable(&stop, removing).await?.map(|collected| (collected, stop.asked())))
}

/// Says by which option so many may go.
fn refused(error: MediaError) -> Failure {
    let MediaError::TooManyLeftovers { leftovers, .. } = error else { return error.into() };
    let failure = Failure::from(error);
    Failure::new(failure.exit(), format!("{} That would be --at-most {leftovers}.", failure.message()))
}

async fn gc(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, petspark, dry_run) = (cx.caller(), cx.petspark().await?, args.get_flag("dry-run"));
    // Nothing is lost when this is ended in the middle, nor while somebody is asked.
    let how =
        Collect { dry_run, older_than: *required(args, "older-than")?, at_most: args.get_one("at-most").copied() };
    let plan = Collect { dry_run: true, ..how };
    let (mut collected, mut stopped) = (petspark.media().collect(&caller, &plan, |_| true).await?, None);
    let permitted = how.permit(&collected).map_err(refused);
    let mut changed = !dry_run && collected.leftovers > 0;
    let unpermitted = permitted.as_ref().err().filter(|_| dry_run).map(|failure| failure.message().to_owned());
    if changed {
        permitted?;
        let Collected { leftovers, leftover_bytes, .. } = collected;
        let what = format!("This removes {leftovers} objects of {leftover_bytes} bytes that belong to nothing.");
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        (collected, stopped) = match remove(cx, &caller, &how, leftovers).await? {
            Ok(done) => done,
            Err(exit) => return Ok(Outcome::done().exit(exit)),
        };
        changed = collected.leftovers > 0;
    }
    let exit = match stopped {
        Some(exit) => exit,
        None if collected.missing.is_empty() => Exit::Done,
        None => Exit::ChecksFailed,
    };
    let spared = collected.spared;
    let missing: Vec<_> = collected.missing.iter().map(|id| format!("Something is missing of upload {id}.")).collect();
    let mut outcome =
        Outcome::record("petspark.media.gc/v1", &Cleared { changed, dry_run, collected }, CLEARED).exit(exit);
    for line in missing {
        outcome = outcome.note(line);
    }
    if spared > 0 {
        outcome = outcome.note(format!(
            "{spared} more belong to nothing since this database was restored; they stay for 30 days after that."
        ));
    }
    if stopped.is_some() {
        return Ok(outcome.note(STOPPED));
    }
    Ok(match unpermitted {
        Some(why) => outcome.note(why),
        None if dry_run => outcome.note("This is what would be removed; nothing was changed."),
        None => outcome,
    })
}

const REREAD: &[Column<Reread>] = &[
    ("uploads", |reread| reread.uploads.to_string()),
    ("bytes", |reread| reread.bytes.to_string()),
    ("damaged", |reread| reread.damaged.len().to_string()),
];

async fn verify(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let sample = if args.get_flag("all") { None } else { args.get_one::<u64>("sample").copied() };
    let after = args.get_one::<UploadId>("after").copied();
    let (caller, media, stop) = (cx.caller(), cx.petspark().await?.media(), Stop::default());
    let all = media.stats(&caller).await?.iter().map(|count| count.uploads.unsigned_abs()).sum::<u64>();
    let mut progress = Progress::start(cx, "reading uploads", sample.unwrap_or(all).min(all));
    let go_on = |so_far: &Reread| {
        progress.at(so_far.uploads);
        stop.asked().is_none()
    };
    let reading = async { Ok(media.reread(&caller, sample, after, go_on).await?) };
    let reread = match stoppable(&stop, reading).await? {
        Ok(reread) => reread,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    let ended = stop.asked().filter(|_| reread.ended_after.is_some());
    let exit = ended.unwrap_or(if reread.damaged.is_empty() { Exit::Done } else { Exit::ChecksFailed });
    let mut outcome = Outcome::record("petspark.media.verify/v1", &reread, REREAD).exit(exit);
    for id in &reread.damaged {
        outcome = outcome.note(format!("Something is missing or changed of upload {id}."));
    }
    Ok(match (reread.ended_after, sample) {
        (Some(last), None) => outcome.note(format!("Stopped; `media verify --all --after {last}` reads the rest.")),
        (Some(_), Some(_)) => outcome.note("Stopped before all of the sample was read."),
        (None, _) => outcome,
    })
}

#[derive(Serialize)]
struct Enqueued {
    changed: bool,
    photos: u64,
}

async fn reprocess(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let photo = args.get_one::<UploadId>("id").copied();
    if photo.is_none() {
        if !args.get_flag("all") {
            return Err(Failure::new(Exit::Usage, "which photo? Name one, or say --all"));
        }
        cx.confirm("This has all photos made anew.", "--yes", args.get_flag("yes"))?;
    }
    let (caller, media, stop) = (cx.caller(), cx.petspark().await?.media(), Stop::default());
    let go_on = |_| stop.asked().is_none();
    let enqueuing = async { Ok(media.reprocess(&caller, photo, go_on).await?) };
    let photos = match stoppable(&stop, enqueuing).await? {
        Ok(photos) => photos,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    let enqueued = Enqueued { changed: photos > 0, photos };
    let fields: &[Column<Enqueued>] = &[("photos", |enqueued| enqueued.photos.to_string())];
    let outcome = Outcome::record("petspark.media.reprocess/v1", &enqueued, fields);
    Ok(match stop.asked() {
        Some(exit) => outcome.exit(exit).note("Stopped; the same command again begins at the first photo."),
        None => outcome,
    })
}

#[derive(Serialize)]
struct Moved {
    changed: bool,
    dry_run: bool,
    copied: u64,
    bytes: u64,
    already_there: u64,
    differing: Vec<String>,
}

const MOVED: &[Column<Moved>] = &[
    ("copied", |moved| moved.copied.to_string()),
    ("bytes", |moved| moved.bytes.to_string()),
    ("already_there", |moved| moved.already_there.to_string()),
    ("differing", |moved| moved.differing.len().to_string()),
];

async fn migrate(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (from, to) = (*required::<StoreKind>(args, "from")?, *required::<StoreKind>(args, "to")?);
    if from == to {
        return Err(Failure::new(Exit::Usage, "--from and --to are the same store"));
    }
    let dry_run = args.get_flag("dry-run");
    let settings = &cx.petspark().await?.settings().objects;
    let open = |kind| ObjectStore::open_as(kind, settings).map_err(|problem| Failure::new(Exit::Usage, problem));
    let mut progress = Progress::start(cx, "copying, in bytes", 0);
    let (from, to, stop) = (open(from)?, open(to)?, Stop::default());
    let go_on = |copied: &Copied| {
        progress.at(copied.bytes);
        stop.asked().is_none()
    };
    let copying = async { Ok(from.copy_all(&to, dry_run, go_on).await?) };
    let done = match stoppable(&stop, copying).await? {
        Ok(done) => done,
        Err(exit) => return Ok(Outcome::done().exit(exit)),
    };
    drop(progress);
    let differing: Vec<_> = done.differing.iter().map(ToString::to_string).collect();
    let exit = stop.asked().unwrap_or(if differing.is_empty() { Exit::Done } else { Exit::ChecksFailed });
    let notes: Vec<_> = differing.iter().map(|key| format!("{key} is at both ends, with other bytes.")).collect();
    let moved = Moved {
        changed: done.copied > 0 && !dry_run,
        dry_run,
        copied: done.copied,
        bytes: done.bytes,
        already_there: done.already_there,
        differing,
    };
    let mut outcome = Outcome::record("petspark.media.migrate/v1", &moved, MOVED).exit(exit);
    for note in notes {
        outcome = outcome.note(note);
    }
    Ok(if stop.asked().is_some() { outcome.note("Stopped; the same command again goes on.") } else { outcome })
}
