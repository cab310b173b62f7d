//! `key`: the keys that sign access tokens, and what an operator does with them.

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::auth::{KeyState, KeyStep, KeysChanged, SigningKey};
use petspark_core::{Secret, Timestamp};
use serde::Serialize;

use crate::commands::args::{duration, flag};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::output;
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Key;

fn kid() -> Arg {
    Arg::new("kid").value_name("KID").required(true).help("Which key, as `key list` names it")
}

fn dry_run() -> Arg {
    flag("dry-run", "Only say what would change")
}

impl Plugin for Key {
    fn command(&self) -> Command {
        Command::new("key")
            .about("Make, promote and retire the keys that sign access tokens")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("list").about("List the keys, newest first; with none, JWT_SECRET signs"))
            .subcommand(
                Command::new("generate")
                    .about("Make a key and publish it, so that it is known before it signs")
                    .arg(
                        Arg::new("what")
                            .value_name("WHAT")
                            .value_parser(["jwt", "secret"])
                            .default_value("jwt")
                            .help("jwt: an Ed25519 key, kept in the database; secret: text for JWT_SECRET, printed"),
                    )
                    .arg(dry_run()),
            )
            .subcommand(
                Command::new("promote")
                    .about("Let a published key sign; the one before it verifies on")
                    .arg(kid())
                    .arg(flag("force", "Even if others may not know it yet: within ten minutes of making it"))
                    .arg(dry_run()),
            )
            .subcommand(
                Command::new("retire")
                    .about("Accept nothing any more that a key signed")
                    .arg(kid())
                    .arg(flag("force", "Even if tokens it signed are still valid, or it signs now"))
                    .arg(
                        Arg::new("confirm")
                            .long("confirm")
                            .value_name("KID")
                            .help("The key again, instead of being asked"),
                    )
                    .arg(dry_run()),
            )
            .subcommand(
                Command::new("rotate")
                    .about(
                        "Do what is due: promote the published key, publish the next one, retire old ones, and seal anew \
                         what an older secret sealed; without a key, make the first one",
                    )
                    .arg(
                        Arg::new("what")
                            .value_name("WHAT")
                            .value_parser(["jwt"])
                            .default_value("jwt")
                            .help("Which kind of key"),
                    )
                    .arg(
                        Arg::new("overlap")
                            .long("overlap")
                            .value_name("DURATION")
                            .value_parser(duration)
                            .default_value("24h")
                            .help("How long a key that was replaced still verifies"),
                    )
                    .arg(dry_run()),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("generate", args)) if required::<String>(args, "what")? == "secret" => secret(),
                Some(("generate", args)) => change(cx, "petspark.key.generate/v1", &KeyStep::Generate, args).await,
                Some(("promote", args)) => {
                    let step = KeyStep::Promote {
                        kid: required::<String>(args, "kid")?.clone(),
                        force: args.get_flag("force"),
                    };
                    change(cx, "petspark.key.promote/v1", &step, args).await
                }
                Some(("retire", args)) => retire(cx, args).await,
                Some(("rotate", args)) => {
                    let step = KeyStep::Rotate { overlap: *required(args, "overlap")? };
                    change(cx, "petspark.key.rotate/v1", &step, args).await
                }
                Some(_) => list(cx).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

/// A key as the tool shows it: everything but what is secret.
#[derive(Serialize)]
struct Shown {
    kid: String,
    algorithm: &'static str,
    state: KeyState,
    public_key: String,
    created_at: Timestamp,
    activated_at: Option<Timestamp>,
    replaced_at: Option<Timestamp>,
    retired_at: Option<Timestamp>,
}

impl Shown {
    fn of(key: &SigningKey) -> Self {
        Self {
            kid: key.kid.clone(),
            algorithm: "EdDSA",
            state: key.state,
            public_key: key.x(),
            created_at: key.created_at,
            activated_at: key.activated_at,
            replaced_at: key.replaced_at,
            retired_at: key.retired_at,
        }
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

const COLUMNS: &[Column<Shown>] = &[
    ("kid", |key| key.kid.clone()),
    ("algorithm", |key| key.algorithm.to_owned()),
    ("state", |key| key.state.to_string()),
    ("created_at", |key| key.created_at.to_string()),
    ("activated_at", |key| time(key.activated_at)),
    ("replaced_at", |key| time(key.replaced_at)),
    ("retired_at", |key| time(key.retired_at)),
];

async fn list(cx: &Context) -> Result<Outcome, Failure> {
    let keys: Vec<_> = cx.petspark().await?.auth().list_keys(&cx.caller()).await?.iter().map(Shown::of).collect();
    let outcome = Outcome::list("petspark.key.list/v1", "keys", &keys, COLUMNS);
    Ok(match keys.iter().any(|key| key.state == KeyState::Active) {
        true => outcome,
        false => outcome.note("No key is active: JWT_SECRET signs."),
    })
}

/// For JWT_SECRET. Printed, because it has to be put into the server's settings by hand.
fn secret() -> Result<Outcome, Failure> {
    Ok(Outcome::text(format!("{}\n", Secret::generate()?.expose())))
}

#[derive(Serialize)]
struct Changed {
    changed: bool,
    dry_run: bool,
    made: Option<Shown>,
    promoted: Option<Shown>,
    replaced: Option<Shown>,
    retired: Vec<Shown>,
    resealed: usize,
    unopened: usize,
}

impl Changed {
    fn of(changed: &KeysChanged, dry_run: bool) -> Self {
        let [made, promoted, replaced] =
            [&changed.made, &changed.promoted, &changed.replaced].map(|key| key.as_ref().map(Shown::of));
        let retired: Vec<_> = changed.retired.iter().map(Shown::of).collect();
        let any = made.is_some() || promoted.is_some() || !retired.is_empty() || changed.resealed > 0;
        let (resealed, unopened) = (changed.resealed, changed.unopened);
        Self { changed: any && !dry_run, dry_run, made, promoted, replaced, retired, resealed, unopened }
    }
}

fn name(key: Option<&Shown>) -> String {
    key.map(|key| key.kid.clone()).unwrap_or_default()
}

const CHANGES: &[Column<Changed>] = &[
    ("made", |changed| name(changed.made.as_ref())),
    ("promoted", |changed| name(changed.promoted.as_ref())),
    ("replaced", |changed| name(changed.replaced.as_ref())),
    ("retired", |changed| changed.retired.iter().map(|key| &*key.kid).collect::<Vec<_>>().join(", ")),
    ("resealed", |changed| changed.resealed.to_string()),
    ("unopened", |changed| changed.unopened.to_string()),
];

async fn change(cx: &Context, schema: &str, step: &KeyStep, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (caller, auth) = (cx.caller(), cx.petspark().await?.auth());
    let dry_run = args.get_flag("dry-run");
    let changed =
        if dry_run { auth.preview_keys(&caller, step).await? } else { auth.change_keys(&caller, step).await? };
    let shown = Changed::of(&changed, dry_run);
    // A key that isn't really made has no name yet.
    let fields: Vec<_> = CHANGES.iter().filter(|(title, _)| !(dry_run && *title == "made")).copied().collect();
    let outcome = Outcome::record(schema, &shown, &fields);
    if shown.unopened > 0 {
        // Done all the same, as the step doesn't need them; and said in every form, before somebody takes a secret away.
        output::remark(&format!(
            "Signing keys and second factors that no secret which is set opens: {}. They stay as they are; put the secret \
             of that time at the end of auth.encryption_key, or of JWT_SECRET if that has none, and do this again. \
             `check --only auth.secrets` says whether all is well.",
            shown.unopened
        ));
    }
    Ok(match (dry_run, &shown.made, shown.changed) {
        (true, Some(_), _) => outcome.note("A key would be made, too. This is what would change; nothing was changed."),
        (true, None, _) => outcome.note("This is what would change; nothing was changed."),
        (false, Some(made), _) => {
            outcome.note(format!("Others know {} in ten minutes; then it can be promoted.", made.kid))
        }
        (false, None, false) => outcome.note("Nothing is due yet."),
        _ => outcome,
    })
}

async fn retire(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let kid: &String = required(args, "kid")?;
    let step = KeyStep::Retire { kid: kid.clone(), force: args.get_flag("force") };
    if !args.get_flag("dry-run") {
        // What can't be done is said before anybody is asked.
        cx.petspark().await?.auth().preview_keys(&cx.caller(), &step).await?;
        let what = format!("Nothing that {kid} signed will be accepted any more, and it can't be brought back.");
        cx.confirm_by_name(&what, kid, args.get_one::<String>("confirm").map(String::as_str))?;
    }
    change(cx, "petspark.key.retire/v1", &step, args).await
}
