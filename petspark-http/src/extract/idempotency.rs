//! The key under which a client may send a request to create something again.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use petspark_core::{FieldErrors, IdempotencyKey};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::error::ApiError;
use crate::openapi::header_parameter;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The `Idempotency-Key` of the request, if it has one.
pub(crate) struct Idempotent(pub(crate) Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Idempotent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let refused = |problem: String| ApiError::invalid_fields(&FieldErrors::one(IDEMPOTENCY_KEY, problem));
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        if keys.next().is_some() {
            return Err(refused("is given twice".to_owned()));
        }
        // What is no text has bytes that no key has; the empty text is no key either.
        let key = IdempotencyKey::parse(key.to_str().unwrap_or_default());
        key.map(|key| Self(Some(key))).map_err(|problem| refused(problem.to_string()))
    }
}

impl IntoParams for Idempotent {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "Names this intention, for example by a UUID: sent again within 24 hours it creates nothing, \
                     and gets the first answer again.";
        vec![header_parameter(IDEMPOTENCY_KEY, about, Some(IdempotencyKey::MAX_LEN))]
    }
}
