//! `/.well-known/jwks.json`: the public keys of our access tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use petspark_core::auth::PUBLISHED_FOR;

use crate::App;
use crate::error::ApiError;
use crate::wire::{KeySet, json};

/// The keys by which other services verify access tokens: RFC 7517, Ed25519 as in RFC 8037.
/// Empty while tokens are signed with a secret.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "getPublicKeys", tag = "operations", security(()), responses(
    (status = 200, description = "The keys; may be kept for ten minutes", body = KeySet),
))]
pub(super) async fn jwks(State(app): State<App>) -> Result<Response, ApiError> {
    let keys = app.petspark().auth().public_keys().await?;
    let mut response = json(&KeySet::from(keys)).into_response();
    if let Ok(kept) = HeaderValue::try_from(format!("public, max-age={}", PUBLISHED_FOR.as_secs())) {
        response.headers_mut().insert(header::CACHE_CONTROL, kept);
    }
    Ok(response)
}
