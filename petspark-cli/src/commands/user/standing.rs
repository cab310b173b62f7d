//! `user set-role`, `suspend`, `unsuspend`, `ban` and `logout`: what a user may do, whether they
//! may sign in, and their sessions.

use clap::{Arg, ArgMatches, Command};
use petspark_core::auth::{Role, SessionSelection, StatusChange, UserChange, UserChanged, UserStatus};
use petspark_core::{Timestamp, UserId};
use serde::Serialize;

use super::{flag, role, selector};
use crate::commands::args::{self, End, end, reason_given};
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

fn reason(help: &'static str) -> Arg {
    Arg::new("reason").long("reason").value_name("TEXT").help(help)
}

pub(super) fn commands() -> [Command; 5] {
    let (force, dry_run) =
        (flag("force", "Even if nobody is left who can administer"), flag("dry-run", "Only say what would change"));
    [
        Command::new("set-role")
            .about("Give a user another role, and end their sessions")
            .arg(selector())
            .arg(Arg::new("role").value_name("ROLE").required(true).value_parser(role()).help("The new role"))
            .arg(args::reason())
            .arg(force.clone())
            .arg(dry_run.clone()),
        Command::new("suspend")
            .visible_alias("lock")
            .about("Keep a user from signing in for a while, and end their sessions")
            .arg(selector())
            .arg(reason("Why, for the record").required(true))
            .arg(
                Arg::new("until")
                    .long("until")
                    .value_name("TIME|DURATION")
                    .value_parser(end)
                    .help("When it ends by itself, such as 7d or 2027-01-31T00:00:00Z [default: never]"),
            )
            .arg(force.clone())
            .arg(dry_run.clone()),
        Command::new("unsuspend")
            .visible_alias("unlock")
            .about("Let a suspended or banned user sign in again")
            .arg(selector())
            .arg(reason("Why, for the record"))
            .arg(dry_run.clone()),
        Command::new("ban")
            .about("Keep a user from signing in for good, and end their sessions")
            .arg(selector())
            .arg(reason("Why, for the record").required(true))
            .arg(force)
            .arg(flag("yes", "Don't ask"))
            .arg(dry_run.clone()),
        Command::new("logout")
            .about("End all sessions of a user")
            .arg(selector())
            .arg(args::why())
            .arg(flag("yes", "Don't ask"))
            .arg(dry_run),
    ]
}

#[derive(Serialize)]
struct RoleSet {
    changed: bool,
    dry_run: bool,
    id: UserId,
    email: String,
    from: Role,
    to: Role,
    sessions_ended: u64,
}

pub(super) async fn set_role(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (force, dry_run) = (args.get_flag("force"), args.get_flag("dry-run"));
    let role_reason = if dry_run { None } else { reason_given(cx, args, "why is this role given?")? };
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let to: Role = *required(args, "role")?;
    let change = UserChange { role: Some(to), role_reason, status: None };
    let done = if dry_run {
        auth.preview_change(&caller, user.id, &change, force).await?
    } else {
        auth.change_user(&caller, user.id, &change, force).await?
    };
    let set = RoleSet {
        changed: done.changed && !dry_run,
        dry_run,
        id: user.id,
        email: done.after.email,
        from: done.before.role,
        to,
        sessions_ended: done.sessions_ended,
    };
    let outcome = Outcome::record(
        "petspark.user.set-role/v1",
        &set,
        &[
            ("email", |set| set.email.clone()),
            ("from", |set| set.from.to_string()),
            ("to", |set| set.to.to_string()),
            ("sessions ended", |set| set.sessions_ended.to_string()),
        ],
    );
    Ok(match (dry_run, set.from == to) {
        (true, _) => outcome.note("This is what would change; nothing was changed."),
        (_, true) => outcome.note("They have this role already; nothing was changed."),
        _ => outcome,
    })
}

#[derive(Serialize)]
struct Changed {
    changed: bool,
    dry_run: bool,
    id: UserId,
    email: String,
    from: UserStatus,
    to: UserStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    sessions_ended: u64,
}

/// `suspend`, `unsuspend` and `ban`.
pub(super) async fn set_status(cx: &Context, args: &ArgMatches, status: UserStatus) -> Result<Outcome, Failure> {
    let (caller, petspark) = (cx.caller(), cx.petspark().await?);
    let auth = petspark.auth();
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let until = args.try_get_one::<End>("until").ok().flatten().map(|end| end.after(petspark.clock().now()));
    let reason = args.get_one::<String>("reason").cloned();
    let change = UserChange { role: None, role_reason: None, status: Some(StatusChange { status, reason, until }) };
    let given = |name| args.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let (force, dry_run) = (given("force"), given("dry-run"));
    let plan = auth.preview_change(&caller, user.id, &change, force).await?;
    if status == UserStatus::Banned && plan.changed && !dry_run {
        let what =
            format!("{} could not sign in any more, and {} sessions would end.", user.email, plan.sessions_ended);
        cx.confirm(&what, "--yes", given("yes"))?;
    }
    let done = if dry_run { plan } else { auth.change_user(&caller, user.id, &change, force).await? };
    Ok(outcome(done, until, dry_run))
}

fn outcome(done: UserChanged, until: Option<Timestamp>, dry_run: bool) -> Outcome {
    let unchanged = !done.changed;
    let schema = match done.after.status {
        UserStatus::Active => "petspark.user.unsuspend/v1",
        UserStatus::Suspended => "petspark.user.suspend/v1",
        UserStatus::Banned => "petspark.user.ban/v1",
    };
    let changed = Changed {
        changed: done.changed && !dry_run,
        dry_run,
        id: done.after.id,
        email: done.after.email,
        from: done.before.status,
        to: done.after.status,
        until,
        sessions_ended: done.sessions_ended,
    };
    let mut fields: Vec<Column<Changed>> = vec![
        ("email", |changed| changed.email.clone()),
        ("from", |changed| changed.from.to_string()),
        ("to", |changed| changed.to.to_string()),
        ("sessions ended", |changed| changed.sessions_ended.to_string()),
    ];
    if until.is_some() {
        fields.insert(3, ("until", |changed| changed.until.map(|at| at.to_string()).unwrap_or_default()));
    }
    let outcome = Outcome::record(schema, &changed, &fields);
    match (dry_run, unchanged) {
        (true, _) => outcome.note("This is what would change; nothing was changed."),
        (_, true) => outcome.note("It is so already; nothing was changed."),
        _ => outcome,
    }
}

#[derive(Serialize)]
struct LoggedOut {
    dry_run: bool,
    id: UserId,
    email: String,
    sessions_ended: u64,
}

pub(super) async fn logout(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, auth, dry_run) = (cx.caller(), cx.petspark().await?.auth(), args.get_flag("dry-run"));
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let which = SessionSelection { user: Some(user.id), ..SessionSelection::default() };
    let planned = auth.count_sessions(&caller, &which).await?;
    let sessions_ended = if dry_run {
        planned
    } else {
        cx.confirm(&format!("This ends {planned} sessions of {}.", user.email), "--yes", args.get_flag("yes"))?;
        auth.end_sessions(&caller, user.id, args::why_given(args)).await?
    };
    let done = LoggedOut { dry_run, id: user.id, email: user.email, sessions_ended };
    let outcome = Outcome::record(
        "petspark.user.logout/v1",
        &done,
        &[("email", |done| done.email.clone()), ("sessions ended", |done| done.sessions_ended.to_string())],
    );
    Ok(if dry_run { outcome.note("This is what would change; nothing was changed.") } else { outcome })
}
