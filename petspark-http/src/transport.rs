//! How refresh tokens travel: to browsers in a cookie that no script can read, to everybody else
//! in the body. And the other way round: which of the two a request's refresh token is in.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use petspark_core::media::Links;
use petspark_core::{FieldErrors, auth};

use crate::App;
use crate::cookie::RefreshCookie;
use crate::error::ApiError;
use crate::wire::{Data, Session, Success, TokenPair};

/// The way of this request's refresh tokens. An extractor for the handlers that take or give one.
pub(crate) struct Transport {
    cookie: RefreshCookie,
    to_browser: bool,
    in_body: bool,
    /// The refresh token in the request's cookie.
    held: Option<String>,
    /// Whether the request has a header that a page of another origin can't add unless we let it.
    has_own_header: bool,
}

/// An answer that may have a cookie with it.
pub(crate) struct WithCookie<T> {
    cookie: Option<HeaderValue>,
    answer: T,
}

/// Whether a browser asks: it says so itself by `Origin` or `Sec-Fetch-Site`, which no script can
/// take away. What a script says of itself can only make it one.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
        || headers.contains_key("sec-fetch-site")
        || headers.get("x-petspark-client").is_some_and(|client| client == "web")
}

/// Why a request whose only credential is a cookie was refused.
pub(crate) fn cross_site() -> ApiError {
    let message = "This request must come from a page of an allowed origin, with an X-PetSpark-Client header.";
    ApiError::new(StatusCode::FORBIDDEN, "CSRF_REFUSED", message)
}

impl FromRequestParts<App> for Transport {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let (settings, headers) = (app.settings(), &parts.headers);
        let cookie = app.refresh_cookie();
        let to_browser = is_browser(headers);
        Ok(Self {
            held: cookie.find(headers).map(str::to_owned),
            cookie,
            to_browser,
            in_body: !to_browser || settings.cookie.body_copy,
            has_own_header: headers.contains_key("x-petspark-client") || headers.contains_key(header::AUTHORIZATION),
        })
    }
}

impl Transport {
    /// The refresh token that the request presents, `sent` being the one in its body. An empty
    /// one is none: old web clients send it beside the cookie.
    ///
    /// # Errors
    /// 400 when cookie and body have different ones; 403 when there is only a cookie, which a
    /// browser adds by itself, and nothing to show that our client asked it to.
    pub(crate) fn presented(&self, sent: Option<String>) -> Result<Option<String>, ApiError> {
        match (sent.filter(|token| !token.is_empty()), &self.held) {
            (Some(sent), Some(held)) if sent != *held => {
                Err(ApiError::invalid_fields(&FieldErrors::one("refreshToken", "is another one than in the cookie")))
            }
            (None, Some(_)) if !self.has_own_header => Err(cross_site()),
            (sent, held) => Ok(sent.or_else(|| held.clone())),
        }
    }

    /// Answers a sign-in.
    pub(crate) fn signed_in(&self, signed_in: auth::SignedIn, links: &Links) -> WithCookie<Data<Session>> {
        let cookie = self.cookie_of(&signed_in.tokens);
        WithCookie { cookie, answer: Data { data: Session::of(signed_in, self.in_body, links) } }
    }

    /// Answers a refresh.
    pub(crate) fn renewed(&self, tokens: &auth::Tokens) -> WithCookie<Data<TokenPair>> {
        self.renewed_with(tokens, |tokens| tokens)
    }

    /// Answers what gave the session new tokens, with more than those.
    pub(crate) fn renewed_with<T>(
        &self,
        tokens: &auth::Tokens,
        data: impl FnOnce(TokenPair) -> T,
    ) -> WithCookie<Data<T>> {
        WithCookie { cookie: self.cookie_of(tokens), answer: Data { data: data(TokenPair::of(tokens, self.in_body)) } }
    }

    /// Answers a sign-out.
    pub(crate) fn signed_out(&self) -> WithCookie<Success> {
        self.gone(Success::YES)
    }

    /// Answers what ended the caller's session.
    pub(crate) fn gone<T>(&self, answer: T) -> WithCookie<T> {
        WithCookie { cookie: self.cookie.clear(), answer }
    }

    fn cookie_of(&self, tokens: &auth::Tokens) -> Option<HeaderValue> {
        self.to_browser.then(|| self.cookie.set(tokens.refresh.expose(), tokens.refresh_ttl)).flatten()
    }
}

impl<T: IntoResponse> IntoResponse for WithCookie<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Some(cookie) = self.cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}
