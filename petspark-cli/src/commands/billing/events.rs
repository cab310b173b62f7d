//! `billing events` and `replay`: what Stripe told, and having it looked at once more.

use clap::ArgMatches;
use petspark_core::billing::{EventStatus, StoredEvent};
use serde::Serialize;

use crate::commands::args::page;
use crate::context::Context;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, required};

const COLUMNS: &[Column<Shown>] = &[
    ("id", |event| event.id.clone()),
    ("type", |event| event.kind.clone()),
    ("object", |event| event.object_id.clone().unwrap_or_default()),
    ("status", |event| event.status.to_string()),
    ("attempts", |event| event.attempts.to_string()),
    ("received_at", |event| event.received_at.to_string()),
    ("error", |event| event.error.clone().unwrap_or_default()),
];

/// An event as the tool shows it.
#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    object_id: Option<String>,
    status: EventStatus,
    attempts: i32,
    error: Option<String>,
    created_at: petspark_core::Timestamp,
    received_at: petspark_core::Timestamp,
    processed_at: Option<petspark_core::Timestamp>,
}

impl Shown {
    fn of(event: StoredEvent) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            object_id: event.object_id,
            status: event.status,
            attempts: event.attempts,
            error: event.error,
            created_at: event.created_at,
            received_at: event.received_at,
            processed_at: event.processed_at,
        }
    }
}

pub(super) async fn list(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (status, page) = (args.get_one("status").copied(), page(args)?);
    let events = cx.petspark().await?.billing().events(&cx.caller(), status, &page).await?.map(Shown::of);
    let next = events.next_cursor.as_deref();
    Ok(Outcome::page("petspark.billing.events/v1", "events", &events.items, next, COLUMNS))
}

#[derive(Serialize)]
struct Replayed {
    dry_run: bool,
    events: u64,
}

pub(super) async fn replay(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (billing, caller, dry_run) = (cx.petspark().await?.billing(), cx.caller(), args.get_flag("dry-run"));
    let events = match (args.get_flag("all-dead"), dry_run) {
        (false, false) => {
            billing.replay(&caller, required::<String>(args, "id")?).await?;
            1
        }
        (false, true) => {
            billing.preview_replay(&caller, required::<String>(args, "id")?).await?;
            1
        }
        (true, false) => billing.replay_dead(&caller).await?,
        (true, true) => billing.status(&caller).await?.events_dead,
    };
    let fields: &[Column<Replayed>] = &[("events", |replayed| replayed.events.to_string())];
    let outcome = Outcome::record("petspark.billing.replay/v1", &Replayed { dry_run, events }, fields);
    Ok(if dry_run {
        outcome.note("Nothing was changed.")
    } else {
        outcome.note("A server that runs on this database processes them now.")
    })
}
