//! A body under a size limit, JSON mostly.

use axum::body::HttpBody as _;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use petspark_core::FieldErrors;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::ApiError;
use crate::layer::RequestContext;

/// Most bytes of a body when nothing is said: 10 MiB.
pub(crate) const DEFAULT_BODY: usize = 10 * 1024 * 1024;
/// Most bytes of a body on authentication routes: 16 KiB. Somebody who isn't signed in shall
/// not make us read more.
pub(crate) const AUTH_BODY: usize = 16 * 1024;

/// A JSON body of at most `MAX` bytes. An empty body counts as `{}` where nothing in it is required.
pub(crate) struct Json<T, const MAX: usize = DEFAULT_BODY>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let is_json = has_json_type(request.headers());
        let bytes = read(request, MAX).await?;
        if bytes.is_empty()
            && let Ok(value) = serde_json::from_slice(b"{}")
        {
            return Ok(Self(value));
        }
        if !is_json {
            let message = "The body must be JSON, with Content-Type: application/json.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        parse(&bytes).map(Self)
    }
}

/// A body of at most `MAX` bytes as it came, whatever it says it is.
pub(crate) struct Raw<const MAX: usize>(pub(crate) Vec<u8>);

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for Raw<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read(request, MAX).await.map(Self)
    }
}

fn has_json_type(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads the body; one that says itself that it is too large isn't read at all.
async fn read(request: Request, max: usize) -> Result<Vec<u8>, ApiError> {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > max as u64 {
        return Err(ApiError::payload_too_large(max));
    }
    let waits = |waits| parts.extensions.get::<RequestContext>().map(|context| context.set_waits_for_body(waits));
    waits(true);
    let collected = Limited::new(body, max).collect().await;
    waits(false);
    match collected {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(ApiError::payload_too_large(max)),
        Err(_) => Err(ApiError::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "The body ended before its end.")),
    }
}

/// A body of several parts that can't be read to its end.
pub(crate) fn interrupted(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::for_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let message = "The body ended before its end, or isn't multipart/form-data.";
    ApiError::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", message)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would also fill a struct from an array, by position: nothing a client should rely on.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| invalid_json(&error))?;
        return Err(ApiError::invalid_fields(&FieldErrors::one("body", "must be an object")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let result: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    let error = match result {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(invalid_json(&error)),
        },
        Err(error) => error,
    };
    if error.inner().classify() != Category::Data {
        return Err(invalid_json(error.inner()));
    }
    let path: String = error.path().to_string().chars().take(MAX_PATH).collect();
    let message = error.inner().to_string();
    let (field, problem) = explain(&message);
    let field = field.unwrap_or(if path == "." { "body" } else { &path });
    Err(ApiError::invalid_fields(&FieldErrors::one(field, problem)))
}

/// A field's name in an answer is cut here: a client may send one of megabytes.
const MAX_PATH: usize = 100;

/// serde's message for a client: the field, if it names one, and what was expected. The value
/// that was sent stays out: it may be a password in the wrong place, or long.
fn explain(message: &str) -> (Option<&str>, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let named = |prefix| message.strip_prefix(prefix)?.split_once('`').map(|(field, _)| field);
    if let Some(field) = named("missing field `") {
        return (Some(field), "is required".to_owned());
    }
    if let Some(field) = named("duplicate field `") {
        return (Some(field), "is given twice".to_owned());
    }
    if message.starts_with("unknown field") {
        return (None, "is not a field of this request".to_owned());
    }
    match message.rsplit_once(", expected ") {
        Some((_, "i64" | "u64" | "i32" | "u32")) => (None, "must be a whole number".to_owned()),
        Some((_, expected)) => (None, format!("must be {expected}")),
        None => (None, message.chars().take(MAX_PATH).collect()),
    }
}

fn invalid_json(error: &serde_json::Error) -> ApiError {
    let message = format!("The body is not valid JSON (line {}, column {}).", error.line(), error.column());
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_JSON", message)
}
