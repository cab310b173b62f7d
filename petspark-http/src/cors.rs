//! Which browsers may call: an exact list of origins, never a wildcard, never a reflection; and
//! which may use the refresh cookie.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, Method, Request, header};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::settings::Origin;
use crate::transport::cross_site;

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
            "range",
            "traceparent",
            "x-amz-checksum-sha256",
            "x-correlation-id",
            "x-csrf-token",
            "x-petspark-client",
            "x-petspark-device",
            "x-request-id",
        ]))
        .expose_headers(names(&[
            "content-range",
            "etag",
            "idempotency-replayed",
            "location",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-request-id",
        ]))
        .max_age(Duration::from_secs(3600));
    Some(layer)
}

/// Gives an answer that was made outside of the layer the headers it would have got inside: a page
/// that may call shall see that it called too often, and not just that something failed.
pub(crate) async fn complete(layer: &CorsLayer, origin: HeaderValue, answer: Response) -> Response {
    let mut request = Request::new(());
    request.headers_mut().insert(header::ORIGIN, origin);
    let mut answer = Some(answer);
    let inner = service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(answer.take().unwrap_or_default())));
    let Ok(answer) = layer.layer(inner).oneshot(request).await;
    answer
}

/// Lets through what a browser sends from a page of ours or of a listed origin, and what no
/// browser sends. Not a page of the same site with another origin: hosts of one domain can belong
/// to different people.
pub(crate) fn same_origin(origins: &[Origin]) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let layer = CsrfLayer::new();
    let layer = origins.iter().fold(layer, |layer, origin| {
        let origin = origin.header_value().to_str().unwrap_or_default();
        // It refuses what is no origin; ours were checked as settings.
        layer.clone().add_trusted_origin(origin).unwrap_or(layer)
    });
    layer.with_rejection_response(|_| cross_site().into_response())
}
