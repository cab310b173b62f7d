//! Faults, idempotency keys, and what is refused.

use std::time::Duration;

use petspark_core::testing::TestStripe;
use petspark_core::testing::stripe::{Card, Fault};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{DAY, customer, done, monthly, price, refused, stripe, subscribe, text};

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

/// Posts, and gives the answer, unless there is none within a second.
pub(crate) async fn post(stripe: &TestStripe, path: &str, key: &str, body: &str) -> Option<Answer> {
    let host = stripe.url().as_str().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        stripe.secret_key().expose(),
        body.len()
    );
    let mut socket = TcpStream::connect(host).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(1), socket.read_to_string(&mut answer)).await;
    read.ok()?.ok().filter(|read| *read > 0)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

#[tokio::test]
async fn a_fault_spoils_as_many_calls_as_ordered_and_only_those() {
    let stripe = stripe().await;
    stripe.fail_next_at("POST /v1/customers", 2, Fault::RateLimit);
    stripe.fail_next_at("POST /v1/products", 1, Fault::ServerError);
    let mut seen = Vec::new();
    for n in 0..3 {
        seen.push(post(&stripe, "/v1/customers", &n.to_string(), "").await.unwrap().status);
    }
    seen.push(post(&stripe, "/v1/products", "a", "name=A").await.unwrap().status);
    seen.push(post(&stripe, "/v1/products", "a", "name=A").await.unwrap().status);
    assert_eq!(seen, [429, 429, 200, 500, 200]);
    assert_eq!((stripe.objects("customer").len(), stripe.objects("product").len()), (1, 1));
    assert_eq!((stripe.count("POST /v1/customers"), stripe.calls().len()), (3, 5));
}

#[tokio::test]
async fn what_was_done_before_the_connection_broke_is_answered_to_the_same_key() {
    let stripe = stripe().await;
    for (n, fault) in [Fault::DoneThenCut, Fault::DoneThenHang, Fault::DoneThenGarbled].into_iter().enumerate() {
        stripe.fail_next(1, fault);
        let key = format!("key-{n}");
        let lost = post(&stripe, "/v1/customers", &key, "email=a%40example.org").await;
        assert_eq!(lost.is_some(), fault == Fault::DoneThenGarbled);
        assert_eq!(stripe.objects("customer").len(), n + 1);
        let again = post(&stripe, "/v1/customers", &key, "email=a%40example.org").await.unwrap();
        assert!(again.head.contains("idempotent-replayed: true"), "{}", again.head);
        let customer: Value = serde_json::from_str(&again.body).unwrap();
        assert_eq!(customer["email"], "a@example.org");
        assert_eq!(stripe.objects("customer").len(), n + 1);
    }
}

#[tokio::test]
async fn what_never_arrived_leaves_nothing() {
    let stripe = stripe().await;
    for fault in [Fault::Refused, Fault::Hang] {
        stripe.fail_next(1, fault);
        assert!(post(&stripe, "/v1/customers", "k", "").await.is_none());
    }
    stripe.fail_next(1, Fault::BadGateway);
    let html = post(&stripe, "/v1/customers", "k", "").await.unwrap();
    assert!(html.status == 502 && html.body.starts_with("<html>"));
    assert_eq!(stripe.objects("customer").len(), 0);
    assert_eq!(post(&stripe, "/v1/customers", "k", "").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_key_is_for_one_request_and_one_day() {
    let stripe = stripe().await;
    let first = post(&stripe, "/v1/customers", "k", "name=A").await.unwrap();
    assert_eq!(post(&stripe, "/v1/customers", "k", "name=A").await.unwrap().body, first.body);
    let other = post(&stripe, "/v1/customers", "k", "name=B").await.unwrap();
    assert!(other.status == 400 && other.body.contains("idempotency_error"), "{}", other.body);
    // A call that was never begun leaves its key free.
    assert_eq!(post(&stripe, "/v1/customers", "l", "nmae=A").await.unwrap().status, 400);
    assert_eq!(post(&stripe, "/v1/customers", "l", "name=A").await.unwrap().status, 200);
    stripe.advance(DAY);
    assert_eq!(post(&stripe, "/v1/customers", "k", "name=B").await.unwrap().status, 200);
}

#[tokio::test]
async fn some_errors_are_kept_for_their_key() {
    let stripe = stripe().await;
    stripe.fail_next(1, Fault::SavedServerError);
    for _ in 0..2 {
        assert_eq!(post(&stripe, "/v1/customers", "k", "").await.unwrap().status, 500);
    }
    let declined = "amount=500&currency=eur&confirm=true&payment_method=pm_card_chargeDeclined";
    for _ in 0..2 {
        assert_eq!(post(&stripe, "/v1/payment_intents", "d", declined).await.unwrap().status, 402);
    }
    assert_eq!(stripe.objects("charge").len(), 1, "declined once, answered twice");
}

#[tokio::test]
async fn what_cant_be_is_refused_as_stripe_does() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let subscription = |parameters: &[(&str, &str)]| refused(&stripe, "POST", "/v1/subscriptions", parameters).1;
    assert_eq!(subscription(&[("items[0][price]", &month)])["param"], "customer");
    assert_eq!(subscription(&[("customer", "cus_no"), ("items[0][price]", &month)])["code"], "resource_missing");
    let negative = [("customer", ada.as_str()), ("items[0][price]", &month), ("items[0][quantity]", "-1")];
    assert_eq!(subscription(&negative)["code"], "parameter_invalid_integer");
    let twice = [("customer", ada.as_str()), ("items[0][price]", &month), ("items[1][price]", &month)];
    assert!(text(&subscription(&twice), "message").contains("same price"));
    let poor = text(&done(&stripe, "POST", "/v1/customers", &[]), "id").to_owned();
    let unpayable = [("customer", poor.as_str()), ("items[0][price]", &month)];
    assert!(text(&subscription(&unpayable), "message").contains("no attached payment source"));
    done(&stripe, "POST", &format!("/v1/prices/{month}"), &[("active", "false")]);
    assert!(text(&subscription(&[("customer", &ada), ("items[0][price]", &month)]), "message").contains("inactive"));
    assert_eq!(refused(&stripe, "GET", "/v1/nothing", &[]).0, 404);
    assert_eq!(refused(&stripe, "GET", "/v1/customers", &[("limit", "101")]).0, 400);
    assert_eq!(refused(&stripe, "GET", &format!("/v1/customers/{ada}"), &[("expand[]", "nonsense")]).0, 400);
    assert!(stripe.objects("subscription").is_empty() && stripe.objects("charge").is_empty());
}

#[tokio::test]
async fn a_swap_that_isnt_paid_changes_nothing_if_that_is_an_error() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let dearer = price(&stripe, &[("recurring[interval]", "month"), ("unit_amount", "1900")]);
    let subscription = subscribe(&stripe, &ada, &month, &[]);
    let (id, item) = (text(&subscription, "id"), text(&subscription["items"]["data"][0], "id").to_owned());
    let swap = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", &dearer),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "error_if_incomplete"),
    ];
    let method = stripe.object(&ada).unwrap()["invoice_settings"]["default_payment_method"].clone();
    stripe.set_card(method.as_str().unwrap(), Card::Declines("insufficient_funds"));
    let (before, path) = (stripe.object(id), format!("/v1/subscriptions/{id}"));
    assert_eq!(refused(&stripe, "POST", &path, &swap).0, 402);
    assert_eq!((stripe.object(id), stripe.objects("invoice").len()), (before, 1));
    stripe.set_card(method.as_str().unwrap(), Card::Pays);
    let swapped = done(&stripe, "POST", &path, &swap);
    assert_eq!(swapped["items"]["data"][0]["price"]["id"], dearer.as_str());
    let invoice = stripe.object(text(&swapped, "latest_invoice")).unwrap();
    assert_eq!((text(&invoice, "status"), &invoice["amount_paid"]), ("paid", &1000.into()));
    // Nothing of what was refused is owed later.
    stripe.advance(DAY * 31);
    let renewal = stripe.objects("invoice").pop().unwrap();
    assert_eq!(renewal["total"], 1900);
}

#[tokio::test]
async fn a_call_that_is_held_goes_when_it_is_let() {
    let stripe = stripe().await;
    for (fault, made) in [(Fault::Delayed, 0), (Fault::DoneThenDelayed, 2)] {
        stripe.fail_next(1, fault);
        let key = format!("{fault:?}");
        let held = post(&stripe, "/v1/customers", &key, "");
        let look = async {
            stripe.delayed().await;
            let made = stripe.objects("customer").len();
            stripe.let_go();
            made
        };
        let (answer, seen) = tokio::join!(held, look);
        assert_eq!((answer.unwrap().status, seen), (200, made), "{fault:?}");
    }
}

#[tokio::test]
async fn a_failure_may_be_kept_though_it_was_done() {
    let stripe = stripe().await;
    stripe.fail_next(1, Fault::DoneThenServerError);
    for replayed in [false, true] {
        let answer = post(&stripe, "/v1/customers", "key", "").await.unwrap();
        assert_eq!((answer.status, answer.head.contains("idempotent-replayed")), (500, replayed));
    }
    assert_eq!(stripe.objects("customer").len(), 1);
    stripe.fail_next(5, Fault::ServerError);
    stripe.recover();
    assert_eq!(post(&stripe, "/v1/customers", "other", "").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_subscription_that_would_be_incomplete_isnt_made_if_that_is_an_error() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_chargeCustomerFail"));
    let parameters =
        [("customer", ada.as_str()), ("items[0][price]", &month), ("payment_behavior", "error_if_incomplete")];
    assert_eq!(refused(&stripe, "POST", "/v1/subscriptions", &parameters).0, 402);
    assert!(stripe.objects("subscription").is_empty() && stripe.objects("invoice").is_empty());
    assert_eq!(text(&subscribe(&stripe, &ada, &month, &[]), "status"), "incomplete");
}
