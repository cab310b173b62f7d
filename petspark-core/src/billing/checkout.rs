//! Ways to Stripe's own pages, where people pay and look after what they pay for. Where these may lead back to says
//! `origins.rs`.

use serde_json::json;

use super::operation::{Operation, Wanted, name_of};
use super::remote::{CheckoutParams, Invoice, RemoteError};
use super::{Billing, BillingError, store, subscribing, user};
use crate::caller::Caller;
use crate::id::{OperationId, UserId};
use crate::idempotency::IdempotencyKey;

/// What somebody wants to pay for on Stripe's page.
#[derive(Clone, Debug)]
pub struct NewCheckout {
    /// A price that is sold.
    pub price_id: String,
    /// How many, from 1 to 1000; of a subscription, one.
    pub quantity: u32,
    /// Where to come back to afterwards. `{CHECKOUT_SESSION_ID}` in it is filled in by Stripe.
    pub success_url: String,
    /// Where to come back to without having paid.
    pub cancel_url: String,
}

const KIND: &str = "checkout";

impl Billing {
    /// Where the caller pays. Who asks again for the same is led to the same page while it is open; who wants
    /// another subscription gets another page, and the one before is closed.
    ///
    /// # Errors
    /// [`BillingError::BadPrice`]; [`BillingError::Invalid`] for URLs that lead elsewhere;
    /// [`BillingError::AlreadySubscribed`]; [`BillingError::Conflict`] while another subscription is being begun.
    pub async fn checkout_session(
        &self,
        caller: &Caller,
        new: &NewCheckout,
        key: Option<&IdempotencyKey>,
    ) -> Result<String, BillingError> {
        let owner = user(caller)?;
        self.remote().await?;
        let urls = [("successUrl", &*new.success_url), ("cancelUrl", &*new.cancel_url)];
        self.require_own_urls(caller, "checkout_session", &urls).await?;
        let price = match self.sold(&new.price_id).await {
            Err(error @ BillingError::BadPrice(_)) => return Err(self.refuse(caller, "checkout_session", error).await),
            price => price?,
        };
        let recurring = price.period.is_some();
        if !(1..=if recurring { 1 } else { 1000 }).contains(&new.quantity) {
            let error =
                BillingError::BadPrice("The quantity must be 1, or up to 1000 of what is paid once.".to_owned());
            return Err(self.refuse(caller, "checkout_session", error).await);
        }
        let request = (&price.id, new.quantity, &new.success_url, &new.cancel_url);
        let wanted = Wanted::new(Some(owner), KIND, &name_of(owner, key), &request)?.about(&price.id);
        let params = CheckoutParams {
            customer: String::new(),
            price: price.id.clone(),
            quantity: new.quantity,
            recurring,
            trial_days: None,
            success_url: new.success_url.clone(),
            cancel_url: new.cancel_url.clone(),
            automatic_tax: self.settings.automatic_tax,
            operation: String::new(),
        };
        if !recurring {
            return self.pay_once(owner, &wanted, params).await;
        }
        // The client's key must not have meant another page; which one it is, is a matter of what comes next.
        let asked = match key {
            Some(key) => {
                let name = format!("{KIND} {}", name_of(owner, Some(key)));
                Some(self.begin(Some(owner), subscribing::ASKED, &name, &request).await?)
            }
            None => None,
        };
        let led = self.subscribe_there(owner, wanted, params).await;
        if let Some(asked) = asked {
            self.end_operation(&asked, if led.is_ok() { "done" } else { "refused" }, None).await?;
        }
        led
    }

    async fn pay_once(&self, owner: UserId, wanted: &Wanted, params: CheckoutParams) -> Result<String, BillingError> {
        let params = CheckoutParams { customer: self.customer(owner).await?, ..params };
        let mut operation = self.begin_wanted(wanted).await?;
        if let Some(id) = &operation.done {
            let page = self.remote().await?.checkout_session(id).await?;
            if let Some(url) = page.url {
                return Ok(url);
            }
            if page.complete {
                return Err(BillingError::Conflict("This was paid already."));
            }
            operation = self.begin_again(wanted, operation.id).await?;
        }
        self.open_page(operation, params).await
    }

    async fn subscribe_there(
        &self,
        owner: UserId,
        wanted: Wanted,
        params: CheckoutParams,
    ) -> Result<String, BillingError> {
        let (ever, trial_days) = self.require_none_yet(owner).await?;
        let params = CheckoutParams { customer: self.customer(owner).await?, trial_days, ..params };
        let wanted = wanted.named(subscribing::next(owner, ever));
        let mut operation = self.begin_next(&wanted).await?;
        if let Some(id) = &operation.done {
            if let Some(url) = self.remote().await?.checkout_session(id).await?.url {
                return Ok(url);
            }
            operation = self.begin_again(&wanted, operation.id).await?;
        }
        self.clear_the_way(owner, &params.customer, &operation).await?;
        self.require_none_but(owner, &operation).await?;
        self.open_page(operation, params).await
    }

    async fn open_page(&self, mut operation: Operation, mut params: CheckoutParams) -> Result<String, BillingError> {
        let remote = self.remote().await?;
        params.operation = operation.id.to_string();
        self.hold(&mut operation).await?;
        let closed = || BillingError::Conflict("This page is closed by now. Please try again.");
        if let Some(id) = &operation.done {
            return remote.checkout_session(id).await?.url.ok_or_else(closed);
        }
        let mut answer = remote.checkout(&operation.key, &params).await;
        if let Err(RemoteError::Spent(_)) = answer {
            let open = remote.open_checkouts(&params.customer).await?;
            let made = open.into_iter().find(|page| page.operation.as_ref() == Some(&params.operation));
            answer = match made {
                Some(made) => Ok(made),
                None => {
                    self.renew(&mut operation).await?;
                    params.operation = operation.id.to_string();
                    remote.checkout(&operation.key, &params).await
                }
            };
        }
        let made = self.answered(&operation, answer).await?;
        self.end_operation(&operation, "done", Some(&made.id)).await?;
        // Asked again under one key, Stripe answers as it did, though the page may be closed by now.
        made.url.ok_or_else(closed)
    }

    /// Where the caller looks after their subscription, cards and invoices.
    ///
    /// # Errors
    /// [`BillingError::Invalid`] for a URL that leads elsewhere; [`BillingError::NotFound`] for who never
    /// bought anything.
    pub async fn portal_session(&self, caller: &Caller, return_url: &str) -> Result<String, BillingError> {
        let (owner, remote) = (user(caller)?, self.remote().await?);
        self.require_own_urls(caller, "portal_session", &[("returnUrl", return_url)]).await?;
        let customer = store::customer_of(&self.db, owner).await?.ok_or(BillingError::NotFound("customer"))?;
        let name = format!("{owner} {}", OperationId::new());
        let operation = self.begin(Some(owner), "portal", &name, &json!(return_url)).await?;
        let url = self.operate(&operation, remote.portal(&operation.key, &customer, return_url)).await?;
        self.end_operation(&operation, "done", None).await?;
        Ok(url)
    }

    /// The caller's invoices, the newest first, 100 at most, from Stripe.
    ///
    /// # Errors
    /// [`BillingError::Denied`] when no user is asking.
    pub async fn invoices(&self, caller: &Caller) -> Result<Vec<Invoice>, BillingError> {
        let (owner, remote) = (user(caller)?, self.remote().await?);
        match store::customer_of(&self.db, owner).await? {
            Some(customer) => Ok(remote.invoices(&customer).await?),
            None => Ok(Vec::new()),
        }
    }
}
