//! `billing status`, `account`, `sync` and `webhook setup`: how payments are, and whether Stripe agrees.

use clap::ArgMatches;
use petspark_core::billing::{Difference, StripeAccount, SyncReport};
use serde::Serialize;

use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

#[derive(Serialize)]
struct Status {
    configured: bool,
    live: bool,
    account: Option<String>,
    account_live: Option<bool>,
    api_version: Option<&'static str>,
    outage: Option<String>,
    held: Option<String>,
    prices: u64,
    events_pending: u64,
    oldest_pending: Option<petspark_core::Timestamp>,
    events_dead: u64,
    dead_cause: Option<String>,
    open_operations: u64,
}

pub(super) async fn status(cx: &Context) -> Result<Outcome, Failure> {
    let (billing, caller) = (cx.petspark().await?.billing(), cx.caller());
    let held = match billing.is_configured() {
        true => {
            billing.check_account(&caller).await.err().map(|error| error.cause().unwrap_or_else(|| error.to_string()))
        }
        false => None,
    };
    let status = billing.status(&caller).await?;
    let shown = Status {
        configured: status.configured,
        live: status.live,
        account: status.account.as_ref().map(|account| account.id.clone()),
        account_live: status.account.map(|account| account.live),
        api_version: status.api_version,
        outage: status.outage,
        held,
        prices: status.prices,
        events_pending: status.events_pending,
        oldest_pending: status.oldest_pending,
        events_dead: status.events_dead,
        dead_cause: status.dead_cause,
        open_operations: status.open_operations,
    };
    let fields: &[Column<Status>] = &[
        ("payments", |status| match (status.configured, status.live) {
            (false, _) => "off: there is no key".to_owned(),
            (true, false) => "on, test mode".to_owned(),
            (true, true) => "on, live".to_owned(),
        }),
        ("account", |status| status.account.clone().unwrap_or_default()),
        ("held", |status| status.held.clone().unwrap_or_default()),
        ("api_version", |status| status.api_version.unwrap_or_default().to_owned()),
        ("prices", |status| status.prices.to_string()),
        ("events_pending", |status| status.events_pending.to_string()),
        ("oldest_pending", |status| status.oldest_pending.map(|at| at.to_string()).unwrap_or_default()),
        ("events_dead", |status| status.events_dead.to_string()),
        ("dead_cause", |status| status.dead_cause.clone().unwrap_or_default()),
        ("open_operations", |status| status.open_operations.to_string()),
    ];
    let mut outcome = Outcome::record("petspark.billing.status/v1", &shown, fields);
    if shown.held.is_some() {
        outcome =
            outcome.note("Stripe is asked for nothing until that is mended; `billing account` tells whose the key is.");
    }
    Ok(match shown.events_dead {
        0 => outcome,
        _ => {
            outcome.note("Events were given up: see `billing events --status dead`, then `billing replay --all-dead`.")
        }
    })
}

#[derive(Serialize)]
struct Accounts {
    dry_run: bool,
    kept: Option<String>,
    kept_live: Option<bool>,
    key: String,
    key_live: bool,
    same: bool,
}

pub(super) async fn account(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (billing, caller) = (cx.petspark().await?.billing(), cx.caller());
    let (accept, dry_run) = (args.get_flag("accept"), args.get_flag("dry-run"));
    let mut accounts = billing.accounts(&caller).await?;
    if accept && !dry_run {
        let kept = accounts.kept.as_ref().map_or("nobody's".to_owned(), StripeAccount::to_string);
        let what = format!("Take {} for the account whose payments are kept here, instead of {kept}", accounts.key);
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        accounts = billing.accept_account(&caller, required::<String>(args, "reason")?).await?;
    }
    let shown = Accounts {
        dry_run,
        same: accounts.kept.as_ref() == Some(&accounts.key),
        kept: accounts.kept.as_ref().map(|account| account.id.clone()),
        kept_live: accounts.kept.map(|account| account.live),
        key: accounts.key.id,
        key_live: accounts.key.live,
    };
    let fields: &[Column<Accounts>] = &[
        ("kept", |shown| named(shown.kept.as_deref(), shown.kept_live)),
        ("key", |shown| named(Some(&shown.key), Some(shown.key_live))),
        ("same", |shown| shown.same.to_string()),
    ];
    let outcome = Outcome::record("petspark.billing.account/v1", &shown, fields);
    Ok(match (accept, dry_run) {
        (true, true) => outcome.note("Nothing was changed."),
        (true, false) => outcome
            .note("Look at what differs by `billing sync --dry-run`, then mend it by `billing sync --although-gone`."),
        (false, _) => outcome,
    })
}

fn named(id: Option<&str>, live: Option<bool>) -> String {
    let mode = if live == Some(true) { "live" } else { "test mode" };
    id.map(|id| format!("{id}, {mode}")).unwrap_or_default()
}

const COLUMNS: &[Column<Difference>] = &[
    ("object", |difference| difference.object.clone()),
    ("field", |difference| difference.field.clone()),
    ("here", |difference| difference.here.clone().unwrap_or_default()),
    ("there", |difference| difference.there.clone().unwrap_or_default()),
    ("mended", |difference| difference.mended.to_string()),
];

pub(super) async fn sync(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let dry_run = args.get_flag("dry-run");
    let (billing, caller) = (cx.petspark().await?.billing(), cx.caller());
    let report = match args.get_flag("although-gone") {
        true => {
            let what = "Take customers that Stripe doesn't know for deleted, however many they are";
            cx.confirm(what, "--yes", args.get_flag("yes"))?;
            billing.sync_although_gone(&caller).await?
        }
        false => billing.sync(&caller, dry_run).await?,
    };
    let said = summary(&report);
    let outcome = Outcome::list("petspark.billing.sync/v1", "differences", &report.differences, COLUMNS).note(said);
    Ok(if dry_run { outcome.note("Nothing was changed.") } else { outcome })
}

fn summary(report: &SyncReport) -> String {
    format!(
        "Looked at {} products and prices, {} customers, {} subscriptions and {} payments of the last 30 days; {} differences.",
        report.catalogue,
        report.customers,
        report.subscriptions,
        report.payments,
        report.differences.len()
    )
}

#[derive(Serialize)]
struct Endpoint {
    dry_run: bool,
    id: Option<String>,
    url: String,
    api_version: Option<String>,
    secret: Option<String>,
}

/// The secret goes to standard output, where it can be piped on: Stripe never tells it again.
pub(super) async fn set_up(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (billing, caller, url) = (cx.petspark().await?.billing(), cx.caller(), required::<String>(args, "url")?);
    let fields: &[Column<Endpoint>] = &[
        ("id", |endpoint| endpoint.id.clone().unwrap_or_default()),
        ("url", |endpoint| endpoint.url.clone()),
        ("api_version", |endpoint| endpoint.api_version.clone().unwrap_or_default()),
        ("secret", |endpoint| endpoint.secret.clone().unwrap_or_default()),
    ];
    let schema = "petspark.billing.webhook/v1";
    if args.get_flag("dry-run") {
        billing.check_webhook(&caller, url).await?;
        let planned = Endpoint { dry_run: true, id: None, url: url.clone(), api_version: None, secret: None };
        return Ok(Outcome::record(schema, &planned, fields).note("Nothing was set up."));
    }
    let made = billing.set_up_webhook(&caller, url).await?;
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    let made = Endpoint { dry_run: false, id: Some(made.id), url: made.url, api_version: made.api_version, secret };
    Ok(Outcome::record(schema, &made, fields)
        .note("Put the secret into STRIPE_WEBHOOK_SECRET, or a file that STRIPE_WEBHOOK_SECRET_FILE names: it isn't told again."))
}
