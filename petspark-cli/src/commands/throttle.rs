//! `throttle`: who is slowed down or refused at the moment, and lifting it.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::Timestamp;
use petspark_core::auth::{Bucket, Throttled, WhichThrottles};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin};

pub(crate) struct Throttle;

impl Plugin for Throttle {
    fn command(&self) -> Command {
        let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        Command::new("throttle")
            .about("See and lift the limits on guessing")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("list")
                    .about("List what is being counted, and who is refused")
                    .arg(Arg::new("user").long("user").value_name("ID|EMAIL").help("Only about this account"))
                    .arg(flag("refused", "Only what is refused at the moment")),
            )
            .subcommand(
                Command::new("clear")
                    .about("Forget what was counted, at once and on every server")
                    .arg(Arg::new("user").value_name("ID|EMAIL").help("About this account, or this unknown address"))
                    .arg(
                        Arg::new("ip")
                            .long("ip")
                            .value_name("IP|CIDR")
                            .value_parser(WhichThrottles::network)
                            .help("About this address, or those in this network"),
                    )
                    .arg(flag("all", "Everything"))
                    .group(ArgGroup::new("which").args(["user", "ip", "all"]).required(true))
                    .arg(flag("dry-run", "Only say how much would be forgotten"))
                    .arg(flag("yes", "Don't ask before forgetting everything")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some((_, args)) => clear(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

#[derive(Serialize)]
struct Shown {
    bucket: Bucket,
    subject: Option<String>,
    ip: Option<String>,
    count: u64,
    refused_until: Option<Timestamp>,
    last_at: Timestamp,
    ends_at: Timestamp,
}

impl Shown {
    fn of(throttled: Throttled) -> Self {
        let Throttled { bucket, subject, ip, count, refused_until, last_at, ends_at, .. } = throttled;
        Self { bucket, subject, ip, count, refused_until, last_at, ends_at }
    }
}

const COLUMNS: &[Column<Shown>] = &[
    ("bucket", |shown| shown.bucket.to_string()),
    ("account", |shown| shown.subject.clone().unwrap_or_default()),
    ("ip", |shown| shown.ip.clone().unwrap_or_default()),
    ("count", |shown| shown.count.to_string()),
    ("refused_until", |shown| shown.refused_until.map(|at| at.to_string()).unwrap_or_default()),
    ("last_at", |shown| shown.last_at.to_string()),
    ("ends_at", |shown| shown.ends_at.to_string()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let user = args.get_one::<String>("user").map(String::as_str);
    let mut throttled = cx.petspark().await?.auth().list_throttles(&cx.caller(), user).await?;
    if args.get_flag("refused") {
        throttled.retain(|throttled| throttled.refused_until.is_some());
    }
    let shown: Vec<_> = throttled.into_iter().map(Shown::of).collect();
    Ok(Outcome::list("petspark.throttle.list/v1", "throttles", &shown, COLUMNS))
}

#[derive(Serialize)]
struct Cleared {
    changed: bool,
    dry_run: bool,
    cleared: u64,
}

async fn clear(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let which = match (args.get_one::<String>("user"), args.get_one::<WhichThrottles>("ip")) {
        (Some(user), _) => WhichThrottles::User(user.clone()),
        (_, Some(network)) => network.clone(),
        _ => WhichThrottles::All,
    };
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let dry_run = args.get_flag("dry-run");
    let cleared = if dry_run {
        auth.preview_clear_throttles(&caller, &which).await?
    } else {
        if which == WhichThrottles::All {
            cx.confirm(
                "This forgets every limit that somebody has run into, attackers included.",
                "--yes",
                args.get_flag("yes"),
            )?;
        }
        auth.clear_throttles(&caller, &which).await?
    };
    let outcome = Outcome::record(
        "petspark.throttle.clear/v1",
        &Cleared { changed: cleared > 0 && !dry_run, dry_run, cleared },
        &[("cleared", |cleared: &Cleared| cleared.cleared.to_string())],
    );
    Ok(if dry_run { outcome.note("This is what would be forgotten; nothing was changed.") } else { outcome })
}
