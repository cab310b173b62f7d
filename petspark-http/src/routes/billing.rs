//! `/api/v1/payments`: what can be bought, buying it, and what somebody has. Amounts, owners and
//! origins are judged in core.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use http::{HeaderMap, StatusCode};
use petspark_core::Caller;
use petspark_core::auth::Permission;
use petspark_core::billing::BillingError;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Anybody, Idempotent, Json, Raw, Signed, SignedNow};
use crate::wire::{
    CheckoutBody, ConfirmBody, Data, Entitlements, Grant, GrantBody, Intent, IntentBody, Invoice, Page, Payment,
    PortalBody, Product, Refund, RefundBody, Replayed, Subscription, SubscriptionBody, SubscriptionPatch, WebhookTaken,
};

/// Most bytes of an event; Stripe's largest have a tenth of it.
const EVENT: usize = 256 * 1024;

/// Somebody signed in, where payments are available. Without them nothing here is read further.
pub(crate) struct Customer(Caller);

/// The same of administrators.
pub(crate) struct Treasurer(Caller);

impl FromRequestParts<App> for Customer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(caller) = Signed::from_request_parts(parts, app).await?;
        available(app).map(|()| Self(caller))
    }
}

impl FromRequestParts<App> for Treasurer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedNow(caller) = SignedNow::from_request_parts(parts, app).await?;
        available(app)?;
        // Before the body is looked at: who may not shall not learn what would be right.
        caller.require(Permission::ManageBilling).map_err(BillingError::from)?;
        Ok(Self(caller))
    }
}

fn available(app: &App) -> Result<(), ApiError> {
    if app.petspark().billing().is_configured() { Ok(()) } else { Err(BillingError::NotConfigured.into()) }
}

/// What can be bought.
#[utoipa::path(get, path = "/payments/products", operation_id = "listProducts", tag = "payments", responses(
    (status = 200, description = "All of it", body = Data<Vec<Product>>),
    (status = 503, description = "PAY_000: payments are not available here", body = ErrorBody),
))]
pub(super) async fn products(
    State(app): State<App>,
    Customer(_caller): Customer,
) -> Result<Data<Vec<Product>>, ApiError> {
    let products = app.petspark().billing().products().await?;
    Ok(Data { data: products.into_iter().map(Product::from).collect() })
}

/// Pay on Stripe's page.
#[utoipa::path(post, path = "/payments/checkout-session", operation_id = "createCheckoutSession", tag = "payments",
    params(Idempotent), request_body = CheckoutBody, responses(
    (status = 200, description = "Where", body = Data<Page>),
    (status = 400, description = "VALIDATION_FAILED: a URL leads elsewhere; PAY_004: not sold", body = ErrorBody),
    (status = 409, description = "PAY_006: subscribed already; PAY_008: another one is being begun; IDEMPOTENCY_KEY_REUSED", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn checkout(
    State(app): State<App>,
    Customer(caller): Customer,
    Idempotent(key): Idempotent,
    Json(body): Json<CheckoutBody>,
) -> Result<Data<Page>, ApiError> {
    let url = app.petspark().billing().checkout_session(&caller, &body.into(), key.as_ref()).await?;
    Ok(Data { data: Page { url } })
}

/// Look after subscription, cards and invoices on Stripe's page.
#[utoipa::path(post, path = "/payments/portal-session", operation_id = "createPortalSession", tag = "payments", request_body = PortalBody, responses(
    (status = 200, description = "Where", body = Data<Page>),
    (status = 400, description = "VALIDATION_FAILED: the URL leads elsewhere", body = ErrorBody),
    (status = 404, description = "PAY_001: nothing was ever bought", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn portal(
    State(app): State<App>,
    Customer(caller): Customer,
    Json(body): Json<PortalBody>,
) -> Result<Data<Page>, ApiError> {
    let url = app.petspark().billing().portal_session(&caller, &body.return_url()?).await?;
    Ok(Data { data: Page { url } })
}

/// Begin a payment that is made once. What it costs the server decides.
#[utoipa::path(post, path = "/payments/create-intent", operation_id = "createPaymentIntent", tag = "payments",
    params(Idempotent), request_body = IntentBody, responses(
    (status = 201, description = "What the payer's browser needs", body = Data<Intent>, headers(
        ("Idempotency-Replayed" = bool, description = "true when the key was used before: this is that payment"))),
    (status = 400, description = "PAY_004: not sold, not so many, or not at this amount; VALIDATION_FAILED", body = ErrorBody),
    (status = 409, description = "IDEMPOTENCY_KEY_REUSED", body = ErrorBody),
    (status = 422, description = "PAY_007: Stripe refused", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn create_intent(
    State(app): State<App>,
    Customer(caller): Customer,
    Idempotent(key): Idempotent,
    Json(body): Json<IntentBody>,
) -> Result<(StatusCode, Replayed, Data<Intent>), ApiError> {
    let made = app.petspark().billing().create_intent(&caller, &body.into(), key.as_ref()).await?;
    Ok((StatusCode::CREATED, Replayed(made.replayed), Data { data: made.result.into() }))
}

/// Hear what became of a payment, by Stripe itself.
#[utoipa::path(post, path = "/payments/confirm", operation_id = "confirmPayment", tag = "payments", request_body = ConfirmBody, responses(
    (status = 200, description = "The payment as it is", body = Data<Payment>),
    (status = 403, description = "PAY_002: somebody else's", body = ErrorBody),
    (status = 404, description = "PAY_001: no such payment", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn confirm(
    State(app): State<App>,
    Customer(caller): Customer,
    Json(body): Json<ConfirmBody>,
) -> Result<Data<Payment>, ApiError> {
    let payment = app.petspark().billing().confirm(&caller, &body.payment_intent_id).await?;
    Ok(Data { data: payment.into() })
}

/// The caller's subscriptions, the newest first.
#[utoipa::path(get, path = "/payments/subscriptions", operation_id = "listSubscriptions", tag = "payments", responses(
    (status = 200, description = "All of them, 100 at most", body = Data<Vec<Subscription>>),
    (status = 503, description = "PAY_000: payments are not available here", body = ErrorBody),
))]
pub(super) async fn subscriptions(
    State(app): State<App>,
    Customer(caller): Customer,
) -> Result<Data<Vec<Subscription>>, ApiError> {
    let subscriptions = app.petspark().billing().subscriptions(&caller).await?;
    Ok(Data { data: subscriptions.into_iter().map(Subscription::from).collect() })
}

/// Begin a subscription. Its first payment is made in the payer's browser.
#[utoipa::path(post, path = "/payments/subscription", operation_id = "createSubscription", tag = "payments",
    params(Idempotent), request_body = SubscriptionBody, responses(
    (status = 201, description = "The subscription, with what the payer's browser needs", body = Data<Subscription>, headers(
        ("Idempotency-Replayed" = bool, description = "true when it was begun before: this is that one"))),
    (status = 400, description = "PAY_004: not sold as a subscription", body = ErrorBody),
    (status = 409, description = "PAY_006: subscribed already; PAY_008: another one is being begun; IDEMPOTENCY_KEY_REUSED", body = ErrorBody),
    (status = 422, description = "PAY_007: Stripe refused", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn subscribe(
    State(app): State<App>,
    Customer(caller): Customer,
    Idempotent(key): Idempotent,
    Json(body): Json<SubscriptionBody>,
) -> Result<(StatusCode, Replayed, Data<Subscription>), ApiError> {
    let made = app.petspark().billing().subscribe(&caller, &body.into(), key.as_ref()).await?;
    Ok((StatusCode::CREATED, Replayed(made.replayed), Data { data: made.result.into() }))
}

/// Change to another price, or have it end with what is paid for, or not after all. What another price costs more
/// until the period's end is charged at once; where it can't be, nothing changes.
#[utoipa::path(patch, path = "/payments/subscriptions/{id}", operation_id = "patchSubscription", tag = "payments",
    params(("id" = String, Path, description = "Stripe's id")), request_body = SubscriptionPatch, responses(
    (status = 200, description = "The subscription as it is now", body = Data<Subscription>),
    (status = 400, description = "PAY_004: not sold as a subscription; VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PAY_002: somebody else's", body = ErrorBody),
    (status = 404, description = "PAY_001: no such subscription", body = ErrorBody),
    (status = 409, description = "PAY_008: it is over, or not paid for and can't change its price", body = ErrorBody),
    (status = 422, description = "PAY_007: Stripe refused, or the card did", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn patch_subscription(
    State(app): State<App>,
    Customer(caller): Customer,
    Path(id): Path<String>,
    Json(body): Json<SubscriptionPatch>,
) -> Result<Data<Subscription>, ApiError> {
    let subscription = app.petspark().billing().change_subscription(&caller, &id, &body.into()).await?;
    Ok(Data { data: subscription.into() })
}

/// End a subscription at once.
#[utoipa::path(delete, path = "/payments/subscriptions/{id}", operation_id = "cancelSubscription", tag = "payments",
    params(("id" = String, Path, description = "Stripe's id")), responses(
    (status = 200, description = "The subscription as it was at its end", body = Data<Subscription>),
    (status = 403, description = "PAY_002: somebody else's", body = ErrorBody),
    (status = 404, description = "PAY_001: no such subscription", body = ErrorBody),
    (status = 409, description = "PAY_008: it is over already", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn cancel_subscription(
    State(app): State<App>,
    Customer(caller): Customer,
    Path(id): Path<String>,
) -> Result<Data<Subscription>, ApiError> {
    let subscription = app.petspark().billing().cancel_subscription(&caller, &id).await?;
    Ok(Data { data: subscription.into() })
}

/// Have a paused subscription go on.
#[utoipa::path(post, path = "/payments/subscriptions/{id}/resume", operation_id = "resumeSubscription", tag = "payments",
    params(("id" = String, Path, description = "Stripe's id")), responses(
    (status = 200, description = "The subscription as it is now", body = Data<Subscription>),
    (status = 403, description = "PAY_002: somebody else's", body = ErrorBody),
    (status = 404, description = "PAY_001: no such subscription", body = ErrorBody),
    (status = 409, description = "PAY_008: it isn't paused", body = ErrorBody),
    (status = 422, description = "PAY_007: Stripe refused", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn resume_subscription(
    State(app): State<App>,
    Customer(caller): Customer,
    Path(id): Path<String>,
) -> Result<Data<Subscription>, ApiError> {
    let subscription = app.petspark().billing().resume_subscription(&caller, &id).await?;
    Ok(Data { data: subscription.into() })
}

/// What the caller may have now.
#[utoipa::path(get, path = "/payments/entitlements", operation_id = "getEntitlements", tag = "payments", responses(
    (status = 200, description = "Plan, features and limits", body = Data<Entitlements>),
    (status = 503, description = "PAY_000: payments are not available here", body = ErrorBody),
))]
pub(super) async fn entitlements(
    State(app): State<App>,
    Customer(caller): Customer,
) -> Result<Data<Entitlements>, ApiError> {
    let entitlements = app.petspark().billing().own_entitlements(&caller).await?;
    Ok(Data { data: entitlements.into() })
}

/// Give somebody a plan.
#[utoipa::path(put, path = "/payments/entitlements", operation_id = "grantPlan", tag = "payments", request_body = GrantBody, responses(
    (status = 200, description = "What was given", body = Data<Grant>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PAY_003: for administrators", body = ErrorBody),
    (status = 404, description = "PAY_001: no such user", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available here", body = ErrorBody),
))]
pub(super) async fn grant(
    State(app): State<App>,
    Treasurer(caller): Treasurer,
    Json(body): Json<GrantBody>,
) -> Result<Data<Grant>, ApiError> {
    let grant = app.petspark().billing().grant(&caller, body.check()?).await?;
    Ok(Data { data: grant.into() })
}

/// Give money back.
#[utoipa::path(post, path = "/payments/refunds", operation_id = "refundPayment", tag = "payments", request_body = RefundBody, responses(
    (status = 201, description = "What was given back", body = Data<Refund>),
    (status = 400, description = "PAY_004: more than is left; VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "PAY_003: for administrators", body = ErrorBody),
    (status = 404, description = "PAY_001: no such payment", body = ErrorBody),
    (status = 409, description = "PAY_008: what became of another refund isn't known yet", body = ErrorBody),
    (status = 422, description = "PAY_007: Stripe refused", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn refund(
    State(app): State<App>,
    Treasurer(caller): Treasurer,
    Json(body): Json<RefundBody>,
) -> Result<(StatusCode, Data<Refund>), ApiError> {
    let refund = app.petspark().billing().refund(&caller, &body.into()).await?;
    Ok((StatusCode::CREATED, Data { data: refund.into() }))
}

/// The caller's invoices, the newest first, from Stripe.
#[utoipa::path(get, path = "/payments/invoices", operation_id = "listInvoices", tag = "payments", responses(
    (status = 200, description = "All of them, 100 at most", body = Data<Vec<Invoice>>),
    (status = 503, description = "PAY_000: payments are not available", body = ErrorBody),
))]
pub(super) async fn invoices(
    State(app): State<App>,
    Customer(caller): Customer,
) -> Result<Data<Vec<Invoice>>, ApiError> {
    let invoices = app.petspark().billing().invoices(&caller).await?;
    Ok(Data { data: invoices.into_iter().map(Invoice::from).collect() })
}

/// Takes an event of Stripe's in. Known ones change nothing.
#[utoipa::path(post, path = "/payments/webhook", operation_id = "receiveStripeEvent", tag = "payments", security(()),
    params(("Stripe-Signature" = String, Header, description = "Over the body, by Stripe")),
    request_body(content_type = "application/json", content = inline(Object), description = "An event of Stripe's"), responses(
    (status = 200, description = "It is here", body = Data<WebhookTaken>),
    (status = 400, description = "PAY_005: not signed by Stripe, or not lately", body = ErrorBody),
    (status = 413, description = "PAYLOAD_TOO_LARGE: over 256 KiB", body = ErrorBody),
    (status = 503, description = "PAY_000: payments are not available here", body = ErrorBody),
))]
pub(super) async fn webhook(
    State(app): State<App>,
    Anybody(caller): Anybody,
    headers: HeaderMap,
    Raw(body): Raw<EVENT>,
) -> Result<Data<WebhookTaken>, ApiError> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    app.petspark().billing().receive(&caller, &body, signature).await?;
    Ok(Data { data: WebhookTaken { received: true } })
}
