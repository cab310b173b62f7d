//! What we ask of Stripe and what we read of its answers, in our own words: the one seam behind which the
//! SDK and the network are. `gateway` is what implements it.

use futures_util::future::BoxFuture;

use super::access::SubscriptionStatus;
use super::event::Envelope;
use super::money::{Currency, Money};
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::UserId;

/// Why Stripe didn't do what was asked, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RemoteError {
    /// It can't be reached or has trouble of its own; whether it did it is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// It understood, and did nothing.
    #[error("{message}")]
    Refused { status: u16, code: Option<String>, message: String },
    /// It failed, and will say so again whenever it is asked under the same key; whether it did it is unknown.
    #[error("{0}")]
    Spent(String),
    /// It did it, and its answer makes no sense to us.
    #[error("{0}")]
    Undecodable(String),
}

impl RemoteError {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether it is certain that nothing was done.
    pub(super) fn is_refusal(&self) -> bool {
        // 409 says that the same request is on its way, 429 that it shall come later.
        matches!(self, Self::Refused { status, .. } if !matches!(status, 409 | 429))
    }
}

pub(super) type Reply<'a, T> = BoxFuture<'a, Result<T, RemoteError>>;

/// Some of a list, and behind which id the rest begins.
pub(super) struct RemotePage<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct RemoteCustomer {
    pub(super) id: String,
    pub(super) deleted: bool,
    pub(super) email: Option<String>,
    /// Whom it was made for, by the metadata that we gave it.
    pub(super) user: Option<UserId>,
}

#[derive(Clone, Debug)]
pub(super) struct RemoteProduct {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) features: Vec<String>,
    /// The metadata `plan`.
    pub(super) plan: Option<String>,
    pub(super) active: bool,
}

text_enum! {
    /// How often a price is charged.
    pub enum Period {
        /// Daily.
        Day = "day",
        /// Weekly.
        Week = "week",
        /// Monthly.
        Month = "month",
        /// Yearly.
        Year = "year",
    }
}

#[derive(Clone, Debug)]
pub(super) struct RemotePrice {
    pub(super) id: String,
    pub(super) product: String,
    /// Per unit; prices that aren't so simple have none.
    pub(super) amount: Option<i64>,
    pub(super) currency: Currency,
    pub(super) period: Option<Period>,
    pub(super) period_count: Option<i32>,
    pub(super) lookup_key: Option<String>,
    /// The metadata `plan`.
    pub(super) plan: Option<String>,
    /// The metadata `days`.
    pub(super) lifetime_days: Option<i32>,
    pub(super) active: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RemoteSubscription {
    pub(super) id: String,
    pub(super) customer: String,
    pub(super) status: SubscriptionStatus,
    pub(super) items: Vec<RemoteItem>,
    pub(super) trial_end: Option<Timestamp>,
    pub(super) cancel_at: Option<Timestamp>,
    pub(super) cancel_at_period_end: bool,
    pub(super) canceled_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// How collection is paused.
    pub(super) paused: Option<String>,
    pub(super) created: Timestamp,
    /// When its latest invoice was made, where the answer tells.
    pub(super) invoiced: Option<Timestamp>,
    /// Which operation of ours made it, by the metadata that we gave it.
    pub(super) operation: Option<String>,
    /// What a browser needs to pay the first invoice, or to set a way to pay up.
    pub(super) client_secret: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct RemoteItem {
    pub(super) id: String,
    pub(super) price: RemotePrice,
    pub(super) quantity: i64,
    pub(super) period_start: Timestamp,
    pub(super) period_end: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct RemoteIntent {
    pub(super) id: String,
    pub(super) customer: Option<String>,
    pub(super) money: Money,
    pub(super) status: String,
    pub(super) client_secret: Option<String>,
    pub(super) refunded: i64,
    /// The metadata that we gave it.
    pub(super) price: Option<String>,
    pub(super) quantity: Option<i64>,
    pub(super) operation: Option<String>,
    pub(super) created: Timestamp,
    /// When the money came.
    pub(super) paid: Option<Timestamp>,
}

/// Money that was given back.
#[derive(Clone, Debug)]
pub(super) struct RemoteRefund {
    pub(super) id: String,
    pub(super) amount: i64,
    /// The metadata that we gave it.
    pub(super) operation: Option<String>,
}

/// A page of Stripe's own on which somebody pays.
#[derive(Clone, Debug)]
pub(super) struct RemoteCheckout {
    pub(super) id: String,
    /// Where it is, while it is open.
    pub(super) url: Option<String>,
    /// Whether somebody has paid there, or is about to by a bank.
    pub(super) complete: bool,
    /// Whether what is paid there is a subscription.
    pub(super) recurring: bool,
    /// The metadata that we gave it.
    pub(super) operation: Option<String>,
}

/// An invoice as it is shown to whom it is for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// Stripe's id.
    pub id: String,
    /// What stands on it.
    pub number: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    pub status: Option<String>,
    /// What it is about altogether.
    pub total: i64,
    /// What was paid of that.
    pub amount_paid: i64,
    /// Which currency.
    pub currency: Currency,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it can be seen and paid, at Stripe.
    pub hosted_url: Option<String>,
    /// The same as PDF.
    pub pdf_url: Option<String>,
    /// For which subscription.
    pub subscription_id: Option<String>,
}

/// How somebody is led to Stripe's own pages.
#[derive(Clone, Debug)]
pub(super) struct CheckoutParams {
    pub(super) customer: String,
    pub(super) price: String,
    pub(super) quantity: u32,
    pub(super) recurring: bool,
    pub(super) trial_days: Option<u32>,
    pub(super) success_url: String,
    pub(super) cancel_url: String,
    pub(super) automatic_tax: bool,
    pub(super) operation: String,
}

#[derive(Clone, Debug)]
pub(super) struct SubscribeParams {
    pub(super) customer: String,
    pub(super) price: String,
    pub(super) trial_days: Option<u32>,
    pub(super) automatic_tax: bool,
    pub(super) operation: String,
}

/// One change of a subscription.
#[derive(Clone, Debug)]
pub(super) enum SubscriptionUpdate {
    /// Another price for an item, and what is due for it paid at once, or nothing changes.
    Swap {
        item: String,
        price: String,
    },
    CancelAtPeriodEnd(bool),
    /// Goes on after a pause of its collection.
    Collect,
}

#[derive(Clone, Debug)]
pub(super) struct IntentParams {
    pub(super) customer: String,
    pub(super) money: Money,
    pub(super) price: String,
    pub(super) quantity: u32,
    pub(super) operation: String,
}

/// An endpoint that Stripe sends events to.
pub(super) struct RemoteEndpoint {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) api_version: Option<String>,
    /// Told once, when it is made.
    pub(super) secret: Option<String>,
}

/// Stripe. Whatever changes something there takes an idempotency key, and may be asked again under the same.
pub(super) trait Remote: Send + Sync {
    /// Whether real money is moved.
    fn is_live(&self) -> bool;
    /// The version of the API that is spoken.
    fn api_version(&self) -> &'static str;
    /// Why nothing is asked at the moment, if nothing is.
    fn outage(&self) -> Option<String>;

    /// Whose key it is.
    fn account(&self) -> Reply<'_, String>;

    /// Has the same body for a user each time, so that the same key always fits.
    fn create_customer<'a>(&'a self, key: &'a str, user: UserId) -> Reply<'a, RemoteCustomer>;
    fn customer<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteCustomer>;
    fn set_email<'a>(&'a self, key: &'a str, id: &'a str, email: &'a str) -> Reply<'a, RemoteCustomer>;
    /// One that is gone already is no error.
    fn delete_customer<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;
    fn customers<'a>(
        &'a self,
        since: Option<Timestamp>,
        after: Option<String>,
    ) -> Reply<'a, RemotePage<RemoteCustomer>>;

    fn product<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteProduct>;
    fn products(&self, after: Option<String>) -> Reply<'_, RemotePage<RemoteProduct>>;
    fn price<'a>(&'a self, id: &'a str) -> Reply<'a, RemotePrice>;
    fn prices(&self, after: Option<String>) -> Reply<'_, RemotePage<RemotePrice>>;

    fn create_intent<'a>(&'a self, key: &'a str, params: &'a IntentParams) -> Reply<'a, RemoteIntent>;
    fn intent<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteIntent>;
    /// Those begun since then, of all or of one customer, the newest first.
    fn intents<'a>(
        &'a self,
        customer: Option<&'a str>,
        since: Timestamp,
        after: Option<String>,
    ) -> Reply<'a, RemotePage<RemoteIntent>>;
    fn refund<'a>(&'a self, key: &'a str, intent: &'a str, amount: i64, operation: &'a str) -> Reply<'a, RemoteRefund>;
    /// Of one payment, the newest first, a hundred at most.
    fn refunds<'a>(&'a self, intent: &'a str) -> Reply<'a, Vec<RemoteRefund>>;

    fn checkout<'a>(&'a self, key: &'a str, params: &'a CheckoutParams) -> Reply<'a, RemoteCheckout>;
    fn checkout_session<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteCheckout>;
    /// Those of a customer on which one can still pay.
    fn open_checkouts<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<RemoteCheckout>>;
    fn expire_checkout<'a>(&'a self, key: &'a str, id: &'a str) -> Reply<'a, RemoteCheckout>;
    fn portal<'a>(&'a self, key: &'a str, customer: &'a str, return_url: &'a str) -> Reply<'a, String>;

    fn subscribe<'a>(&'a self, key: &'a str, params: &'a SubscribeParams) -> Reply<'a, RemoteSubscription>;
    fn subscription<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteSubscription>;
    fn subscriptions(&self, after: Option<String>) -> Reply<'_, RemotePage<RemoteSubscription>>;
    /// A customer's, the newest first, a hundred at most.
    fn subscriptions_of<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<RemoteSubscription>>;
    fn update_subscription<'a>(
        &'a self,
        key: &'a str,
        id: &'a str,
        update: &'a SubscriptionUpdate,
    ) -> Reply<'a, RemoteSubscription>;
    /// Of one that was paused when its trial ended.
    fn resume_subscription<'a>(&'a self, key: &'a str, id: &'a str) -> Reply<'a, RemoteSubscription>;
    fn cancel_subscription<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteSubscription>;

    fn invoices<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<Invoice>>;
    /// Events that some endpoint hasn't got, the newest first.
    fn undelivered_events(&self, since: Timestamp, after: Option<String>) -> Reply<'_, RemotePage<Envelope>>;

    fn create_endpoint<'a>(
        &'a self,
        key: &'a str,
        url: &'a str,
        events: &'a [&'static str],
    ) -> Reply<'a, RemoteEndpoint>;
    fn endpoints(&self) -> Reply<'_, Vec<RemoteEndpoint>>;
}
