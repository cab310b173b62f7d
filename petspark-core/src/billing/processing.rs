//! What an event leads to: the object that it names is read anew from Stripe and written down, the newest
//! reading winning, so that events may come twice, late, or in any order. A mail goes out with the one
//! transaction that settles its event.

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::event::Envelope;
use super::inbox::EventStatus;
use super::status::SubscriptionStatus;
use super::store::SubscriptionRow;
use super::{Billing, BillingError, store};
use crate::error::{Failure as _, Fault, Kind};
use crate::jobs::{Handler, Job};
use crate::mail::{self, Mail, Recipient, Template};

pub(super) const JOB: &str = "billing.event";

/// The events that concern us; others are kept and ignored.
pub(super) const EVENTS: &[&str] = &[
    "charge.dispute.closed",
    "charge.refund.updated",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.failed",
    "refund.updated",
];

impl Billing {
    async fn process(&self, id: &str) -> Result<(), BillingError> {
        let Some(row) = store::find_event(&self.db, id).await? else { return Ok(()) };
        if row.status != EventStatus::Pending {
            return Ok(());
        }
        let event: Envelope = serde_json::from_value(row.body).map_err(Fault::lasting)?;
        let mail = self.follow(&event).await?;
        let mut tx = self.db.begin().await?;
        // Of two who processed it at the same time, one settles it and writes.
        if store::settle_event(&mut tx, id, EventStatus::Done, self.clock.now()).await?
            && let Some(mail) = mail
        {
            mail::send(&mut tx, mail).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Reads what an event is about, and says whom to write.
    async fn follow(&self, event: &Envelope) -> Result<Option<Mail>, BillingError> {
        let object = &event.object;
        let Some(id) = &object.id else { return Ok(None) };
        let topic = event.kind.rsplit_once('.').map_or("", |(topic, _)| topic);
        match topic {
            "customer.subscription" => {
                let row = self.read_subscription(id).await?;
                return Ok(row.and_then(|row| self.mail_about(&event.kind, &row)));
            }
            "invoice" => {
                let Some(id) = &object.subscription else { return Ok(None) };
                let row = self.read_subscription(id).await?;
                return Ok(row.and_then(|row| self.mail_about(&event.kind, &row)));
            }
            "checkout.session" => {
                if let Some(id) = &object.subscription {
                    self.read_subscription(id).await?;
                }
                if let Some(id) = &object.payment_intent {
                    self.read_intent(id).await?;
                }
            }
            "payment_intent" => drop(self.read_intent(id).await?),
            "charge" | "charge.refund" | "refund" => {
                if let Some(id) = &object.payment_intent {
                    self.read_intent(id).await?;
                }
            }
            "charge.dispute" => {
                if let (Some("lost"), Some(id)) = (object.status.as_deref(), &object.payment_intent) {
                    self.lose_dispute(id).await?;
                }
            }
            "customer" => self.read_customer(id).await?,
            "product" => drop(self.read_product(id).await?),
            "price" => drop(self.read_price(id).await?),
            _ => {}
        }
        Ok(None)
    }

    /// What to write to whom, if what the event says is still so.
    fn mail_about(&self, kind: &str, row: &SubscriptionRow) -> Option<Mail> {
        let (to, now) = (Recipient::User(row.user_id?), self.clock.now());
        let status = SubscriptionStatus::from(row.status.clone());
        let owes = matches!(status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid);
        match kind {
            "customer.subscription.trial_will_end" if status == SubscriptionStatus::Trialing => {
                let mail = Mail::new(to, Template::TrialEnding, now);
                Some(row.trial_end.map_or(mail.clone(), |end| mail.time("trial_end", end)))
            }
            "invoice.payment_failed" if owes => {
                let until =
                    row.failing_since.map(|since| since.after(self.settings.grace)).filter(|until| *until > now);
                let mail = Mail::new(to, Template::PaymentFailed, now);
                Some(until.map_or(mail.clone(), |until| mail.time("until", until)))
            }
            "invoice.payment_action_required" if owes || status == SubscriptionStatus::Incomplete => {
                Some(Mail::new(to, Template::PaymentActionRequired, now))
            }
            _ => None,
        }
    }

    /// The bank took the money back: so is what it bought.
    pub(super) async fn lose_dispute(&self, payment: &str) -> Result<(), BillingError> {
        let Some(row) = self.read_intent(payment).await? else { return Ok(()) };
        let price = match &row.price_id {
            Some(price) => store::find_price(&self.db, price).await?,
            None => None,
        };
        let mut tx = self.db.begin().await?;
        if store::mark_disputed(&mut tx, payment).await? {
            let row = super::store::PaymentRow { disputed: true, ..row };
            self.settle_purchase(&mut tx, &row, price.as_ref()).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Processes events.
pub(crate) struct Process(pub(crate) Billing);

#[derive(Deserialize)]
struct Which {
    event: String,
}

impl Handler for Process {
    fn kind(&self) -> &'static str {
        JOB
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(billing) = self;
            let Which { event } = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            let Err(error) = billing.process(&event).await else { return Ok(()) };
            let fault = error.into_fault();
            let is_dead = fault.is_lasting() || job.attempts >= job.max_attempts;
            // The sweep has those tried again once Stripe answers it.
            let was_unavailable = fault.kind() == Kind::Unavailable;
            store::note_failure(&billing.db, &event, &fault.chain(), is_dead, was_unavailable).await?;
            Err(fault)
        })
    }
}
