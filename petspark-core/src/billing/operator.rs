//! Payments as operators see them: whether they work, what waits, and the endpoint that Stripe sends to.

use serde::Serialize;

use super::account::StripeAccount;
use super::operation::KEY_LIVES;
use super::processing::EVENTS;
use super::{Billing, BillingError, store};
use crate::Secret;
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::OperationId;

/// How payments are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingStatus {
    /// Whether there are keys.
    pub configured: bool,
    /// Whether real money is moved.
    pub live: bool,
    /// Whose payments are kept here.
    pub account: Option<StripeAccount>,
    /// The version of Stripe's API that is spoken.
    pub api_version: Option<&'static str>,
    /// Why Stripe isn't asked at the moment, as far as this process knows: it is away, or the key isn't one for what
    /// is kept here.
    pub outage: Option<String>,
    /// Prices that are sold.
    pub prices: u64,
    /// Events that wait.
    pub events_pending: u64,
    /// Since when the first of them waits.
    pub oldest_pending: Option<Timestamp>,
    /// Events that were given up.
    pub events_dead: u64,
    /// Why the last of them was.
    pub dead_cause: Option<String>,
    /// Operations of which it isn't known what became.
    pub open_operations: u64,
}

/// Where Stripe sends events.
#[derive(Clone, Debug)]
pub struct WebhookEndpoint {
    /// Stripe's id.
    pub id: String,
    /// Where.
    pub url: String,
    /// The version of the API in which events are sent.
    pub api_version: Option<String>,
    /// What they are signed with, for `STRIPE_WEBHOOK_SECRET`: Stripe tells it once.
    pub secret: Option<Secret>,
}

impl Billing {
    /// How payments are; asks only our own database.
    ///
    /// # Errors
    /// [`BillingError::NotAdmin`].
    pub async fn status(&self, caller: &Caller) -> Result<BillingStatus, BillingError> {
        caller.require(Permission::ReadBilling)?;
        let remote = self.stripe.as_ref().map(|stripe| &stripe.remote);
        let (pending, dead, oldest_pending) = store::count_events(&self.db).await?;
        let open = store::count_operations(&self.db, self.clock.now().after(KEY_LIVES)).await?;
        Ok(BillingStatus {
            configured: remote.is_some(),
            live: remote.is_some_and(|remote| remote.is_live()),
            account: store::kept_account(&self.db).await?,
            api_version: remote.map(|remote| remote.api_version()),
            outage: self.check().await.err().and_then(|error| error.cause()),
            prices: store::listed_prices(&self.db).await?.len() as u64,
            events_pending: pending.unsigned_abs(),
            oldest_pending,
            events_dead: dead.unsigned_abs(),
            dead_cause: store::last_dead_cause(&self.db).await?,
            open_operations: open.unsigned_abs(),
        })
    }

    /// Has Stripe send its events to `url`, in the version of the API that is spoken here. For the first
    /// time: where it sends some already, its secret can't be asked for again.
    ///
    /// # Errors
    /// [`BillingError::Invalid`] for what is no https URL; [`BillingError::Conflict`] where Stripe sends already;
    /// [`BillingError::NotAdmin`].
    pub async fn set_up_webhook(&self, caller: &Caller, url: &str) -> Result<WebhookEndpoint, BillingError> {
        self.check_webhook(caller, url).await?;
        let remote = self.remote().await?;
        let operation = self.begin(None, "endpoint", &OperationId::new().to_string(), &url).await?;
        let made = self.operate(&operation, remote.create_endpoint(&operation.key, url, EVENTS)).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        store::finish_operation(&mut tx, operation.id, &made.id, now).await?;
        let event = Event::new(Action::WebhookSetUp).detail("endpoint", made.id.clone()).detail("url", url);
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        let secret = made.secret.map(Secret::new);
        Ok(WebhookEndpoint { id: made.id, url: made.url, api_version: made.api_version, secret })
    }

    /// Whether [`Billing::set_up_webhook`] would.
    ///
    /// # Errors
    /// The same.
    pub async fn check_webhook(&self, caller: &Caller, url: &str) -> Result<(), BillingError> {
        caller.require(Permission::ManageBilling)?;
        let remote = self.remote_to_look().await?;
        let parsed = url::Url::parse(url).ok().filter(|url| url.username().is_empty() && url.host().is_some());
        let is_good = parsed.is_some_and(|url| url.scheme() == "https" || !remote.is_live() && url.scheme() == "http");
        if !is_good {
            return Err(BillingError::Invalid(FieldErrors::one("url", "must be an https URL")));
        }
        if remote.endpoints().await?.iter().any(|endpoint| endpoint.url == url) {
            return Err(BillingError::Conflict("Stripe sends events there already; delete that endpoint first."));
        }
        Ok(())
    }
}
