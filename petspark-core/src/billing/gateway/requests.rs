//! The requests that take more than a line to say: how people are led to Stripe's pages, begin subscriptions
//! and change them.

use std::collections::HashMap;

use stripe_billing::subscription::{
    CreateSubscription, CreateSubscriptionAutomaticTax, CreateSubscriptionItems, CreateSubscriptionPaymentBehavior,
    CreateSubscriptionPaymentSettings, CreateSubscriptionPaymentSettingsSaveDefaultPaymentMethod, UpdateSubscription,
    UpdateSubscriptionItems, UpdateSubscriptionPaymentBehavior, UpdateSubscriptionProrationBehavior,
};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionAutomaticTax, CreateCheckoutSessionCustomerUpdate,
    CreateCheckoutSessionCustomerUpdateAddress, CreateCheckoutSessionLineItems, CreateCheckoutSessionPaymentIntentData,
    CreateCheckoutSessionSubscriptionData,
};
use stripe_core::payment_intent::{CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods};
use stripe_shared::CheckoutSessionMode;

use super::{convert, metadata, texts};
use crate::billing::remote::{CheckoutParams, IntentParams, RemoteError, SubscribeParams};

/// What a browser needs to pay comes with these.
pub(super) const FIRST_PAYMENT: [&str; 2] = ["latest_invoice.confirmation_secret", "pending_setup_intent"];
/// When it was made, too.
pub(super) const LATEST_INVOICE: [&str; 1] = ["latest_invoice"];

/// What we write into the metadata of what we make.
pub(super) fn labels<const N: usize>(labels: [(&str, String); N]) -> HashMap<String, String> {
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn intent(params: &IntentParams) -> Result<CreatePaymentIntent, RemoteError> {
    let currency: stripe_types::Currency = convert::currency_of(params.money.currency)?;
    Ok(CreatePaymentIntent::new(params.money.amount, currency)
        .customer(params.customer.as_str())
        .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods::new(true))
        .metadata(labels([
            (metadata::PRICE, params.price.clone()),
            (metadata::QUANTITY, params.quantity.to_string()),
            (metadata::OPERATION, params.operation.clone()),
        ])))
}

pub(super) fn checkout(params: &CheckoutParams) -> CreateCheckoutSession {
    let mut item = CreateCheckoutSessionLineItems::new();
    item.price = Some(params.price.clone());
    item.quantity = Some(u64::from(params.quantity));
    let mut request = CreateCheckoutSession::new()
        .customer(params.customer.as_str())
        .line_items(vec![item])
        .metadata(labels([(metadata::OPERATION, params.operation.clone())]))
        .success_url(params.success_url.as_str())
        .cancel_url(params.cancel_url.as_str());
    if params.recurring {
        let mut data = CreateCheckoutSessionSubscriptionData::new();
        data.trial_period_days = params.trial_days;
        request = request.mode(CheckoutSessionMode::Subscription).subscription_data(data);
    } else {
        let mut data = CreateCheckoutSessionPaymentIntentData::new();
        data.metadata =
            Some(labels([(metadata::PRICE, params.price.clone()), (metadata::QUANTITY, params.quantity.to_string())]));
        request = request.mode(CheckoutSessionMode::Payment).payment_intent_data(data);
    }
    if params.automatic_tax {
        let mut update = CreateCheckoutSessionCustomerUpdate::new();
        update.address = Some(CreateCheckoutSessionCustomerUpdateAddress::Auto);
        request = request.automatic_tax(CreateCheckoutSessionAutomaticTax::new(true)).customer_update(update);
    }
    request
}

pub(super) fn subscribe(params: &SubscribeParams) -> CreateSubscription {
    let mut item = CreateSubscriptionItems::new();
    item.price = Some(params.price.clone());
    let mut payment = CreateSubscriptionPaymentSettings::new();
    payment.save_default_payment_method =
        Some(CreateSubscriptionPaymentSettingsSaveDefaultPaymentMethod::OnSubscription);
    let mut request = CreateSubscription::new()
        .customer(params.customer.as_str())
        .items(vec![item])
        .metadata(labels([(metadata::OPERATION, params.operation.clone())]))
        .payment_behavior(CreateSubscriptionPaymentBehavior::DefaultIncomplete)
        .payment_settings(payment)
        .expand(texts(&FIRST_PAYMENT));
    if let Some(days) = params.trial_days {
        request = request.trial_period_days(days);
    }
    if params.automatic_tax {
        request = request.automatic_tax(CreateSubscriptionAutomaticTax::new(true));
    }
    request
}

/// Another price. What it costs more until the period's end is paid now: a dearer plan isn't had on credit, and
/// where it can't be paid everything stays as it was.
pub(super) fn swap(request: UpdateSubscription, item: &str, price: &str) -> UpdateSubscription {
    let mut swapped = UpdateSubscriptionItems::new();
    swapped.id = Some(item.to_owned());
    swapped.price = Some(price.to_owned());
    request
        .items(vec![swapped])
        .proration_behavior(UpdateSubscriptionProrationBehavior::AlwaysInvoice)
        .payment_behavior(UpdateSubscriptionPaymentBehavior::ErrorIfIncomplete)
}
