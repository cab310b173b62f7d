//! What a request tells of the device it comes from.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use petspark_core::auth::Client;

use crate::layer::RequestContext;

/// The device that signs in; for the user's list of sessions, and nothing is decided by it.
pub(crate) struct ClientInfo(pub(crate) Client);

/// A `User-Agent` is kept up to this many bytes.
const MAX_USER_AGENT: usize = 256;

impl<S: Send + Sync> FromRequestParts<S> for ClientInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Self(Client {
            kind: text("x-petspark-client").and_then(|kind| kind.parse().ok()),
            user_agent: text(header::USER_AGENT.as_str()).map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            ip: parts.extensions.get::<RequestContext>().and_then(RequestContext::client_ip),
        }))
    }
}
