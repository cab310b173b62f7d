//! Entity tags: which form of a resource an answer shows (RFC 9110 section 8.8.3), and what clients
//! say of the forms they know.
//!
//! A tag is `"version-digest"`. The digest is of the answer's bytes, which depend on more than the
//! resource's row: the day, its owner's name, whoever asks. So 304 is said only of what the client would
//! get again to the letter. A change is held against the version alone, as another day is no reason to
//! refuse it, and core does that in the statement that writes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use petspark_core::{Expected, FieldErrors};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::error::ApiError;
use crate::openapi::header_parameter;
use crate::wire::{Data, encode, json_body};

const IF_MATCH: &str = "If-Match";
const IF_NONE_MATCH: &str = "If-None-Match";

/// Bytes of the digest in a tag: two forms of one resource don't have the same by chance.
const DIGEST_LEN: usize = 12;

/// An answer that tells which form of a resource it shows.
pub(crate) struct Tagged<T> {
    version: i64,
    data: T,
    known: Known,
}

impl<T> Tagged<T> {
    pub(crate) fn new(version: i64, data: T) -> Self {
        Self { version, data, known: Known(None) }
    }

    /// Nothing but "still the same" for a client that knows this form.
    pub(crate) fn unless(self, known: Known) -> Self {
        Self { known, ..self }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let body = match encode(&Data { data: self.data }) {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        };
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..DIGEST_LEN]);
        let tag = format!("{}-{digest}", self.version);
        let mut response = json_body(body);
        if self.known.includes(&tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = axum::body::Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
        if let Ok(tag) = HeaderValue::try_from(format!("\"{tag}\"")) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// What `If-None-Match` names: forms that the client has and needn't be sent.
pub(crate) struct Known(Option<Tags>);

impl Known {
    /// By the weak comparison, as RFC 9110 section 13.1.2 wants it.
    pub(crate) fn includes(&self, tag: &str) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|known| known.opaque == tag),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Tags::read(&parts.headers, IF_NONE_MATCH).map(Self)
    }
}

impl IntoParams for Known {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "The ETag of an answer that the client has, or several of them: 304 if it would be the same.";
        vec![header_parameter(IF_NONE_MATCH, about, None)]
    }
}

/// What `If-Match` names: the versions that a change is meant for.
pub(crate) struct IfMatch(pub(crate) Expected);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Tags::read(&parts.headers, IF_NONE_MATCH)? {
            None => {}
            // Only if it doesn't exist, and nothing is changed that doesn't.
            Some(Tags::Any) => return Ok(Self(Expected::OneOf(Vec::new()))),
            Some(Tags::These(_)) => return Err(malformed(IF_NONE_MATCH, "can only be * in a change")),
        }
        Ok(Self(match Tags::read(&parts.headers, IF_MATCH)? {
            None | Some(Tags::Any) => Expected::Any,
            // By the strong comparison: a weak tag is like no other (RFC 9110 section 8.8.3.2).
            Some(Tags::These(tags)) => {
                Expected::OneOf(tags.iter().filter(|tag| !tag.is_weak).filter_map(Tag::version).collect())
            }
        }))
    }
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "The ETag of what the change is meant for, or several of them: 412 if it was changed since.";
        vec![header_parameter(IF_MATCH, about, None)]
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: whatever there is.
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    opaque: String,
}

impl Tags {
    fn read(headers: &HeaderMap, name: &str) -> Result<Option<Self>, ApiError> {
        if !headers.contains_key(name) {
            return Ok(None);
        }
        let lines: Result<Vec<_>, _> = headers.get_all(name).iter().map(HeaderValue::to_str).collect();
        let tags = lines.ok().and_then(|lines| Self::parse(&lines.join(",")));
        tags.map(Some).ok_or_else(|| malformed(name, "must be * or a list of entity tags, each in quotes"))
    }

    /// `*`, or a list as in RFC 9110 section 5.6.1. A comma may stand in a tag.
    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let weak = rest.strip_prefix("W/");
            let (opaque, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            tags.push(Tag { is_weak: weak.is_some(), opaque: opaque.to_owned() });
            let after = after.trim_start_matches([' ', '\t']);
            rest = after.trim_start_matches([' ', '\t', ',']);
            if rest.len() == after.len() && !rest.is_empty() {
                return None;
            }
        }
        (!tags.is_empty()).then_some(Self::These(tags))
    }
}

impl Tag {
    /// The version in a tag of ours.
    fn version(&self) -> Option<i64> {
        self.opaque.split_once('-')?.0.parse().ok()
    }
}

fn malformed(name: &str, problem: &str) -> ApiError {
    ApiError::invalid_fields(&FieldErrors::one(name, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<(bool, String)>> {
        match Tags::parse(text)? {
            Tags::Any => Some(Vec::new()),
            Tags::These(tags) => Some(tags.into_iter().map(|tag| (tag.is_weak, tag.opaque)).collect()),
        }
    }

    #[test]
    fn a_list_of_tags_is_read_as_the_rfc_writes_it() {
        let tag = |is_weak, opaque: &str| (is_weak, opaque.to_owned());
        assert_eq!(Tags::parse(" * "), Some(Tags::Any));
        for (text, tags) in [
            ("\"x\"", vec![tag(false, "x")]),
            ("W/\"x\"", vec![tag(true, "x")]),
            ("\"a,b\" ,\t W/\"\",,\"c\",", vec![tag(false, "a,b"), tag(true, ""), tag(false, "c")]),
        ] {
            assert_eq!(parsed(text), Some(tags), "{text}");
        }
        for wrong in ["", " ", ",", "x", "7", "\"x", "x\"", "\"x\" \"y\"", "\"x\"y", "*, \"x\"", "\"x\", *", "w/\"x\""]
        {
            assert_eq!(Tags::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_version_is_what_stands_before_the_digest() {
        for (opaque, version) in [("7-abc", Some(7)), ("7", None), ("-7", None), ("x-7", None), ("", None)] {
            assert_eq!(Tag { is_weak: false, opaque: opaque.to_owned() }.version(), version, "{opaque}");
        }
    }
}
