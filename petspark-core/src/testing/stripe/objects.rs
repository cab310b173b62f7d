//! What a new object of each kind looks like before anything is known of it: every field that
//! Stripe's own have, in the folder beside this file.

use serde_json::Value;

macro_rules! objects {
    ($($name:ident),+ $(,)?) => { $(
        pub(super) fn $name() -> Value {
            serde_json::from_str(include_str!(concat!("objects/", stringify!($name), ".json"))).expect("a JSON object")
        }
    )+ };
}

objects! {
    account, balance, billing_portal_session, charge, checkout_session, customer, dispute, event, invoice, invoice_line,
    invoice_payment, payment_intent, payment_method, plan, price, product, refund, setup_intent, subscription,
    subscription_item, webhook_endpoint,
}

/// An empty list of what is found below `url`.
pub(super) fn list_of(data: Vec<Value>, url: &str) -> Value {
    serde_json::json!({ "object": "list", "data": data, "has_more": false, "url": url })
}
