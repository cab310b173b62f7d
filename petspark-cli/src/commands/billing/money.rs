//! `billing grant`, `grants`, `revoke-grant` and `refund`: giving plans and money, and taking plans back.

use clap::ArgMatches;
use petspark_core::billing::{BillingError, Grant, NewGrant, NewRefund, Refund, Source};
use petspark_core::{GrantId, Timestamp, UserId};
use serde::Serialize;

use crate::commands::args::End;
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

/// A grant as the tool shows it.
#[derive(Serialize)]
struct Shown {
    dry_run: bool,
    id: Option<GrantId>,
    user_id: UserId,
    source: Source,
    plan: String,
    reason: Option<String>,
    payment_id: Option<String>,
    granted_by: String,
    until: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl Shown {
    fn of(grant: Grant, id: Option<GrantId>, dry_run: bool) -> Self {
        Self {
            dry_run,
            id,
            user_id: grant.user_id,
            source: grant.source,
            plan: grant.plan,
            reason: grant.reason,
            payment_id: grant.payment_id,
            granted_by: grant.granted_by,
            until: grant.ends_at,
            revoked_at: grant.revoked_at,
            created_at: grant.created_at,
        }
    }
}

const FIELDS: &[Column<Shown>] = &[
    ("id", |grant| grant.id.map(|id| id.to_string()).unwrap_or_default()),
    ("user_id", |grant| grant.user_id.to_string()),
    ("source", |grant| grant.source.to_string()),
    ("plan", |grant| grant.plan.clone()),
    ("reason", |grant| grant.reason.clone().unwrap_or_default()),
    ("until", |grant| grant.until.map(|at| at.to_string()).unwrap_or_default()),
];

const COLUMNS: &[Column<Shown>] = &[
    ("id", |grant| grant.id.map(|id| id.to_string()).unwrap_or_default()),
    ("source", |grant| grant.source.to_string()),
    ("plan", |grant| grant.plan.clone()),
    ("created_at", |grant| grant.created_at.to_string()),
    ("until", |grant| grant.until.map(|at| at.to_string()).unwrap_or_default()),
    ("revoked_at", |grant| grant.revoked_at.map(|at| at.to_string()).unwrap_or_default()),
    ("payment", |grant| grant.payment_id.clone().unwrap_or_default()),
    ("reason", |grant| grant.reason.clone().unwrap_or_default()),
];

pub(super) async fn grants(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (petspark, caller) = (cx.petspark().await?, cx.caller());
    let user = petspark.auth().get_user(&caller, required::<String>(args, "user")?).await?;
    let grants = petspark.billing().grants(&caller, user.id).await?.into_iter();
    let shown: Vec<_> = grants
        .map(|grant| {
            let id = grant.id;
            Shown::of(grant, Some(id), false)
        })
        .collect();
    Ok(Outcome::list("petspark.billing.grants/v1", "grants", &shown, COLUMNS))
}

fn reason(args: &ArgMatches) -> Result<String, Failure> {
    required::<String>(args, "reason").cloned()
}

pub(super) async fn grant(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (petspark, caller) = (cx.petspark().await?, cx.caller());
    let user = petspark.auth().get_user(&caller, required::<String>(args, "user")?).await?;
    let until = args.get_one::<End>("until").map(|end| end.after(petspark.clock().now()));
    let plan = required::<String>(args, "plan")?.clone();
    let new = NewGrant { user: user.id, plan, reason: reason(args)?, until };
    let schema = "petspark.billing.grant/v1";
    if args.get_flag("dry-run") {
        let grant = petspark.billing().preview_grant(&caller, new).await?;
        return Ok(Outcome::record(schema, &Shown::of(grant, None, true), FIELDS).note("Nothing was given."));
    }
    let grant = petspark.billing().grant(&caller, new).await?;
    let id = Some(grant.id);
    Ok(Outcome::record(schema, &Shown::of(grant, id, false), FIELDS))
}

pub(super) async fn revoke(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (billing, caller, reason) = (cx.petspark().await?.billing(), cx.caller(), reason(args)?);
    // What is no id is the id of nothing.
    let id = required::<String>(args, "id")?.parse().map_err(|_| BillingError::NotFound("grant"))?;
    let mut grant = billing.preview_revocation(&caller, id, &reason).await?;
    let dry_run = args.get_flag("dry-run");
    if !dry_run {
        let what = format!("Take the plan {} from {}", grant.plan, grant.user_id);
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        grant = billing.revoke_grant(&caller, id, &reason).await?;
    }
    let outcome = Outcome::record("petspark.billing.revoke-grant/v1", &Shown::of(grant, Some(id), dry_run), FIELDS);
    Ok(if dry_run { outcome.note("This is what would be taken back; nothing was changed.") } else { outcome })
}

#[derive(Serialize)]
struct Refunded {
    dry_run: bool,
    id: Option<String>,
    payment_id: String,
    amount: i64,
    refunded: i64,
    currency: String,
    status: Option<String>,
}

impl Refunded {
    fn of(refund: Refund, dry_run: bool) -> Self {
        Self {
            dry_run,
            id: (!dry_run).then_some(refund.id),
            payment_id: refund.payment_id,
            amount: refund.amount,
            refunded: refund.refunded,
            currency: refund.currency.to_string(),
            status: (!dry_run).then_some(refund.status),
        }
    }
}

pub(super) async fn refund(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (billing, caller) = (cx.petspark().await?.billing(), cx.caller());
    let payment_id = required::<String>(args, "payment")?.clone();
    let mut new = NewRefund { payment_id, amount: args.get_one("amount").copied(), reason: reason(args)? };
    let mut refund = billing.preview_refund(&caller, &new).await?;
    let dry_run = args.get_flag("dry-run");
    if !dry_run {
        let what = format!("Give {} {} of {} back", refund.amount, refund.currency, refund.payment_id);
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        // What was shown and agreed to, however much is left by now.
        new.amount = Some(refund.amount);
        refund = billing.refund(&caller, &new).await?;
    }
    let fields: &[Column<Refunded>] = &[
        ("id", |refund| refund.id.clone().unwrap_or_default()),
        ("payment_id", |refund| refund.payment_id.clone()),
        ("amount", |refund| format!("{} {}", refund.amount, refund.currency)),
        ("refunded", |refund| format!("{} {}", refund.refunded, refund.currency)),
        ("status", |refund| refund.status.clone().unwrap_or_default()),
    ];
    let outcome = Outcome::record("petspark.billing.refund/v1", &Refunded::of(refund, dry_run), fields);
    Ok(if dry_run { outcome.note("This is what would be given back; nothing was.") } else { outcome })
}
