//! `user list` and `user show`: who there is, and what an operator wants to know of somebody who
//! asks for help.

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command};
use petspark_core::Timestamp;
use petspark_core::auth::{Bucket, Factors, Throttled, UserDetails, UserFilter, UserStatus};
use serde::Serialize;

use super::{FIELDS, Shown, flag, role, selector, time};
use crate::commands::args::{one_of, page, page_options};
use crate::commands::session::Row as Session;
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};
use crate::when::when;

fn status() -> impl TypedValueParser<Value = UserStatus> {
    one_of(UserStatus::ALL.iter().map(|status| status.as_str()))
}

pub(super) fn commands() -> [Command; 2] {
    let option = |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    [
        Command::new("list")
            .about("List users, newest first")
            .arg(option("search", "TEXT", "Only those whose address or name begins so"))
            .arg(option("role", "ROLE", "Only with this role").value_parser(role()))
            .arg(option("status", "STATUS", "Only with this status").value_parser(status()))
            .arg(flag("unverified", "Only those whose address was never proven to be theirs"))
            .arg(
                option(
                    "created-after",
                    "TIME",
                    "Only made after: 2026-11-23T12:00:00Z, 2026-11-23, or 24h for that long ago",
                )
                .visible_alias("since")
                .value_parser(when),
            )
            .args(page_options()),
        Command::new("show")
            .about("Show a user: standing, second factor, sessions, and whether they are slowed down")
            .arg(selector()),
    ]
}

pub(super) async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let filter = UserFilter {
        q: args.get_one("search").cloned(),
        role: args.get_one("role").copied(),
        status: args.get_one("status").copied(),
        verified: args.get_flag("unverified").then_some(false),
        created_after: args.get_one("created-after").copied(),
    };
    let page = page(args)?;
    let users = cx.petspark().await?.auth().list_users(&cx.caller(), &filter, &page).await?.map(Shown::of);
    let cursor = users.next_cursor.as_deref();
    // Who they are and what the list is sorted by; the rest is in JSON.
    let shown = ["id", "email", "name", "role", "status", "created_at"];
    let columns: Vec<_> = FIELDS.iter().filter(|(title, _)| shown.contains(title)).copied().collect();
    Ok(Outcome::page("petspark.user.list/v1", "users", &users.items, cursor, &columns))
}

/// A user and all around them.
#[derive(Serialize)]
struct Full {
    #[serde(flatten)]
    user: Shown,
    suspended_until: Option<Timestamp>,
    status_reason: Option<String>,
    last_login_at: Option<Timestamp>,
    totp_since: Option<Timestamp>,
    recovery_codes_left: u32,
    sessions: Vec<Session>,
    throttles: Vec<Slowed>,
}

/// What is counted about somebody's sign-ins and mails.
#[derive(Serialize)]
struct Slowed {
    bucket: Bucket,
    ip: Option<String>,
    count: u64,
    refused_until: Option<Timestamp>,
}

impl Full {
    fn of(details: UserDetails, factors: Factors, sessions: Vec<Session>, throttles: Vec<Throttled>) -> Self {
        let slowed =
            |of: Throttled| Slowed { bucket: of.bucket, ip: of.ip, count: of.count, refused_until: of.refused_until };
        Self {
            user: Shown::of(details.user),
            suspended_until: details.suspended_until,
            status_reason: details.status_reason,
            last_login_at: details.last_login_at,
            totp_since: factors.totp_since,
            recovery_codes_left: factors.recovery_codes_left,
            sessions,
            throttles: throttles.into_iter().map(slowed).collect(),
        }
    }
}

const ALL_FIELDS: &[Column<Full>] = &[
    ("id", |full| full.user.id.to_string()),
    ("email", |full| full.user.email.clone()),
    ("email_verified_at", |full| time(full.user.email_verified_at)),
    ("name", |full| full.user.name.clone()),
    ("role", |full| full.user.role.to_string()),
    ("status", |full| full.user.status.to_string()),
    ("suspended_until", |full| time(full.suspended_until)),
    ("status_reason", |full| full.status_reason.clone().unwrap_or_default()),
    ("created_at", |full| full.user.created_at.to_string()),
    ("updated_at", |full| full.user.updated_at.to_string()),
    ("last_login_at", |full| time(full.last_login_at)),
    ("last_seen_at", |full| time(full.user.last_seen_at)),
    ("totp_since", |full| time(full.totp_since)),
    ("recovery_codes_left", |full| full.recovery_codes_left.to_string()),
    ("sessions", |full| full.sessions.len().to_string()),
    ("refused_until", |full| time(full.throttles.iter().filter_map(|slowed| slowed.refused_until).max())),
];

pub(super) async fn show(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let user = auth.get_user(&caller, required::<String>(args, "user")?).await?;
    let details = auth.user_details(&caller, user.id).await?;
    let factors = auth.factors(&caller, user.id).await?;
    let sessions = auth.list_sessions(&caller, user.id).await?.into_iter().map(Session::from).collect();
    let throttles = auth.list_throttles(&caller, Some(&user.email)).await?;
    Ok(Outcome::record("petspark.user.show/v1", &Full::of(details, factors, sessions, throttles), ALL_FIELDS))
}
