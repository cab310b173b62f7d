//! Which browsers may call: an exact list of origins, never a wildcard, never a reflection.

use std::time::Duration;

use http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::settings::Origin;

/// `None` without origins: then no answer has any CORS header.
pub(crate) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(|origin| origin.header_value().clone())))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(names(&[
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "traceparent",
            "x-correlation-id",
            "x-csrf-token",
            "x-petspark-client",
            "x-request-id",
        ]))
        .expose_headers(names(&["etag", "location", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id"]))
        .max_age(Duration::from_secs(3600));
    Some(layer)
}
