//! Which call is answered by what.

use hyper::Method;
use serde_json::Value;

use super::form::Form;
use super::refusal::Refusal;
use super::world::World;
use super::{account, cards, catalogue, checkout, customers, disputes, invoices, payments, subscribing, webhooks};

/// Takes the id in the path, or an empty one.
pub(super) type Handler = fn(&mut World, &str, &Form) -> Result<Value, Refusal>;

pub(super) struct Route {
    pub(super) method: Method,
    /// Below `/v1`; `{}` stands for an id.
    pub(super) path: &'static str,
    pub(super) handler: Handler,
}

const fn get(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::GET, path, handler }
}

const fn post(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::POST, path, handler }
}

const fn delete(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::DELETE, path, handler }
}

/// The first that fits is taken.
pub(super) static ROUTES: &[Route] = &[
    get("/account", account::retrieve),
    get("/balance", account::balance),
    post("/billing_portal/sessions", checkout::create_portal_session),
    get("/charges", payments::list_charges),
    get("/charges/{}", payments::retrieve_charge),
    post("/checkout/sessions", checkout::create),
    get("/checkout/sessions", checkout::list),
    get("/checkout/sessions/{}", checkout::retrieve),
    post("/checkout/sessions/{}/expire", checkout::expire),
    get("/checkout/sessions/{}/line_items", checkout::list_items),
    post("/customers", customers::create),
    get("/customers", customers::list),
    get("/customers/{}", customers::retrieve),
    post("/customers/{}", customers::update),
    delete("/customers/{}", customers::delete),
    get("/disputes", disputes::list),
    get("/disputes/{}", disputes::retrieve),
    get("/events", webhooks::list_events),
    get("/events/{}", webhooks::retrieve_event),
    get("/invoices", invoices::list),
    get("/invoices/{}", invoices::retrieve),
    post("/invoices/{}/pay", invoices::pay),
    post("/invoices/{}/void", invoices::void_open),
    post("/payment_intents", payments::create),
    get("/payment_intents", payments::list),
    get("/payment_intents/{}", payments::retrieve),
    post("/payment_intents/{}", payments::update),
    post("/payment_intents/{}/cancel", payments::cancel),
    post("/payment_intents/{}/confirm", payments::confirm),
    post("/payment_methods", cards::create),
    get("/payment_methods", cards::list),
    get("/payment_methods/{}", cards::retrieve),
    post("/payment_methods/{}/attach", cards::attach),
    post("/payment_methods/{}/detach", cards::detach),
    post("/products", catalogue::create_product),
    get("/products", catalogue::list_products),
    get("/products/{}", catalogue::retrieve_product),
    post("/products/{}", catalogue::update_product),
    delete("/products/{}", catalogue::delete_product),
    post("/prices", catalogue::create_price),
    get("/prices", catalogue::list_prices),
    get("/prices/{}", catalogue::retrieve_price),
    post("/prices/{}", catalogue::update_price),
    post("/refunds", payments::create_refund),
    get("/refunds", payments::list_refunds),
    get("/refunds/{}", payments::retrieve_refund),
    get("/setup_intents/{}", payments::retrieve_setup_intent),
    post("/subscriptions", subscribing::create),
    get("/subscriptions", subscribing::list),
    get("/subscriptions/{}", subscribing::retrieve),
    post("/subscriptions/{}", subscribing::update),
    delete("/subscriptions/{}", subscribing::cancel),
    post("/subscriptions/{}/resume", subscribing::resume),
    post("/webhook_endpoints", webhooks::create_endpoint),
    get("/webhook_endpoints", webhooks::list_endpoints),
    get("/webhook_endpoints/{}", webhooks::retrieve_endpoint),
    post("/webhook_endpoints/{}", webhooks::update_endpoint),
    delete("/webhook_endpoints/{}", webhooks::delete_endpoint),
];

impl Route {
    /// As tests name it: `POST /v1/customers/{}`.
    pub(super) fn name(&self) -> String {
        format!("{} /v1{}", self.method, self.path)
    }
}

/// The route of a call, and the id in its path.
pub(super) fn find<'path>(method: &Method, path: &'path str) -> Option<(&'static Route, &'path str)> {
    let path = path.strip_prefix("/v1")?;
    ROUTES.iter().filter(|route| route.method == *method).find_map(|route| Some((route, fits(route.path, path)?)))
}

fn fits<'path>(pattern: &str, path: &'path str) -> Option<&'path str> {
    let (patterns, steps) = (pattern.split('/'), path.split('/'));
    if patterns.clone().count() != steps.clone().count() {
        return None;
    }
    let mut id = "";
    for (pattern, step) in patterns.zip(steps) {
        match pattern {
            "{}" if !step.is_empty() => id = step,
            pattern if pattern == step => {}
            _ => return None,
        }
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_step_and_never_empty() {
        assert_eq!(fits("/customers/{}", "/customers/cus_1"), Some("cus_1"));
        assert_eq!(fits("/a/{}/b", "/a/1/b"), Some("1"));
        assert_eq!(fits("/customers/{}", "/customers/"), None);
        assert_eq!(fits("/customers/{}", "/customers/a/b"), None);
        assert_eq!(fits("/customers", "/customers"), Some(""));
    }
}
