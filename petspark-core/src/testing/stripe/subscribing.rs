//! The calls about subscriptions.

use serde_json::{Value, json};

use super::cards;
use super::form::Form;
use super::invoices::{self, Line};
use super::list::{PAGING, page};
use super::objects::{self, list_of};
use super::refusal::Refusal;
use super::subscriptions::{
    each_item, end, free_lines, items, lines_of, method_of, no_method, period_of, plan_of, renew, set_period,
    setup_intent,
};
use super::world::{World, id};

const DAY: i64 = 24 * 3600;
const BEHAVIORS: [&str; 3] = ["allow_incomplete", "default_incomplete", "error_if_incomplete"];
const PRORATIONS: [&str; 3] = ["always_invoice", "create_prorations", "none"];
const UPDATABLE: [&str; 13] = [
    "cancel_at",
    "cancel_at_period_end",
    "cancellation_details",
    "default_payment_method",
    "description",
    "items",
    "metadata",
    "off_session",
    "pause_collection",
    "payment_behavior",
    "payment_settings",
    "proration_behavior",
    "trial_end",
];

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "automatic_tax",
        "cancel_at_period_end",
        "customer",
        "default_payment_method",
        "description",
        "items",
        "metadata",
        "off_session",
        "payment_behavior",
        "payment_settings",
        "proration_behavior",
        "trial_end",
        "trial_period_days",
        "trial_settings",
    ])?;
    let customer = world.named("customer", form.need("customer")?, "customer")?;
    let behavior = form.one_of("payment_behavior", &BEHAVIORS)?.unwrap_or("allow_incomplete");
    let mut subscription = objects::subscription();
    let subscription_id = world.id("sub");
    subscription["billing_cycle_anchor"] = world.now.into();
    subscription["created"] = world.now.into();
    subscription["customer"] = customer["id"].clone();
    subscription["start_date"] = world.now.into();
    subscription["id"] = subscription_id.clone().into();
    let mut new_items = Vec::new();
    for given in form.forms("items")? {
        given.only(&["price", "quantity", "metadata"])?;
        new_items.push(new_item(world, &subscription_id, &given)?);
    }
    fits_together(&new_items)?;
    subscription["currency"] = new_items[0]["price"]["currency"].clone();
    let url = format!("/v1/subscription_items?subscription={subscription_id}");
    subscription["items"] = list_of(new_items, &url);
    let trial_end = trial_end(world, form)?;
    let now = world.now;
    if let Some(end) = trial_end {
        subscription["trial_start"] = now.into();
        subscription["trial_end"] = end.into();
        subscription["billing_cycle_anchor"] = end.into();
        each_item(&mut subscription, |item| {
            item["current_period_start"] = now.into();
            item["current_period_end"] = end.into();
        });
    } else {
        each_item(&mut subscription, |item| set_period(item, now, now));
    }
    apply(world, form, &mut subscription)?;
    if let Some(tax) = form.below("automatic_tax")? {
        tax.only(&["enabled"])?;
        subscription["automatic_tax"]["enabled"] = tax.boolean("enabled")?.unwrap_or(false).into();
    }
    subscription["status"] = if trial_end.is_some() { "trialing" } else { "incomplete" }.into();
    let before = world.objects.clone();
    world.put(&subscription);
    let made = begin(world, subscription, behavior);
    if made.is_err() {
        world.objects = before;
    }
    made
}

/// The first invoice, and the attempt to have it paid.
fn begin(world: &mut World, mut subscription: Value, behavior: &str) -> Result<Value, Refusal> {
    let method = method_of(world, id(&subscription));
    let trial = subscription["status"] == "trialing";
    let lines = if trial { free_lines(&subscription) } else { lines_of(&subscription) };
    let due: i64 = lines.iter().map(|line| line.amount).sum();
    if due > 0 && method.is_none() && behavior != "default_incomplete" {
        return Err(no_method());
    }
    if trial && method.is_none() && behavior == "default_incomplete" {
        subscription["pending_setup_intent"] = setup_intent(world, &subscription["customer"])["id"].clone();
    }
    world.put(&subscription);
    let invoice = id(&invoices::draft(world, &subscription, "subscription_create", lines)).to_owned();
    subscription["latest_invoice"] = invoice.as_str().into();
    world.put(&subscription);
    world.emit("customer.subscription.created", &subscription, None);
    invoices::finalize(world, &invoice, method.as_deref());
    if behavior != "default_incomplete" {
        invoices::collect(world, &invoice);
    }
    let begun = world.get("subscription", id(&subscription))?;
    if begun["status"] == "incomplete" && behavior == "error_if_incomplete" {
        return Err(Refusal::card("card_declined", Some("generic_decline")));
    }
    adopt_currency(world, &begun)?;
    Ok(begun)
}

fn adopt_currency(world: &mut World, subscription: &Value) -> Result<(), Refusal> {
    let mut customer = world.get("customer", subscription["customer"].as_str().unwrap_or_default())?;
    if customer["currency"].is_null() {
        customer["currency"] = subscription["currency"].clone();
        world.change(customer, "customer.updated");
    }
    Ok(())
}

fn new_item(world: &mut World, subscription: &str, given: &Form) -> Result<Value, Refusal> {
    let mut item = objects::subscription_item();
    item["created"] = world.now.into();
    item["id"] = world.id("si").into();
    item["subscription"] = subscription.into();
    given.need("price")?;
    item["quantity"] = 1.into();
    set_item(world, given, &mut item)?;
    Ok(item)
}

fn set_item(world: &World, given: &Form, item: &mut Value) -> Result<(), Refusal> {
    if let Some(price) = given.text("price")? {
        let price = world.named("price", price, "items[0][price]")?;
        if price["type"] != "recurring" {
            let message = "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.";
            return Err(Refusal::invalid(message).param("items[0][price]"));
        }
        if price["active"] != true && item["price"]["id"] != price["id"] {
            let message = format!("The price specified is inactive: {}.", id(&price));
            return Err(Refusal::invalid(message).param("items[0][price]"));
        }
        item["plan"] = plan_of(&price);
        item["price"] = price;
    }
    if let Some(quantity) = given.integer("quantity")? {
        if quantity < 0 {
            let message = "Invalid non-negative integer";
            return Err(Refusal::invalid(message).code("parameter_invalid_integer").param("items[0][quantity]"));
        }
        item["quantity"] = quantity.into();
    }
    given.metadata(item)
}

/// One currency, one rhythm, no price twice.
fn fits_together(items: &[Value]) -> Result<(), Refusal> {
    let Some(first) = items.first() else { return Err(Refusal::required("items")) };
    for (n, item) in items.iter().enumerate() {
        let (price, other) = (&item["price"], &first["price"]);
        if price["currency"] != other["currency"] {
            return Err(Refusal::invalid("All prices on a subscription must have the same `currency`."));
        }
        if rhythm(price) != rhythm(other) {
            let message =
                "All prices on a subscription must have the same `recurring.interval` and `recurring.interval_count`.";
            return Err(Refusal::invalid(message));
        }
        if items[..n].iter().any(|before| before["price"]["id"] == price["id"]) {
            return Err(Refusal::invalid("Cannot add multiple subscription items with the same price."));
        }
    }
    Ok(())
}

fn rhythm(price: &Value) -> (&Value, &Value) {
    (&price["recurring"]["interval"], &price["recurring"]["interval_count"])
}

fn trial_end(world: &World, form: &Form) -> Result<Option<i64>, Refusal> {
    if form.text("trial_end")? == Some("now") {
        return Ok(None);
    }
    let end = match (form.integer("trial_end")?, form.integer("trial_period_days")?) {
        (Some(_), Some(_)) => return Err(Refusal::invalid("Give trial_end or trial_period_days, not both.")),
        (Some(end), None) => end,
        (None, Some(days)) if days < 1 => {
            return Err(Refusal::invalid("Invalid positive integer").param("trial_period_days"));
        }
        (None, Some(days)) => world.now + days * DAY,
        (None, None) => return Ok(None),
    };
    if end <= world.now {
        return Err(Refusal::invalid("The trial end must be in the future.").param("trial_end"));
    }
    Ok(Some(end))
}

/// What can be given at the beginning and changed later.
fn apply(world: &mut World, form: &Form, subscription: &mut Value) -> Result<(), Refusal> {
    let customer = subscription["customer"].as_str().unwrap_or_default().to_owned();
    if form.unset("default_payment_method") {
        subscription["default_payment_method"] = Value::Null;
    } else if let Some(given) = form.text("default_payment_method")? {
        let method = cards::resolve(world, given, Some(&customer), "default_payment_method")?;
        cards::keep_with(world, &method, &customer)?;
        subscription["default_payment_method"] = method.into();
    }
    form.copy(&["description"], subscription)?;
    form.metadata(subscription)?;
    if let Some(settings) = form.below("payment_settings")? {
        settings.only(&["payment_method_types", "save_default_payment_method"])?;
        if let Some(save) = settings.one_of("save_default_payment_method", &["off", "on_subscription"])? {
            subscription["payment_settings"]["save_default_payment_method"] = save.into();
        }
        if settings.has("payment_method_types") {
            subscription["payment_settings"]["payment_method_types"] = settings.texts("payment_method_types")?.into();
        }
    }
    if let Some(settings) = form.below("trial_settings")? {
        settings.only(&["end_behavior"])?;
        let end = settings.below("end_behavior")?.unwrap_or_default();
        let missing = end.one_of("missing_payment_method", &["cancel", "create_invoice", "pause"])?;
        subscription["trial_settings"] = json!({ "end_behavior": { "missing_payment_method": missing } });
    }
    plan_end(world, form, subscription)
}

fn plan_end(world: &World, form: &Form, subscription: &mut Value) -> Result<(), Refusal> {
    if form.has("cancel_at") && form.has("cancel_at_period_end") {
        return Err(Refusal::invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end."));
    }
    if let Some(details) = form.below("cancellation_details")? {
        details.only(&["comment", "feedback"])?;
        details.copy(&["comment", "feedback"], &mut subscription["cancellation_details"])?;
    }
    let at = match form.boolean("cancel_at_period_end")? {
        Some(true) => Some(period_of(subscription).1),
        Some(false) => None,
        None if form.unset("cancel_at") => None,
        None => match form.integer("cancel_at")? {
            Some(at) if at <= world.now => {
                return Err(Refusal::invalid("cancel_at must be in the future").param("cancel_at"));
            }
            Some(at) => Some(at),
            None => return Ok(()),
        },
    };
    subscription["cancel_at_period_end"] = (form.boolean("cancel_at_period_end")? == Some(true)).into();
    subscription["cancel_at"] = at.into();
    subscription["canceled_at"] = at.map(|_| world.now).into();
    subscription["cancellation_details"]["reason"] = at.map(|_| "cancellation_requested").into();
    Ok(())
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("subscription", id)
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer", "price", "status"]].concat())?;
    let (customer, price) = (form.text("customer")?, form.text("price")?);
    let status = form.text("status")?;
    page(world, form, "subscription", "/v1/subscriptions", |one| {
        let ended = one["status"] == "canceled" || one["status"] == "incomplete_expired";
        let of_status = match status {
            Some("all") => true,
            Some("ended") => ended,
            Some(status) => one["status"] == status,
            None => one["status"] != "canceled",
        };
        of_status
            && customer.is_none_or(|customer| one["customer"] == customer)
            && price.is_none_or(|price| items(one).iter().any(|item| item["price"]["id"] == price))
    })
}

pub(super) fn update(world: &mut World, subscription: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&UPDATABLE)?;
    let mut subscription = world.get("subscription", subscription)?;
    let ended = subscription["ended_at"].is_number();
    if ended && UPDATABLE.iter().any(|key| form.has(key) && *key != "metadata" && *key != "cancellation_details") {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(Refusal::invalid(message));
    }
    let behavior = form.one_of("payment_behavior", &BEHAVIORS)?.unwrap_or("allow_incomplete");
    let proration = form.one_of("proration_behavior", &PRORATIONS)?.unwrap_or("create_prorations");
    if let Some(pause) = form.below("pause_collection")? {
        pause.only(&["behavior", "resumes_at"])?;
        pause.need("behavior")?;
        let behavior = pause.one_of("behavior", &["keep_as_draft", "mark_uncollectible", "void"])?;
        subscription["pause_collection"] = json!({ "behavior": behavior, "resumes_at": pause.integer("resumes_at")? });
    } else if form.unset("pause_collection") {
        subscription["pause_collection"] = Value::Null;
    }
    let subscription_id = id(&subscription).to_owned();
    let before = (world.objects.clone(), world.prorations.get(&subscription_id).cloned());
    let change = Change { behavior, proration };
    let done = apply(world, form, &mut subscription).and_then(|()| change.make(world, form, subscription));
    if done.is_err() {
        world.objects = before.0;
        world.prorations.insert(subscription_id, before.1.unwrap_or_default());
    }
    done
}

struct Change<'form> {
    behavior: &'form str,
    proration: &'form str,
}

impl Change<'_> {
    fn make(&self, world: &mut World, form: &Form, mut subscription: Value) -> Result<Value, Refusal> {
        let old = items(&subscription).to_vec();
        let new = changed_items(world, form, &subscription)?;
        fits_together(&new)?;
        if new[0]["price"]["currency"] != subscription["currency"] {
            return Err(Refusal::invalid("The price specified is in another currency than the subscription."));
        }
        let (trialing, now) = (subscription["status"] == "trialing", world.now);
        let other_rhythm = rhythm(&new[0]["price"]) != rhythm(&old[0]["price"]);
        let credit_and_cost = prorations(&old, &new, period_of(&subscription), now, other_rhythm);
        subscription["items"]["data"] = new.clone().into();
        if subscription["cancel_at_period_end"] == true {
            subscription["cancel_at"] = period_of(&subscription).1.into();
        }
        if form.text("trial_end")? == Some("now") && trialing {
            subscription["trial_end"] = now.into();
            subscription["billing_cycle_anchor"] = now.into();
            subscription["status"] = "active".into();
            return self.charge_now(world, subscription);
        }
        if let (Some(end), true) = (trial_end(world, form)?, form.has("trial_end")) {
            subscription["trial_end"] = end.into();
            subscription["billing_cycle_anchor"] = end.into();
            subscription["status"] = "trialing".into();
            each_item(&mut subscription, |item| item["current_period_end"] = end.into());
        }
        let changed = old != new;
        if !changed || trialing || subscription["status"] == "incomplete" {
            return Ok(world.change(subscription, "customer.subscription.updated"));
        }
        let pending = world.prorations.entry(id(&subscription).to_owned()).or_default();
        if self.proration != "none" {
            pending.extend(credit_and_cost);
        }
        if other_rhythm {
            subscription["billing_cycle_anchor"] = now.into();
            return self.charge_now(world, subscription);
        }
        let subscription = world.change(subscription, "customer.subscription.updated");
        if self.proration != "always_invoice" {
            return Ok(subscription);
        }
        let lines = world.prorations.remove(id(&subscription)).unwrap_or_default();
        let invoice = invoices::draft(world, &subscription, "subscription_update", lines);
        self.settle(world, subscription, id(&invoice))
    }

    /// Begins a new period at once.
    fn charge_now(&self, world: &mut World, subscription: Value) -> Result<Value, Refusal> {
        let subscription_id = id(&subscription).to_owned();
        renew(world, subscription, "subscription_update");
        let subscription = world.get("subscription", &subscription_id)?;
        let invoice = subscription["latest_invoice"].as_str().unwrap_or_default().to_owned();
        self.settle(world, subscription, &invoice)
    }

    fn settle(&self, world: &mut World, mut subscription: Value, invoice: &str) -> Result<Value, Refusal> {
        subscription["latest_invoice"] = invoice.into();
        world.put(&subscription);
        let method = method_of(world, id(&subscription));
        invoices::finalize(world, invoice, method.as_deref());
        if self.behavior != "default_incomplete" {
            invoices::collect(world, invoice);
        }
        let open = world.get("invoice", invoice)?["status"] == "open";
        if open && self.behavior == "error_if_incomplete" {
            return Err(Refusal::card("card_declined", Some("generic_decline")));
        }
        world.get("subscription", id(&subscription))
    }
}

fn changed_items(world: &mut World, form: &Form, subscription: &Value) -> Result<Vec<Value>, Refusal> {
    let mut new = items(subscription).to_vec();
    let (start, end) = period_of(subscription);
    for given in form.forms("items")? {
        given.only(&["deleted", "id", "metadata", "price", "quantity"])?;
        let Some(item_id) = given.text("id")? else {
            let mut item = new_item(world, id(subscription), &given)?;
            item["current_period_start"] = start.into();
            item["current_period_end"] = end.into();
            new.push(item);
            continue;
        };
        let missing = || Refusal::missing("subscription_item", item_id, "items[0][id]");
        let at = new.iter().position(|item| item["id"] == item_id).ok_or_else(missing)?;
        if given.boolean("deleted")? == Some(true) {
            new.remove(at);
        } else {
            set_item(world, &given, &mut new[at])?;
        }
    }
    Ok(new)
}

/// A credit for what is left of the old, and what is left of the new, to the second.
fn prorations(old: &[Value], new: &[Value], period: (i64, i64), now: i64, new_period: bool) -> Vec<Line> {
    let (whole, left) = (period.1 - period.0, period.1 - now);
    let line = |item: &Value, sign: i64, text: &str| {
        let quantity = item["quantity"].as_i64().unwrap_or(1);
        let full = i128::from(quantity) * i128::from(item["price"]["unit_amount"].as_i64().unwrap_or_default());
        let part = (full * i128::from(left) + i128::from(whole) / 2).div_euclid(i128::from(whole.max(1)));
        Line {
            item: id(item).to_owned(),
            price: item["price"].clone(),
            quantity,
            amount: sign * i64::try_from(part).unwrap_or(i64::MAX),
            period: (now, period.1),
            proration: true,
            text: format!("{text} {quantity} x {}", id(&item["price"])),
        }
    };
    let differs = |item: &&Value, others: &[Value]| {
        !others.iter().any(|other| other["price"]["id"] == item["price"]["id"] && other["quantity"] == item["quantity"])
    };
    let credits = old.iter().filter(|item| differs(item, new)).map(|item| line(item, -1, "Unused time on"));
    let costs = new.iter().filter(|item| !new_period && differs(item, old));
    credits.chain(costs.map(|item| line(item, 1, "Remaining time on"))).collect()
}

pub(super) fn cancel(world: &mut World, subscription: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["cancellation_details", "invoice_now", "prorate"])?;
    let mut subscription = world.get("subscription", subscription)?;
    if subscription["ended_at"].is_number() {
        return Err(Refusal::absent("subscription", id(&subscription)));
    }
    if form.boolean("invoice_now")? == Some(true) || form.boolean("prorate")? == Some(true) {
        return Err(Refusal::invalid("This Stripe can't prorate a cancellation."));
    }
    if let Some(details) = form.below("cancellation_details")? {
        details.only(&["comment", "feedback"])?;
        details.copy(&["comment", "feedback"], &mut subscription["cancellation_details"])?;
    }
    Ok(end(world, subscription, "cancellation_requested"))
}

pub(super) fn resume(world: &mut World, subscription: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["billing_cycle_anchor", "proration_behavior"])?;
    let mut subscription = world.get("subscription", subscription)?;
    if subscription["status"] != "paused" {
        return Err(Refusal::invalid("Only a subscription with status `paused` can be resumed."));
    }
    if form.one_of("billing_cycle_anchor", &["now", "unchanged"])? == Some("unchanged") {
        return Err(Refusal::invalid("This Stripe resumes with a new period only."));
    }
    if method_of(world, id(&subscription)).is_none() {
        return Err(no_method());
    }
    subscription["billing_cycle_anchor"] = world.now.into();
    subscription["status"] = "active".into();
    world.put(&subscription);
    world.emit("customer.subscription.resumed", &subscription, None);
    Change { behavior: "allow_incomplete", proration: "none" }.charge_now(world, subscription)
}
