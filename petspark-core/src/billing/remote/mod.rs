//! What we ask of Stripe and what we read of its answers, in our own words: the one seam behind which the
//! SDK and the network are. `gateway` is what implements it; `objects.rs` has what is read, `params.rs` what is asked.

mod objects;
mod params;

use futures_util::future::BoxFuture;

pub use objects::{Invoice, Period};
pub(super) use objects::{
    RemoteCheckout, RemoteCustomer, RemoteDispute, RemoteEndpoint, RemoteIntent, RemoteItem, RemotePrice,
    RemoteProduct, RemoteRefund, RemoteSubscription,
};
pub(super) use params::{CheckoutParams, IntentParams, SubscribeParams, SubscriptionUpdate};

use super::event::Envelope;
use crate::clock::Timestamp;
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
    /// It fails, or refuses, whenever it is asked under the same key; whether it did it is unknown.
    #[error("{0}")]
    Spent(String),
    /// It doesn't know our key, or lets it not do this: nothing was done, and only an operator can mend it.
    #[error("{message}")]
    KeyRefused { status: u16, message: String },
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

/// All of a list, one page after the other.
pub(super) async fn all_pages<'a, T>(
    ask: impl Fn(Option<String>) -> Reply<'a, RemotePage<T>>,
) -> Result<Vec<T>, RemoteError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = ask(after).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
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
    fn known_refund<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteRefund>;
    /// Of one payment, the newest first, a hundred at most.
    fn refunds<'a>(&'a self, intent: &'a str) -> Reply<'a, Vec<RemoteRefund>>;

    /// Those begun since then.
    fn disputes(&self, since: Timestamp, after: Option<String>) -> Reply<'_, RemotePage<RemoteDispute>>;

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
