//! `audit`: who did what to whom, from where, and whether it worked.

use std::path::PathBuf;
use std::pin::pin;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use petspark_core::audit::{Action, AuditFilter, Entry};
use petspark_core::{AuditId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::commands::args::{one_of, page, page_options};
use crate::commands::records::Records;
use crate::commands::sink::{Sink, output_option};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};
use crate::when::when;

pub(crate) struct Audit;

fn action() -> impl TypedValueParser<Value = Action> {
    one_of(Action::ALL.iter().map(|action| action.as_str()))
}

fn filters(command: Command) -> Command {
    let option = |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    command
        .arg(option("actor", "WHO", "Only what they did: a user by id or e-mail address, or a name as it is listed"))
        .arg(
            option("action", "ACTION", "Only this, for example authn_login_fail")
                .value_parser(action())
                .hide_possible_values(true),
        )
        .arg(option(
            "subject",
            "WHAT",
            "Only what was done to this: a user by id or e-mail address, or a name as it is listed",
        ))
        .arg(
            option("since", "TIME", "Not before: 2026-11-23T12:00:00Z, 2026-11-23, or 24h for that long ago")
                .value_parser(when),
        )
        .arg(option("until", "TIME", "Before this time").value_parser(when))
}

impl Plugin for Audit {
    fn command(&self) -> Command {
        Command::new("audit")
            .about("Look at who did what, and export it")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                filters(Command::new("list").about("List entries of the audit log, newest first")).args(page_options()),
            )
            .subcommand(
                filters(Command::new("export").about(
                    "Write entries as JSON lines, oldest first; on standard output with --format json as one array",
                ))
                .arg(output_option()),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("list", args)) => list(cx, args).await,
                Some((_, args)) => export(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

async fn filter(cx: &Context, args: &ArgMatches) -> Result<AuditFilter, Failure> {
    Ok(AuditFilter {
        actor: named(cx, args, "actor").await?,
        action: args.get_one("action").copied(),
        subject: named(cx, args, "subject").await?,
        from: args.get_one("since").copied(),
        to: args.get_one("until").copied(),
    })
}

/// The log has no e-mail addresses. `cli:ada@host` looks like one, and isn't.
async fn named(cx: &Context, args: &ArgMatches, name: &str) -> Result<Option<String>, Failure> {
    let Some(text) = args.get_one::<String>(name) else { return Ok(None) };
    if text.contains('@') && !text.starts_with("cli:") {
        let user = cx.petspark().await?.auth().get_user(&cx.caller(), text).await?;
        return Ok(Some(user.id.to_string()));
    }
    Ok(Some(text.clone()))
}

/// An entry as the tool shows it.
#[derive(Serialize)]
struct Shown {
    id: AuditId,
    at: Timestamp,
    actor: String,
    action: String,
    subject: Option<String>,
    succeeded: bool,
    reason: Option<String>,
    ip: Option<String>,
    request_id: Option<String>,
    details: Value,
}

impl Shown {
    fn of(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            succeeded: entry.succeeded,
            reason: entry.reason,
            ip: entry.ip,
            request_id: entry.request_id,
            details: entry.details,
        }
    }
}

const COLUMNS: &[Column<Shown>] = &[
    ("at", |entry| entry.at.to_string()),
    ("actor", |entry| entry.actor.clone()),
    ("action", |entry| entry.action.clone()),
    ("subject", |entry| entry.subject.clone().unwrap_or_default()),
    ("result", |entry| if entry.succeeded { "success" } else { "failure" }.to_owned()),
    ("reason", |entry| entry.reason.clone().unwrap_or_default()),
    ("ip", |entry| entry.ip.clone().unwrap_or_default()),
];

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let page = page(args)?;
    let filter = filter(cx, args).await?;
    let entries = cx.petspark().await?.audit().list(&cx.caller(), filter, &page).await?.map(Shown::of);
    let next = entries.next_cursor.as_deref();
    Ok(Outcome::page("petspark.audit.list/v1", "entries", &entries.items, next, COLUMNS))
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    entries: usize,
}

async fn export(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let path: &PathBuf = required(args, "output")?;
    let filter = filter(cx, args).await?;
    let mut batches = pin!(cx.petspark().await?.audit().export(&cx.caller(), filter)?);
    let (mut sink, mut records) = (Sink::open(path)?, Records::to(cx, path));
    let mut entries = 0;
    while let Some(batch) = batches.try_next().await? {
        entries += batch.len();
        let shown: Vec<_> = batch.into_iter().map(Shown::of).collect();
        sink.write(&records.text(&shown)?)?;
    }
    sink.write(records.end())?;
    let Some(file) = sink.finish()? else { return Ok(Outcome::done()) };
    let exported = Exported { file, entries };
    Ok(Outcome::record(
        "petspark.audit.export/v1",
        &exported,
        &[
            ("file", |exported| exported.file.display().to_string()),
            ("entries", |exported| exported.entries.to_string()),
        ],
    ))
}
