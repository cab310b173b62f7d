//! Stripe, spoken to by the SDK's requests over our own client; nobody else knows the SDK.

mod breaker;
mod client;
mod convert;
mod raw;
mod requests;

use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_billing::invoice::ListInvoice;
use stripe_billing::subscription::{
    CancelSubscription, ListSubscription, ListSubscriptionStatus, ResumeSubscription, RetrieveSubscription,
    UpdateSubscription,
};
use stripe_checkout::checkout_session::{ExpireCheckoutSession, ListCheckoutSession, RetrieveCheckoutSession};
use stripe_client_core::{CustomizableStripeRequest, IdempotencyKey, RequestStrategy, StripeRequest, VERSION};
use stripe_core::customer::{CreateCustomer, DeleteCustomer, ListCustomer, RetrieveCustomer, UpdateCustomer};
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::{ListPaymentIntent, RetrievePaymentIntent};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_product::price::{ListPrice, RetrievePrice};
use stripe_product::product::{ListProduct, RetrieveProduct};
use stripe_shared::CheckoutSessionStatus;
use stripe_types::{List, RangeQueryTs};

use self::client::Client;
use self::requests::{FIRST_PAYMENT, LATEST_INVOICE, labels};
use super::event::Envelope;
use super::remote::{
    CheckoutParams, IntentParams, Invoice, Remote, RemoteCheckout, RemoteCustomer, RemoteDispute, RemoteEndpoint,
    RemoteError, RemoteIntent, RemotePage, RemotePrice, RemoteProduct, RemoteRefund, RemoteSubscription, Reply,
    SubscribeParams, SubscriptionUpdate,
};
use super::settings::{StripeSettings, is_live};
use crate::clock::{Clock, Timestamp};
use crate::id::UserId;
use crate::secret::Secret;

/// What we write into the metadata of what we make.
pub(super) mod metadata {
    pub(crate) const USER: &str = "petspark_user";
    pub(crate) const PRICE: &str = "petspark_price";
    pub(crate) const QUANTITY: &str = "petspark_quantity";
    pub(crate) const OPERATION: &str = "petspark_operation";
}

/// As many of a list as Stripe gives at once.
const PAGE: i64 = 100;

pub(super) struct Gateway {
    client: Client,
    live: bool,
}

impl Gateway {
    pub(super) fn new(clock: Clock, settings: &StripeSettings, key: &Secret) -> Result<Self, String> {
        Ok(Self { client: Client::new(clock, settings, key)?, live: is_live(key).unwrap_or(true) })
    }

    async fn read<R: StripeRequest>(&self, request: &R) -> Result<R::Output, RemoteError>
    where
        R::Output: miniserde::Deserialize,
    {
        request.customize().send(&self.client).await
    }

    async fn write<R: StripeRequest>(&self, key: &str, request: &R) -> Result<R::Output, RemoteError>
    where
        R::Output: miniserde::Deserialize,
    {
        self.send(key, request.customize()).await
    }

    async fn send<T: miniserde::Deserialize>(
        &self,
        key: &str,
        request: CustomizableStripeRequest<T>,
    ) -> Result<T, RemoteError> {
        let key = IdempotencyKey::new(key).map_err(|error| RemoteError::Undecodable(error.to_string()))?;
        request.request_strategy(RequestStrategy::Idempotent(key)).send(&self.client).await
    }
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A page of ours of one of Stripe's; `id` is what the next one is asked for by.
fn page<T, U>(
    list: List<T>,
    id: impl Fn(&T) -> String,
    convert: impl Fn(T) -> Result<U, RemoteError>,
) -> Result<RemotePage<U>, RemoteError> {
    let next = list.data.last().filter(|_| list.has_more).map(id);
    Ok(RemotePage { items: list.data.into_iter().map(convert).collect::<Result<_, _>>()?, next })
}

impl Remote for Gateway {
    fn is_live(&self) -> bool {
        self.live
    }

    fn api_version(&self) -> &'static str {
        VERSION.as_str()
    }

    fn outage(&self) -> Option<String> {
        self.client.breaker.outage()
    }

    fn account(&self) -> Reply<'_, String> {
        Box::pin(raw::account(&self.client))
    }

    fn create_customer<'a>(&'a self, key: &'a str, user: UserId) -> Reply<'a, RemoteCustomer> {
        Box::pin(async move {
            let metadata = labels([(metadata::USER, user.to_string())]);
            let made = self.write(key, &CreateCustomer::new().metadata(metadata)).await?;
            Ok(convert::customer(made))
        })
    }

    fn customer<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteCustomer> {
        Box::pin(async move { Ok(convert::any_customer(self.read(&RetrieveCustomer::new(id)).await?)) })
    }

    fn set_email<'a>(&'a self, key: &'a str, id: &'a str, email: &'a str) -> Reply<'a, RemoteCustomer> {
        Box::pin(async move {
            let changed = self.write(key, &UpdateCustomer::new(id).email(email)).await?;
            Ok(convert::customer(changed))
        })
    }

    fn delete_customer<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            match self.read(&DeleteCustomer::new(id)).await {
                Err(error) if error.is_not_found() => Ok(()),
                deleted => deleted.map(drop),
            }
        })
    }

    fn customers<'a>(
        &'a self,
        since: Option<Timestamp>,
        after: Option<String>,
    ) -> Reply<'a, RemotePage<RemoteCustomer>> {
        Box::pin(async move {
            let mut request = ListCustomer::new().limit(PAGE);
            if let Some(since) = since {
                request = request.created(RangeQueryTs::gte(since.as_seconds()));
            }
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(
                self.read(&request).await?,
                |customer| customer.id.to_string(),
                |customer| Ok(convert::customer(customer)),
            )
        })
    }

    fn product<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteProduct> {
        Box::pin(async move { Ok(convert::product(self.read(&RetrieveProduct::new(id)).await?)) })
    }

    fn products(&self, after: Option<String>) -> Reply<'_, RemotePage<RemoteProduct>> {
        Box::pin(async move {
            let mut request = ListProduct::new().limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(self.read(&request).await?, |product| product.id.to_string(), |product| Ok(convert::product(product)))
        })
    }

    fn price<'a>(&'a self, id: &'a str) -> Reply<'a, RemotePrice> {
        Box::pin(async move { convert::price(self.read(&RetrievePrice::new(id)).await?) })
    }

    fn prices(&self, after: Option<String>) -> Reply<'_, RemotePage<RemotePrice>> {
        Box::pin(async move {
            let mut request = ListPrice::new().limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(self.read(&request).await?, |price| price.id.to_string(), convert::price)
        })
    }

    fn create_intent<'a>(&'a self, key: &'a str, params: &'a IntentParams) -> Reply<'a, RemoteIntent> {
        Box::pin(async move { convert::intent(self.write(key, &requests::intent(params)?).await?) })
    }

    fn intent<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteIntent> {
        Box::pin(async move {
            let request = RetrievePaymentIntent::new(id).expand(texts(&["latest_charge.refunds"]));
            convert::intent(self.read(&request).await?)
        })
    }

    fn intents<'a>(
        &'a self,
        customer: Option<&'a str>,
        since: Timestamp,
        after: Option<String>,
    ) -> Reply<'a, RemotePage<RemoteIntent>> {
        Box::pin(async move {
            let mut request = ListPaymentIntent::new()
                .created(RangeQueryTs::gte(since.as_seconds()))
                .expand(texts(&["data.latest_charge.refunds"]))
                .limit(PAGE);
            if let Some(customer) = customer {
                request = request.customer(customer);
            }
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(self.read(&request).await?, |intent| intent.id.to_string(), convert::intent)
        })
    }

    fn refund<'a>(&'a self, key: &'a str, intent: &'a str, amount: i64, operation: &'a str) -> Reply<'a, RemoteRefund> {
        Box::pin(async move {
            let metadata = labels([(metadata::OPERATION, operation.to_owned())]);
            let request = CreateRefund::new().payment_intent(intent).amount(amount).metadata(metadata);
            Ok(convert::refund(self.write(key, &request).await?))
        })
    }

    fn known_refund<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteRefund> {
        Box::pin(async move { Ok(convert::refund(self.read(&RetrieveRefund::new(id)).await?)) })
    }

    fn refunds<'a>(&'a self, intent: &'a str) -> Reply<'a, Vec<RemoteRefund>> {
        Box::pin(async move {
            let list = self.read(&ListRefund::new().payment_intent(intent).limit(PAGE)).await?;
            Ok(list.data.into_iter().map(convert::refund).collect())
        })
    }

    fn disputes(&self, since: Timestamp, after: Option<String>) -> Reply<'_, RemotePage<RemoteDispute>> {
        Box::pin(raw::disputes(&self.client, since, after))
    }

    fn checkout<'a>(&'a self, key: &'a str, params: &'a CheckoutParams) -> Reply<'a, RemoteCheckout> {
        Box::pin(async move { Ok(convert::checkout(self.write(key, &requests::checkout(params)).await?)) })
    }

    fn checkout_session<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteCheckout> {
        Box::pin(async move { Ok(convert::checkout(self.read(&RetrieveCheckoutSession::new(id)).await?)) })
    }

    fn open_checkouts<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<RemoteCheckout>> {
        Box::pin(async move {
            let request = ListCheckoutSession::new().customer(customer).status(CheckoutSessionStatus::Open).limit(PAGE);
            Ok(self.read(&request).await?.data.into_iter().map(convert::checkout).collect())
        })
    }

    fn expire_checkout<'a>(&'a self, key: &'a str, id: &'a str) -> Reply<'a, RemoteCheckout> {
        Box::pin(async move { Ok(convert::checkout(self.write(key, &ExpireCheckoutSession::new(id)).await?)) })
    }

    fn portal<'a>(&'a self, key: &'a str, customer: &'a str, return_url: &'a str) -> Reply<'a, String> {
        Box::pin(async move {
            let request = CreateBillingPortalSession::new().customer(customer).return_url(return_url);
            Ok(self.write(key, &request).await?.url)
        })
    }

    fn subscribe<'a>(&'a self, key: &'a str, params: &'a SubscribeParams) -> Reply<'a, RemoteSubscription> {
        Box::pin(async move { convert::subscription(self.write(key, &requests::subscribe(params)).await?) })
    }

    fn subscription<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteSubscription> {
        Box::pin(async move {
            let request = RetrieveSubscription::new(id).expand(texts(&FIRST_PAYMENT));
            convert::subscription(self.read(&request).await?)
        })
    }

    fn subscriptions(&self, after: Option<String>) -> Reply<'_, RemotePage<RemoteSubscription>> {
        Box::pin(async move {
            let mut request = ListSubscription::new().status(ListSubscriptionStatus::All).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(self.read(&request).await?, |subscription| subscription.id.to_string(), convert::subscription)
        })
    }

    fn subscriptions_of<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<RemoteSubscription>> {
        Box::pin(async move {
            let request = ListSubscription::new().customer(customer).status(ListSubscriptionStatus::All).limit(PAGE);
            self.read(&request).await?.data.into_iter().map(convert::subscription).collect()
        })
    }

    fn update_subscription<'a>(
        &'a self,
        key: &'a str,
        id: &'a str,
        update: &'a SubscriptionUpdate,
    ) -> Reply<'a, RemoteSubscription> {
        Box::pin(async move {
            let request = UpdateSubscription::new(id).expand(texts(&LATEST_INVOICE));
            let request = match update {
                SubscriptionUpdate::Swap { item, price } => requests::swap(request, item, price),
                SubscriptionUpdate::CancelAtPeriodEnd(cancel) => request.cancel_at_period_end(*cancel),
                SubscriptionUpdate::Collect => {
                    let mut built = request.build();
                    // The SDK can't say that something is to be empty.
                    built.body = Some("pause_collection=&expand[0]=latest_invoice".to_owned());
                    return convert::subscription(self.send(key, built.customize()).await?);
                }
            };
            convert::subscription(self.write(key, &request).await?)
        })
    }

    fn resume_subscription<'a>(&'a self, key: &'a str, id: &'a str) -> Reply<'a, RemoteSubscription> {
        Box::pin(async move {
            let request = ResumeSubscription::new(id).expand(texts(&LATEST_INVOICE));
            convert::subscription(self.write(key, &request).await?)
        })
    }

    fn cancel_subscription<'a>(&'a self, id: &'a str) -> Reply<'a, RemoteSubscription> {
        Box::pin(async move {
            let request = CancelSubscription::new(id).expand(texts(&LATEST_INVOICE));
            convert::subscription(self.read(&request).await?)
        })
    }

    fn invoices<'a>(&'a self, customer: &'a str) -> Reply<'a, Vec<Invoice>> {
        Box::pin(async move {
            let list = self.read(&ListInvoice::new().customer(customer).limit(PAGE)).await?;
            list.data.into_iter().map(convert::invoice).collect()
        })
    }

    fn undelivered_events(&self, since: Timestamp, after: Option<String>) -> Reply<'_, RemotePage<Envelope>> {
        Box::pin(async move {
            let mut request =
                ListEvent::new().delivery_success(false).created(RangeQueryTs::gte(since.as_seconds())).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            page(self.read(&request).await?, |event| event.id.to_string(), convert::event)
        })
    }

    fn create_endpoint<'a>(
        &'a self,
        key: &'a str,
        url: &'a str,
        events: &'a [&'static str],
    ) -> Reply<'a, RemoteEndpoint> {
        Box::pin(async move {
            let made: raw::MadeEndpoint = self.send(key, raw::new_endpoint(url, events)).await?;
            Ok(made.into())
        })
    }

    fn endpoints(&self) -> Reply<'_, Vec<RemoteEndpoint>> {
        Box::pin(raw::endpoints(&self.client))
    }
}
