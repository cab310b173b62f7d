//! An event of Stripe's: only what says which object changed. What the object is now is asked of Stripe, so
//! that the order in which events come doesn't matter; and nothing of a person is kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;

/// What is kept of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// In seconds since 1970.
    pub(super) created: i64,
    pub(super) livemode: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api_version: Option<String>,
    pub(super) object: Reference,
}

/// What an event is about, and what that belongs to, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_intent: Option<String>,
    /// How a dispute ended: that doesn't change any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
}

/// Longer than any id of Stripe's.
const MAX_ID: usize = 255;

impl Envelope {
    /// Reads an event as Stripe sends it.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(body).ok()?)
    }

    pub(super) fn of(event: &Value) -> Option<Self> {
        let id = |value: &Value| id_of(value).filter(|id| !id.is_empty() && id.len() <= MAX_ID);
        Some(Self {
            id: id(&event["id"])?,
            kind: id(&event["type"])?,
            created: event["created"].as_i64()?,
            livemode: event["livemode"].as_bool()?,
            api_version: event["api_version"].as_str().map(str::to_owned),
            object: Reference::of(&event["data"]["object"]),
        })
    }

    pub(super) fn created_at(&self) -> Timestamp {
        Timestamp::from_micros(self.created.saturating_mul(1_000_000))
    }
}

impl Reference {
    fn of(object: &Value) -> Self {
        let details = &object["parent"]["subscription_details"]["subscription"];
        let kind = object["object"].as_str().unwrap_or_default();
        Self {
            id: id_of(&object["id"]),
            object: kind.to_owned(),
            customer: id_of(&object["customer"]),
            subscription: id_of(&object["subscription"]).or_else(|| id_of(details)),
            payment_intent: id_of(&object["payment_intent"]),
            status: object["status"].as_str().filter(|_| kind == "dispute").map(str::to_owned),
        }
    }
}

/// An id, or that of an object in its place.
fn id_of(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["id"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_event_only_ids_are_kept() {
        let event = json!({
            "id": "evt_1", "object": "event", "type": "invoice.payment_failed", "created": 1_790_000_000, "livemode": false,
            "api_version": "2026-09-30.endive", "pending_webhooks": 1,
            "data": {"object": {
                "id": "in_1", "object": "invoice", "customer": {"id": "cus_1", "email": "ada@example.org"},
                "customer_email": "ada@example.org", "status": "open",
                "parent": {"subscription_details": {"subscription": "sub_1"}},
            }},
        });
        let envelope = Envelope::read(event.to_string().as_bytes()).unwrap();
        let kept = serde_json::to_string(&envelope).unwrap();
        assert!(!kept.contains("ada"), "{kept}");
        assert_eq!(serde_json::from_str::<Envelope>(&kept).unwrap(), envelope);
        let Reference { customer, subscription, status, .. } = envelope.object;
        assert_eq!((customer.as_deref(), subscription.as_deref(), status), (Some("cus_1"), Some("sub_1"), None));
    }

    #[test]
    fn what_is_no_event_is_not_taken_for_one() {
        for wrong in
            ["", "[]", "{}", "<html>", r#"{"id":"evt_1"}"#, r#"{"id":7,"type":"x","created":1,"livemode":false}"#]
        {
            assert_eq!(Envelope::read(wrong.as_bytes()), None, "{wrong}");
        }
        let odd = r#"{"id":"evt_1","type":"new.thing","created":1,"livemode":false,"data":{"object":"text"}}"#;
        assert_eq!(Envelope::read(odd.as_bytes()).unwrap().object, Reference::default());
    }
}
