//! `/media`: bytes, in and out. What may be read by whom, and written how, is core's to say.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_range_header::parse_range_header;
use petspark_core::media::{Audience, MediaType, Served};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::etag::Known;
use crate::extract::Query;

/// What makes a URL one that was given out.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Token {
    /// Part of the URLs that this server gives out; opaque.
    token: Option<String>,
}

/// A photo or document.
#[utoipa::path(get, path = "/media/{*key}", operation_id = "getMedia", tag = "media",
    params(("key" = String, Path), Token, Known), security(()), responses(
    (status = 200, description = "Its bytes", content_type = "image/jpeg"),
    (status = 206, description = "Some of them, as Range asked for"),
    (status = 304, description = "It is as the client has it"),
    (status = 403, description = "UPLOAD_007: the URL is not valid, or not valid any more", body = ErrorBody),
    (status = 404, description = "PHOTO_001", body = ErrorBody),
    (status = 416, description = "RANGE_NOT_SATISFIABLE", body = ErrorBody,
        headers(("Content-Range" = String, description = "bytes */ and how many there are"))),
))]
pub(super) async fn get(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(Token { token }): Query<Token>,
    known: Known,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let media = app.petspark().media();
    let served = media.serve(&key, token.as_deref()).await?;
    let etag = served.etag();
    let mut response = if known.includes(etag.trim_matches('"')) {
        // Still the same, if it is still there.
        media.size(&served).await?;
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let range = if headers.contains_key(header::RANGE) {
            let size = media.size(&served).await?;
            match range(&headers, &etag, size) {
                Ok(range) => range,
                Err(error) => return Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], error).into_response()),
            }
        } else {
            None
        };
        let (size, body) = media.bytes(&served, range.clone()).await?;
        let body = Body::from_stream(body);
        let (status, length) = match &range {
            Some(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
            None => (StatusCode::OK, size),
        };
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if let Some(range) = range {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.headers_mut().extend(HeaderValue::try_from(text).map(|value| (header::CONTENT_RANGE, value)));
        }
        response
    };
    describe(&served, &etag, response.headers_mut());
    Ok(response)
}

/// What goes with the bytes, and with the news that they are still the same.
fn describe(served: &Served, etag: &str, headers: &mut HeaderMap) {
    let is_document = served.media_type == MediaType::Pdf;
    let (caching, others) = match served.audience {
        Audience::Everybody => ("public, max-age=31536000, immutable", "cross-origin"),
        Audience::Bearer => ("private, max-age=900", "same-site"),
    };
    let all = [
        (header::CONTENT_TYPE, served.media_type.as_str()),
        (header::CACHE_CONTROL, caching),
        (header::ACCEPT_RANGES, "bytes"),
        // Whatever it is, it doesn't run, and isn't part of a page of another site.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::CONTENT_DISPOSITION, if is_document { "attachment; filename=\"document.pdf\"" } else { "inline" }),
    ];
    headers.extend(all.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static(others));
    headers.extend(HeaderValue::try_from(etag).map(|value| (header::ETAG, value)));
}

/// The part that is asked for (RFC 9110 section 14), if it is one part, and of what the client has.
fn range(headers: &HeaderMap, etag: &str, size: u64) -> Result<Option<std::ops::Range<u64>>, ApiError> {
    let Some(range) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else { return Ok(None) };
    if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != etag.as_bytes()) {
        return Ok(None);
    }
    // What can't be read is to be ignored.
    let Ok(ranges) = parse_range_header(range) else { return Ok(None) };
    let ranges = ranges.validate(size).map_err(|_| {
        let message = format!("The file has {size} bytes.");
        ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_NOT_SATISFIABLE", message)
    })?;
    Ok(match ranges.as_slice() {
        [range] => Some(*range.start()..range.end() + 1),
        // All of it is a valid answer to several parts, and the cheaper one.
        _ => None,
    })
}

/// Send a file that was announced, to the URL that was given out for it.
#[utoipa::path(put, path = "/media/{*key}", operation_id = "putMedia", tag = "media",
    params(("key" = String, Path), Token), request_body(content = String, content_type = "application/octet-stream"),
    security(()), responses(
    (status = 200, description = "It is here"),
    (status = 400, description = "UPLOAD_001: it did not arrive completely", body = ErrorBody),
    (status = 403, description = "UPLOAD_007: the URL is not valid, or not valid any more", body = ErrorBody),
    (status = 412, description = "UPLOAD_008: something was sent there already", body = ErrorBody),
    (status = 422, description = "UPLOAD_005: not what was announced", body = ErrorBody),
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(Token { token }): Query<Token>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    let token = token.unwrap_or_default();
    app.petspark().media().receive(&key, &token, text(header::CONTENT_TYPE), length, bytes).await?;
    Ok(StatusCode::OK)
}
