//! Errors in the shape in which Stripe answers them.

use serde_json::{Map, Value, json};

/// Why a call is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: Map<String, Value>,
}

impl Refusal {
    fn new(status: u16, kind: &str, message: String) -> Self {
        let mut error = Map::new();
        error.insert("message".to_owned(), message.into());
        error.insert("type".to_owned(), kind.into());
        Self { status, error }
    }

    /// 400 without a code.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message.into())
    }

    /// 401 for a key that isn't known.
    pub(super) fn key() -> Self {
        Self::new(401, "invalid_request_error", "Invalid API Key provided".to_owned())
    }

    /// 403 for what a restricted key may not.
    pub(super) fn permission(lacks: &str) -> Self {
        let message = format!(
            "The provided key does not have the required permissions for this endpoint. Having the '{lacks}' permission \
             would allow this request to continue."
        );
        Self::new(403, "invalid_request_error", message)
    }

    /// 404 for a path that leads nowhere.
    pub(super) fn route(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("Unrecognized request URL ({method}: {path})."))
    }

    /// 400 for an object that a parameter names and that isn't there.
    pub(super) fn missing(kind: &str, id: &str, param: &str) -> Self {
        let noun = kind.replace(['.', '_'], " ");
        Self::invalid(format!("No such {noun}: '{id}'")).code("resource_missing").param(param)
    }

    /// 404 for an object that the path names.
    pub(super) fn absent(kind: &str, id: &str) -> Self {
        Self { status: 404, ..Self::missing(kind, id, "id") }
    }

    pub(super) fn required(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    pub(super) fn unknown(param: &str) -> Self {
        Self::invalid(format!("Received unknown parameter: {param}")).code("parameter_unknown").param(param)
    }

    /// 402 for a card that doesn't pay.
    pub(super) fn card(code: &str, decline: Option<&str>) -> Self {
        let refusal = Self::new(402, "card_error", "Your card was declined.".to_owned()).code(code);
        match decline {
            Some(decline) => refusal.with("decline_code", decline.into()),
            None => refusal,
        }
    }

    /// 400 for a key that was used for something else.
    pub(super) fn other_request(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. \
             Try using a key other than '{key}'."
        );
        Self::new(400, "idempotency_error", message)
    }

    pub(super) fn rate() -> Self {
        Self::new(429, "invalid_request_error", "Too many requests hit the API too quickly.".to_owned())
            .code("rate_limit")
    }

    pub(super) fn internal() -> Self {
        Self::new(500, "api_error", "An unknown error occurred".to_owned())
    }

    pub(super) fn message(&self) -> String {
        self.error["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn code(self, code: &str) -> Self {
        let doc = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code.into()).with("doc_url", doc.into())
    }

    pub(super) fn param(self, param: &str) -> Self {
        self.with("param", param.into())
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.error.insert(key.to_owned(), value);
        self
    }

    pub(super) fn body(&self) -> Value {
        json!({ "error": self.error })
    }
}
