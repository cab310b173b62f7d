//! `session`: where users are signed in, and ending that. Access tokens die with their session,
//! on running servers within the time that they believe what they looked up (two seconds).

use std::net::IpAddr;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::auth::{AuthError, ClientKind, SessionInfo, SessionSelection};
use petspark_core::{SessionId, Timestamp, UserId};
use serde::Serialize;

use crate::commands::args::{duration, flag, one_of, reason_given};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Session;

fn client() -> impl TypedValueParser<Value = ClientKind> {
    one_of(ClientKind::ALL.iter().map(|kind| kind.as_str()))
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

impl Plugin for Session {
    fn command(&self) -> Command {
        Command::new("session")
            .about("See where users are signed in, and sign them out")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("list")
                    .about("List a user's live sessions, the one used last first")
                    .arg(Arg::new("user").value_name("ID|EMAIL").required(true).help("Whose")),
            )
            .subcommand(
                Command::new("revoke")
                    .about("End the sessions that all of the options mean")
                    .arg(
                        Arg::new("session")
                            .value_name("SESSION")
                            .value_parser(value_parser!(SessionId))
                            .help("Only this one"),
                    )
                    .arg(option("user", "ID|EMAIL", "Only of this user"))
                    .arg(
                        option("except", "SESSION", "Not this one")
                            .value_parser(value_parser!(SessionId))
                            .requires("user"),
                    )
                    .arg(option("ip", "ADDRESS", "Only begun from this address").value_parser(value_parser!(IpAddr)))
                    .arg(option("client", "KIND", "Only begun by this kind of program").value_parser(client()))
                    .arg(option("older-than", "DURATION", "Only begun longer ago than this").value_parser(duration))
                    .arg(flag("all", "Everybody's; the other options still narrow it down"))
                    .group(
                        ArgGroup::new("which")
                            .args(["session", "user", "ip", "client", "older-than", "all"])
                            .required(true)
                            .multiple(true),
                    )
                    .arg(option("reason", "TEXT", "Why, for the audit log; --all needs it in production"))
                    .arg(flag("yes", "Don't ask"))
                    .arg(option("confirm", "all", "For --all: the word all, instead of being asked for it"))
                    .arg(flag("dry-run", "Only say how many it would be")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some((_, args)) => revoke(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// A session as the tool shows it.
#[derive(Serialize)]
pub(super) struct Row {
    id: SessionId,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    second_factor: bool,
    client: Option<ClientKind>,
    device_name: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
}

impl From<SessionInfo> for Row {
    fn from(session: SessionInfo) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.idle_expires_at.min(session.absolute_expires_at),
            second_factor: session.second_factor_at.is_some(),
            client: session.client,
            device_name: session.device_name,
            ip: session.ip,
            user_agent: session.user_agent,
        }
    }
}

const COLUMNS: &[Column<Row>] = &[
    ("id", |row| row.id.to_string()),
    ("last_seen_at", |row| row.last_seen_at.to_string()),
    ("expires_at", |row| row.expires_at.to_string()),
    ("client", |row| row.client.map_or_else(String::new, |client| client.to_string())),
    ("device", |row| row.device_name.clone().unwrap_or_default()),
    ("ip", |row| row.ip.clone().unwrap_or_default()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let auth = cx.petspark().await?.auth();
    let user = auth.get_user(&cx.caller(), required::<String>(args, "user")?).await?;
    let rows: Vec<Row> = auth.list_sessions(&cx.caller(), user.id).await?.into_iter().map(Row::from).collect();
    Ok(Outcome::list("petspark.session.list/v1", "sessions", &rows, COLUMNS))
}

#[derive(Serialize)]
struct Revoked {
    dry_run: bool,
    sessions: u64,
}

async fn revoke(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let petspark = cx.petspark().await?;
    let auth = petspark.auth();
    let user = match args.get_one::<String>("user") {
        Some(user) => Some(auth.get_user(&cx.caller(), user).await?.id),
        None => None,
    };
    let which = selection(args, user, petspark.clock().now());
    let dry_run = args.get_flag("dry-run");
    let count = auth.count_sessions(&cx.caller(), &which).await?;
    if count == 0 && which.id.is_some() {
        return Err(AuthError::SessionNotFound.into());
    }
    if dry_run {
        return Ok(outcome(true, count).note(format!("Would end {}.", sessions(count))));
    }
    let why = match args.get_flag("all") {
        true => reason_given(cx, args, "why is everybody signed out?")?,
        false => args.get_one::<String>("reason").cloned(),
    };
    let what = format!("This ends {}.", sessions(count));
    if args.get_flag("all") {
        cx.confirm_by_name(&what, "all", args.get_one::<String>("confirm").map(String::as_str))?;
    } else {
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
    }
    let ended = auth.revoke_sessions(&cx.caller(), &which, why.as_deref()).await?;
    Ok(outcome(false, ended).note(format!("Ended {}; running servers know within two seconds.", sessions(ended))))
}

fn selection(args: &ArgMatches, user: Option<UserId>, now: Timestamp) -> SessionSelection {
    SessionSelection {
        id: args.get_one("session").copied(),
        user,
        except: args.get_one("except").copied(),
        ip: args.get_one("ip").copied(),
        client: args.get_one("client").copied(),
        created_before: args.get_one("older-than").map(|age| now.before(*age)),
    }
}

fn sessions(count: u64) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn outcome(dry_run: bool, sessions: u64) -> Outcome {
    let fields: &[Column<Revoked>] = &[("sessions", |revoked| revoked.sessions.to_string())];
    Outcome::record("petspark.session.revoke/v1", &Revoked { dry_run, sessions }, fields)
}
