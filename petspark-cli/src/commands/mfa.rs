//! `mfa`: the second factors of others, for when somebody has lost theirs.

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::{Timestamp, UserId};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Mfa;

fn selector() -> Arg {
    Arg::new("user").value_name("ID|EMAIL").required(true).help("Whose, by id or e-mail address")
}

impl Plugin for Mfa {
    fn command(&self) -> Command {
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        Command::new("mfa")
            .about("See and reset second factors")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("list").about("List a user's second factors").arg(selector()))
            .subcommand(
                Command::new("reset")
                    .about("Remove a user's second factors, and end their sessions: the password alone signs in again")
                    .arg(selector())
                    .arg(
                        Arg::new("reason")
                            .long("reason")
                            .value_name("TEXT")
                            .required(true)
                            .help("Why, for the audit log: how did they prove who they are?"),
                    )
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would change")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some((_, args)) => reset(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

#[derive(Serialize)]
struct Factor {
    kind: &'static str,
    since: Option<Timestamp>,
    left: Option<u32>,
}

const COLUMNS: &[Column<Factor>] = &[
    ("kind", |factor| factor.kind.to_owned()),
    ("since", |factor| factor.since.map(|at| at.to_string()).unwrap_or_default()),
    ("left", |factor| factor.left.map(|left| left.to_string()).unwrap_or_default()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let factors = auth.factors(&caller, user.id).await?;
    let mut rows = Vec::new();
    if factors.totp_since.is_some() {
        rows.push(Factor { kind: "totp", since: factors.totp_since, left: None });
        rows.push(Factor { kind: "recovery codes", since: None, left: Some(factors.recovery_codes_left) });
    }
    Ok(Outcome::list("petspark.mfa.list/v1", "factors", &rows, COLUMNS))
}

#[derive(Serialize)]
struct Reset {
    changed: bool,
    dry_run: bool,
    id: UserId,
    email: String,
    sessions_ended: u64,
}

async fn reset(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let (reason, dry_run) = (required::<String>(args, "reason")?, args.get_flag("dry-run"));
    let plan = auth.preview_reset_second_factor(&caller, user.id, reason).await?;
    let done = if dry_run || !plan.removed {
        plan
    } else {
        let what = format!(
            "This removes the second factor of {} and ends {} of their sessions; their password alone will sign them in.",
            user.email, plan.sessions_ended
        );
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        auth.reset_second_factor(&caller, user.id, reason).await?
    };
    let reset = Reset {
        changed: done.removed && !dry_run,
        dry_run,
        id: user.id,
        email: user.email,
        sessions_ended: done.sessions_ended,
    };
    let outcome = Outcome::record(
        "petspark.mfa.reset/v1",
        &reset,
        &[("email", |reset| reset.email.clone()), ("sessions ended", |reset| reset.sessions_ended.to_string())],
    );
    Ok(match (done.removed, dry_run) {
        (false, _) => outcome.note("They have no second factor; nothing was changed."),
        (true, true) => outcome.note("This is what would change; nothing was changed."),
        (true, false) => outcome,
    })
}
