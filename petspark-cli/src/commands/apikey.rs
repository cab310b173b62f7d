//! `apikey`: keys by which other services sign their requests.

use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::auth::{ApiKey, ApiKeyState, IssuedApiKey, NewApiKey, Permission};
use petspark_core::config::Value as _;
use petspark_core::{ApiKeyId, Timestamp};
use serde::Serialize;

use crate::commands::args::{duration, flag, one_of, page, page_options, why, why_given};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct ApiKeys;

fn scope() -> impl TypedValueParser<Value = Permission> {
    one_of(Permission::scopes().map(Permission::as_str))
}

/// `None` is for ever.
fn lifetime(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "never" => Ok(None),
        text => Duration::parse(text).map(Some).map_err(|expected| format!("must be never, or {expected}")),
    }
}

fn selector() -> Arg {
    Arg::new("key").value_name("ID|NAME").required(true).help("Which, by id or name")
}

impl Plugin for ApiKeys {
    fn command(&self) -> Command {
        Command::new("apikey")
            .about("Make, rotate and revoke the keys of other services")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("create")
                    .about("Make a key and print it, this once")
                    .arg(Arg::new("name").value_name("NAME").required(true).help("What the key is for"))
                    .arg(
                        Arg::new("scope")
                            .long("scope")
                            .value_name("SCOPE")
                            .value_parser(scope())
                            .value_delimiter(',')
                            .action(ArgAction::Append)
                            .required(true)
                            .help("What it may do; several are separated by commas"),
                    )
                    .arg(
                        Arg::new("expires")
                            .long("expires")
                            .value_name("DURATION")
                            .value_parser(lifetime)
                            .default_value("365d")
                            .help("How long it counts, such as 90d; or never"),
                    ),
            )
            .subcommand(
                Command::new("list")
                    .about("List keys, newest first")
                    .arg(flag("all", "Those that were revoked, too"))
                    .args(page_options()),
            )
            .subcommand(Command::new("show").about("Show a key, without its secret").arg(selector()))
            .subcommand(
                Command::new("rotate").about("Give a key another secret and print it, this once").arg(selector()).arg(
                    Arg::new("overlap")
                        .long("overlap")
                        .value_name("DURATION")
                        .value_parser(duration)
                        .default_value("24h")
                        .help("How long the secret it has still counts"),
                ),
            )
            .subcommand(
                Command::new("revoke")
                    .about("End a key at once")
                    .arg(selector())
                    .arg(why())
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would be ended")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("create", args)) => create(cx, args).await,
                Some(("list", args)) => list(cx, args).await,
                Some(("rotate", args)) => rotate(cx, args).await,
                Some(("revoke", args)) => revoke(cx, args).await,
                Some((_, args)) => show(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// A key as the tool shows it.
#[derive(Serialize)]
struct Shown {
    id: ApiKeyId,
    name: String,
    state: ApiKeyState,
    scopes: Vec<Permission>,
    created_by: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    rotated_at: Option<Timestamp>,
    previous_expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl Shown {
    fn of(key: ApiKey, now: Timestamp) -> Self {
        Self {
            id: key.id,
            state: key.state(now),
            name: key.name,
            scopes: key.scopes.iter().collect(),
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            rotated_at: key.rotated_at,
            previous_expires_at: key.previous_expires_at.filter(|end| *end > now),
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }

    fn scopes(&self) -> String {
        self.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

const FIELDS: &[Column<Shown>] = &[
    ("id", |key| key.id.to_string()),
    ("name", |key| key.name.clone()),
    ("state", |key| key.state.to_string()),
    ("scopes", Shown::scopes),
    ("created_by", |key| key.created_by.clone()),
    ("created_at", |key| key.created_at.to_string()),
    ("expires_at", |key| time(key.expires_at)),
    ("rotated_at", |key| time(key.rotated_at)),
    ("previous_expires_at", |key| time(key.previous_expires_at)),
    ("last_used_at", |key| time(key.last_used_at)),
    ("revoked_at", |key| time(key.revoked_at)),
];

#[derive(Serialize)]
struct Issued {
    #[serde(flatten)]
    key: Shown,
    token: String,
}

fn issued(schema: &str, issued: IssuedApiKey, now: Timestamp) -> Outcome {
    let issued = Issued { token: issued.token.expose().to_owned(), key: Shown::of(issued.key, now) };
    let fields: &[Column<Issued>] = &[
        ("id", |issued| issued.key.id.to_string()),
        ("name", |issued| issued.key.name.clone()),
        ("scopes", |issued| issued.key.scopes()),
        ("expires_at", |issued| time(issued.key.expires_at)),
        ("previous_expires_at", |issued| time(issued.key.previous_expires_at)),
        ("token", |issued| issued.token.clone()),
    ];
    let shown =
        |(title, _): &&Column<Issued>| *title != "previous_expires_at" || issued.key.previous_expires_at.is_some();
    let fields: Vec<_> = fields.iter().filter(shown).copied().collect();
    Outcome::record(schema, &issued, &fields).note("The token is shown this once only.")
}

async fn create(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let new = NewApiKey {
        name: required::<String>(args, "name")?.clone(),
        scopes: args.get_many("scope").into_iter().flatten().copied().collect(),
        expires_in: *required(args, "expires")?,
    };
    let petspark = cx.petspark().await?;
    let key = petspark.auth().create_api_key(&cx.caller(), &new).await?;
    Ok(issued("petspark.apikey.create/v1", key, petspark.clock().now()))
}

async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let page = page(args)?;
    let petspark = cx.petspark().await?;
    let now = petspark.clock().now();
    let keys = petspark.auth().list_api_keys(&cx.caller(), args.get_flag("all"), &page).await?;
    let keys = keys.map(|key| Shown::of(key, now));
    let cursor = keys.next_cursor.as_deref();
    let shown = ["id", "name", "state", "scopes", "created_at", "expires_at", "last_used_at"];
    let columns: Vec<_> = FIELDS.iter().filter(|(title, _)| shown.contains(title)).copied().collect();
    Ok(Outcome::page("petspark.apikey.list/v1", "apikeys", &keys.items, cursor, &columns))
}

async fn show(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let petspark = cx.petspark().await?;
    let key = petspark.auth().get_api_key(&cx.caller(), required::<String>(args, "key")?).await?;
    Ok(Outcome::record("petspark.apikey.show/v1", &Shown::of(key, petspark.clock().now()), FIELDS))
}

async fn rotate(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, petspark) = (cx.caller(), cx.petspark().await?);
    let key = petspark.auth().get_api_key(&caller, required::<String>(args, "key")?).await?;
    let key = petspark.auth().rotate_api_key(&caller, key.id, *required(args, "overlap")?).await?;
    Ok(issued("petspark.apikey.rotate/v1", key, petspark.clock().now()))
}

#[derive(Serialize)]
struct Revoked {
    changed: bool,
    dry_run: bool,
    id: ApiKeyId,
    name: String,
    last_used_at: Option<Timestamp>,
}

async fn revoke(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, petspark, dry_run) = (cx.caller(), cx.petspark().await?, args.get_flag("dry-run"));
    let key = petspark.auth().get_api_key(&caller, required::<String>(args, "key")?).await?;
    let counts = key.revoked_at.is_none();
    if counts && !dry_run {
        let last = key.last_used_at.map_or("was never used".to_owned(), |at| format!("was last used at {at}"));
        cx.confirm(&format!("The key {} {last}.", key.name), "--yes", args.get_flag("yes"))?;
    }
    let changed = !dry_run && petspark.auth().revoke_api_key(&caller, key.id, why_given(args)).await?;
    let revoked = Revoked { changed, dry_run, id: key.id, name: key.name, last_used_at: key.last_used_at };
    let outcome = Outcome::record(
        "petspark.apikey.revoke/v1",
        &revoked,
        &[
            ("id", |revoked| revoked.id.to_string()),
            ("name", |revoked| revoked.name.clone()),
            ("last_used_at", |revoked| time(revoked.last_used_at)),
        ],
    );
    Ok(match (dry_run, counts) {
        (true, true) => outcome.note("This is the key that would end; nothing was changed."),
        (_, false) => outcome.note("It was revoked before; nothing was changed."),
        _ => outcome,
    })
}
