//! What befalls a subscription: payments that come or don't, trials and periods that end.

use serde_json::{Value, json};

use super::invoices::{self, Line};
use super::period;
use super::refusal::Refusal;
use super::world::{World, id};

const DAY: i64 = 24 * 3600;
/// How long the first payment may take.
const FIRST_PAYMENT_WITHIN: i64 = 23 * 3600;
/// How long before its end a trial's end is announced.
const TRIAL_NOTICE: i64 = 3 * DAY;

/// What becomes of a subscription whose last retry has failed, which is a setting of the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenRetriesEnd {
    /// It is canceled.
    #[default]
    Cancel,
    /// It becomes `unpaid`.
    MarkUnpaid,
    /// It stays `past_due`.
    LeavePastDue,
}

/// Something that falls due for a subscription.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    FirstPaymentExpires,
    TrialNotice,
    Cancel,
    TrialEnd,
    Renew,
    ResumeCollection,
}

/// What is due next for a subscription, and when.
pub(super) fn next_due(world: &World, subscription: &Value) -> Option<(i64, Due)> {
    let at = |key: &str| subscription[key].as_i64();
    let status = subscription["status"].as_str().unwrap_or_default();
    let mut due = Vec::new();
    match status {
        "incomplete" => due.push((at("created")? + FIRST_PAYMENT_WITHIN, Due::FirstPaymentExpires)),
        "trialing" => {
            let end = at("trial_end")?;
            due.push((end, Due::TrialEnd));
            if !world.noticed.contains(&(id(subscription).to_owned(), end)) {
                due.push((end - TRIAL_NOTICE, Due::TrialNotice));
            }
        }
        "active" | "past_due" | "unpaid" => due.push((period_of(subscription).1, Due::Renew)),
        _ => return None,
    }
    if let Some(cancel_at) = at("cancel_at") {
        due.push((cancel_at, Due::Cancel));
    }
    if let Some(resumes_at) = subscription["pause_collection"]["resumes_at"].as_i64() {
        due.push((resumes_at, Due::ResumeCollection));
    }
    // Of what is due at once, ending comes before renewing.
    due.into_iter().min_by_key(|(at, due)| (*at, matches!(due, Due::TrialEnd | Due::Renew)))
}

/// Does what is due.
pub(super) fn fall_due(world: &mut World, subscription: &str, due: Due) {
    let Some(mut subscription) = world.objects.get(subscription).cloned() else { return };
    match due {
        Due::FirstPaymentExpires => expire(world, subscription),
        Due::TrialNotice => {
            let end = subscription["trial_end"].as_i64().unwrap_or_default();
            world.noticed.insert((id(&subscription).to_owned(), end));
            world.emit("customer.subscription.trial_will_end", &subscription, None);
        }
        Due::Cancel => drop(end(world, subscription, "cancellation_requested")),
        Due::TrialEnd => trial_end(world, subscription),
        Due::Renew => renew(world, subscription, "subscription_cycle"),
        Due::ResumeCollection => {
            subscription["pause_collection"] = Value::Null;
            world.change(subscription, "customer.subscription.updated");
        }
    }
}

fn trial_end(world: &mut World, mut subscription: Value) {
    let without_method = method_of(world, id(&subscription)).is_none();
    let then = subscription["trial_settings"]["end_behavior"]["missing_payment_method"].as_str().unwrap_or_default();
    match then {
        "cancel" if without_method => drop(end(world, subscription, "cancellation_requested")),
        "pause" if without_method => {
            subscription["status"] = "paused".into();
            let subscription = world.change(subscription, "customer.subscription.updated");
            world.emit("customer.subscription.paused", &subscription, None);
        }
        _ => {
            subscription["status"] = "active".into();
            renew(world, subscription, "subscription_cycle");
        }
    }
}

/// Begins a new period now, and asks for its money.
pub(super) fn renew(world: &mut World, mut subscription: Value, reason: &str) {
    let anchor = subscription["billing_cycle_anchor"].as_i64().unwrap_or(world.now);
    let now = world.now;
    each_item(&mut subscription, |item| set_period(item, anchor, now));
    let mut lines = world.prorations.remove(id(&subscription)).unwrap_or_default();
    lines.extend(lines_of(&subscription));
    let invoice = invoices::draft(world, &subscription, reason, lines);
    subscription["latest_invoice"] = invoice["id"].clone();
    let subscription = world.change(subscription, "customer.subscription.updated");
    settle_draft(world, &subscription, id(&invoice));
}

/// What an unpaid or paused subscription's invoice comes to.
fn settle_draft(world: &mut World, subscription: &Value, invoice: &str) {
    if subscription["status"] == "unpaid" {
        return invoices::stop(world, invoice);
    }
    match subscription["pause_collection"]["behavior"].as_str() {
        Some("keep_as_draft") => invoices::stop(world, invoice),
        Some("void") => invoices::void(world, invoice),
        Some(_) => invoices::write_off(world, invoice),
        None => {}
    }
}

/// Ends a subscription for good.
pub(super) fn end(world: &mut World, mut subscription: Value, reason: &str) -> Value {
    if subscription["status"] == "incomplete" {
        return expire_now(world, subscription);
    }
    subscription["status"] = "canceled".into();
    subscription["ended_at"] = world.now.into();
    if subscription["canceled_at"].is_null() {
        subscription["canceled_at"] = world.now.into();
    }
    subscription["cancellation_details"]["reason"] = reason.into();
    let unpaid: Vec<String> = world
        .all("invoice")
        .filter(|invoice| invoices::subscription_of(invoice) == id(&subscription))
        .filter(|invoice| invoice["status"] == "draft" || invoice["status"] == "open")
        .map(|invoice| id(invoice).to_owned())
        .collect();
    for invoice in unpaid {
        invoices::stop(world, &invoice);
    }
    world.put(&subscription);
    world.emit("customer.subscription.deleted", &subscription, None);
    subscription
}

fn expire(world: &mut World, subscription: Value) {
    expire_now(world, subscription);
}

fn expire_now(world: &mut World, mut subscription: Value) -> Value {
    subscription["status"] = "incomplete_expired".into();
    subscription["ended_at"] = world.now.into();
    let invoice = subscription["latest_invoice"].as_str().unwrap_or_default().to_owned();
    let subscription = world.change(subscription, "customer.subscription.updated");
    invoices::void(world, &invoice);
    subscription
}

/// An invoice was paid.
pub(super) fn invoice_paid(world: &mut World, subscription: &str, invoice: &Value) {
    let Some(mut subscription) = world.objects.get(subscription).cloned() else { return };
    let status = subscription["status"].as_str().unwrap_or_default();
    if matches!(status, "incomplete" | "past_due" | "unpaid") && subscription["latest_invoice"] == invoice["id"] {
        subscription["status"] = "active".into();
        let paid_with = invoices::intent_of(invoice).and_then(|intent| world.objects.get(&intent));
        let method = paid_with.map(|intent| intent["payment_method"].clone()).unwrap_or_default();
        let saves = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription";
        if saves && method.is_string() {
            subscription["default_payment_method"] = method;
        }
        world.change(subscription, "customer.subscription.updated");
    }
}

/// An invoice's payment failed, or needs its payer.
pub(super) fn invoice_failed(world: &mut World, subscription: &str, invoice: &Value) {
    let Some(mut subscription) = world.objects.get(subscription).cloned() else { return };
    if subscription["status"] == "active" && subscription["latest_invoice"] == invoice["id"] {
        subscription["status"] = "past_due".into();
        world.change(subscription, "customer.subscription.updated");
    }
}

/// The last retry failed.
pub(super) fn retries_ended(world: &mut World, subscription: &str) {
    let Some(mut subscription) = world.objects.get(subscription).cloned() else { return };
    if subscription["status"] != "past_due" {
        return;
    }
    match world.when_retries_end {
        WhenRetriesEnd::Cancel => drop(end(world, subscription, "payment_failed")),
        WhenRetriesEnd::LeavePastDue => {}
        WhenRetriesEnd::MarkUnpaid => {
            subscription["status"] = "unpaid".into();
            world.change(subscription, "customer.subscription.updated");
        }
    }
}

/// What a subscription is paid with, if there is anything.
pub(super) fn method_of(world: &World, subscription: &str) -> Option<String> {
    let subscription = world.objects.get(subscription)?;
    let own = subscription["default_payment_method"].as_str();
    let customer = world.objects.get(subscription["customer"].as_str()?);
    let theirs = customer.and_then(|customer| customer["invoice_settings"]["default_payment_method"].as_str());
    own.or(theirs).map(str::to_owned)
}

/// Without anything to pay with it can't be.
pub(super) fn no_method() -> Refusal {
    let message = "This customer has no attached payment source or default payment method.";
    Refusal::invalid(message).code("resource_missing")
}

/// The items of a subscription.
pub(super) fn items(subscription: &Value) -> &[Value] {
    subscription["items"]["data"].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn each_item(subscription: &mut Value, change: impl FnMut(&mut Value)) {
    if let Some(items) = subscription["items"]["data"].as_array_mut() {
        items.iter_mut().for_each(change);
    }
}

/// Gives an item the period that begins at `start`.
pub(super) fn set_period(item: &mut Value, anchor: i64, start: i64) {
    let recurring = &item["price"]["recurring"];
    let count = recurring["interval_count"].as_i64().unwrap_or(1);
    let end = period::end(anchor, start, recurring["interval"].as_str().unwrap_or_default(), count);
    item["current_period_start"] = start.into();
    item["current_period_end"] = end.into();
}

/// Its present period: all items of a subscription of ours have the same.
pub(super) fn period_of(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    let at = |key: &str| item[key].as_i64().unwrap_or_default();
    (at("current_period_start"), at("current_period_end"))
}

/// What its present period costs.
pub(super) fn lines_of(subscription: &Value) -> Vec<Line> {
    let period = period_of(subscription);
    let line = |item: &Value| {
        let quantity = item["quantity"].as_i64().unwrap_or(1);
        Line {
            item: id(item).to_owned(),
            price: item["price"].clone(),
            quantity,
            amount: quantity * item["price"]["unit_amount"].as_i64().unwrap_or_default(),
            period,
            proration: false,
            text: format!("{quantity} x {}", id(&item["price"])),
        }
    };
    items(subscription).iter().map(line).collect()
}

/// A trial costs nothing, and the invoice says so.
pub(super) fn free_lines(subscription: &Value) -> Vec<Line> {
    lines_of(subscription).into_iter().map(|line| Line { amount: 0, text: "Trial period".to_owned(), ..line }).collect()
}

/// The older kind of price that items still carry.
pub(super) fn plan_of(price: &Value) -> Value {
    let mut plan = super::objects::plan();
    for key in ["active", "billing_scheme", "created", "currency", "id", "livemode", "metadata", "nickname", "product"]
    {
        plan[key] = price[key].clone();
    }
    for key in ["interval", "interval_count", "meter", "trial_period_days", "usage_type"] {
        plan[key] = price["recurring"][key].clone();
    }
    plan["amount"] = price["unit_amount"].clone();
    plan["amount_decimal"] = price["unit_amount_decimal"].clone();
    plan
}

/// Items show their price as it is now.
pub(super) fn price_changed(world: &mut World, price: &Value) {
    let holders: Vec<Value> = world
        .all("subscription")
        .filter(|one| items(one).iter().any(|item| item["price"]["id"] == price["id"]))
        .cloned()
        .collect();
    for mut subscription in holders {
        each_item(&mut subscription, |item| {
            if item["price"]["id"] == price["id"] {
                item["price"] = price.clone();
                item["plan"] = plan_of(price);
            }
        });
        world.put(&subscription);
    }
}

/// An intent to keep a payment method, for a trial that begins without one.
pub(super) fn setup_intent(world: &mut World, customer: &Value) -> Value {
    let mut intent = super::objects::setup_intent();
    let intent_id = world.id("seti");
    intent["client_secret"] = format!("{intent_id}_secret_{}", intent_id.to_lowercase()).into();
    intent["created"] = world.now.into();
    intent["customer"] = customer.clone();
    intent["id"] = intent_id.into();
    intent["payment_method_options"] = json!({});
    world.add(intent, "setup_intent.created")
}
