//! Query parameters as a struct of optional texts; unknown and repeated names are refused.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use petspark_core::FieldErrors;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let problem = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(ApiError::invalid_fields(&FieldErrors::one("query", problem)))
            }
        }
    }
}
