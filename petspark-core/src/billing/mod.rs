//! Payments and what they buy: the catalogue, customers, subscriptions and one-off payments as Stripe has
//! them, the inbox of its events, and what follows of it all for a user's plan.
//!
//! Stripe is the truth, and our rows follow it. Whatever is asked of it is written down first
//! (`operation.rs`), so that a lost answer is found again instead of charged again; an event says only that
//! something changed (`processing.rs`), and what it is now is read from Stripe, the newest reading winning.
//! What somebody may have is computed from our rows and the clock (`entitled.rs`), so that it needs neither
//! Stripe nor keys: [`Billing::entitlements`] is for embedders.

mod access;
mod account;
mod catalogue;
mod checkout;
mod customers;
#[cfg(test)]
mod dice;
mod entitled;
mod erasure;
mod error;
mod event;
#[cfg(feature = "stripe")]
mod gateway;
mod grants;
mod inbox;
mod intake;
mod jobs;
mod keeping;
mod leaving;
mod money;
mod operation;
mod operator;
mod origins;
mod payments;
mod plan;
mod processing;
mod purchases;
mod refunds;
#[cfg_attr(not(feature = "stripe"), allow(dead_code, reason = "without the SDK there is nobody to tell"))]
mod remote;
mod settings;
mod signature;
mod status;
pub(crate) mod store;
mod subscribing;
mod subscriptions;
mod sweep;
mod sync;

pub use access::{Access, Patience, Standing};
pub use account::{AccountId, Accounts, StripeAccount};
pub use catalogue::{Price, Product};
pub use checkout::NewCheckout;
pub(crate) use customers::follow_email;
pub(crate) use entitled::Entitled;
pub use entitled::{Entitlements, Source};
pub(crate) use erasure::detach;
pub use error::BillingError;
pub use grants::{Grant, NewGrant};
pub use inbox::{EventStatus, Received, StoredEvent};
pub(crate) use jobs::handle;
pub(crate) use leaving::follow_account;
pub use money::{Currency, InvalidCurrency, MAX_CHARGE, Money};
pub use operator::{BillingStatus, WebhookEndpoint};
pub use payments::{Intent, NewPayment, Payment};
pub use plan::{FREE, Limits, Plan, Plans};
pub(crate) use processing::Process;
pub use refunds::{NewRefund, Refund};
pub use remote::{Invoice, Period};
pub use settings::{BillingSettings, StripeSettings};
pub use status::SubscriptionStatus;
pub use subscriptions::{NewSubscription, Subscription, SubscriptionChange};
pub(crate) use sweep::Sweep;
pub use sweep::Swept;
pub(crate) use sync::Reconcile;
pub use sync::{Difference, SyncReport};

use std::sync::{Arc, PoisonError, RwLock};

use self::inbox::Refusals;
use self::intake::Intake;
use self::remote::Remote;
use self::signature::Verifier;
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Denied;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::Settings;
use crate::database::Database;
use crate::error::Fault;
use crate::id::UserId;
use crate::page::Cursors;

/// The payments service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Billing {
    db: Database,
    clock: Clock,
    cursors: Cursors,
    entitled: Entitled,
    intake: Intake,
    stripe: Option<Stripe>,
    settings: Arc<BillingSettings>,
    /// Where Stripe's pages may lead back to.
    return_origins: Arc<RwLock<Vec<String>>>,
}

/// What is there only with keys.
#[derive(Clone)]
struct Stripe {
    remote: Arc<dyn Remote>,
    /// Whose key it is, once it was asked.
    account: Arc<tokio::sync::OnceCell<String>>,
    /// Why it was used for nothing when it was last to be.
    held: Arc<RwLock<Option<String>>>,
    verifier: Arc<Verifier>,
    refusals: Arc<Refusals>,
}

impl Billing {
    /// Prepares everything; asks nobody.
    ///
    /// # Errors
    /// For a person: which setting is wrong.
    pub(crate) fn open(
        db: Database,
        clock: Clock,
        cursors: Cursors,
        entitled: Entitled,
        settings: &Settings,
    ) -> Result<Self, String> {
        let stripe = Stripe::open(&clock, settings)?;
        let return_origins = Arc::new(RwLock::new(origins::allowed_origins(settings)));
        let settings = Arc::new(settings.billing.clone());
        let intake = Intake::new(db.clone(), clock.clone());
        Ok(Self { db, clock, cursors, entitled, intake, stripe, settings, return_origins })
    }

    /// Whether there are keys for Stripe and this build can use them. Without, whatever needs Stripe is
    /// [`BillingError::NotConfigured`].
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.stripe.is_some()
    }

    /// Lets Stripe's pages lead back to these origins, too: those of the frontends that a server lets in.
    pub fn allow_returns_to(&self, origins: impl IntoIterator<Item = String>) {
        let mut allowed = self.return_origins.write().unwrap_or_else(PoisonError::into_inner);
        for origin in origins {
            if !allowed.contains(&origin) {
                allowed.push(origin);
            }
        }
    }

    /// What a user may have now: their plan, its limits and features. From memory, or by one statement.
    ///
    /// # Errors
    /// [`BillingError::Fault`].
    pub async fn entitlements(&self, user: UserId) -> Result<Entitlements, BillingError> {
        Ok(self.entitled.of(user).await?)
    }

    /// The same for the caller.
    ///
    /// # Errors
    /// [`BillingError::Denied`] when no user is asking.
    pub async fn own_entitlements(&self, caller: &Caller) -> Result<Entitlements, BillingError> {
        self.entitlements(user(caller)?).await
    }

    /// Which plans there are, the least first.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        self.entitled.plans()
    }

    /// Stripe, whosever the key is; most want [`Billing::remote`].
    fn configured(&self) -> Result<&dyn Remote, BillingError> {
        self.stripe.as_ref().map(|stripe| &*stripe.remote).ok_or(BillingError::NotConfigured)
    }

    /// Writes down what somebody tried and may not, and says so.
    async fn refuse(&self, caller: &Caller, what: &str, error: BillingError) -> BillingError {
        let event = Event::new(Action::PaymentRefused).on(caller.user_id().map(Subject::User)).failed();
        let event = event.reason(error.to_string()).detail("tried", what);
        match audit::record_now(&self.db, self.clock.now(), caller, event).await {
            Ok(()) => error,
            Err(fault) => fault.into(),
        }
    }
}

impl Stripe {
    fn open(clock: &Clock, settings: &Settings) -> Result<Option<Self>, String> {
        let stripe = &settings.billing.stripe;
        if let Some((key, problem)) = stripe.problem(settings.environment) {
            return Err(format!("{key} {problem}"));
        }
        let (Some(key), Some(secrets)) = (&stripe.secret_key, &stripe.webhook_secret) else { return Ok(None) };
        Ok(connect(clock, stripe, key)?.map(|remote| {
            let verifier = Arc::new(Verifier::new(secrets));
            Self { remote, account: Arc::default(), held: Arc::default(), verifier, refusals: Arc::default() }
        }))
    }
}

#[cfg(feature = "stripe")]
fn connect(clock: &Clock, settings: &StripeSettings, key: &crate::Secret) -> Result<Option<Arc<dyn Remote>>, String> {
    Ok(Some(Arc::new(gateway::Gateway::new(clock.clone(), settings, key)?)))
}

#[cfg(not(feature = "stripe"))]
fn connect(_: &Clock, _: &StripeSettings, _: &crate::Secret) -> Result<Option<Arc<dyn Remote>>, String> {
    tracing::warn!("there is a key for Stripe, and this build can't use it: it lacks the feature `stripe`");
    Ok(None)
}

/// Who buys: only users do.
fn user(caller: &Caller) -> Result<UserId, BillingError> {
    caller.user_id().ok_or(BillingError::Denied(Denied::Unauthenticated))
}

/// What a job makes of an error.
fn in_job<T>(result: Result<T, BillingError>) -> Result<T, Fault> {
    result.map_err(BillingError::into_fault)
}
