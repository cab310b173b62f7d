//! Which id a request goes by: the client's own if it is a sane one, else a new one.

use http::{HeaderMap, HeaderValue};

#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    id: HeaderValue,
    trace_id: Option<HeaderValue>,
}

/// Longest id taken over from a client.
const MAX_LEN: usize = 128;

impl RequestId {
    /// From `X-Request-Id`, else `X-Correlation-ID`, else new. The trace id of a W3C
    /// `traceparent` is kept beside it for the log.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = ["x-request-id", "x-correlation-id"]
            .into_iter()
            .filter_map(|name| headers.get(name))
            .find(|value| is_sane(value.as_bytes()));
        let id = given.cloned().unwrap_or_else(new_id);
        Self { id, trace_id: headers.get("traceparent").and_then(trace_id) }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_ref().and_then(|id| id.to_str().ok())
    }

    pub(crate) fn header_value(&self) -> HeaderValue {
        self.id.clone()
    }
}

fn is_sane(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= MAX_LEN
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}

fn new_id() -> HeaderValue {
    let mut buffer = uuid::Uuid::encode_buffer();
    let text = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    // Hexadecimal digits and hyphens are always a valid header value.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// `00-<32 hex digits>-<16 hex digits>-<2 hex digits>` (W3C Trace Context section 3.2); a trace
/// id of zeros is invalid.
fn trace_id(traceparent: &HeaderValue) -> Option<HeaderValue> {
    let mut parts = traceparent.to_str().ok()?.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let valid =
        hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && trace.bytes().any(|b| b != b'0');
    valid.then(|| HeaderValue::from_str(trace).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> RequestId {
        let headers = pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect();
        RequestId::of(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        assert_eq!(of(&[("x-request-id", "abc-123")]).as_str(), "abc-123");
        assert_eq!(of(&[("x-correlation-id", "abc-123")]).as_str(), "abc-123");
        assert_eq!(of(&[("x-request-id", "b a d"), ("x-correlation-id", "good")]).as_str(), "good");
        for wrong in ["", "a b", "a\"b", "<x>", &"x".repeat(129)] {
            assert_eq!(of(&[("x-request-id", wrong)]).as_str().len(), 36, "{wrong}");
        }
    }

    #[test]
    fn the_trace_id_of_a_valid_traceparent_is_kept() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&[("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))]).trace_id(), Some(trace));
        for wrong in [
            "",
            "00-xyz-00f067aa0ba902b7-01",
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        ] {
            assert_eq!(of(&[("traceparent", wrong)]).trace_id(), None, "{wrong}");
        }
    }
}
