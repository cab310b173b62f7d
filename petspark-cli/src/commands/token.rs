//! `token`: why an access token is accepted or isn't, and ending what a token belongs to.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::auth::{AuthError, SessionSelection, TokenHolder, TokenKind, TokenReport, Verdict};
use petspark_core::{Secret, SessionId, UserId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::args::{flag, why, why_given};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};
use crate::prompt;

pub(crate) struct Token;

fn file() -> Arg {
    Arg::new("token-file")
        .value_name("-|FILE")
        .default_value("-")
        .help("Where the token is; - is standard input. Never on the command line")
}

impl Plugin for Token {
    fn command(&self) -> Command {
        Command::new("token")
            .about("Look into tokens, and end what they belong to")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("inspect")
                    .about(
                        "Say what a token is, what it says and which rules it keeps; exit code 5 if it isn't accepted",
                    )
                    .arg(file()),
            )
            .subcommand(
                Command::new("revoke")
                    .about("End the session that an access or a refresh token belongs to")
                    .arg(file())
                    .arg(why())
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say which session it is")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("revoke", args)) => revoke(cx, args).await,
                Some((_, args)) => inspect(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// More than any token; a file that is endless must not be read for ever.
const MAX_BYTES: u64 = 64 * 1024;

fn read(args: &ArgMatches) -> Result<Secret, Failure> {
    let file = required::<String>(args, "token-file")?;
    let mut text = String::new();
    let read = match file.as_str() {
        "-" => io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text),
        path => File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)),
    };
    read.map_err(|error| {
        let place = if file == "-" { "standard input".to_owned() } else { prompt::named(Path::new(file)) };
        Failure::new(Exit::Usage, format!("can't read a token from {place}: {error}"))
    })?;
    match bare(&text) {
        // Whatever should have brought it has failed, and that says nothing about the token.
        "" => Err(Failure::new(Exit::Usage, "there is no token: what was read is empty")),
        token => Ok(Secret::new(token)),
    }
}

/// A token without what is copied along with it: a header's name, the scheme, quotes.
fn bare(text: &str) -> &str {
    let mut token = text.trim();
    for before in ["authorization:", "bearer "] {
        let begins = token.get(..before.len()).is_some_and(|start| start.eq_ignore_ascii_case(before));
        token = token.get(before.len()..).filter(|_| begins).unwrap_or(token).trim_start();
    }
    token.trim_matches(['"', '\''])
}

#[derive(Serialize)]
struct Report {
    kind: TokenKind,
    accepted: bool,
    api_key: Option<String>,
    session: Option<SessionId>,
    user: Option<UserId>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    rule: &'static str,
    verdict: Verdict,
    found: String,
}

impl Report {
    fn of(&self, name: &str) -> String {
        let rule = self.rules.iter().find(|rule| rule.rule == name);
        rule.map(|rule| format!("{} ({})", rule.verdict, rule.found)).unwrap_or_default()
    }
}

const FIELDS: &[Column<Report>] = &[
    ("kind", |report| report.kind.to_string()),
    ("accepted", |report| if report.accepted { "yes" } else { "no" }.to_owned()),
    ("api key", |report| report.api_key.clone().unwrap_or_default()),
    ("user", |report| report.user.map(|user| user.to_string()).unwrap_or_default()),
    ("form", |report| report.of("form")),
    ("type", |report| report.of("type")),
    ("key", |report| report.of("key")),
    ("algorithm", |report| report.of("algorithm")),
    ("signature", |report| report.of("signature")),
    ("secret", |report| report.of("secret")),
    ("issuer", |report| report.of("issuer")),
    ("audience", |report| report.of("audience")),
    ("expires", |report| report.of("expires")),
    ("not before", |report| report.of("not before")),
    ("issued", |report| report.of("issued")),
    ("session", |report| report.of("session")),
    ("generation", |report| report.of("generation")),
    ("claims", |report| Value::Object(report.claims.clone()).to_string()),
];

async fn inspect(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let token = read(args)?;
    let TokenReport { kind, accepted, api_key, holder, header, claims, rules } =
        cx.petspark().await?.auth().inspect_token(&cx.caller(), token.expose()).await?;
    let rule = |of: petspark_core::auth::RuleVerdict| Rule { rule: of.rule, verdict: of.verdict, found: of.found };
    let (session, user) = holder.unzip();
    let rules = rules.into_iter().map(rule).collect();
    let report = Report { kind, accepted, api_key, session, user, header, claims, rules };
    let is_told = |(title, text): &&Column<Report>| *title == "accepted" || !text(&report).is_empty();
    let fields: Vec<_> = FIELDS.iter().filter(is_told).copied().collect();
    let outcome = Outcome::record("petspark.token.inspect/v1", &report, &fields);
    let outcome = match (kind, &report.api_key) {
        (TokenKind::Refresh, _) if session.is_some() => {
            outcome.note("It is for renewing a session, which `token revoke` ends.")
        }
        (TokenKind::ApiKey, Some(name)) if accepted => outcome.note(format!("`apikey revoke {name}` ends it.")),
        _ => outcome,
    };
    Ok(if accepted { outcome } else { outcome.exit(Exit::Conflict) })
}

#[derive(Serialize)]
struct Revoked {
    changed: bool,
    dry_run: bool,
    session: SessionId,
    user: Option<UserId>,
}

async fn revoke(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, token, dry_run) = (cx.caller(), read(args)?, args.get_flag("dry-run"));
    let auth = cx.petspark().await?.auth();
    let (session, user) = match auth.holder_of_token(&caller, token.expose()).await? {
        TokenHolder::Session(session, user) => (session, user),
        TokenHolder::ApiKey(key) => {
            let message =
                format!("this is the API key {}, and not of a session; `apikey revoke {}` ends it", key.name, key.name);
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let which = SessionSelection { id: Some(session), ..SessionSelection::default() };
    if auth.count_sessions(&caller, &which).await? == 0 {
        return Err(AuthError::SessionNotFound.into());
    }
    if !dry_run {
        cx.confirm(&format!("This ends the session {session}."), "--yes", args.get_flag("yes"))?;
        auth.revoke_sessions(&caller, &which, why_given(args)).await?;
    }
    let revoked = Revoked { changed: !dry_run, dry_run, session, user };
    let fields: &[Column<Revoked>] = &[
        ("session", |revoked| revoked.session.to_string()),
        ("user", |revoked| revoked.user.map(|user| user.to_string()).unwrap_or_default()),
    ];
    let outcome = Outcome::record("petspark.token.revoke/v1", &revoked, fields);
    Ok(outcome.note(if dry_run {
        "This is what would end; nothing was changed."
    } else {
        "It has ended; running servers know within two seconds."
    }))
}
