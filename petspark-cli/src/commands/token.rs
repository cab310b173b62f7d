//! `token inspect`: why an access token is accepted, or isn't.

use std::fs::File;
use std::io::{self, Read as _};

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::Secret;
use petspark_core::auth::{TokenReport, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Token;

impl Plugin for Token {
    fn command(&self) -> Command {
        Command::new("token")
            .about("Look into access tokens")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("inspect")
                    .about("Say what a token says and which rules it keeps; exit code 5 if it isn't accepted")
                    .arg(
                        Arg::new("file")
                            .value_name("-|FILE")
                            .default_value("-")
                            .help("Where the token is; - is standard input. Never on the command line"),
                    ),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some((_, args)) => inspect(cx, required::<String>(args, "file")?).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// More than any token; a file that is endless must not be read for ever.
const MAX_BYTES: u64 = 64 * 1024;

fn read(file: &str) -> io::Result<Secret> {
    let mut text = String::new();
    match file {
        "-" => io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)?,
        path => File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?,
    };
    // As it is copied from a header.
    let token = text.trim();
    Ok(Secret::new(token.strip_prefix("Bearer ").unwrap_or(token).trim_start()))
}

#[derive(Serialize)]
struct Report {
    accepted: bool,
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
    ("accepted", |report| if report.accepted { "yes" } else { "no" }.to_owned()),
    ("form", |report| report.of("form")),
    ("type", |report| report.of("type")),
    ("key", |report| report.of("key")),
    ("algorithm", |report| report.of("algorithm")),
    ("signature", |report| report.of("signature")),
    ("issuer", |report| report.of("issuer")),
    ("audience", |report| report.of("audience")),
    ("expires", |report| report.of("expires")),
    ("not before", |report| report.of("not before")),
    ("issued", |report| report.of("issued")),
    ("session", |report| report.of("session")),
    ("claims", |report| Value::Object(report.claims.clone()).to_string()),
];

async fn inspect(cx: &Context, file: &str) -> Result<Outcome, Failure> {
    let token =
        read(file).map_err(|error| Failure::new(Exit::Usage, format!("can't read a token from {file}: {error}")))?;
    let TokenReport { accepted, header, claims, rules } =
        cx.petspark().await?.auth().inspect_token(&cx.caller(), token.expose()).await?;
    let rule = |of: petspark_core::auth::RuleVerdict| Rule { rule: of.rule, verdict: of.verdict, found: of.found };
    let report = Report { accepted, header, claims, rules: rules.into_iter().map(rule).collect() };
    let outcome = Outcome::record("petspark.token.inspect/v1", &report, FIELDS);
    Ok(if accepted { outcome } else { outcome.exit(Exit::Conflict) })
}
