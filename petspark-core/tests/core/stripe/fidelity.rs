//! Whether it is like Stripe.

use std::collections::BTreeSet;
use std::process::Stdio;

use petspark_core::testing::TestStripe;
use petspark_core::testing::stripe::{Card, Delivery, VERSION};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::{DAY, customer, done, monthly, price, status, stripe, subscribe, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_own_library_lives_a_whole_life_with_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/stripe-sdk");
    let library = Command::new(script).output().await.unwrap();
    assert!(library.status.success(), "{}", String::from_utf8_lossy(&library.stderr));
    let stripe = stripe().await;
    let mut python = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core/stripe/life.py"))
        .args([stripe.url().as_str(), stripe.secret_key().expose(), stripe.webhook_secret().expose()])
        .env("PYTHONPATH", String::from_utf8(library.stdout).unwrap().trim_end())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut answers = python.stdin.take().unwrap();
    let mut requests = BufReader::new(python.stdout.take().unwrap()).lines();
    while let Some(request) = requests.next_line().await.unwrap() {
        let answer = obey(&stripe, &request.split(' ').collect::<Vec<_>>());
        answers.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
    assert!(python.wait().await.unwrap().success(), "its library disagrees, see above");
    assert!(stripe.calls().len() > 80);
}

/// What the program asks for beside its calls.
fn obey(stripe: &TestStripe, request: &[&str]) -> Value {
    match request {
        ["advance", seconds] => {
            stripe.advance(std::time::Duration::from_secs(seconds.parse().unwrap()));
            Value::Null
        }
        ["authenticate", intent] => json!(stripe.authenticate(intent, true).unwrap()),
        ["complete", session, card] => json!(stripe.complete_checkout(session, card).unwrap()),
        ["take"] => {
            let delivery = |one: &Delivery| json!({ "kind": one.kind, "body": one.body, "signature": one.signature() });
            stripe.take_deliveries().iter().map(delivery).collect()
        }
        other => panic!("unknown request {other:?}"),
    }
}

/// Brings forth every kind of object in as many states as there are.
fn live(stripe: &TestStripe) {
    let (month, ada) = (monthly(stripe), customer(stripe, "pm_card_visa"));
    let badge = price(stripe, &[("unit_amount", "500")]);
    let intent = |parameters: &[(&str, &str)]| {
        let common = [("amount", "500"), ("currency", "eur"), ("customer", ada.as_str())];
        text(&done(stripe, "POST", "/v1/payment_intents", &[&common, parameters].concat()), "id").to_owned()
    };
    intent(&[]);
    stripe.pay(&intent(&[]), "pm_card_visa").unwrap();
    stripe.pay(&intent(&[]), "pm_card_chargeDeclinedExpiredCard").unwrap_err();
    stripe.pay(&intent(&[]), "pm_card_authenticationRequired").unwrap_err();
    let refunded = intent(&[("confirm", "true"), ("payment_method", "pm_card_mastercard")]);
    done(stripe, "POST", "/v1/refunds", &[("payment_intent", &refunded), ("amount", "100")]);
    let disputed = intent(&[("confirm", "true"), ("payment_method", "pm_card_mastercard")]);
    let dispute = stripe.dispute(&disputed).unwrap();
    stripe.close_dispute(&dispute, false).unwrap();
    done(stripe, "POST", &format!("/v1/payment_intents/{}/cancel", intent(&[])), &[]);

    subscribe(stripe, &ada, &month, &[]);
    let ended = subscribe(stripe, &ada, &month, &[]);
    done(stripe, "DELETE", &format!("/v1/subscriptions/{}", text(&ended, "id")), &[]);
    subscribe(stripe, &ada, &month, &[("payment_behavior", "default_incomplete")]);
    let new = text(&done(stripe, "POST", "/v1/customers", &[]), "id").to_owned();
    let trial = [("trial_period_days", "7"), ("payment_behavior", "default_incomplete")];
    subscribe(stripe, &new, &month, &trial);
    let paused = [trial.as_slice(), &[("trial_settings[end_behavior][missing_payment_method]", "pause")]].concat();
    subscribe(stripe, &new, &month, &paused);
    let late = customer(stripe, "pm_card_visa");
    let late_subscription = subscribe(stripe, &late, &month, &[]);
    let method = stripe.object(&late).unwrap()["invoice_settings"]["default_payment_method"].clone();
    stripe.set_card(method.as_str().unwrap(), Card::Declines("lost_card"));

    let urls = [("success_url", "https://pets.example.org/"), ("customer", ada.as_str())];
    for (mode, price) in [("subscription", month.as_str()), ("payment", badge.as_str())] {
        let items = [("mode", mode), ("line_items[0][price]", price), ("line_items[0][quantity]", "1")];
        let session = done(stripe, "POST", "/v1/checkout/sessions", &[urls.as_slice(), &items].concat());
        stripe.complete_checkout(text(&session, "id"), "pm_card_visa").unwrap();
        done(stripe, "POST", "/v1/checkout/sessions", &[urls.as_slice(), &items].concat());
    }
    done(stripe, "POST", "/v1/billing_portal/sessions", &[("customer", &ada)]);
    let endpoint = [("url", "https://pets.example.org/hook"), ("enabled_events[]", "*")];
    done(stripe, "POST", "/v1/webhook_endpoints", &endpoint);
    stripe.advance(DAY * 33);
    assert_eq!(status(stripe, text(&late_subscription, "id")), "past_due");
    let unwanted = text(&done(stripe, "POST", "/v1/customers", &[]), "id").to_owned();
    done(stripe, "DELETE", &format!("/v1/customers/{unwanted}"), &[]);
    let product = text(&done(stripe, "POST", "/v1/products", &[("name", "Nothing")]), "id").to_owned();
    done(stripe, "DELETE", &format!("/v1/products/{product}"), &[]);
}

#[tokio::test]
async fn every_object_has_every_field_that_stripe_publishes() {
    let stripe = stripe().await;
    live(&stripe);
    let fields: Value = serde_json::from_str(include_str!("fields.json")).unwrap();
    let mut seen = BTreeSet::new();
    let mut look = |kind: &str, object: &Value| {
        let wanted = fields[kind].as_str().unwrap_or_else(|| panic!("no fields of {kind} are known"));
        let missing: Vec<_> = wanted.split(' ').filter(|field| object.get(*field).is_none()).collect();
        assert!(missing.is_empty(), "{kind} without {missing:?}: {object}");
        seen.insert(kind.to_owned());
    };
    for kind in KINDS {
        for object in stripe.objects(kind) {
            look(if object["deleted"] == true { "deleted_customer" } else { kind }, &object);
            for (list, inner) in [
                ("items", "subscription_item"),
                ("lines", "line_item"),
                ("payments", "invoice_payment"),
                ("line_items", "item"),
            ] {
                for one in object[list]["data"].as_array().into_iter().flatten() {
                    look(inner, one);
                    if inner == "subscription_item" {
                        look("plan", &one["plan"]);
                        look("price", &one["price"]);
                    }
                }
            }
        }
    }
    look("account", &done(&stripe, "GET", "/v1/account", &[]));
    look("balance", &done(&stripe, "GET", "/v1/balance", &[]));
    let product = text(&done(&stripe, "POST", "/v1/products", &[("name", "Nothing")]), "id").to_owned();
    look("deleted_product", &done(&stripe, "DELETE", &format!("/v1/products/{product}"), &[]));
    let unseen: Vec<_> = fields.as_object().unwrap().keys().filter(|kind| !seen.contains(*kind)).collect();
    assert!(unseen.is_empty(), "never came forth: {unseen:?}");
}

const KINDS: [&str; 15] = [
    "billing_portal.session",
    "charge",
    "checkout.session",
    "customer",
    "dispute",
    "event",
    "invoice",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "refund",
    "setup_intent",
    "subscription",
    "webhook_endpoint",
];

#[tokio::test]
async fn every_object_decodes_into_our_types() {
    let stripe = stripe().await;
    live(&stripe);
    let ids = |kind: &str| stripe.objects(kind).iter().map(|one| text(one, "id").to_owned()).collect::<Vec<_>>();
    /// Decodes what such a call answers.
    fn decode<T: miniserde::Deserialize>(stripe: &TestStripe, path: &str, expand: &[(&str, &str)]) -> T {
        let answer = done(stripe, "GET", path, expand).to_string();
        miniserde::json::from_str(&answer).unwrap_or_else(|_| panic!("not decoded, {path}: {answer}"))
    }
    for id in ids("customer") {
        decode::<stripe_core::customer::RetrieveCustomerReturned>(&stripe, &format!("/v1/customers/{id}"), &[]);
    }
    for id in ids("subscription") {
        let expand = [
            ("expand[]", "latest_invoice.confirmation_secret"),
            ("expand[]", "latest_invoice.payments"),
            ("expand[]", "customer"),
        ];
        let path = format!("/v1/subscriptions/{id}");
        decode::<stripe_shared::Subscription>(&stripe, &path, &[]);
        let whole = decode::<stripe_shared::Subscription>(&stripe, &path, &expand);
        let invoice = whole.latest_invoice.unwrap().into_object().unwrap();
        assert_eq!(invoice.confirmation_secret.is_some(), invoice.amount_due > 0 && invoice.number.is_some());
    }
    macro_rules! all {
        ($($kind:literal at $path:literal as $type:ty),+ $(,)?) => { $(
            assert!(!ids($kind).is_empty(), "no {}", $kind);
            for id in ids($kind) {
                decode::<$type>(&stripe, &format!(concat!("/v1/", $path, "/{}"), id), &[]);
            }
        )+ };
    }
    all! {
        "charge" at "charges" as stripe_shared::Charge,
        "checkout.session" at "checkout/sessions" as stripe_shared::CheckoutSession,
        "dispute" at "disputes" as stripe_shared::Dispute,
        "invoice" at "invoices" as stripe_shared::Invoice,
        "payment_intent" at "payment_intents" as stripe_shared::PaymentIntent,
        "payment_method" at "payment_methods" as stripe_shared::PaymentMethod,
        "price" at "prices" as stripe_shared::Price,
        "product" at "products" as stripe_shared::Product,
        "refund" at "refunds" as stripe_shared::Refund,
        "setup_intent" at "setup_intents" as stripe_shared::SetupIntent,
    }
    decode::<stripe_types::List<stripe_shared::Subscription>>(
        &stripe,
        "/v1/subscriptions",
        &[("status", "all"), ("limit", "100")],
    );
    decode::<stripe_shared::Account>(&stripe, "/v1/account", &[]);
    decode::<stripe_shared::Event>(&stripe, &format!("/v1/events/{}", ids("event").last().unwrap()), &[]);
    let portal = stripe.objects("billing_portal.session")[0].to_string();
    miniserde::json::from_str::<stripe_billing::BillingPortalSession>(&portal).unwrap();
}

#[test]
fn its_version_is_the_one_of_our_types() {
    assert_eq!(VERSION, stripe_shared::version::VERSION.as_str());
}
