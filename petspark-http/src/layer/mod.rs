//! What surrounds every request: its id, its rate and time limits, the error envelope, the access
//! log. One layer and not five: each would box the request's future once more.

mod client_ip;
mod request_id;

use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use petspark_core::database::StatementCount;
use petspark_core::{Origin, UserId};

pub(crate) use request_id::RequestId;

use crate::error::ApiError;
use crate::listen::Peer;
use crate::rate_limit::{Class, Counted};
use crate::{App, cors, routes};

/// What is known of a request besides itself. A handler's extractors add to it for the log.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext(Arc<Known>);

#[derive(Debug)]
struct Known {
    id: RequestId,
    client_ip: Option<IpAddr>,
    user: OnceLock<UserId>,
    /// Whether we are waiting for more of the body.
    waits_for_body: AtomicBool,
    statements: StatementCount,
}

impl RequestContext {
    /// Where the request came from, proxies seen through, for the record.
    pub(crate) fn origin(&self) -> Origin {
        Origin { ip: self.0.client_ip, request_id: Some(self.0.id.as_str().into()) }
    }

    /// Remembers who signed the request.
    pub(crate) fn set_user(&self, user: Option<UserId>) {
        if let Some(user) = user {
            // Set once; a second extractor finds the same user.
            let _ = self.0.user.set(user);
        }
    }

    /// Remembers whether the client is the one who is waited for.
    pub(crate) fn set_waits_for_body(&self, waits: bool) {
        self.0.waits_for_body.store(waits, Ordering::Relaxed);
    }
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request with everything around it. Whatever happens inside, an answer comes out.
pub(crate) async fn surround(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(address))| address.ip());
    if let Some(peer) = peer
        && client_ip::is_unknown_proxy(peer, request.headers(), &app.settings().trusted_proxies)
        && app.first_unknown_proxy()
    {
        tracing::warn!(%peer, "X-Forwarded-For from a peer that is not in TRUSTED_PROXIES: if it is your proxy, all its clients are limited as one");
    }
    let context = RequestContext(Arc::new(Known {
        id: RequestId::of(request.headers()),
        client_ip: peer.map(|peer| client_ip::client_ip(peer, request.headers(), &app.settings().trusted_proxies)),
        user: OnceLock::new(),
        waits_for_body: AtomicBool::new(false),
        statements: StatementCount::default(),
    }));
    let mut line = LogLine {
        known: context.0.clone(),
        started,
        is_written: false,
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        path: request.uri().path().to_owned(),
        user_agent: request.headers().get(header::USER_AGENT).cloned(),
    };
    // Of a file that is sent, all that takes time is the sending.
    let sends_file = routes::takes_file(&line.method, line.route.as_ref().map(MatchedPath::as_str));
    context.set_waits_for_body(sends_file);
    let limit = if sends_file { app.settings().upload_timeout } else { app.settings().request_timeout };
    let class = Class::of(&line.method, line.route.as_ref().map(MatchedPath::as_str));
    let counted = app.rate_limits().zip(context.0.client_ip).and_then(|(limits, ip)| limits.count(class, ip));
    let origin = request.headers().get(header::ORIGIN).cloned();
    request.extensions_mut().insert(context.clone());

    let answer = match counted.as_ref().and_then(Counted::wait) {
        Some(wait) => Err(ApiError::rate_limited(wait)),
        None => answer(limit, &context, context.0.statements.during(next.run(request))).await,
    };
    let mut response = match (answer, origin, app.cors()) {
        (Ok(response), ..) => response,
        (Err(error), Some(origin), Some(cors)) => cors::complete(cors, origin, error.into_response()).await,
        (Err(error), ..) => error.into_response(),
    };
    let error = write_envelope(&mut response, context.0.id.as_str());
    finish_headers(&mut response, &context.0.id, class);
    if let Some(counted) = counted {
        counted.write(response.headers_mut());
    }
    line.write(&response, error.as_ref());
    response
}

/// The answer from within, unless there is none.
async fn answer(
    limit: Duration,
    context: &RequestContext,
    inside: impl Future<Output = Response>,
) -> Result<Response, ApiError> {
    match tokio::time::timeout(limit, AssertUnwindSafe(inside).catch_unwind()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => Err(ApiError::internal(format!("a handler panicked: {}", panic_message(&*panic)))),
        Err(_) if context.0.waits_for_body.load(Ordering::Relaxed) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "The body took too long to arrive."))
        }
        Err(_) => Err(ApiError::unavailable("the request took longer than http.request_timeout")),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Marks an answer of error status that has its own body, which is part of the contract.
#[derive(Clone, Copy)]
pub(crate) struct OwnBody;

/// Gives every error answer its body: those of our handlers, and those that routing made.
fn write_envelope(response: &mut Response, request_id: &str) -> Option<ApiError> {
    let status = response.status();
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if status.as_u16() < 400 || response.extensions().get::<OwnBody>().is_some() => return None,
        None => ApiError::for_status(status),
    };
    error.render(request_id, response);
    Some(error)
}

fn finish_headers(response: &mut Response, id: &RequestId, class: Class) {
    let headers = response.headers_mut();
    if class.is_account() {
        // The same address answers browsers by a cookie and others in the body: a cache that mixes
        // them up would sign one person in as another.
        headers.append(header::VARY, HeaderValue::from_static("origin, sec-fetch-site"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    headers.insert(X_REQUEST_ID, id.header_value());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// What the access log needs of a request that is gone by then. Never the query: it may hold
/// tokens. Nor the path of an address that we don't have: it may be anything.
struct LogLine {
    known: Arc<Known>,
    started: Instant,
    is_written: bool,
    method: http::Method,
    route: Option<MatchedPath>,
    path: String,
    user_agent: Option<HeaderValue>,
}

/// The status in the log of a request whose client went away before its answer was there; what
/// it asked for may have been done. Nobody is ever sent it.
const CLIENT_LEFT: u16 = 499;

impl LogLine {
    fn write(&mut self, response: &Response, error: Option<&ApiError>) {
        let status = response.status().as_u16();
        if let Some(cause) = error.and_then(ApiError::cause) {
            if status == 503 {
                tracing::warn!(request_id = self.known.id.as_str(), cause, "unavailable");
            } else {
                tracing::error!(request_id = self.known.id.as_str(), cause, "internal error");
            }
        }
        self.write_access(status, error.map(ApiError::code), response.body().size_hint().exact());
    }

    fn write_access(&mut self, status: u16, code: Option<&str>, bytes: Option<u64>) {
        self.is_written = true;
        let known = &self.known;
        let route = self.route.as_ref().map(MatchedPath::as_str);
        tracing::info!(
            target: "petspark_http::access",
            request_id = known.id.as_str(),
            trace_id = known.id.trace_id(),
            method = self.method.as_str(),
            route,
            path = route.map(|_| self.path.as_str()),
            status,
            code,
            duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes,
            statements = known.statements.get(),
            user = known.user.get().map(tracing::field::display),
            client_ip = known.client_ip.as_ref().map(tracing::field::display),
            user_agent = self.user_agent.as_ref().and_then(|agent| agent.to_str().ok()),
        );
    }
}

/// A request that is dropped before its answer was there is a line in the log all the same.
impl Drop for LogLine {
    fn drop(&mut self) {
        if !self.is_written {
            self.write_access(CLIENT_LEFT, None, None);
        }
    }
}
