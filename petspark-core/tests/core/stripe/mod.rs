//! The Stripe that tests talk to: whether it is like Stripe, as its own library, its published
//! fields, the types we decode with and another stand-in have it, and whether its faults are what they say.

pub(crate) mod faults;
mod fidelity;
mod second;
mod time;

use std::time::Duration;

use petspark_core::testing::TestStripe;
use petspark_core::{Clock, Timestamp};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A Stripe whose time begins on 22 November 2026.
async fn stripe() -> TestStripe {
    TestStripe::start(Clock::manual(Timestamp::from_micros(1_795_384_178_000_000))).await
}

/// What a call answers that has to succeed.
fn done(stripe: &TestStripe, method: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
    let (status, answer) = stripe.ask(method, path, parameters);
    assert_eq!(status, 200, "{method} {path} {parameters:?}: {answer}");
    answer
}

/// The error of a call that has to be refused, and its status.
fn refused(stripe: &TestStripe, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let (status, answer) = stripe.ask(method, path, parameters);
    assert!(status >= 400, "{method} {path} {parameters:?}: {answer}");
    (status, answer["error"].clone())
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("no text {key} in {object}"))
}

/// A price of nine euros a month.
fn monthly(stripe: &TestStripe) -> String {
    price(stripe, &[("recurring[interval]", "month"), ("unit_amount", "900")])
}

fn price(stripe: &TestStripe, parameters: &[(&str, &str)]) -> String {
    let common = [("currency", "eur"), ("product_data[name]", "Premium")];
    text(&done(stripe, "POST", "/v1/prices", &[&common, parameters].concat()), "id").to_owned()
}

/// A customer who pays by this card.
fn customer(stripe: &TestStripe, card: &str) -> String {
    let settings = ("invoice_settings[default_payment_method]", card);
    let parameters = [("email", "ada@example.org"), ("payment_method", card), settings];
    text(&done(stripe, "POST", "/v1/customers", &parameters), "id").to_owned()
}

fn subscribe(stripe: &TestStripe, customer: &str, price: &str, parameters: &[(&str, &str)]) -> Value {
    let common = [("customer", customer), ("items[0][price]", price)];
    done(stripe, "POST", "/v1/subscriptions", &[&common, parameters].concat())
}

fn status(stripe: &TestStripe, id: &str) -> String {
    text(&stripe.object(id).unwrap(), "status").to_owned()
}
