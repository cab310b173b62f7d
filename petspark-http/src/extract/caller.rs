//! Who signed the request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use petspark_core::Caller;
use petspark_core::auth::AuthError;

use crate::App;
use crate::error::ApiError;
use crate::layer::RequestContext;

/// The caller, proven by `Authorization: Bearer <access token>`. There is no other way in.
pub(crate) struct Signed(pub(crate) Caller);

/// The same for what only administrators do: proven by what the database says now.
pub(crate) struct SignedNow(pub(crate) Caller);

impl FromRequestParts<App> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = app.petspark().auth().authenticate(token(parts)?).await?;
        Ok(Self(placed(parts, caller)))
    }
}

impl FromRequestParts<App> for SignedNow {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = app.petspark().auth().authenticate_afresh(token(parts)?).await?;
        Ok(Self(placed(parts, caller)))
    }
}

fn token(parts: &Parts) -> Result<&str, ApiError> {
    bearer(&parts.headers).ok_or_else(|| ApiError::from(AuthError::Unauthenticated).without_token())
}

/// The caller, with where the request comes from.
fn placed(parts: &Parts, caller: Caller) -> Caller {
    let Some(context) = parts.extensions.get::<RequestContext>() else { return caller };
    context.set_user(caller.user_id());
    caller.from(context.origin())
}

/// Nobody in particular, asking from somewhere: for what needs no signing in.
pub(crate) struct Anybody(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Anybody {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let origin = parts.extensions.get::<RequestContext>().map(RequestContext::origin).unwrap_or_default();
        Ok(Self(Caller::anonymous().from(origin)))
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
