//! Events of Stripe's as they come: checked, stored (`intake.rs`), and answered at once. What they mean is found
//! out by jobs.

use std::sync::atomic::{AtomicI64, Ordering};

use serde::Serialize;
use serde_json::json;

use super::event::Envelope;
use super::processing::JOB;
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::jobs::{self, NewJob};
use crate::page::{Page, PageRequest};

text_enum! {
    /// Where an event is on its way.
    pub enum EventStatus {
        /// It will be processed.
        Pending = "pending",
        /// It was.
        Done = "done",
        /// It is of no concern to us.
        Ignored = "ignored",
        /// It couldn't be, and waits for a person to look at it and replay it.
        Dead = "dead",
    }
}

/// What became of an event that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub id: String,
    /// Whether it had come before; then nothing was done.
    pub is_known: bool,
}

/// An event as it is stored, without what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Stripe's id.
    pub id: String,
    /// What happened, in Stripe's words.
    #[sqlx(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// To which object.
    pub object_id: Option<String>,
    /// Where it is on its way.
    pub status: EventStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// When it was done.
    pub processed_at: Option<Timestamp>,
}

/// When a webhook was last refused, so that strangers can't fill the audit log: one entry a minute says enough.
#[derive(Default)]
pub(super) struct Refusals(AtomicI64);

impl Refusals {
    fn is_news(&self, now: Timestamp) -> bool {
        let (now, last) = (now.as_seconds(), self.0.load(Ordering::Relaxed));
        now - last >= 60 && self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Billing {
    /// Takes an event in: `body` is what came, byte by byte, and `signature` the header `Stripe-Signature`.
    /// Once this returns, the event will be processed, even if this server dies; the same one again changes
    /// nothing.
    ///
    /// # Errors
    /// [`BillingError::BadWebhook`]; [`BillingError::Fault`] when it can't be stored: then Stripe sends it again.
    pub async fn receive(&self, caller: &Caller, body: &[u8], signature: &str) -> Result<Received, BillingError> {
        let stripe = self.stripe.as_ref().ok_or(BillingError::NotConfigured)?;
        let now = self.clock.now();
        let read = || {
            stripe.verifier.check(body, signature, now)?;
            let event = Envelope::read(body).ok_or("the body is no event")?;
            match event.livemode == stripe.remote.is_live() {
                true => Ok(event),
                false => Err("an event of the other mode: test and live don't mix"),
            }
        };
        let event = match read() {
            Ok(event) => event,
            Err(cause) => {
                if stripe.refusals.is_news(now) {
                    let event = Event::new(Action::WebhookRefused).failed().reason(cause);
                    audit::record_now(&self.db, now, caller, event).await?;
                }
                return Err(BillingError::BadWebhook { cause });
            }
        };
        let spoken = stripe.remote.api_version();
        if event.api_version.as_deref().is_some_and(|version| version != spoken) {
            tracing::warn!(version = event.api_version, spoken, "Stripe sends events of another version of its API");
        }
        let id = event.id.clone();
        let is_known = !self.intake.take_in(event).await?;
        Ok(Received { id, is_known })
    }

    /// Events, those that came last first.
    ///
    /// # Errors
    /// [`BillingError::Invalid`] for a foreign cursor; [`BillingError::NotAdmin`].
    pub async fn events(
        &self,
        caller: &Caller,
        status: Option<EventStatus>,
        page: &PageRequest,
    ) -> Result<Page<StoredEvent>, BillingError> {
        caller.require(Permission::ReadBilling)?;
        let list = self.cursors.list(&("billing events", status));
        let rows = store::list_events(&self.db, status, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, |event| (event.received_at, event.id.clone()), &list))
    }

    /// Has an event processed again, whatever became of it: what it is about is read anew.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotAdmin`].
    pub async fn replay(&self, caller: &Caller, id: &str) -> Result<(), BillingError> {
        caller.require(Permission::ManageBilling)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        if !store::revive_event(&mut tx, id).await? {
            return Err(BillingError::NotFound("event"));
        }
        jobs::enqueue(&mut tx, now, process(id)).await?;
        let event = Event::new(Action::BillingEventReplayed).detail("event", id);
        audit::record(&mut tx, now, caller, event).await?;
        Ok(tx.commit().await?)
    }

    /// Whether [`Billing::replay`] would.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_replay(&self, caller: &Caller, id: &str) -> Result<(), BillingError> {
        caller.require(Permission::ManageBilling)?;
        store::find_event(&self.db, id).await?.map(drop).ok_or(BillingError::NotFound("event"))
    }

    /// The same for all that were given up; says how many those were.
    ///
    /// # Errors
    /// [`BillingError::NotAdmin`].
    pub async fn replay_dead(&self, caller: &Caller) -> Result<u64, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let revived = store::revive_dead_events(&mut tx).await?;
        jobs::enqueue_all(&mut tx, now, revived.iter().map(|id| process(id))).await?;
        let event = Event::new(Action::BillingEventReplayed).detail("events", revived.len());
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Ok(revived.len() as u64)
    }
}

pub(super) fn process(event: &str) -> NewJob {
    NewJob::new(JOB, json!({ "event": event }))
}
