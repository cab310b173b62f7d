//! All that this Stripe knows: its objects by id, its clock, and what it was asked.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::Clock;

use super::VERSION;
use super::expand::plain;
use super::fault::Faults;
use super::idempotency::Keys;
use super::objects;
use super::refusal::Refusal;
use super::server::Call;

/// Which call an event comes from, as events tell.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) request_id: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

pub(super) struct World {
    /// Every object by its id. Ids of one kind sort by their age.
    pub(super) objects: BTreeMap<String, Value>,
    /// Seconds since 1970. While something overdue is made up for, the time at which it was due.
    pub(super) now: i64,
    pub(super) origin: Origin,
    pub(super) faults: Faults,
    pub(super) keys: Keys,
    pub(super) calls: Vec<Call>,
    /// Where pages that people would see are said to be.
    pub(super) url: String,
    clock: Clock,
    last_id: u64,
}

impl World {
    pub(super) fn new(clock: Clock, url: &str) -> Self {
        Self {
            objects: BTreeMap::new(),
            now: clock.now().as_seconds(),
            origin: Origin::default(),
            faults: Faults::default(),
            keys: Keys::default(),
            calls: Vec::new(),
            url: url.to_owned(),
            clock,
            last_id: 0,
        }
    }

    /// A new id that sorts after all before it.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}_1Test{:012}", self.last_id)
    }

    /// All of a kind, oldest first.
    pub(super) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.objects.values().filter(move |object| object["object"] == kind)
    }

    /// The object that a path names.
    pub(super) fn get(&self, kind: &str, id: &str) -> Result<Value, Refusal> {
        self.find(kind, id).ok_or_else(|| Refusal::absent(kind, id))
    }

    /// The object that a parameter names.
    pub(super) fn named(&self, kind: &str, id: &str, param: &str) -> Result<Value, Refusal> {
        let found = self.find(kind, id).filter(|object| object["deleted"] != true);
        found.ok_or_else(|| Refusal::missing(kind, id, param))
    }

    fn find(&self, kind: &str, id: &str) -> Option<Value> {
        self.objects.get(id).filter(|object| object["object"] == kind).cloned()
    }

    /// Keeps a new object, of which `event` tells.
    pub(super) fn add(&mut self, object: Value, event: &str) -> Value {
        self.put(&object);
        self.emit(event, &object, None);
        object
    }

    /// Keeps what an object has become. Of a change `event` tells; of none nothing does.
    pub(super) fn change(&mut self, object: Value, event: &str) -> Value {
        let before = self.objects.get(id(&object)).cloned().unwrap_or(Value::Null);
        if let Some(previous) = difference(&before, &object) {
            self.put(&object);
            self.emit(event, &object, Some(previous));
        }
        object
    }

    /// Keeps an object without telling.
    pub(super) fn put(&mut self, object: &Value) {
        self.objects.insert(id(object).to_owned(), object.clone());
    }

    /// Writes an event.
    pub(super) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Map<String, Value>>) {
        let mut event = objects::event();
        event["id"] = self.id("evt").into();
        event["api_version"] = VERSION.into();
        event["created"] = self.now.into();
        event["type"] = kind.into();
        event["pending_webhooks"] = 1.into();
        event["data"] = json!({ "object": plain(object.clone()) });
        if let Some(previous) = previous {
            event["data"]["previous_attributes"] = plain(Value::Object(previous));
        }
        event["request"] = json!({ "id": self.origin.request_id, "idempotency_key": self.origin.idempotency_key });
        self.put(&event);
    }

    /// Does all that has fallen due, each at its time.
    pub(super) fn catch_up(&mut self) {
        self.now = self.clock.now().as_seconds();
    }
}

/// The id of an object.
pub(super) fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap_or_default()
}

/// The fields that `after` has otherwise than `before`, as they were; nothing when all are the same.
fn difference(before: &Value, after: &Value) -> Option<Map<String, Value>> {
    let (before, after) = (before.as_object()?, after.as_object()?);
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let previous: Map<String, Value> =
        changed.map(|(key, _)| (key.clone(), before.get(key).cloned().unwrap_or(Value::Null))).collect();
    (!previous.is_empty()).then_some(previous)
}
