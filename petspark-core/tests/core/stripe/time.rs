//! What happens by itself as time goes by, and the webhooks that tell of it.

use std::time::Duration;

use petspark_core::testing::TestStripe;
use petspark_core::testing::stripe::{Card, WhenRetriesEnd, signature};
use serde_json::Value;

use super::{DAY, customer, done, monthly, price, status, stripe, subscribe, text};

const HOUR: Duration = Duration::from_secs(3600);

fn kinds(stripe: &TestStripe) -> Vec<String> {
    stripe.take_deliveries().into_iter().map(|delivery| delivery.kind).collect()
}

/// What a customer pays with doesn't, from now on.
fn card_fails(stripe: &TestStripe, customer: &str) {
    let method = stripe.object(customer).unwrap()["invoice_settings"]["default_payment_method"].clone();
    stripe.set_card(method.as_str().unwrap(), Card::Declines("insufficient_funds"));
}

#[tokio::test]
async fn a_month_brings_an_invoice_that_is_paid_an_hour_later() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let made = subscribe(&stripe, &ada, &month, &[]);
    stripe.take_deliveries();
    stripe.advance(DAY * 30);
    assert_eq!(kinds(&stripe), ["invoice.created", "customer.subscription.updated"]);
    stripe.advance(HOUR);
    let paid = [
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
    ];
    assert_eq!(kinds(&stripe), paid);
    assert_eq!(stripe.objects("charge").len(), 2);
    assert_eq!(status(&stripe, text(&made, "id")), "active");
    let renewals: Vec<Value> =
        stripe.objects("event").into_iter().filter(|event| event["type"] == "invoice.created").collect();
    let due = made["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    assert_eq!(renewals[1]["created"], due, "an event is of the time at which it was due");
    assert!(renewals[1]["request"]["id"].is_null());
}

#[tokio::test]
async fn a_year_at_once_is_twelve_months_one_after_the_other() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    subscribe(&stripe, &ada, &month, &[]);
    stripe.advance(DAY * 366);
    assert_eq!(stripe.objects("charge").len(), 13);
}

#[tokio::test]
async fn a_card_that_fails_is_tried_three_times_more_and_then_it_is_over() {
    for (setting, end) in [
        (WhenRetriesEnd::Cancel, "canceled"),
        (WhenRetriesEnd::MarkUnpaid, "unpaid"),
        (WhenRetriesEnd::LeavePastDue, "past_due"),
    ] {
        let stripe = stripe().await;
        stripe.when_retries_end(setting);
        let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
        let made = subscribe(&stripe, &ada, &month, &[]);
        card_fails(&stripe, &ada);
        stripe.advance(DAY * 30 + HOUR);
        assert_eq!(status(&stripe, text(&made, "id")), "past_due");
        assert_eq!(stripe.object(&ada).unwrap()["delinquent"], true);
        stripe.advance(DAY * 14);
        assert_eq!(status(&stripe, text(&made, "id")), "past_due");
        stripe.advance(DAY);
        assert_eq!(status(&stripe, text(&made, "id")), end);
        let failed = stripe.objects("charge").into_iter().filter(|charge| charge["status"] == "failed");
        assert_eq!(failed.count(), 4);
    }
}

#[tokio::test]
async fn a_card_that_pays_again_heals_what_was_past_due() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let made = subscribe(&stripe, &ada, &month, &[]);
    card_fails(&stripe, &ada);
    stripe.advance(DAY * 30 + HOUR);
    let method = stripe.object(&ada).unwrap()["invoice_settings"]["default_payment_method"].clone();
    stripe.set_card(method.as_str().unwrap(), Card::Pays);
    stripe.advance(DAY * 3);
    assert_eq!(status(&stripe, text(&made, "id")), "active");
    assert_eq!(stripe.object(&ada).unwrap()["delinquent"], false);
}

#[tokio::test]
async fn a_renewal_that_needs_authentication_waits_for_it() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let made = subscribe(&stripe, &ada, &month, &[]);
    let method = stripe.object(&ada).unwrap()["invoice_settings"]["default_payment_method"].clone();
    stripe.set_card(method.as_str().unwrap(), Card::NeedsAuthentication);
    stripe.take_deliveries();
    stripe.advance(DAY * 30 + HOUR);
    assert!(kinds(&stripe).contains(&"invoice.payment_action_required".to_owned()));
    assert_eq!(status(&stripe, text(&made, "id")), "past_due");
    let intent = stripe.objects("payment_intent").pop().unwrap();
    stripe.authenticate(text(&intent, "id"), true).unwrap();
    assert_eq!(status(&stripe, text(&made, "id")), "active");
}

#[tokio::test]
async fn a_first_payment_has_twenty_three_hours() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let incomplete = [("payment_behavior", "default_incomplete")];
    let made = subscribe(&stripe, &ada, &month, &incomplete);
    stripe.advance(HOUR * 23 - Duration::from_secs(1));
    assert_eq!(status(&stripe, text(&made, "id")), "incomplete");
    stripe.advance(Duration::from_secs(1));
    assert_eq!(status(&stripe, text(&made, "id")), "incomplete_expired");
    assert_eq!(status(&stripe, text(&made, "latest_invoice")), "void");
    let intent = stripe.objects("payment_intent").pop().unwrap();
    assert!(stripe.pay(text(&intent, "id"), "pm_card_visa").is_err());
    assert!(stripe.objects("charge").is_empty());
}

#[tokio::test]
async fn a_trial_ends_in_a_payment_a_pause_or_an_end() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let poor = text(&done(&stripe, "POST", "/v1/customers", &[]), "id").to_owned();
    let trial = |customer: &str, then: &str| {
        let end = ("trial_settings[end_behavior][missing_payment_method]", then);
        text(&subscribe(&stripe, customer, &month, &[("trial_period_days", "7"), end]), "id").to_owned()
    };
    let cases = [
        (trial(&ada, "cancel"), "active"),
        (trial(&poor, "cancel"), "canceled"),
        (trial(&poor, "pause"), "paused"),
        (trial(&poor, "create_invoice"), "past_due"),
    ];
    stripe.take_deliveries();
    stripe.advance(DAY * 4);
    assert_eq!(kinds(&stripe), ["customer.subscription.trial_will_end"; 4]);
    stripe.advance(DAY * 3 + HOUR);
    for (id, end) in &cases {
        assert_eq!(status(&stripe, id), *end);
    }
    let method = text(&done(&stripe, "POST", "/v1/payment_methods/pm_card_visa/attach", &[("customer", &poor)]), "id")
        .to_owned();
    done(&stripe, "POST", &format!("/v1/customers/{poor}"), &[("invoice_settings[default_payment_method]", &method)]);
    done(&stripe, "POST", &format!("/v1/subscriptions/{}/resume", cases[2].0), &[]);
    assert_eq!(status(&stripe, &cases[2].0), "active");
}

#[tokio::test]
async fn what_ends_with_its_period_isnt_renewed() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let made = subscribe(&stripe, &ada, &month, &[]);
    let path = format!("/v1/subscriptions/{}", text(&made, "id"));
    done(&stripe, "POST", &path, &[("cancel_at_period_end", "true")]);
    stripe.advance(DAY * 60);
    assert_eq!(status(&stripe, text(&made, "id")), "canceled");
    assert_eq!(stripe.objects("charge").len(), 1);
}

#[tokio::test]
async fn collection_that_is_paused_makes_no_charge_and_resumes_by_itself() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let made = subscribe(&stripe, &ada, &month, &[]);
    let resumes_at = (made["created"].as_i64().unwrap() + 40 * 24 * 3600).to_string();
    let pause = [("pause_collection[behavior]", "void"), ("pause_collection[resumes_at]", resumes_at.as_str())];
    done(&stripe, "POST", &format!("/v1/subscriptions/{}", text(&made, "id")), &pause);
    stripe.advance(DAY * 35);
    assert_eq!((stripe.objects("charge").len(), stripe.objects("invoice").len()), (1, 2));
    stripe.advance(DAY * 30);
    assert_eq!(stripe.objects("charge").len(), 2);
}

#[tokio::test]
async fn another_rhythm_begins_at_once_and_credits_what_was_paid() {
    let stripe = stripe().await;
    let (month, ada) = (monthly(&stripe), customer(&stripe, "pm_card_visa"));
    let year = price(&stripe, &[("recurring[interval]", "year"), ("unit_amount", "9000")]);
    let made = subscribe(&stripe, &ada, &month, &[]);
    stripe.advance(DAY * 15);
    let item = text(&made["items"]["data"][0], "id");
    let swapped = done(
        &stripe,
        "POST",
        &format!("/v1/subscriptions/{}", text(&made, "id")),
        &[("items[0][id]", item), ("items[0][price]", &year)],
    );
    let invoice = stripe.object(text(&swapped, "latest_invoice")).unwrap();
    assert_eq!((text(&invoice, "status"), invoice["total"].as_i64()), ("paid", Some(9000 - 450)));
}

#[tokio::test]
async fn webhooks_are_signed_when_taken_and_count_as_delivered_when_thanked_for() {
    let stripe = stripe().await;
    customer(&stripe, "pm_card_visa");
    let deliveries = stripe.take_deliveries();
    let delivery = deliveries.iter().find(|one| one.kind == "customer.created").unwrap();
    let event: Value = serde_json::from_str(&delivery.body).unwrap();
    let at = event["created"].as_i64().unwrap();
    assert_eq!(delivery.signature(), signature(stripe.webhook_secret().expose(), at, delivery.body.as_bytes()));
    let undelivered = || {
        let query = [("type", "customer.created"), ("delivery_success", "false")];
        done(&stripe, "GET", "/v1/events", &query)["data"].as_array().unwrap().len()
    };
    assert_eq!((undelivered(), stripe.take_deliveries().len()), (1, 0));
    stripe.acknowledge(&delivery.event);
    assert_eq!(undelivered(), 0);
    stripe.advance(DAY);
    let again = stripe.delivery_of(&delivery.event).unwrap();
    assert_eq!(again.event, delivery.event);
    assert_ne!(again.signature(), delivery.signature());
    stripe.advance(DAY * 30);
    assert_eq!(stripe.ask("GET", &format!("/v1/events/{}", delivery.event), &[]).0, 404);
}
