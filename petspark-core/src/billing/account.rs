//! Whose payments these are: one account of Stripe's, in one of its modes. A key of another account, or of
//! test mode instead of live, would find nothing there of what is kept here, and take all of it for deleted.
//! So nothing is asked with such a key until an operator says that this is meant.

use serde::Serialize;

use super::remote::Remote;
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::FieldErrors;

/// An account of Stripe's in one of its modes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct StripeAccount {
    /// Stripe's id, `acct_...`.
    #[sqlx(rename = "account_id")]
    pub id: String,
    /// Whether real money is moved.
    #[sqlx(rename = "livemode")]
    pub live: bool,
}

impl std::fmt::Display for StripeAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.id, if self.live { "live" } else { "test mode" })
    }
}

/// Whose payments are kept here, and whose key there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accounts {
    /// Whose payments are kept; nobody's before the first call.
    pub kept: Option<StripeAccount>,
    /// Whose key it is.
    pub key: StripeAccount,
}

const MAX_REASON: usize = 500;

impl Billing {
    /// Stripe, if the key is of the account whose payments are kept here.
    pub(super) async fn remote(&self) -> Result<&dyn Remote, BillingError> {
        let (remote, key) = (self.configured()?, self.account_of_key().await?);
        let kept = match store::kept_account(&self.db).await? {
            Some(kept) => kept,
            // Of two who are the first, with two keys, one is.
            None => store::keep_account(&self.db, &key, &Caller::system().to_string(), self.clock.now()).await?,
        };
        if kept == key {
            return Ok(remote);
        }
        let cause = format!("the key is of {key}, and what is kept here is of {kept}");
        Err(BillingError::OtherAccount { cause })
    }

    /// Asked once: a key stays with its account.
    async fn account_of_key(&self) -> Result<StripeAccount, BillingError> {
        let stripe = self.stripe.as_ref().ok_or(BillingError::NotConfigured)?;
        let id = stripe.account.get_or_try_init(|| stripe.remote.account()).await?;
        Ok(StripeAccount { id: id.clone(), live: stripe.remote.is_live() })
    }

    /// Whose payments are kept here, and whose key there is.
    ///
    /// # Errors
    /// [`BillingError::NotConfigured`], [`BillingError::Unavailable`], [`BillingError::NotAdmin`].
    pub async fn accounts(&self, caller: &Caller) -> Result<Accounts, BillingError> {
        caller.require(Permission::ReadBilling)?;
        let key = self.account_of_key().await?;
        Ok(Accounts { kept: store::kept_account(&self.db).await?, key })
    }

    /// Takes the account that the key is of for the one whose payments are kept here, from now on. What is here
    /// of another stays until [`Billing::sync_although_gone`] compares it.
    ///
    /// # Errors
    /// [`BillingError::Invalid`] without a reason; [`BillingError::NotConfigured`], [`BillingError::Unavailable`],
    /// [`BillingError::NotAdmin`].
    pub async fn accept_account(&self, caller: &Caller, reason: &str) -> Result<Accounts, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
            return Err(BillingError::Invalid(FieldErrors::one("reason", "must have 1 to 500 characters")));
        }
        let key = self.account_of_key().await?;
        let (now, before) = (self.clock.now(), store::kept_account(&self.db).await?);
        let mut tx = self.db.begin().await?;
        store::accept_account(&mut tx, &key, &caller.to_string(), now).await?;
        let event = Event::new(Action::BillingAccountAccepted).reason(reason).detail("account", key.to_string());
        audit::record(&mut tx, now, caller, event.detail("before", before.map(|before| before.to_string()))).await?;
        tx.commit().await?;
        Ok(Accounts { kept: Some(key.clone()), key })
    }
}
