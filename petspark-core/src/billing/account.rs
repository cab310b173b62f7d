//! Whose payments these are: one account of Stripe's, in one of its modes. A key of another account, or of
//! test mode instead of live, would find nothing there of what is kept here, and take all of it for deleted.
//! So nothing is asked with such a key until an operator says that this is meant.

use std::sync::PoisonError;

use serde::Serialize;

use super::remote::{Remote, RemoteError};
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::config::Value;
use crate::error::{Fault, FieldErrors};

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

/// An account's id, as settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountId(String);

impl Value for AccountId {
    fn parse(text: &str) -> Result<Self, String> {
        let random = text.strip_prefix("acct_").filter(|random| !random.is_empty() && random.len() < 100);
        match random.is_some_and(|random| random.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
            true => Ok(Self(text.to_owned())),
            false => Err("an account of Stripe's such as acct_1ABC".to_owned()),
        }
    }

    fn render(&self) -> String {
        self.0.clone()
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

/// As many customers are asked for before a key is taken for one of another account.
const SAMPLE: i64 = 5;

impl Billing {
    /// Stripe, if the key is of the account whose payments are kept here. With the first call, that is written down.
    pub(super) async fn remote(&self) -> Result<&dyn Remote, BillingError> {
        let found = self.remote_if(true).await;
        self.note_held(found.as_ref().err());
        found
    }

    /// The same for who only looks: nothing is written down.
    pub(super) async fn remote_to_look(&self) -> Result<&dyn Remote, BillingError> {
        self.remote_if(false).await
    }

    async fn remote_if(&self, keeps: bool) -> Result<&dyn Remote, BillingError> {
        let (remote, key) = (self.configured()?, self.account_of_key().await?);
        let kept = match store::kept_account(&self.db).await? {
            Some(kept) => kept,
            None => {
                self.require_one_of_ours(remote, &key).await?;
                if keeps { self.keep_account(&key).await? } else { key.clone() }
            }
        };
        same(&kept, &key).map(|()| remote)
    }

    /// Whose the customers are that are kept here is to be seen by whether Stripe knows one of them by this key.
    async fn require_one_of_ours(&self, remote: &dyn Remote, key: &StripeAccount) -> Result<(), BillingError> {
        let some = store::newest_customers(&self.db, SAMPLE).await?;
        for id in &some {
            match remote.customer(id).await {
                Err(error) if error.is_not_found() => {}
                customer => {
                    if !customer?.deleted {
                        return Ok(());
                    }
                }
            }
        }
        if some.is_empty() {
            return Ok(());
        }
        let cause = format!("the key is of {key}, where the customers that are kept here are unknown");
        Err(BillingError::OtherAccount { cause })
    }

    /// Of two who are the first, with two keys, one is.
    async fn keep_account(&self, key: &StripeAccount) -> Result<StripeAccount, BillingError> {
        let (now, system) = (self.clock.now(), Caller::system());
        let mut tx = self.db.begin().await?;
        if store::keep_account(&mut tx, key, &system.to_string(), now).await? {
            let event = Event::new(Action::BillingAccountKept).detail("account", key.to_string());
            audit::record(&mut tx, now, &system, event).await?;
        }
        tx.commit().await?;
        let kept = store::kept_account(&self.db).await?;
        Ok(kept.ok_or_else(|| Fault::internal("whose payments are kept isn't written down"))?)
    }

    /// Asked once: a key stays with its account. Where Stripe doesn't let a restricted key know, the settings are
    /// believed.
    async fn account_of_key(&self) -> Result<StripeAccount, BillingError> {
        let stripe = self.stripe.as_ref().ok_or(BillingError::NotConfigured)?;
        let named = self.settings.stripe.account.as_ref();
        let ask = || async move {
            match (stripe.remote.account().await, named) {
                (Err(RemoteError::KeyRefused { status: 403, .. }), Some(named)) => Ok(named.0.clone()),
                (Ok(id), Some(named)) if id != named.0 => {
                    let cause = format!("the key is of {id}, and billing.stripe.account names {}", named.0);
                    Err(BillingError::OtherAccount { cause })
                }
                (answer, _) => answer.map_err(BillingError::from),
            }
        };
        let id = stripe.account.get_or_try_init(ask).await?;
        Ok(StripeAccount { id: id.clone(), live: stripe.remote.is_live() })
    }

    fn note_held(&self, error: Option<&BillingError>) {
        let Some(stripe) = &self.stripe else { return };
        let cause = match error {
            None => None,
            Some(error @ (BillingError::OtherAccount { .. } | BillingError::KeyRefused { .. })) => error.cause(),
            // That says nothing of the key.
            Some(_) => return,
        };
        *stripe.held.write().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    /// Whether payments work, as far as is known; asks our own database at most.
    ///
    /// # Errors
    /// [`BillingError::Unavailable`] while Stripe isn't asked because it failed too often;
    /// [`BillingError::OtherAccount`] and [`BillingError::KeyRefused`] while it isn't because of whose key it is.
    pub async fn check(&self) -> Result<(), BillingError> {
        let Some(stripe) = &self.stripe else { return Ok(()) };
        if let Some(cause) = stripe.remote.outage() {
            return Err(BillingError::Unavailable { cause });
        }
        let held = stripe.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (held, stripe.account.get()) {
            (None, None) => Ok(()),
            (Some(cause), None) => Err(BillingError::KeyRefused { cause }),
            // Somebody else may have accepted it, or another, since it was last asked.
            (held, Some(id)) => match (store::kept_account(&self.db).await?, held) {
                (Some(kept), _) => same(&kept, &StripeAccount { id: id.clone(), live: stripe.remote.is_live() }),
                (None, Some(cause)) => Err(BillingError::OtherAccount { cause }),
                (None, None) => Ok(()),
            },
        }
    }

    /// Whether the key may be used for what is kept here: asks Stripe whose it is, if that isn't known yet, and
    /// writes nothing down.
    ///
    /// # Errors
    /// As [`Billing::check`]; [`BillingError::NotConfigured`], [`BillingError::NotAdmin`].
    pub async fn check_account(&self, caller: &Caller) -> Result<(), BillingError> {
        caller.require(Permission::ReadBilling)?;
        self.remote_to_look().await.map(drop)
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

fn same(kept: &StripeAccount, key: &StripeAccount) -> Result<(), BillingError> {
    if kept == key {
        return Ok(());
    }
    let cause = format!("the key is of {key}, and what is kept here is of {kept}");
    Err(BillingError::OtherAccount { cause })
}
