//! Every error answer in one shape. A handler gives an [`ApiError`]; its body is written at the
//! boundary (`layer/`), where the request id is known, and where the cause is logged once.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use petspark_core::{Failure, FieldErrors, Kind, chain};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::rate_limit::whole_seconds;

/// An error on its way to the client. Boxed: answers without one should not carry its room.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
    challenge: Option<HeaderValue>,
    /// What really happened: for the log, never for the client.
    cause: Option<String>,
}

/// The body of every error answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody<'a> {
    /// A short title.
    #[schema(example = "Bad Request")]
    error: &'a str,
    /// For a person.
    message: &'a str,
    /// Stays the same when the message changes.
    #[schema(example = "VALIDATION_FAILED")]
    code: &'a str,
    /// More for a program: `fields` maps each invalid field to its problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
    /// Names this request in the server's log.
    request_id: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { status, code, message, details: None, retry_after: None, challenge: None, cause: None }))
    }

    pub(crate) fn invalid_fields(fields: &FieldErrors) -> Self {
        let mut error =
            Self::new(StatusCode::BAD_REQUEST, "VALIDATION_FAILED", format!("Some fields are invalid: {fields}"));
        error.0.details = Some(json!({ "fields": fields }));
        error
    }

    pub(crate) fn payload_too_large(limit: usize) -> Self {
        let message = format!("The body must have at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    }

    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let message = "The service is temporarily unavailable. Please try again in a moment.";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message);
        error.0.retry_after = Some(Duration::from_secs(1));
        error.0.cause = Some(cause.into());
        error
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let message = "Too many requests. Please try again later.";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message);
        error.0.retry_after = Some(wait);
        error
    }

    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut error =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Something went wrong on our side.");
        error.0.cause = Some(cause.into());
        error
    }

    /// The same when no token was sent at all: nothing is wrong with it then.
    pub(crate) fn without_token(mut self) -> Self {
        self.0.challenge = Some(HeaderValue::from_static("Bearer realm=\"petspark\""));
        self
    }

    /// For answers that something below us made without a body.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::NOT_FOUND => ("ROUTE_NOT_FOUND", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("METHOD_NOT_ALLOWED", "This address doesn't take that method; see the Allow header.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("PAYLOAD_TOO_LARGE", "The body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("UNSUPPORTED_MEDIA_TYPE", "This media type is not supported."),
            status if status.is_server_error() => {
                let mut error = Self::internal(format!("an answer of {status} without a body"));
                error.0.status = status;
                return error;
            }
            _ => ("BAD_REQUEST", "The request can't be understood."),
        };
        Self::new(status, code, message)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Writes the body into `response`, which has this error's status and perhaps headers already.
    pub(crate) fn render(&self, request_id: &str, response: &mut Response) {
        let body = ErrorBody {
            error: self.0.status.canonical_reason().unwrap_or("Error"),
            message: &self.0.message,
            code: self.0.code,
            details: self.0.details.as_ref(),
            request_id,
        };
        // A struct of texts and JSON values can't fail to serialize.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
        if let Some(after) = self.0.retry_after {
            // Rounded up: who comes back in time shall not come back too early.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after).max(1)));
        }
        if let Some(challenge) = &self.0.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        *response.status_mut() = self.0.status;
        *response.body_mut() = body.into();
    }
}

impl<F: Failure> From<F> for ApiError {
    fn from(failure: F) -> Self {
        let status = match failure.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Outdated => StatusCode::PRECONDITION_FAILED,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut error = match failure.fields() {
            Some(fields) => Self::invalid_fields(fields),
            None => Self::new(status, failure.code(), failure.to_string()),
        };
        error.0.code = failure.code();
        error.0.details = failure.details().or(error.0.details.take());
        error.0.retry_after = failure.retry_after();
        if status.is_server_error() {
            error.0.cause = Some(chain(&failure));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1 wants one with every 401; only a bad access token is
            // an error by RFC 6750 section 3.1, not a missing one, and not a wrong password.
            error.0.challenge = Some(HeaderValue::from_static(match failure.code() {
                "AUTH_006" => "Bearer realm=\"petspark\", error=\"invalid_token\"",
                _ => "Bearer realm=\"petspark\"",
            }));
        }
        error
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
