//! A PetSpark with keys, a Stripe to go with it, and something to sell.

use std::time::Duration;

use petspark_core::audit::{Action, AuditFilter, Entry};
use petspark_core::billing::{NewPayment, NewRefund, NewSubscription, Received, Subscription};
use petspark_core::config::Settings;
use petspark_core::testing::stripe::{Delivery, signature};
use petspark_core::testing::{TestApp, TestStripe, TestUser};
use petspark_core::{Caller, Clock, PageRequest, PetSpark};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A shop that sells two plans and a badge.
pub(crate) struct Shop {
    pub(crate) petspark: PetSpark,
    pub(crate) stripe: TestStripe,
    /// Monthly, for the plan `premium`.
    pub(crate) premium: String,
    /// Monthly, for the plan `pro`.
    pub(crate) pro: String,
    /// 30 days of `premium`, bought once for 4.99 EUR.
    pub(crate) month: String,
    pub(crate) clock: Clock,
}

pub(crate) fn operator() -> Caller {
    Caller::operator("test")
}

pub(crate) fn refund(payment: &str, amount: Option<i64>) -> NewRefund {
    NewRefund { payment_id: payment.to_owned(), amount, reason: "not happy".to_owned() }
}

/// What the audit log has of an action, the newest first.
pub(crate) async fn noted(app: &TestApp, action: Action) -> Vec<Entry> {
    let filter = AuditFilter { action: Some(action), ..AuditFilter::default() };
    app.petspark.audit().list(&operator(), filter, &PageRequest::first(100).unwrap()).await.unwrap().items
}

/// Settings that lead to this Stripe.
pub(crate) fn with_keys(settings: &mut Settings, stripe: &TestStripe) {
    let billing = &mut settings.billing;
    billing.stripe.secret_key = Some(stripe.secret_key());
    billing.stripe.webhook_secret = Some(stripe.webhook_secret());
    billing.stripe.api_base = Some(stripe.url().clone());
    billing.stripe.retry_after = Duration::ZERO;
    billing.stripe.timeout = Duration::from_secs(2);
}

impl Shop {
    /// Opens on the clock of the test.
    pub(crate) async fn open(app: &TestApp) -> Self {
        Self::open_with(app, app.clock.clone(), |_| {}).await
    }

    /// The same with a clock for Stripe, and other settings.
    pub(crate) async fn open_with(app: &TestApp, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let stripe = TestStripe::start(clock).await;
        let sell = |name: &str, price: &[(&str, &str)]| {
            let product = made(stripe.ask("POST", "/v1/products", &[("name", name)]));
            made(stripe.ask("POST", "/v1/prices", &[price, &[("product", &product), ("currency", "eur")]].concat()))
        };
        let monthly = ("recurring[interval]", "month");
        let premium = sell("Premium", &[("unit_amount", "999"), monthly, ("lookup_key", "premium_monthly")]);
        let pro = sell("Pro", &[("unit_amount", "1999"), monthly, ("metadata[plan]", "pro")]);
        let days = ("metadata[days]", "30");
        let month = sell("A month", &[("unit_amount", "499"), ("metadata[plan]", "premium"), days]);
        let petspark = app
            .another_with(|settings| {
                with_keys(settings, &stripe);
                change(settings);
            })
            .await;
        let shop = Self { petspark, stripe, premium, pro, month, clock: app.clock.clone() };
        for delivery in shop.stripe.take_deliveries() {
            shop.stripe.acknowledge(&delivery.event);
        }
        shop.petspark.billing().sync(&operator(), false).await.unwrap();
        // What is on a schedule comes up at once, and would mend what a test is about.
        shop.work().await;
        shop
    }

    /// What somebody pays once for a month.
    pub(crate) fn one_month(&self) -> NewPayment {
        NewPayment { price_id: self.month.clone(), quantity: 1, amount: None, currency: None }
    }

    /// Somebody buys a month; gives the payment's id.
    pub(crate) async fn bought(&self, user: &TestUser) -> String {
        let intent = self.petspark.billing().create_intent(&user.caller, &self.one_month(), None).await.unwrap().result;
        self.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        self.catch_up().await;
        intent.id
    }

    /// Does every job that is due; one that fails fails the test.
    pub(crate) async fn work(&self) {
        let faults = self.petspark.jobs().run_due().await.unwrap();
        assert!(faults.is_empty(), "{:?}", faults.iter().map(petspark_core::Fault::chain).collect::<Vec<_>>());
    }

    /// Takes a delivery in, signed anew for the time that it is here.
    pub(crate) async fn receive(&self, delivery: &Delivery) -> Received {
        let secret = self.stripe.webhook_secret();
        let header = signature(secret.expose(), self.clock.now().as_seconds(), delivery.body.as_bytes());
        let caller = Caller::anonymous();
        self.petspark.billing().receive(&caller, delivery.body.as_bytes(), &header).await.unwrap()
    }

    /// Takes in and processes everything that Stripe has sent.
    pub(crate) async fn catch_up(&self) {
        for delivery in self.stripe.take_deliveries() {
            self.receive(&delivery).await;
            self.stripe.acknowledge(&delivery.event);
        }
        self.work().await;
    }

    /// Somebody subscribes, unpaid.
    pub(crate) async fn subscribe(&self, user: &TestUser, price: &str) -> Subscription {
        let new = NewSubscription { price_id: price.to_owned() };
        self.petspark.billing().subscribe(&user.caller, &new, None).await.unwrap().result
    }

    /// Somebody subscribes and pays by this card; events are still under way.
    pub(crate) async fn subscribe_and_pay(&self, user: &TestUser, price: &str, card: &str) -> Subscription {
        let begun = self.subscribe(user, price).await;
        self.stripe.pay(intent_of(&begun), card).unwrap();
        begun
    }

    /// The plan of somebody now.
    pub(crate) async fn plan(&self, user: &TestUser) -> String {
        self.petspark.billing().entitlements(user.id).await.unwrap().plan
    }

    /// Where a subscription is at Stripe.
    pub(crate) fn status_there(&self, id: &str) -> String {
        self.stripe.object(id).unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// The card that a subscription is paid by.
    pub(crate) fn card_of(&self, id: &str) -> String {
        let subscription = self.stripe.object(id).unwrap();
        subscription["default_payment_method"].as_str().unwrap().to_owned()
    }
}

fn made((status, object): (u16, serde_json::Value)) -> String {
    assert_eq!(status, 200, "{object}");
    object["id"].as_str().unwrap().to_owned()
}

/// The payment intent that a client secret is for.
pub(crate) fn intent_of(subscription: &Subscription) -> &str {
    subscription.client_secret.as_deref().unwrap().split_once("_secret").unwrap().0
}
