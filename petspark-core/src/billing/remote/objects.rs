//! Stripe's objects as far as we read them.

use crate::billing::money::{Currency, Money};
use crate::billing::status::SubscriptionStatus;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::UserId;

#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteCustomer {
    pub(in crate::billing) id: String,
    pub(in crate::billing) deleted: bool,
    pub(in crate::billing) email: Option<String>,
    /// Whom it was made for, by the metadata that we gave it.
    pub(in crate::billing) user: Option<UserId>,
}

#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteProduct {
    pub(in crate::billing) id: String,
    pub(in crate::billing) name: String,
    pub(in crate::billing) description: Option<String>,
    pub(in crate::billing) features: Vec<String>,
    /// The metadata `plan`.
    pub(in crate::billing) plan: Option<String>,
    pub(in crate::billing) active: bool,
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
pub(in crate::billing) struct RemotePrice {
    pub(in crate::billing) id: String,
    pub(in crate::billing) product: String,
    /// Per unit; prices that aren't so simple have none.
    pub(in crate::billing) amount: Option<i64>,
    pub(in crate::billing) currency: Currency,
    pub(in crate::billing) period: Option<Period>,
    pub(in crate::billing) period_count: Option<i32>,
    pub(in crate::billing) lookup_key: Option<String>,
    /// The metadata `plan`.
    pub(in crate::billing) plan: Option<String>,
    /// The metadata `days`.
    pub(in crate::billing) lifetime_days: Option<i32>,
    pub(in crate::billing) active: bool,
}

#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteSubscription {
    pub(in crate::billing) id: String,
    pub(in crate::billing) customer: String,
    pub(in crate::billing) status: SubscriptionStatus,
    pub(in crate::billing) items: Vec<RemoteItem>,
    pub(in crate::billing) trial_end: Option<Timestamp>,
    pub(in crate::billing) cancel_at: Option<Timestamp>,
    pub(in crate::billing) cancel_at_period_end: bool,
    pub(in crate::billing) canceled_at: Option<Timestamp>,
    pub(in crate::billing) ended_at: Option<Timestamp>,
    /// How collection is paused.
    pub(in crate::billing) paused: Option<String>,
    pub(in crate::billing) created: Timestamp,
    /// When its latest invoice was made, where the answer tells.
    pub(in crate::billing) invoiced: Option<Timestamp>,
    /// Which operation of ours made it, by the metadata that we gave it.
    pub(in crate::billing) operation: Option<String>,
    /// What a browser needs to pay the first invoice, or to set a way to pay up.
    pub(in crate::billing) client_secret: Option<String>,
}

#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteItem {
    pub(in crate::billing) id: String,
    pub(in crate::billing) price: RemotePrice,
    pub(in crate::billing) quantity: i64,
    pub(in crate::billing) period_start: Timestamp,
    pub(in crate::billing) period_end: Timestamp,
}

#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteIntent {
    pub(in crate::billing) id: String,
    pub(in crate::billing) customer: Option<String>,
    pub(in crate::billing) money: Money,
    pub(in crate::billing) status: String,
    pub(in crate::billing) client_secret: Option<String>,
    /// What went back, without what came back again.
    pub(in crate::billing) refunded: i64,
    /// The metadata that we gave it.
    pub(in crate::billing) price: Option<String>,
    pub(in crate::billing) quantity: Option<i64>,
    pub(in crate::billing) operation: Option<String>,
    pub(in crate::billing) created: Timestamp,
    /// When the money came.
    pub(in crate::billing) paid: Option<Timestamp>,
}

/// Money that was given back.
#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteRefund {
    pub(in crate::billing) id: String,
    pub(in crate::billing) amount: i64,
    /// Stripe's word for where it is.
    pub(in crate::billing) status: String,
    /// Why it failed, if it did and somebody knows.
    pub(in crate::billing) failure: Option<String>,
    /// The metadata that we gave it.
    pub(in crate::billing) operation: Option<String>,
}

impl RemoteRefund {
    /// Whether the money stayed with us after all: banks may say so weeks later.
    pub(in crate::billing) fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "canceled")
    }
}

/// A payment whose payer asked the bank for the money.
#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteDispute {
    pub(in crate::billing) id: String,
    pub(in crate::billing) payment: Option<String>,
    /// Whether the bank gave it to them, for good.
    pub(in crate::billing) is_lost: bool,
}

/// A page of Stripe's own on which somebody pays.
#[derive(Clone, Debug)]
pub(in crate::billing) struct RemoteCheckout {
    pub(in crate::billing) id: String,
    /// Where it is, while it is open.
    pub(in crate::billing) url: Option<String>,
    /// Whether somebody has paid there, or is about to by a bank.
    pub(in crate::billing) complete: bool,
    /// Whether what is paid there is a subscription.
    pub(in crate::billing) recurring: bool,
    /// The metadata that we gave it.
    pub(in crate::billing) operation: Option<String>,
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

/// An endpoint that Stripe sends events to.
pub(in crate::billing) struct RemoteEndpoint {
    pub(in crate::billing) id: String,
    pub(in crate::billing) url: String,
    pub(in crate::billing) api_version: Option<String>,
    /// Told once, when it is made.
    pub(in crate::billing) secret: Option<String>,
}
