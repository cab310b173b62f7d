//! Payments, subscriptions and plans on the wire.

use std::collections::BTreeMap;

use petspark_core::billing::{
    self, Access, Currency, NewCheckout, NewGrant, NewPayment, NewRefund, NewSubscription, Period, Source,
    SubscriptionChange,
};
use petspark_core::{FieldErrors, GrantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words;
use crate::error::ApiError;

/// Something that is sold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// What is said of it, a line each.
    features: Vec<String>,
    /// What it costs, the least first.
    prices: Vec<Price>,
}

/// What something costs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Price {
    id: String,
    /// In the currency's smallest unit: cents of a euro, whole yen.
    #[schema(example = 900)]
    amount: i64,
    #[schema(value_type = String, example = "eur")]
    currency: Currency,
    /// How often; once if it isn't said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Period>)]
    interval: Option<Period>,
    /// Every how many of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_count: Option<i32>,
    /// The plan that it buys.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
}

impl From<billing::Product> for Product {
    fn from(product: billing::Product) -> Self {
        Self {
            id: product.id,
            name: product.name,
            description: product.description,
            features: product.features,
            prices: product.prices.into_iter().map(Price::from).collect(),
        }
    }
}

impl From<billing::Price> for Price {
    fn from(price: billing::Price) -> Self {
        Self {
            id: price.id,
            amount: price.amount,
            currency: price.currency,
            interval: price.interval,
            interval_count: price.interval_count,
            plan: price.plan,
        }
    }
}

/// What to pay for on Stripe's page.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CheckoutBody {
    #[schema(max_length = 255)]
    price_id: String,
    /// How many; of a subscription, one.
    #[schema(minimum = 1, maximum = 1000)]
    quantity: Option<u32>,
    /// Where to come back to after paying. On an allowed origin.
    #[schema(max_length = 2000)]
    success_url: String,
    /// Where to come back to otherwise. On an allowed origin.
    #[schema(max_length = 2000)]
    cancel_url: String,
}

impl From<CheckoutBody> for NewCheckout {
    fn from(body: CheckoutBody) -> Self {
        Self {
            price_id: body.price_id,
            quantity: body.quantity.unwrap_or(1),
            success_url: body.success_url,
            cancel_url: body.cancel_url,
        }
    }
}

/// Where to come back to from Stripe's page. `returnUrl` is needed, or one of the two that
/// checkout takes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PortalBody {
    #[schema(max_length = 2000)]
    return_url: Option<String>,
    #[schema(max_length = 2000)]
    success_url: Option<String>,
    #[schema(max_length = 2000)]
    cancel_url: Option<String>,
    /// Ignored, so that one body serves both.
    #[serde(rename = "priceId")]
    #[schema(read_only)]
    _price_id: Option<String>,
}

impl PortalBody {
    pub(crate) fn return_url(self) -> Result<String, ApiError> {
        let url = self.return_url.or(self.success_url).or(self.cancel_url);
        url.ok_or_else(|| ApiError::invalid_fields(&FieldErrors::one("returnUrl", "is required")))
    }
}

/// One of Stripe's pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    /// Lead the browser there. It is for this user only, and for a while.
    pub(crate) url: String,
}

/// What to buy once.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IntentBody {
    #[schema(max_length = 255)]
    price_id: String,
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    quantity: Option<i64>,
    /// What you think it costs. The server decides; another amount is PAY_004.
    #[schema(maximum = 999_999_999_999_u64)]
    amount: Option<i64>,
    /// In which currency you think so.
    #[schema(max_length = 3)]
    currency: Option<String>,
}

impl From<IntentBody> for NewPayment {
    fn from(body: IntentBody) -> Self {
        Self {
            price_id: body.price_id,
            quantity: body.quantity.unwrap_or(1),
            amount: body.amount,
            currency: body.currency,
        }
    }
}

/// A payment that the browser is to make.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intent {
    id: String,
    /// For Stripe's script in the payer's browser. Whoever knows it can pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// In the currency's smallest unit.
    amount: i64,
    #[schema(value_type = String, example = "eur")]
    currency: Currency,
    /// Stripe's word for where it is.
    #[schema(example = "requires_payment_method")]
    status: String,
}

impl From<billing::Intent> for Intent {
    fn from(intent: billing::Intent) -> Self {
        Self {
            id: intent.id,
            client_secret: intent.client_secret,
            amount: intent.amount,
            currency: intent.currency,
            status: intent.status,
        }
    }
}

/// Which payment.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConfirmBody {
    #[schema(max_length = 255)]
    pub(crate) payment_intent_id: String,
}

/// A payment as Stripe has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_id: Option<String>,
    quantity: i64,
    /// In the currency's smallest unit.
    amount: i64,
    #[schema(value_type = String, example = "eur")]
    currency: Currency,
    /// Stripe's word for where it is.
    #[schema(example = "succeeded")]
    status: String,
    /// What was paid back of it.
    refunded: i64,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<billing::Payment> for Payment {
    fn from(payment: billing::Payment) -> Self {
        Self {
            id: payment.id,
            price_id: payment.price_id,
            quantity: payment.quantity,
            amount: payment.amount,
            currency: payment.currency,
            status: payment.status,
            refunded: payment.refunded,
            created_at: payment.created_at,
        }
    }
}

/// What to subscribe to.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SubscriptionBody {
    #[schema(max_length = 255)]
    price_id: String,
}

impl From<SubscriptionBody> for NewSubscription {
    fn from(body: SubscriptionBody) -> Self {
        Self { price_id: body.price_id }
    }
}

/// What is to be different. What isn't there stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SubscriptionPatch {
    #[schema(max_length = 255)]
    price_id: Option<String>,
    /// Whether it ends with what is paid for; `false` takes that back.
    cancel_at_period_end: Option<bool>,
}

impl From<SubscriptionPatch> for SubscriptionChange {
    fn from(patch: SubscriptionPatch) -> Self {
        Self { price_id: patch.price_id, cancel_at_period_end: patch.cancel_at_period_end }
    }
}

/// A subscription as it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscription {
    id: String,
    /// Stripe's word for where it is.
    #[schema(example = "active")]
    status: String,
    #[schema(value_type = words::PlanAccess)]
    access: Access,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_id: Option<String>,
    /// When what is paid for ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    current_period_end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    trial_end: Option<Timestamp>,
    cancel_at_period_end: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    cancel_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// For Stripe's script in the payer's browser, to make the first payment. Only when it is begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

impl From<billing::Subscription> for Subscription {
    fn from(subscription: billing::Subscription) -> Self {
        Self {
            id: subscription.id,
            status: subscription.status.to_string(),
            access: subscription.access,
            plan: subscription.plan,
            price_id: subscription.price_id,
            current_period_end: subscription.current_period_end,
            trial_end: subscription.trial_end,
            cancel_at_period_end: subscription.cancel_at_period_end,
            cancel_at: subscription.cancel_at,
            ended_at: subscription.ended_at,
            created_at: subscription.created_at,
            client_secret: subscription.client_secret,
        }
    }
}

/// What the caller may have now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entitlements {
    #[schema(example = "premium")]
    plan: String,
    /// Every feature that some plan has, and whether this one does.
    #[schema(value_type = Object, example = json!({"advanced_filters": true}))]
    features: BTreeMap<String, bool>,
    limits: Limits,
    /// Until when, if nothing changes; the free plan has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    valid_until: Option<Timestamp>,
    #[schema(value_type = words::PlanSource)]
    source: Source,
}

/// How much of everything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Limits {
    photos_per_pet: u32,
    /// What uploads can take altogether.
    storage_bytes: u64,
    pets: u32,
}

impl From<billing::Entitlements> for Entitlements {
    fn from(entitlements: billing::Entitlements) -> Self {
        let limits = entitlements.limits;
        Self {
            plan: entitlements.plan,
            features: entitlements.features,
            limits: Limits {
                photos_per_pet: limits.photos_per_pet,
                storage_bytes: limits.storage_bytes,
                pets: limits.pets,
            },
            valid_until: entitlements.valid_until,
            source: entitlements.source,
        }
    }
}

/// A plan for somebody. All but `until` is needed; that it is there is checked after who asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GrantBody {
    #[serde(default)]
    #[schema(required, format = "uuid", max_length = 36)]
    user_id: String,
    #[serde(default)]
    #[schema(required, max_length = 40, example = "premium")]
    plan: String,
    /// Why, for the record.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 500)]
    reason: String,
    /// Until when; for good if it isn't said.
    #[schema(value_type = Option<String>, format = "date-time", max_length = 40)]
    until: Option<Timestamp>,
}

impl GrantBody {
    pub(crate) fn check(self) -> Result<NewGrant, ApiError> {
        let not_an_id = |_| ApiError::invalid_fields(&FieldErrors::one("userId", "must be a user's id"));
        let user = self.user_id.parse::<UserId>().map_err(not_an_id)?;
        Ok(NewGrant { user, plan: self.plan, reason: self.reason, until: self.until })
    }
}

/// A plan that somebody was given.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    #[schema(value_type = String, format = "uuid")]
    id: GrantId,
    #[schema(value_type = String, format = "uuid")]
    user_id: UserId,
    plan: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Timestamp>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<billing::Grant> for Grant {
    fn from(grant: billing::Grant) -> Self {
        Self {
            id: grant.id,
            user_id: grant.user_id,
            plan: grant.plan,
            reason: grant.reason,
            until: grant.ends_at,
            created_at: grant.created_at,
        }
    }
}

/// Money to be given back.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RefundBody {
    #[serde(default)]
    #[schema(required, max_length = 255)]
    payment_intent_id: String,
    /// In the currency's smallest unit; all that is left if it isn't said.
    #[schema(minimum = 1, maximum = 999_999_999_999_u64)]
    amount: Option<i64>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 500)]
    reason: String,
}

impl From<RefundBody> for NewRefund {
    fn from(body: RefundBody) -> Self {
        Self { payment_id: body.payment_intent_id, amount: body.amount, reason: body.reason }
    }
}

/// Money that was given back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refund {
    id: String,
    payment_intent_id: String,
    /// How much this time.
    amount: i64,
    /// How much altogether.
    refunded: i64,
    #[schema(value_type = String, example = "eur")]
    currency: Currency,
    /// `succeeded`, or `pending` and `requires_action` for a while, in Stripe's words.
    #[schema(example = "succeeded")]
    status: String,
}

impl From<billing::Refund> for Refund {
    fn from(refund: billing::Refund) -> Self {
        Self {
            id: refund.id,
            payment_intent_id: refund.payment_id,
            amount: refund.amount,
            refunded: refund.refunded,
            currency: refund.currency,
            status: refund.status,
        }
    }
}

/// An invoice, at Stripe.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invoice {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// Stripe's word for where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "paid")]
    status: Option<String>,
    /// In the currency's smallest unit.
    total: i64,
    amount_paid: i64,
    #[schema(value_type = String, example = "eur")]
    currency: Currency,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// Where it can be seen and paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
}

impl From<billing::Invoice> for Invoice {
    fn from(invoice: billing::Invoice) -> Self {
        Self {
            id: invoice.id,
            number: invoice.number,
            status: invoice.status,
            total: invoice.total,
            amount_paid: invoice.amount_paid,
            currency: invoice.currency,
            created_at: invoice.created_at,
            hosted_url: invoice.hosted_url,
            pdf_url: invoice.pdf_url,
            subscription_id: invoice.subscription_id,
        }
    }
}

/// A webhook is here, and will be processed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookTaken {
    pub(crate) received: bool,
}
