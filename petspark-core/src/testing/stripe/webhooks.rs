//! Events, the endpoints that want them, and deliveries with signatures.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::world::{World, id};

/// How long events can be asked for.
const KEPT_FOR: i64 = 30 * 24 * 3600;
const ENDPOINT: [&str; 5] = ["description", "enabled_events", "metadata", "url", "disabled"];

/// A webhook on its way, as a value that a test can repeat, reorder or lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which event.
    pub event: String,
    /// Its type, such as `invoice.paid`.
    pub kind: String,
    /// Its headers, the signature of the time at which it was taken among them.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, byte by byte as it was signed.
    pub body: String,
}

impl Delivery {
    /// The delivery of this event, signed.
    pub(super) fn of(event: &Value, secret: &str, at: i64) -> Self {
        let body = serde_json::to_string_pretty(event).unwrap_or_default();
        let headers = vec![
            ("content-type", "application/json; charset=utf-8".to_owned()),
            ("stripe-signature", signature(secret, at, body.as_bytes())),
            ("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned()),
        ];
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        Self { event: id(event).to_owned(), kind, headers, body }
    }

    /// What `Stripe-Signature` says.
    #[must_use]
    pub fn signature(&self) -> &str {
        let found = self.headers.iter().find(|(name, _)| *name == "stripe-signature");
        found.map_or("", |(_, value)| value)
    }
}

/// `Stripe-Signature` of a body, as it would be at this second.
#[must_use]
pub fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

pub(super) fn retrieve_event(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let oldest = world.now - KEPT_FOR;
    world.get("event", id).and_then(|event| match event["created"].as_i64() {
        Some(created) if created >= oldest => Ok(event),
        _ => Err(Refusal::absent("event", id)),
    })
}

pub(super) fn list_events(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["delivery_success", "type", "types"]].concat())?;
    let (delivered, kind, kinds) = (form.boolean("delivery_success")?, form.text("type")?, form.texts("types")?);
    if kind.is_some() && !kinds.is_empty() {
        return Err(Refusal::invalid("You may only specify one of these parameters: type, types."));
    }
    let oldest = world.now - KEPT_FOR;
    page(world, form, "event", "/v1/events", |one| {
        let is = |wanted: &str| one["type"].as_str().is_some_and(|kind| fits(wanted, kind));
        one["created"].as_i64().is_some_and(|created| created >= oldest)
            && delivered.is_none_or(|delivered| (one["pending_webhooks"] == 0) == delivered)
            && kind.is_none_or(is)
            && (kinds.is_empty() || kinds.iter().any(|kind| is(kind)))
    })
}

/// `*` and `invoice.*` stand for many.
fn fits(wanted: &str, kind: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == kind, |prefix| kind.starts_with(prefix))
}

pub(super) fn create_endpoint(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["api_version", "description", "enabled_events", "metadata", "url"])?;
    form.need("url")?;
    if form.texts("enabled_events")?.is_empty() {
        return Err(Refusal::required("enabled_events"));
    }
    let mut endpoint = objects::webhook_endpoint();
    let endpoint_id = world.id("we");
    let secret = format!("whsec_{}", endpoint_id.replace('_', ""));
    endpoint["created"] = world.now.into();
    endpoint["id"] = endpoint_id.clone().into();
    form.copy(&["api_version"], &mut endpoint)?;
    apply(form, &mut endpoint)?;
    let since = world.all("event").last().map(|event| id(event).to_owned()).unwrap_or_default();
    world.endpoints.insert(endpoint_id, (secret.clone(), since));
    world.put(&endpoint);
    // The secret is told once.
    endpoint["secret"] = secret.into();
    Ok(endpoint)
}

pub(super) fn retrieve_endpoint(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("webhook_endpoint", id)
}

pub(super) fn update_endpoint(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&ENDPOINT)?;
    let mut endpoint = world.get("webhook_endpoint", id)?;
    apply(form, &mut endpoint)?;
    if let Some(disabled) = form.boolean("disabled")? {
        endpoint["status"] = if disabled { "disabled" } else { "enabled" }.into();
    }
    world.put(&endpoint);
    Ok(endpoint)
}

pub(super) fn delete_endpoint(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("webhook_endpoint", id)?;
    world.objects.remove(id);
    world.endpoints.remove(id);
    Ok(serde_json::json!({ "id": id, "object": "webhook_endpoint", "deleted": true }))
}

pub(super) fn list_endpoints(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&PAGING)?;
    page(world, form, "webhook_endpoint", "/v1/webhook_endpoints", |_| true)
}

fn apply(form: &Form, endpoint: &mut Value) -> Result<(), Refusal> {
    form.copy(&["description", "url"], endpoint)?;
    form.metadata(endpoint)?;
    if form.has("enabled_events") {
        endpoint["enabled_events"] = form.texts("enabled_events")?.into();
    }
    let url = endpoint["url"].as_str().unwrap_or_default();
    let is_url = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_url {
        Ok(())
    } else {
        Err(Refusal::invalid("Invalid URL: an explicit scheme must be provided.").param("url"))
    }
}

/// What has happened since the last time and an endpoint wants; it counts as sent afterwards.
pub(super) fn take(world: &mut World, endpoint: Option<&str>) -> Vec<Delivery> {
    let key = endpoint.unwrap_or_default();
    let Some((secret, since)) = world.endpoints.get(key).cloned() else { return Vec::new() };
    let wanted = world.objects.get(key).map(|endpoint| endpoint["enabled_events"].clone());
    let disabled = world.objects.get(key).is_some_and(|endpoint| endpoint["status"] != "enabled");
    let wants = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default();
        let fitting = |wanted: &Value| wanted.as_str().is_some_and(|wanted| fits(wanted, kind));
        !disabled && wanted.as_ref().is_none_or(|all| all.as_array().is_some_and(|all| all.iter().any(fitting)))
    };
    let new: Vec<&Value> = world.all("event").filter(|event| id(event) > since.as_str()).collect();
    let last = new.last().map_or(since.clone(), |event| id(event).to_owned());
    let taken =
        new.into_iter().filter(|event| wants(event)).map(|event| Delivery::of(event, &secret, world.now)).collect();
    world.endpoints.insert(key.to_owned(), (secret, last));
    taken
}

/// The receiver has thanked for it.
pub(super) fn acknowledge(world: &mut World, event: &str) {
    if let Some(event) = world.objects.get_mut(event) {
        event["pending_webhooks"] = 0.into();
    }
}
