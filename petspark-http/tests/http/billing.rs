//! `/api/v1/payments`, with Stripe's stand-in behind: buying, what it buys, and what is refused.

use http::Method;
use petspark_core::Caller;
use petspark_core::auth::Role;
use petspark_core::config::{Value as _, WebUrl};
use petspark_core::on_both;
use petspark_core::testing::stripe::{Card, Delivery, Fault, signature};
use petspark_core::testing::{Engine, TestApp, TestStripe};
use serde_json::{Value, json};

use crate::contract::operations;
use crate::support::{Account, Answer, Api, Call};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
const HOME: &str = "https://pets.example.org";

/// A server that sells a plan by the month, a larger one, and a badge.
struct Shop {
    api: Api,
    stripe: TestStripe,
    month: String,
    pro: String,
    badge: String,
}

impl Shop {
    async fn open(mut app: TestApp) -> Self {
        let stripe = TestStripe::start(app.clock.clone()).await;
        app.petspark = app
            .another_with(|settings| {
                let keys = &mut settings.billing.stripe;
                keys.secret_key = Some(stripe.secret_key());
                keys.webhook_secret = Some(stripe.webhook_secret());
                keys.api_base = Some(stripe.url().clone());
                keys.timeout = std::time::Duration::from_secs(2);
                keys.retry_after = std::time::Duration::from_millis(1);
                settings.billing.return_origins = vec![WebUrl::parse(HOME).unwrap()];
            })
            .await;
        let price = |parameters: &[(&str, &str)]| {
            let common = [("currency", "eur")];
            made(&stripe, "/v1/prices", &[&common, parameters].concat())
        };
        let monthly = ("recurring[interval]", "month");
        let named = |name| ("product_data[name]", name);
        let month = price(&[named("Premium"), monthly, ("unit_amount", "900"), ("lookup_key", "premium_month")]);
        let pro = price(&[named("Pro"), monthly, ("unit_amount", "1900"), ("lookup_key", "pro_month")]);
        let badge = price(&[named("Badge"), ("unit_amount", "500")]);
        let shop = Self { api: Api::new(app), stripe, month, pro, badge };
        shop.hear().await;
        shop
    }

    /// Stripe's news arrive and are processed.
    async fn hear(&self) {
        for delivery in self.stripe.take_deliveries() {
            let answer = self.deliver(&delivery).send().await;
            assert_eq!(answer.status, 200, "{} {answer:?}", delivery.kind);
            self.stripe.acknowledge(&delivery.event);
        }
        self.api.app.run_jobs().await;
    }

    fn deliver(&self, delivery: &Delivery) -> Call<'_> {
        let call = self.api.post("/api/v1/payments/webhook").header("stripe-signature", delivery.signature());
        call.raw("application/json", delivery.body.clone())
    }

    async fn post(&self, who: &Account, path: &str, body: &Value) -> Answer {
        self.api.post(&format!("/api/v1/payments{path}")).bearer(&who.access).json(body).send().await
    }

    async fn get(&self, who: &Account, path: &str) -> Answer {
        self.api.get(&format!("/api/v1/payments{path}")).bearer(&who.access).send().await
    }

    async fn patch(&self, who: &Account, id: &str, body: &Value) -> Answer {
        let path = format!("/api/v1/payments/subscriptions/{id}");
        self.api.call(Method::PATCH, &path).bearer(&who.access).json(body).send().await
    }

    async fn cancel(&self, who: &Account, id: &str) -> Answer {
        let path = format!("/api/v1/payments/subscriptions/{id}");
        self.api.call(Method::DELETE, &path).bearer(&who.access).send().await
    }

    /// The plan that somebody has, and why.
    async fn plan(&self, who: &Account) -> (String, String) {
        let answer = self.get(who, "/entitlements").await;
        (answer.text("/data/plan").to_owned(), answer.text("/data/source").to_owned())
    }

    /// Begins a subscription and pays for it.
    async fn subscribe(&self, who: &Account, price: &str) -> String {
        let made = self.post(who, "/subscription", &json!({ "priceId": price })).await;
        assert_eq!((made.status.as_u16(), made.text("/data/status")), (201, "incomplete"), "{made:?}");
        self.stripe.pay(intent_in(made.text("/data/clientSecret")), "pm_card_visa").unwrap();
        self.hear().await;
        made.text("/data/id").to_owned()
    }

    async fn buy(&self, who: &Account) -> String {
        let made = self.post(who, "/create-intent", &json!({ "priceId": self.badge })).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text("/data/id").to_owned()
    }

    async fn administrator(&self) -> Account {
        let root = self.api.register("root").await;
        let auth = self.api.app.petspark.auth();
        auth.set_role(&Caller::operator("test"), root.id.parse().unwrap(), Role::Admin, false).await.unwrap();
        self.api.sign_in("root").await
    }

    /// What stands in the audit log.
    async fn audited(&self) -> Vec<String> {
        let filter = petspark_core::audit::AuditFilter::default();
        let page = petspark_core::PageRequest::first(100).unwrap();
        let log = self.api.app.petspark.audit().list(&Caller::operator("test"), filter, &page).await.unwrap();
        log.items.iter().map(|entry| entry.action.to_string()).collect()
    }
}

/// Makes something at Stripe, and gives its id.
fn made(stripe: &TestStripe, path: &str, parameters: &[(&str, &str)]) -> String {
    let (status, answer) = stripe.ask("POST", path, parameters);
    assert_eq!(status, 200, "{path} {parameters:?}: {answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// The payment intent that a client secret belongs to.
fn intent_in(secret: &str) -> &str {
    secret.split_once("_secret_").unwrap().0
}

/// How many charges succeeded.
fn charges(stripe: &TestStripe) -> usize {
    stripe.objects("charge").iter().filter(|charge| charge["paid"] == true).count()
}

on_both! {
    async fn a_subscription_lives_its_whole_life(app: TestApp) {
        let shop = Shop::open(app).await;
        let mut ada = shop.api.register("ada").await;
        assert_eq!(shop.plan(&ada).await, ("free".to_owned(), "free".to_owned()));
        let id = shop.subscribe(&ada, &shop.month).await;
        assert_eq!(shop.plan(&ada).await, ("premium".to_owned(), "subscription".to_owned()));
        let entitlements = shop.get(&ada, "/entitlements").await;
        assert_eq!(entitlements.body["data"]["features"]["advanced_filters"], true);
        assert!(entitlements.body["data"]["limits"]["photosPerPet"].as_u64().unwrap() > 0);
        let listed = shop.get(&ada, "/subscriptions").await;
        assert_eq!((listed.text("/data/0/id"), listed.text("/data/0/status")), (id.as_str(), "active"));
        shop.post(&ada, "/subscription", &json!({ "priceId": shop.pro })).await.assert_error(409, "PAY_006");

        // Renewed, then a card that fails: the plan goes on for a while.
        shop.stripe.advance(DAY * 31);
        shop.hear().await;
        // Their session is over.
        ada = shop.api.sign_in("ada").await;
        assert_eq!(shop.get(&ada, "/invoices").await.body["data"].as_array().unwrap().len(), 2);
        let method = shop.stripe.object(&id).unwrap()["default_payment_method"].as_str().unwrap().to_owned();
        shop.stripe.set_card(&method, Card::Declines("insufficient_funds"));
        shop.stripe.advance(DAY * 31);
        shop.hear().await;
        ada = shop.api.sign_in("ada").await;
        let late = shop.get(&ada, "/subscriptions").await;
        assert_eq!((late.text("/data/0/status"), late.text("/data/0/access")), ("past_due", "grace"));
        assert_eq!(shop.plan(&ada).await.0, "premium");
        shop.stripe.set_card(&method, Card::Pays);
        shop.stripe.advance(DAY * 3);
        shop.hear().await;
        ada = shop.api.sign_in("ada").await;
        assert_eq!(shop.get(&ada, "/subscriptions").await.text("/data/0/status"), "active");

        // A larger plan, an end that is taken back, and one that isn't.
        let swapped = shop.patch(&ada, &id, &json!({ "priceId": shop.pro })).await;
        assert_eq!((swapped.status.as_u16(), swapped.text("/data/plan")), (200, "pro"), "{swapped:?}");
        assert_eq!(shop.plan(&ada).await.0, "pro");
        for (ends, status) in [(true, true), (false, false), (true, true)] {
            let changed = shop.patch(&ada, &id, &json!({ "cancelAtPeriodEnd": ends })).await;
            assert_eq!(changed.body["data"]["cancelAtPeriodEnd"], status, "{changed:?}");
        }
        assert_eq!(shop.plan(&ada).await.0, "pro");
        shop.stripe.advance(DAY * 31);
        shop.hear().await;
        ada = shop.api.sign_in("ada").await;
        assert_eq!(shop.plan(&ada).await, ("free".to_owned(), "free".to_owned()));
        shop.cancel(&ada, &id).await.assert_error(409, "PAY_008");
        shop.patch(&ada, &id, &json!({ "cancelAtPeriodEnd": false })).await.assert_error(409, "PAY_008");
        assert_eq!(shop.stripe.objects("customer").len(), 1);
    }

    async fn administrators_are_told_why_payments_are_held(app: TestApp) {
        let shop = Shop::open(app).await;
        let (admin, ada) = (shop.administrator().await, shop.api.register("ada").await);
        let id = shop.subscribe(&ada, &shop.month).await;
        let elsewhere = TestStripe::start(shop.api.app.clock.clone()).await;
        elsewhere.set_account("acct_other");
        let other = shop
            .api
            .app
            .another_with(|settings| {
                let keys = &mut settings.billing.stripe;
                keys.secret_key = Some(elsewhere.secret_key());
                keys.webhook_secret = Some(elsewhere.webhook_secret());
                keys.api_base = Some(elsewhere.url().clone());
            })
            .await;
        other.billing().accept_account(&Caller::operator("test"), "we moved").await.unwrap();
        shop.cancel(&ada, &id).await.assert_error(503, "PAY_000");
        let told = shop.api.get("/readyz?verbose").bearer(&admin.access).send().await;
        assert_eq!((told.status.as_u16(), told.text("/checks/billing")), (200, "failed"), "{told:?}");
        assert!(told.text("/billingProblem").contains("acct_other"), "{told:?}");
        for call in [shop.api.get("/readyz"), shop.api.get("/readyz?verbose").bearer(&ada.access)] {
            let answer = call.send().await;
            assert_eq!((answer.text("/checks/billing"), answer.body.get("billingProblem")), ("failed", None));
        }
    }

    async fn a_subscription_that_is_canceled_ends_at_once(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        let id = shop.subscribe(&ada, &shop.month).await;
        let gone = shop.cancel(&ada, &id).await;
        assert_eq!((gone.status.as_u16(), gone.text("/data/status")), (200, "canceled"), "{gone:?}");
        assert_eq!(shop.plan(&ada).await.0, "free");
    }

    async fn a_payment_succeeds_fails_or_needs_its_payer(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        let status = async |id: &str| {
            let answer = shop.post(&ada, "/confirm", &json!({ "paymentIntentId": id })).await;
            answer.text("/data/status").to_owned()
        };
        let paid = shop.buy(&ada).await;
        assert_eq!(status(&paid).await, "requires_payment_method", "nothing is paid by asking");
        shop.stripe.pay(&paid, "pm_card_visa").unwrap();
        assert_eq!(status(&paid).await, "succeeded");
        let declined = shop.buy(&ada).await;
        shop.stripe.pay(&declined, "pm_card_chargeDeclined").unwrap_err();
        assert_eq!(status(&declined).await, "requires_payment_method");
        let careful = shop.buy(&ada).await;
        shop.stripe.pay(&careful, "pm_card_authenticationRequired").unwrap_err();
        assert_eq!(status(&careful).await, "requires_action");
        shop.stripe.authenticate(&careful, true).unwrap();
        assert_eq!(status(&careful).await, "succeeded");
        assert_eq!(charges(&shop.stripe), 2);
    }

    async fn the_same_key_is_the_same_payment(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        let create = async |quantity: i64| {
            let body = json!({ "priceId": shop.badge, "quantity": quantity });
            let call = shop.api.post("/api/v1/payments/create-intent").bearer(&ada.access);
            call.header("idempotency-key", "one").json(&body).send().await
        };
        let first = create(2).await;
        assert_eq!((first.status.as_u16(), first.body["data"]["amount"].as_i64()), (201, Some(1000)), "{first:?}");
        let again = create(2).await;
        assert_eq!(again.text("/data/id"), first.text("/data/id"));
        assert_eq!(again.header("idempotency-replayed"), "true");
        create(3).await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(shop.stripe.objects("payment_intent").len(), 1);
    }

    async fn what_stripe_did_without_an_answer_is_found_and_not_done_again(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        for call in ["POST /v1/customers", "POST /v1/payment_intents"] {
            shop.stripe.fail_next_at(call, 1, Fault::DoneThenCut);
        }
        shop.buy(&ada).await;
        assert_eq!((shop.stripe.objects("customer").len(), shop.stripe.objects("payment_intent").len()), (1, 1));
    }

    async fn the_catalogue_follows_stripe(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        let products = shop.get(&ada, "/products").await;
        let products = products.body["data"].as_array().unwrap().clone();
        assert_eq!(products.len(), 3);
        let premium = products.iter().find(|product| product["name"] == "Premium").unwrap();
        let price = json!({ "id": shop.month, "amount": 900, "currency": "eur", "interval": "month", "intervalCount": 1, "plan": "premium" });
        assert_eq!(premium["prices"], json!([price]));
        let (status, _) = shop.stripe.ask("POST", &format!("/v1/prices/{}", shop.badge), &[("active", "false")]);
        assert_eq!(status, 200);
        shop.hear().await;
        assert_eq!(shop.get(&ada, "/products").await.body["data"].as_array().unwrap().len(), 2);
        shop.post(&ada, "/create-intent", &json!({ "priceId": shop.badge })).await.assert_error(400, "PAY_004");
    }

    async fn asvs_3_7_2_stripes_own_pages_lead_back_home_only(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        shop.post(&ada, "/portal-session", &json!({ "returnUrl": HOME })).await.assert_error(404, "PAY_001");
        let body = |success: &str, cancel: &str| json!({ "priceId": shop.month, "successUrl": success, "cancelUrl": cancel });
        for wrong in ["https://evil.example", "https://pets.example.org.evil.example", "javascript:alert(1)", "//pets.example.org", "/"] {
            let refused = shop.post(&ada, "/checkout-session", &body(wrong, HOME)).await;
            assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["successUrl"]);
            let refused = shop.post(&ada, "/checkout-session", &body(HOME, wrong)).await;
            assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["cancelUrl"]);
        }
        assert!(shop.stripe.objects("checkout.session").is_empty());
        let page = shop.post(&ada, "/checkout-session", &body(&format!("{HOME}/thanks"), HOME)).await;
        assert!(page.text("/data/url").starts_with(shop.stripe.url().as_str()), "{page:?}");
        let session = shop.stripe.objects("checkout.session")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.complete_checkout(&session, "pm_card_visa").unwrap();
        shop.hear().await;
        assert_eq!(shop.plan(&ada).await.0, "premium");
        let refused = shop.post(&ada, "/portal-session", &json!({ "returnUrl": "https://evil.example" })).await;
        refused.assert_error(400, "VALIDATION_FAILED");
        let portal = shop.post(&ada, "/portal-session", &json!({ "returnUrl": HOME })).await;
        assert!(portal.text("/data/url").contains("/portal/"), "{portal:?}");
        assert!(shop.audited().await.contains(&"payment_refused".to_owned()));
    }

    async fn asvs_2_2_2_what_isnt_for_sale_at_its_price_isnt_sold(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        let intent = |more: Value| {
            let mut body = json!({ "priceId": shop.badge });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for wrong in [
            intent(json!({ "amount": 1 })),
            intent(json!({ "currency": "jpy" })),
            intent(json!({ "quantity": -1 })),
            intent(json!({ "quantity": 0 })),
            intent(json!({ "quantity": 2, "amount": 500 })),
            json!({ "priceId": "price_of_another_shop" }),
            json!({ "priceId": shop.month }),
        ] {
            shop.post(&ada, "/create-intent", &wrong).await.assert_error(400, "PAY_004");
        }
        for wrong in ["price_of_another_shop", &shop.badge] {
            shop.post(&ada, "/subscription", &json!({ "priceId": wrong })).await.assert_error(400, "PAY_004");
        }
        shop.post(&ada, "/create-intent", &intent(json!({ "plan": "pro" }))).await.assert_error(400, "VALIDATION_FAILED");
        assert!(shop.stripe.objects("payment_intent").is_empty() && shop.stripe.objects("subscription").is_empty());
        let right = shop.post(&ada, "/create-intent", &intent(json!({ "quantity": 2, "amount": 1000, "currency": "EUR" }))).await;
        assert_eq!(right.status, 201, "{right:?}");
        assert!(shop.audited().await.contains(&"payment_refused".to_owned()));
    }

    async fn asvs_8_2_2_payments_of_somebody_else_stay_theirs(app: TestApp) {
        let shop = Shop::open(app).await;
        let (ada, eve) = (shop.api.register("ada").await, shop.api.register("eve").await);
        let (intent, subscription) = (shop.buy(&ada).await, shop.subscribe(&ada, &shop.month).await);
        let confirm = async |id: &str| shop.post(&eve, "/confirm", &json!({ "paymentIntentId": id })).await;
        confirm(&intent).await.assert_error(403, "PAY_002");
        confirm("pi_nothing").await.assert_error(404, "PAY_001");
        confirm("../customers").await.assert_error(404, "PAY_001");
        shop.patch(&eve, &subscription, &json!({ "cancelAtPeriodEnd": true })).await.assert_error(403, "PAY_002");
        shop.cancel(&eve, &subscription).await.assert_error(403, "PAY_002");
        shop.cancel(&eve, "sub_nothing").await.assert_error(404, "PAY_001");
        let resume = format!("/subscriptions/{subscription}/resume");
        shop.post(&eve, &resume, &json!({})).await.assert_error(403, "PAY_002");
        shop.post(&ada, &resume, &json!({})).await.assert_error(409, "PAY_008");
        for path in ["/subscriptions", "/invoices"] {
            assert_eq!(shop.get(&eve, path).await.body["data"], json!([]), "{path}");
        }
        assert_eq!(shop.stripe.object(&subscription).unwrap()["status"], "active");
        assert_eq!(shop.plan(&eve).await.0, "free");
    }

    async fn asvs_8_2_1_only_administrators_give_plans_and_money(app: TestApp) {
        let shop = Shop::open(app).await;
        let (ada, root) = (shop.api.register("ada").await, shop.administrator().await);
        let grant = async |who: &Account, body: &Value| {
            shop.api.call(Method::PUT, "/api/v1/payments/entitlements").bearer(&who.access).json(body).send().await
        };
        let good = json!({ "userId": ada.id, "plan": "pro", "reason": "a prize" });
        for body in [&good, &json!({})] {
            grant(&ada, body).await.assert_error(403, "PAY_003");
        }
        for wrong in [
            json!({}),
            json!({ "userId": "nobody", "plan": "pro", "reason": "x" }),
            json!({ "userId": ada.id, "plan": "platinum", "reason": "x" }),
            json!({ "userId": ada.id, "plan": "pro", "reason": "" }),
            json!({ "userId": ada.id, "plan": "pro", "reason": "x", "until": "2020-01-01T00:00:00Z" }),
        ] {
            grant(&root, &wrong).await.assert_error(400, "VALIDATION_FAILED");
        }
        let nobody = json!({ "userId": "01980000-0000-7000-8000-000000000000", "plan": "pro", "reason": "x" });
        grant(&root, &nobody).await.assert_error(404, "PAY_001");
        assert_eq!(shop.plan(&ada).await.0, "free");
        let given = grant(&root, &good).await;
        assert_eq!((given.status.as_u16(), given.text("/data/plan")), (200, "pro"), "{given:?}");
        assert_eq!(shop.plan(&ada).await, ("pro".to_owned(), "admin".to_owned()));

        let intent = shop.buy(&ada).await;
        shop.stripe.pay(&intent, "pm_card_visa").unwrap();
        shop.hear().await;
        let refund = |amount: i64| json!({ "paymentIntentId": intent, "amount": amount, "reason": "broken" });
        shop.post(&ada, "/refunds", &refund(100)).await.assert_error(403, "PAY_003");
        shop.post(&root, "/refunds", &refund(501)).await.assert_error(400, "PAY_004");
        let back = shop.post(&root, "/refunds", &refund(100)).await;
        assert_eq!((back.status.as_u16(), back.body["data"]["refunded"].as_i64()), (201, Some(100)), "{back:?}");
        shop.post(&root, "/refunds", &refund(401)).await.assert_error(400, "PAY_004");
        assert_eq!(shop.stripe.objects("refund").len(), 1);
        let log = shop.audited().await;
        assert!(["plan_granted", "payment_refunded"].iter().all(|action| log.contains(&(*action).to_owned())), "{log:?}");
    }

    async fn asvs_4_1_5_only_what_stripe_signed_lately_is_an_event(app: TestApp) {
        let shop = Shop::open(app).await;
        made(&shop.stripe, "/v1/products", &[("name", "Late")]);
        let deliveries = shop.stripe.take_deliveries();
        let (delivery, secret) = (&deliveries[0], shop.stripe.webhook_secret());
        let now = shop.api.app.clock.now().as_seconds();
        let send = async |body: &str, signature: &str| {
            let call = shop.api.post("/api/v1/payments/webhook").header("stripe-signature", signature);
            call.raw("application/json", body.to_owned()).send().await
        };
        let sign = |at: i64, body: &str| signature(secret.expose(), at, body.as_bytes());
        let unsigned = shop.api.post("/api/v1/payments/webhook").raw("application/json", delivery.body.clone());
        unsigned.send().await.assert_error(400, "PAY_005");
        let body = &delivery.body;
        let live = body.replace("\"livemode\": false", "\"livemode\": true");
        for (body, signature) in [
            (body.as_str(), String::new()),
            (body, signature("whsec_of_somebody_else_entirely", now, body.as_bytes())),
            (body, sign(now - 301, body)),
            (body, sign(now + 301, body)),
            (body, sign(now, body).replace("v1=", "v0=")),
            (&format!("{body} "), sign(now, body)),
            ("not JSON", sign(now, "not JSON")),
            ("{}", sign(now, "{}")),
            (&live, sign(now, &live)),
        ] {
            send(body, &signature).await.assert_error(400, "PAY_005");
        }
        let large = " ".repeat(256 * 1024 + 1);
        send(&large, &sign(now, &large)).await.assert_error(413, "PAYLOAD_TOO_LARGE");
        let events = async || {
            let page = petspark_core::PageRequest::first(100).unwrap();
            let events = shop.api.app.petspark.billing().events(&Caller::operator("test"), None, &page).await.unwrap();
            events.items.into_iter().filter(|event| event.id == delivery.event).count()
        };
        assert_eq!(events().await, 0);
        for _ in 0..2 {
            let answer = send(body, &sign(now - 299, body)).await;
            assert_eq!((answer.status.as_u16(), &answer.body["data"]["received"]), (200, &json!(true)), "{answer:?}");
        }
        assert_eq!(events().await, 1);
        assert!(shop.audited().await.contains(&"payment_webhook_refused".to_owned()));
    }

    async fn while_stripe_is_out_of_order_only_payments_are(app: TestApp) {
        let shop = Shop::open(app).await;
        let ada = shop.api.register("ada").await;
        shop.stripe.fail_next(100, Fault::ServerError);
        let refused = shop.post(&ada, "/create-intent", &json!({ "priceId": shop.badge })).await;
        refused.assert_error(503, "PAY_000");
        assert_ne!(refused.header("retry-after"), "");
        assert_eq!(shop.get(&ada, "/products").await.status, 200);
        assert_eq!(shop.plan(&ada).await.0, "free");
        assert_eq!(shop.api.get("/api/v1/pets").bearer(&ada.access).send().await.status, 200);
        let ready = shop.api.get("/readyz").send().await;
        assert_eq!((ready.status.as_u16(), ready.body["status"].as_str()), (200, Some("ready")), "{ready:?}");
        assert!(ready.body["checks"]["billing"].is_string(), "{ready:?}");
    }
}

#[tokio::test]
async fn without_keys_all_payments_are_unavailable_and_nothing_else() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let ada = api.register("ada").await;
    let (_, operations) = operations(&api).await;
    let payments: Vec<_> =
        operations.iter().filter(|operation| operation.path.starts_with("/api/v1/payments/")).collect();
    assert_eq!(payments.len(), 15);
    for operation in payments {
        for body in ["{}", "nonsense"] {
            let call = api.call(operation.method.clone(), &operation.path).bearer(&ada.access);
            call.raw("application/json", body).send().await.assert_error(503, "PAY_000");
        }
    }
    assert_eq!(api.get("/api/v1/pets").bearer(&ada.access).send().await.status, 200);
    assert!(api.get("/readyz").send().await.body["checks"].get("billing").is_none());
}
