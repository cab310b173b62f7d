//! Which call is answered by what.

use hyper::Method;
use serde_json::Value;

use super::form::Form;
use super::refusal::Refusal;
use super::world::World;
use super::{account, catalogue, customers};

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
    post("/customers", customers::create),
    get("/customers", customers::list),
    get("/customers/{}", customers::retrieve),
    post("/customers/{}", customers::update),
    delete("/customers/{}", customers::delete),
    post("/products", catalogue::create_product),
    get("/products", catalogue::list_products),
    get("/products/{}", catalogue::retrieve_product),
    post("/products/{}", catalogue::update_product),
    delete("/products/{}", catalogue::delete_product),
    post("/prices", catalogue::create_price),
    get("/prices", catalogue::list_prices),
    get("/prices/{}", catalogue::retrieve_price),
    post("/prices/{}", catalogue::update_price),
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
