//! All that this Stripe knows: its objects by id, its clock, and what it was asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::clock::Clock;

use super::VERSION;
use super::cards::Card;
use super::expand::plain;
use super::fault::{Faults, Held};
use super::form::Form;
use super::idempotency::Keys;
use super::invoices::Line;
use super::objects;
use super::refusal::Refusal;
use super::server::Call;
use super::subscriptions::{self, Due, WhenRetriesEnd};
use super::{checkout, invoices};

pub(super) const WEBHOOK_SECRET: &str = "whsec_petspark00000000000000000000";

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
    /// The account's id, if the test named one.
    pub(super) account: Option<String>,
    /// Whether nobody may know the account.
    pub(super) is_account_hidden: bool,
    /// Calls that are held until the test lets them go.
    pub(super) held: Held,
    /// Where pages that people would see are said to be.
    pub(super) url: String,
    /// How the cards of payment methods behave.
    pub(super) cards: BTreeMap<String, Card>,
    /// Payment methods that let themselves be kept although they decline.
    pub(super) attaches: BTreeSet<String>,
    /// The invoice that a payment intent pays.
    pub(super) invoice_of: BTreeMap<String, String>,
    /// Payment intents whose payers have authenticated.
    pub(super) authenticated: BTreeSet<String>,
    /// Subscriptions with the ends of trials that were announced.
    pub(super) noticed: BTreeSet<(String, i64)>,
    /// What changes of a subscription add to its next invoice.
    pub(super) prorations: BTreeMap<String, Vec<Line>>,
    pub(super) when_retries_end: WhenRetriesEnd,
    /// What checkout sessions are to give to what they make.
    pub(super) checkout_data: BTreeMap<String, Form>,
    /// By id, the secrets of webhook endpoints and the last event that each was told. The one
    /// without an id is the test's.
    pub(super) endpoints: BTreeMap<String, (String, String)>,
    clock: Clock,
    last_id: u64,
}

enum Task {
    Subscription(String, Due),
    Finalize(String),
    Retry(String),
    Checkout(String),
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
            account: None,
            is_account_hidden: false,
            held: Held::default(),
            url: url.to_owned(),
            cards: BTreeMap::new(),
            attaches: BTreeSet::new(),
            invoice_of: BTreeMap::new(),
            authenticated: BTreeSet::new(),
            noticed: BTreeSet::new(),
            prorations: BTreeMap::new(),
            when_retries_end: WhenRetriesEnd::default(),
            checkout_data: BTreeMap::new(),
            endpoints: BTreeMap::from([(String::new(), (WEBHOOK_SECRET.to_owned(), String::new()))]),
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
        let now = self.clock.now().as_seconds();
        while let Some((due, task)) = self.next_task().filter(|(due, _)| *due <= now) {
            self.now = due.max(self.now);
            match task {
                Task::Subscription(id, due) => subscriptions::fall_due(self, &id, due),
                Task::Finalize(id) => {
                    let subscription = self.objects.get(&id).map(invoices::subscription_of).unwrap_or_default();
                    let method = subscriptions::method_of(self, &subscription);
                    invoices::finalize(self, &id, method.as_deref());
                    invoices::collect(self, &id);
                }
                Task::Retry(id) => invoices::collect(self, &id),
                Task::Checkout(id) => checkout::end(self, &id),
            }
        }
        self.now = now;
    }

    /// The earliest of all that is going to happen by itself.
    fn next_task(&self) -> Option<(i64, Task)> {
        let tasks = self.objects.values().filter_map(|object| {
            let (id, at) = (id(object).to_owned(), |key: &str| object[key].as_i64());
            match (object["object"].as_str()?, object["status"].as_str()?) {
                ("subscription", _) => {
                    let (at, due) = subscriptions::next_due(self, object)?;
                    Some((at, Task::Subscription(id, due)))
                }
                ("invoice", "draft") => Some((at("automatically_finalizes_at")?, Task::Finalize(id))),
                ("invoice", "open") => Some((at("next_payment_attempt")?, Task::Retry(id))),
                ("checkout.session", "open") => Some((at("expires_at")?, Task::Checkout(id))),
                _ => None,
            }
        });
        tasks.min_by_key(|(at, _)| *at)
    }

    /// How a payment method's card behaves.
    pub(super) fn card(&self, method: &str) -> Card {
        self.cards.get(method).copied().unwrap_or(Card::Declines("generic_decline"))
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
