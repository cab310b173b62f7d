//! Stripe's objects in our words: the few of their fields that we read.

use stripe_core::customer::RetrieveCustomerReturned;
use stripe_types::Expandable;

use super::metadata;
use crate::billing::event::Envelope;
use crate::billing::money::{Currency, Money};
use crate::billing::remote::{
    Invoice, Period, RemoteCheckout, RemoteCustomer, RemoteError, RemoteIntent, RemoteItem, RemotePrice, RemoteProduct,
    RemoteRefund, RemoteSubscription,
};
use crate::billing::status::SubscriptionStatus;
use crate::clock::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

fn strange(what: impl std::fmt::Display) -> RemoteError {
    RemoteError::Undecodable(format!("Stripe's answer isn't what this release understands: {what}"))
}

pub(super) fn currency(currency: &stripe_types::Currency) -> Result<Currency, RemoteError> {
    currency.to_string().parse().map_err(strange)
}

pub(super) fn currency_of(currency: Currency) -> Result<stripe_types::Currency, RemoteError> {
    currency.as_str().parse().map_err(strange)
}

pub(super) fn customer(customer: stripe_shared::Customer) -> RemoteCustomer {
    let user = customer.metadata.as_ref().and_then(|metadata| metadata.get(metadata::USER)?.parse().ok());
    RemoteCustomer { id: customer.id.to_string(), deleted: false, email: customer.email, user }
}

pub(super) fn any_customer(found: RetrieveCustomerReturned) -> RemoteCustomer {
    match found {
        RetrieveCustomerReturned::Customer(found) => customer(found),
        RetrieveCustomerReturned::DeletedCustomer(gone) => {
            RemoteCustomer { id: gone.id.to_string(), deleted: true, email: None, user: None }
        }
    }
}

pub(super) fn product(product: stripe_shared::Product) -> RemoteProduct {
    RemoteProduct {
        id: product.id.to_string(),
        name: product.name,
        description: product.description,
        features: product.marketing_features.into_iter().filter_map(|feature| feature.name).collect(),
        plan: product.metadata.get("plan").filter(|plan| !plan.is_empty()).cloned(),
        active: product.active,
    }
}

pub(super) fn price(price: stripe_shared::Price) -> Result<RemotePrice, RemoteError> {
    let recurring = price.recurring.as_ref();
    let period = recurring.map(|recurring| recurring.interval.as_str().parse::<Period>()).transpose();
    // What is billed by use has no amount that is known before.
    let by_use = recurring.is_some_and(|recurring| recurring.usage_type.as_str() == "metered");
    let simple = price.billing_scheme.as_str() == "per_unit" && !by_use && price.transform_quantity.is_none();
    Ok(RemotePrice {
        id: price.id.to_string(),
        product: price.product.id().to_string(),
        amount: price.unit_amount.filter(|_| simple),
        currency: currency(&price.currency)?,
        period: period.map_err(strange)?,
        period_count: recurring.and_then(|recurring| i32::try_from(recurring.interval_count).ok()),
        lookup_key: price.lookup_key,
        plan: price.metadata.get("plan").filter(|plan| !plan.is_empty()).cloned(),
        lifetime_days: price.metadata.get("days").and_then(|days| days.parse().ok()).filter(|days| *days > 0),
        active: price.active,
    })
}

pub(super) fn subscription(subscription: stripe_shared::Subscription) -> Result<RemoteSubscription, RemoteError> {
    let invoice = subscription.latest_invoice.as_ref().and_then(Expandable::as_object);
    let by_invoice = invoice.and_then(|invoice| Some(invoice.confirmation_secret.as_ref()?.client_secret.clone()));
    let invoiced = invoice.map(|invoice| at(invoice.created));
    let setup = subscription.pending_setup_intent.as_ref().and_then(Expandable::as_object);
    let client_secret = by_invoice.or_else(|| setup.and_then(|setup| setup.client_secret.clone()));
    let item = |item: stripe_shared::SubscriptionItem| {
        Ok(RemoteItem {
            id: item.id.to_string(),
            price: price(item.price)?,
            quantity: item.quantity.and_then(|quantity| i64::try_from(quantity).ok()).unwrap_or(1),
            period_start: at(item.current_period_start),
            period_end: at(item.current_period_end),
        })
    };
    Ok(RemoteSubscription {
        id: subscription.id.to_string(),
        customer: subscription.customer.id().to_string(),
        status: SubscriptionStatus::from(subscription.status.as_str().to_owned()),
        items: subscription.items.data.into_iter().map(item).collect::<Result<_, RemoteError>>()?,
        trial_end: subscription.trial_end.map(at),
        cancel_at: subscription.cancel_at.map(at),
        cancel_at_period_end: subscription.cancel_at_period_end,
        canceled_at: subscription.canceled_at.map(at),
        ended_at: subscription.ended_at.map(at),
        paused: subscription.pause_collection.map(|pause| pause.behavior.as_str().to_owned()),
        created: at(subscription.created),
        invoiced,
        operation: subscription.metadata.get(metadata::OPERATION).cloned(),
        client_secret,
    })
}

pub(super) fn intent(intent: stripe_shared::PaymentIntent) -> Result<RemoteIntent, RemoteError> {
    let charge = intent.latest_charge.as_ref().and_then(Expandable::as_object);
    Ok(RemoteIntent {
        id: intent.id.to_string(),
        customer: intent.customer.as_ref().map(|customer| customer.id().to_string()),
        money: Money::new(intent.amount, currency(&intent.currency)?),
        status: intent.status.as_str().to_owned(),
        client_secret: intent.client_secret.clone(),
        refunded: charge.map_or(0, refunded),
        price: intent.metadata.get(metadata::PRICE).cloned(),
        quantity: intent.metadata.get(metadata::QUANTITY).and_then(|quantity| quantity.parse().ok()),
        operation: intent.metadata.get(metadata::OPERATION).cloned(),
        created: at(intent.created),
        paid: charge.filter(|charge| charge.paid).map(|charge| at(charge.created)),
    })
}

/// What went back of a charge. Its own sum may count what failed later, so that it is believed only where there are
/// more refunds than an answer tells.
fn refunded(charge: &stripe_shared::Charge) -> i64 {
    match &charge.refunds {
        Some(all) if !all.has_more && !all.data.is_empty() => {
            let all = all.data.iter().cloned().map(refund);
            all.filter(|refund| !refund.has_failed()).map(|refund| refund.amount).sum()
        }
        _ => charge.amount_refunded,
    }
}

pub(super) fn refund(refund: stripe_shared::Refund) -> RemoteRefund {
    let operation = refund.metadata.as_ref().and_then(|metadata| metadata.get(metadata::OPERATION)).cloned();
    RemoteRefund {
        id: refund.id.to_string(),
        amount: refund.amount,
        // Left out only of refunds that are older than their statuses.
        status: refund.status.unwrap_or_else(|| "succeeded".to_owned()),
        failure: refund.failure_reason,
        operation,
    }
}

pub(super) fn checkout(session: stripe_shared::CheckoutSession) -> RemoteCheckout {
    RemoteCheckout {
        id: session.id.to_string(),
        url: session.url,
        complete: session.status == Some(stripe_shared::CheckoutSessionStatus::Complete),
        recurring: session.mode.as_str() == "subscription",
        operation: session.metadata.as_ref().and_then(|metadata| metadata.get(metadata::OPERATION)).cloned(),
    }
}

pub(super) fn invoice(invoice: stripe_shared::Invoice) -> Result<Invoice, RemoteError> {
    let parent = invoice.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
    Ok(Invoice {
        id: invoice.id.map(|id| id.to_string()).unwrap_or_default(),
        number: invoice.number,
        status: invoice.status.map(|status| status.as_str().to_owned()),
        total: invoice.total,
        amount_paid: invoice.amount_paid,
        currency: currency(&invoice.currency)?,
        created_at: at(invoice.created),
        hosted_url: invoice.hosted_invoice_url,
        pdf_url: invoice.invoice_pdf,
        subscription_id: parent.map(|parent| parent.subscription.id().to_string()),
    })
}

/// An event of a list, read as those are that Stripe sends.
pub(super) fn event(event: stripe_shared::Event) -> Result<Envelope, RemoteError> {
    let object = miniserde::json::to_string(&event.data.object);
    let object: serde_json::Value = serde_json::from_str(&object).map_err(strange)?;
    let whole = serde_json::json!({
        "id": event.id.to_string(),
        "type": event.type_.as_str(),
        "created": event.created,
        "livemode": event.livemode,
        "api_version": event.api_version,
        "data": { "object": object },
    });
    Envelope::of(&whole).ok_or_else(|| strange("an event without an id"))
}
