//! What Stripe is asked for that takes more than an id.

use crate::billing::money::Money;

/// How somebody is led to Stripe's own pages.
#[derive(Clone, Debug)]
pub(in crate::billing) struct CheckoutParams {
    pub(in crate::billing) customer: String,
    pub(in crate::billing) price: String,
    pub(in crate::billing) quantity: u32,
    pub(in crate::billing) recurring: bool,
    pub(in crate::billing) trial_days: Option<u32>,
    pub(in crate::billing) success_url: String,
    pub(in crate::billing) cancel_url: String,
    pub(in crate::billing) automatic_tax: bool,
    pub(in crate::billing) operation: String,
}

#[derive(Clone, Debug)]
pub(in crate::billing) struct SubscribeParams {
    pub(in crate::billing) customer: String,
    pub(in crate::billing) price: String,
    pub(in crate::billing) trial_days: Option<u32>,
    pub(in crate::billing) automatic_tax: bool,
    pub(in crate::billing) operation: String,
}

/// One change of a subscription.
#[derive(Clone, Debug)]
pub(in crate::billing) enum SubscriptionUpdate {
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
pub(in crate::billing) struct IntentParams {
    pub(in crate::billing) customer: String,
    pub(in crate::billing) money: Money,
    pub(in crate::billing) price: String,
    pub(in crate::billing) quantity: u32,
    pub(in crate::billing) operation: String,
}
