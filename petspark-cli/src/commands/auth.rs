//! `auth stats` and `auth gc`: accounts in numbers, and removing what is over.

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::auth::{AuthStats, Leftovers};
use serde::Serialize;

use crate::commands::args::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin};

pub(crate) struct Accounts;

impl Plugin for Accounts {
    fn command(&self) -> Command {
        Command::new("auth")
            .about("See accounts in numbers, and clear away what is over")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("stats").about("Count users and sessions, and the sign-ins of the last 24 hours"))
            .subcommand(
                Command::new("gc")
                    .about("Remove expired links, sign-ins, sessions and throttles, and jobs dead for 30 days")
                    .long_about(
                        "Remove expired links, unfinished sign-ins, old sessions and throttles, and jobs that have \
                         been dead for 30 days. A running server does the same by itself: hourly, and daily for jobs.",
                    )
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say how much would be removed")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("stats", _)) => stats(cx).await,
                Some((_, args)) => gc(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

const COUNTS: &[Column<AuthStats>] = &[
    ("users", |stats| stats.users.to_string()),
    ("unverified", |stats| stats.unverified.to_string()),
    ("locked", |stats| stats.locked.to_string()),
    ("administrators", |stats| stats.administrators.to_string()),
    ("with_second_factor", |stats| stats.with_second_factor.to_string()),
    ("sessions", |stats| stats.sessions.to_string()),
    ("throttles", |stats| stats.throttles.to_string()),
    ("logins_24h", |stats| stats.logins.to_string()),
    ("failed_logins_24h", |stats| stats.failed_logins.to_string()),
    ("throttled_logins_24h", |stats| stats.throttled_logins.to_string()),
    ("token_reuses_24h", |stats| stats.token_reuses.to_string()),
];

async fn stats(cx: &Context) -> Result<Outcome, Failure> {
    let stats = cx.petspark().await?.auth().stats(&cx.caller()).await?;
    Ok(Outcome::record("petspark.auth.stats/v1", &stats, COUNTS))
}

#[derive(Serialize)]
struct Removed {
    changed: bool,
    dry_run: bool,
    #[serde(flatten)]
    leftovers: Leftovers,
    dead_jobs: u64,
}

const REMOVED: &[Column<Removed>] = &[
    ("one_time_tokens", |removed| removed.leftovers.one_time_tokens.to_string()),
    ("challenges", |removed| removed.leftovers.challenges.to_string()),
    ("sessions", |removed| removed.leftovers.sessions.to_string()),
    ("throttles", |removed| removed.leftovers.throttles.to_string()),
    ("dead_jobs", |removed| removed.dead_jobs.to_string()),
];

async fn gc(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, petspark, dry_run) = (cx.caller(), cx.petspark().await?, args.get_flag("dry-run"));
    let mut leftovers = petspark.auth().preview_leftovers(&caller).await?;
    let mut dead_jobs = petspark.jobs().count_long_dead(&caller).await?;
    let nothing = leftovers == Leftovers::default() && dead_jobs == 0;
    if !dry_run && !nothing {
        let Leftovers { one_time_tokens, challenges, sessions, throttles } = leftovers;
        let what = format!(
            "This removes {one_time_tokens} links, {challenges} unfinished sign-ins, {sessions} sessions and \
             {throttles} throttles that are over, and {dead_jobs} dead jobs."
        );
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        leftovers = petspark.auth().remove_leftovers(&caller).await?;
        dead_jobs = petspark.jobs().remove_dead(&caller).await?;
    }
    let removed = Removed { changed: !dry_run && !nothing, dry_run, leftovers, dead_jobs };
    let outcome = Outcome::record("petspark.auth.gc/v1", &removed, REMOVED);
    Ok(if dry_run { outcome.note("This is what would be removed; nothing was changed.") } else { outcome })
}
