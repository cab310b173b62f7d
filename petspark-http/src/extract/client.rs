//! What a request tells of the device it comes from.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use petspark_core::Secret;
use petspark_core::auth::{Client, ClientKind};

use crate::App;
use crate::layer::RequestContext;
use crate::transport::is_browser;

/// The device that signs in; for the user's list of sessions, and nothing is decided by it.
pub(crate) struct ClientInfo(pub(crate) Client);

/// A `User-Agent` is kept up to this many bytes.
const MAX_USER_AGENT: usize = 256;
/// A device's name, up to this many characters.
const MAX_DEVICE_NAME: usize = 80;

impl FromRequestParts<App> for ClientInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Self(Client {
            kind: text("x-petspark-client")
                .and_then(|kind| kind.parse().ok())
                .or_else(|| is_browser(&parts.headers).then_some(ClientKind::Web)),
            user_agent: text(header::USER_AGENT.as_str()).map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            device_name: text("x-petspark-device").and_then(device_name),
            origin: parts.extensions.get::<RequestContext>().map(RequestContext::origin).unwrap_or_default(),
            replaces: app.refresh_cookie().find(&parts.headers).map(Secret::new),
        }))
    }
}

/// What a client says its device is called: shown to its user, so one line and not long.
fn device_name(text: &str) -> Option<String> {
    let name: String = text.chars().filter(|c| !c.is_control()).take(MAX_DEVICE_NAME).collect();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
