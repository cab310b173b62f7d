//! The way to Stripe: each attempt with a time limit that covers the answer's body, three attempts under the
//! same idempotency key, and never a second one of a POST without a key.

use std::fmt::Display;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request};
use serde_json::Value;
use stripe_client_core::{
    CustomizedStripeRequest, RequestStrategy, StripeClient, StripeClientErr, StripeMethod, VERSION,
};

use super::breaker::Breaker;
use crate::billing::remote::RemoteError;
use crate::billing::settings::StripeSettings;
use crate::clock::Clock;
use crate::outgoing::Outgoing;
use crate::secret::{Secret, random};

const ATTEMPTS: u32 = 3;
/// A page of a hundred subscriptions has some hundred KiB.
const MAX_BODY: usize = 16 << 20;
const STRIPE: &str = "https://api.stripe.com";

pub(super) struct Client {
    outgoing: Outgoing,
    base: String,
    authorization: HeaderValue,
    key: Secret,
    timeout: Duration,
    retry_after: Duration,
    pub(super) breaker: Breaker,
}

impl StripeClientErr for RemoteError {
    fn deserialize_err(message: impl Display) -> Self {
        Self::Undecodable(format!("Stripe's answer isn't what this release understands: {message}"))
    }
}

/// What became of one attempt.
enum Attempt {
    Done(Bytes),
    /// There is no use in trying again.
    Refused(RemoteError),
    /// There may be; Stripe is up if it said so itself.
    Failed {
        cause: String,
        is_up: bool,
    },
}

impl Client {
    pub(super) fn new(clock: Clock, settings: &StripeSettings, key: &Secret) -> Result<Self, String> {
        let authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
        let mut authorization = authorization.map_err(|_| "billing.stripe.secret_key can't be sent".to_owned())?;
        authorization.set_sensitive(true);
        let base = settings.api_base.as_ref().map_or(STRIPE, |base| base.as_str()).to_owned();
        let (timeout, retry_after) = (settings.timeout, settings.retry_after);
        let (key, breaker) = (key.clone(), Breaker::new(clock));
        Ok(Self { outgoing: Outgoing::new()?, base, authorization, key, timeout, retry_after, breaker })
    }

    async fn attempt(&self, request: Request<Full<Bytes>>, timeout: Duration) -> Attempt {
        match self.outgoing.send(request, timeout, MAX_BODY).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let body = if head.status.is_success() { body } else { without(body, self.key.expose()) };
                judge(head.status.as_u16(), &head.headers, body)
            }
            Err(fault) => Attempt::Failed { cause: fault.chain(), is_up: false },
        }
    }
}

impl StripeClient for Client {
    type Err = RemoteError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, RemoteError> {
        let (request, overrides) = request.into_pieces();
        let key = match overrides.request_strategy {
            Some(RequestStrategy::Idempotent(key)) => Some(key.into_inner()),
            _ => None,
        };
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let attempts = if method == Method::POST && key.is_none() { 1 } else { ATTEMPTS };
        let query =
            request.query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{}/v1{}{query}", self.base, request.path);
        let (begun, mut last) = (Instant::now(), String::new());
        for attempt in 0..attempts {
            self.breaker.admit()?;
            if attempt > 0 {
                tokio::time::sleep(pause(self.retry_after, attempt)).await;
            }
            let mut call = Request::builder()
                .method(method.clone())
                .uri(&uri)
                .header(AUTHORIZATION, self.authorization.clone())
                .header("stripe-version", VERSION.as_str())
                .header(USER_AGENT, concat!("petspark/", env!("CARGO_PKG_VERSION")));
            if let Some(key) = &key {
                call = call.header("idempotency-key", key);
            }
            if request.body.is_some() {
                call = call.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            }
            let body = Full::from(request.body.clone().unwrap_or_default());
            let call = call.body(body).map_err(|error| RemoteError::Undecodable(error.to_string()))?;
            match self.attempt(call, overrides.timeout.unwrap_or(self.timeout)).await {
                Attempt::Done(body) => {
                    self.breaker.succeeded();
                    return Ok(body);
                }
                Attempt::Refused(error) => {
                    self.breaker.succeeded();
                    return Err(error);
                }
                Attempt::Failed { cause, is_up } => {
                    match is_up {
                        true => self.breaker.succeeded(),
                        false => self.breaker.failed(&cause),
                    }
                    last = cause;
                }
            }
        }
        tracing::warn!(%method, path = request.path, cause = last, ms = begun.elapsed().as_millis(), "Stripe didn't do what was asked");
        Err(RemoteError::Unavailable(format!("{method} {}: {last}", request.path)))
    }
}

/// What is said of a refusal goes to operators and the log, and whoever refuses a key may repeat it.
fn without(body: Bytes, key: &str) -> Bytes {
    match std::str::from_utf8(&body) {
        Ok(text) if text.contains(key) => text.replace(key, "[the key]").into(),
        _ => body,
    }
}

/// What an answer means (<https://docs.stripe.com/error-low-level>).
fn judge(status: u16, headers: &HeaderMap, body: Bytes) -> Attempt {
    if (200..300).contains(&status) {
        return Attempt::Done(body);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let error = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let field = |name: &str| error["error"][name].as_str();
    let message: String = field("message").unwrap_or("no JSON, or no message in it").chars().take(300).collect();
    let request = text("request-id").unwrap_or("-");
    let cause = format!("status {status}, request {request}: {message}");
    // Stripe keeps what it once answered under a key, its own failures, too: that says nothing about how it is now.
    if status >= 500 && text("idempotent-replayed") == Some("true") {
        return Attempt::Refused(RemoteError::Spent(cause));
    }
    // Under this key something else was asked for before, and may have been done: by an earlier release, or before a
    // setting was changed. That the same is being asked for at this moment is of the same type, but 409: it is waited for.
    if status == 400 && field("type") == Some("idempotency_error") {
        return Attempt::Refused(RemoteError::Spent(cause));
    }
    let retry = match text("stripe-should-retry") {
        Some("true") => true,
        Some("false") => false,
        _ => matches!(status, 409 | 424 | 429 | 500..=599),
    };
    match status {
        _ if retry => Attempt::Failed { cause, is_up: status < 500 },
        401 | 403 => Attempt::Refused(RemoteError::KeyRefused { status, message: cause }),
        400..=499 if !matches!(status, 409 | 429) => {
            let code = field("decline_code").or(field("code")).map(str::to_owned);
            Attempt::Refused(RemoteError::Refused { status, code, message: cause })
        }
        _ => Attempt::Refused(RemoteError::Unavailable(cause)),
    }
}

/// Twice as long each time, and never quite the same for two who failed together.
fn pause(first: Duration, attempt: u32) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(8));
    let jitter = random::<1>().map_or(128, |[byte]: [u8; 1]| u32::from(byte));
    doubled / 2 + doubled.saturating_mul(jitter) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Attempt {
        let headers = headers
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        judge(status, &headers.collect(), Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_key_that_is_refused_is_not_repeated() {
        let body = Bytes::from_static(b"Invalid API Key provided: sk_test_hunter2");
        assert_eq!(without(body.clone(), "sk_test_hunter2"), "Invalid API Key provided: [the key]");
        assert_eq!(without(body.clone(), "sk_test_other"), body);
        assert_eq!(without(Bytes::from_static(b"\xff"), "sk_test_hunter2"), Bytes::from_static(b"\xff"));
    }

    #[test]
    fn what_can_not_have_been_done_is_told_from_what_may_have_been() {
        let refused = |status| judged(status, &[], r#"{"error":{"code":"x","message":"no"}}"#);
        for status in [400, 402, 404] {
            assert!(matches!(refused(status), Attempt::Refused(error) if error.is_refusal()), "{status}");
        }
        for status in [409, 429, 500, 502, 503] {
            assert!(matches!(refused(status), Attempt::Failed { .. }), "{status}");
        }
        let in_use = r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"no"}}"#;
        assert!(matches!(judged(409, &[], in_use), Attempt::Failed { .. }), "somebody else asks for it right now");
        for status in [401, 403] {
            let error = refused(status);
            assert!(matches!(error, Attempt::Refused(RemoteError::KeyRefused { status: told, .. }) if told == status));
        }
        let mixed_up = judged(400, &[], r#"{"error":{"type":"idempotency_error","message":"other parameters"}}"#);
        assert!(matches!(mixed_up, Attempt::Refused(RemoteError::Spent(_))));
        assert!(matches!(
            judged(500, &[("stripe-should-retry", "false")], ""),
            Attempt::Refused(RemoteError::Unavailable(_))
        ));
        assert!(matches!(judged(400, &[("stripe-should-retry", "true")], ""), Attempt::Failed { is_up: true, .. }));
        let replayed = judged(500, &[("idempotent-replayed", "true"), ("stripe-should-retry", "true")], "");
        assert!(matches!(replayed, Attempt::Refused(RemoteError::Spent(_))));
        let html = judged(502, &[("request-id", "req_1")], "<html>Bad Gateway</html>");
        assert!(
            matches!(html, Attempt::Failed { cause, is_up: false } if cause.contains("502") && cause.contains("req_1"))
        );
    }

    #[test]
    fn pauses_grow_and_differ() {
        let first = Duration::from_millis(250);
        for attempt in 1..4 {
            let longest = first * (1 << (attempt - 1)) * 3 / 2;
            let pauses: Vec<_> = (0..50).map(|_| pause(first, attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause >= longest / 3 && *pause <= longest), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}
