//! Invoices: drafted for a subscription, finalised into a payment intent, paid, retried, given up.

use serde_json::{Value, json};

use super::cards;
use super::form::Form;
use super::list::{PAGING, page};
use super::objects::{self, list_of};
use super::payments::{self, Attempt};
use super::refusal::Refusal;
use super::subscriptions;
use super::world::{World, id};

const DAY: i64 = 24 * 3600;
/// Between a failed attempt and the next.
const RETRIES: [i64; 3] = [3 * DAY, 5 * DAY, 7 * DAY];
/// How long a renewal's invoice stays a draft.
const DRAFT_FOR: i64 = 3600;

/// What an invoice asks money for.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) item: String,
    pub(super) price: Value,
    pub(super) quantity: i64,
    pub(super) amount: i64,
    pub(super) period: (i64, i64),
    pub(super) proration: bool,
    pub(super) text: String,
}

/// A draft that waits an hour, as those of renewals do.
pub(super) fn draft(world: &mut World, subscription: &Value, reason: &str, lines: Vec<Line>) -> Value {
    let mut invoice = objects::invoice();
    let invoice_id = world.id("in");
    let customer =
        world.objects.get(subscription["customer"].as_str().unwrap_or_default()).cloned().unwrap_or_default();
    let total: i64 = lines.iter().map(|line| line.amount).sum();
    for (key, value) in [("customer_email", "email"), ("customer_name", "name"), ("customer_phone", "phone")] {
        invoice[key] = customer[value].clone();
    }
    invoice["customer_address"] = customer["address"].clone();
    // A credit that is more than the rest isn't paid out; what is left of it is lost here.
    for key in ["amount_due", "amount_remaining"] {
        invoice[key] = total.max(0).into();
    }
    for key in ["subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"] {
        invoice[key] = total.into();
    }
    let ends = lines.iter().filter(|line| !line.proration).map(|line| line.period);
    invoice["period_start"] = ends.clone().map(|(start, _)| start).min().unwrap_or(world.now).into();
    invoice["period_end"] = ends.map(|(_, end)| end).max().unwrap_or(world.now).into();
    invoice["auto_advance"] = true.into();
    invoice["automatically_finalizes_at"] = (world.now + DRAFT_FOR).into();
    invoice["billing_reason"] = reason.into();
    invoice["created"] = world.now.into();
    invoice["currency"] = subscription["currency"].clone();
    invoice["customer"] = subscription["customer"].clone();
    invoice["parent"] = json!({
        "quote_details": null,
        "subscription_details": { "metadata": subscription["metadata"], "subscription": subscription["id"] },
        "type": "subscription_details",
    });
    let url = format!("/v1/invoices/{invoice_id}/lines");
    let lines = lines.into_iter().map(|one| line(world, &invoice_id, subscription, one)).collect();
    invoice["lines"] = list_of(lines, &url);
    invoice["payments"] = list_of(Vec::new(), "/v1/invoice_payments");
    invoice["id"] = invoice_id.into();
    world.add(invoice, "invoice.created")
}

fn line(world: &mut World, invoice: &str, subscription: &Value, from: Line) -> Value {
    let mut line = objects::invoice_line();
    line["amount"] = from.amount.into();
    line["currency"] = subscription["currency"].clone();
    line["description"] = from.text.into();
    line["id"] = world.id("il").into();
    line["invoice"] = invoice.into();
    line["metadata"] = subscription["metadata"].clone();
    line["parent"] = json!({
        "invoice_item_details": null,
        "subscription_item_details": {
            "invoice_item": null, "proration": from.proration, "proration_details": null,
            "subscription": subscription["id"], "subscription_item": from.item,
        },
        "type": "subscription_item_details",
    });
    line["period"] = json!({ "start": from.period.0, "end": from.period.1 });
    line["pricing"] = json!({
        "price_details": { "price": from.price["id"], "product": from.price["product"] },
        "type": "price_details", "unit_amount_decimal": from.price["unit_amount_decimal"],
    });
    line["quantity"] = from.quantity.into();
    line["subscription"] = subscription["id"].clone();
    line["subtotal"] = from.amount.into();
    line
}

/// Turns a draft into what is owed: with a payment intent, or paid when nothing is owed.
pub(super) fn finalize(world: &mut World, invoice: &str, method: Option<&str>) {
    let Some(mut invoice) = world.objects.get(invoice).cloned().filter(|invoice| invoice["status"] == "draft") else {
        return;
    };
    let prefix = world.objects.get(invoice["customer"].as_str().unwrap_or_default());
    let prefix = prefix.and_then(|customer| customer["invoice_prefix"].as_str()).unwrap_or("TEST").to_uppercase();
    let before =
        world.all("invoice").filter(|other| other["customer"] == invoice["customer"] && other["number"].is_string());
    invoice["number"] = format!("{prefix}-{:04}", before.count() + 1).into();
    invoice["status"] = "open".into();
    invoice["automatically_finalizes_at"] = Value::Null;
    invoice["effective_at"] = world.now.into();
    invoice["status_transitions"]["finalized_at"] = world.now.into();
    invoice["hosted_invoice_url"] = format!("{}/invoices/{}", world.url, id(&invoice)).into();
    invoice["invoice_pdf"] = format!("{}/invoices/{}/pdf", world.url, id(&invoice)).into();
    let due = invoice["amount_due"].as_i64().unwrap_or_default();
    let (currency, customer) = (text(&invoice, "currency"), text(&invoice, "customer"));
    // What is too little to charge is forgiven.
    if let Ok(mut intent) = payments::new_intent(world, due, &currency, Some(&customer)) {
        if let Some(method) = method {
            intent["payment_method"] = method.into();
            intent["status"] = "requires_confirmation".into();
        }
        intent["description"] = "Subscription".into();
        let intent = world.add(intent, "payment_intent.created");
        world.invoice_of.insert(id(&intent).to_owned(), id(&invoice).to_owned());
        invoice["confirmation_secret"] = json!({ "client_secret": intent["client_secret"], "type": "payment_intent" });
        let mut payment = objects::invoice_payment();
        payment["amount_requested"] = due.into();
        payment["created"] = world.now.into();
        payment["currency"] = currency.into();
        payment["id"] = world.id("inpay").into();
        payment["invoice"] = invoice["id"].clone();
        payment["payment"] = json!({ "type": "payment_intent", "payment_intent": intent["id"] });
        invoice["payments"]["data"] = json!([payment]);
        world.change(invoice, "invoice.finalized");
    } else {
        let invoice = world.change(invoice, "invoice.finalized");
        paid(world, id(&invoice));
    }
}

/// Tries to get the money by itself, and plans the next attempt if one is to follow.
pub(super) fn collect(world: &mut World, invoice: &str) {
    let Some(mut invoice) = world.objects.get(invoice).cloned().filter(|invoice| invoice["status"] == "open") else {
        return;
    };
    let first = invoice["billing_reason"] == "subscription_create";
    let attempts = invoice["attempt_count"].as_i64().unwrap_or_default() + 1;
    let next = usize::try_from(attempts - 1).ok().and_then(|n| RETRIES.get(n)).filter(|_| !first);
    invoice["attempt_count"] = attempts.into();
    invoice["attempted"] = true.into();
    invoice["next_payment_attempt"] = next.map(|after| world.now + after).into();
    world.put(&invoice);
    let subscription = subscription_of(&invoice);
    let tried = match (intent_of(&invoice), subscriptions::method_of(world, &subscription)) {
        (Some(intent), Some(method)) => payments::try_to_pay(world, &intent, &method, false).is_ok(),
        _ => false,
    };
    if !tried {
        self::tried(world, id(&invoice), &Attempt::Failed(Refusal::invalid("There is nothing to pay with.")));
    }
    let open = world.objects.get(id(&invoice)).is_some_and(|invoice| invoice["status"] == "open");
    if open && next.is_none() && !first {
        subscriptions::retries_ended(world, &subscription);
    }
}

/// What an attempt to pay an invoice's intent means for the invoice and its subscription.
pub(super) fn tried(world: &mut World, invoice: &str, attempt: &Attempt) {
    let Some(invoice) = world.objects.get(invoice).cloned() else { return };
    match attempt {
        Attempt::Paid => return paid(world, id(&invoice)),
        Attempt::NeedsAction => world.emit("invoice.payment_action_required", &invoice, None),
        Attempt::Failed(_) => {}
    }
    world.emit("invoice.payment_failed", &invoice, None);
    set_delinquent(world, &invoice, true);
    subscriptions::invoice_failed(world, &subscription_of(&invoice), &invoice);
}

/// The money is there.
pub(super) fn paid(world: &mut World, invoice: &str) {
    let Some(mut invoice) = world.objects.get(invoice).cloned() else { return };
    invoice["amount_paid"] = invoice["amount_due"].clone();
    invoice["amount_remaining"] = 0.into();
    invoice["attempted"] = true.into();
    invoice["next_payment_attempt"] = Value::Null;
    invoice["status"] = "paid".into();
    invoice["status_transitions"]["paid_at"] = world.now.into();
    if let Some(payment) = invoice["payments"]["data"].get_mut(0) {
        payment["amount_paid"] = payment["amount_requested"].clone();
        payment["status"] = "paid".into();
        payment["status_transitions"]["paid_at"] = world.now.into();
    }
    let invoice = world.change(invoice, "invoice.paid");
    world.emit("invoice.payment_succeeded", &invoice, None);
    set_delinquent(world, &invoice, false);
    subscriptions::invoice_paid(world, &subscription_of(&invoice), &invoice);
}

/// Nobody has to pay it any more.
pub(super) fn void(world: &mut World, invoice: &str) {
    let Some(mut invoice) = world.objects.get(invoice).cloned() else { return };
    if let Some(intent) = intent_of(&invoice).and_then(|intent| world.objects.get(&intent).cloned()) {
        payments::give_up(world, intent, Some("void_invoice"));
    }
    invoice["status"] = "void".into();
    invoice["next_payment_attempt"] = Value::Null;
    invoice["auto_advance"] = false.into();
    invoice["status_transitions"]["voided_at"] = world.now.into();
    world.change(invoice, "invoice.voided");
}

/// Nobody is expected to pay it any more.
pub(super) fn write_off(world: &mut World, invoice: &str) {
    let Some(mut invoice) = world.objects.get(invoice).cloned() else { return };
    invoice["status"] = "uncollectible".into();
    invoice["next_payment_attempt"] = Value::Null;
    invoice["status_transitions"]["marked_uncollectible_at"] = world.now.into();
    world.change(invoice, "invoice.marked_uncollectible");
}

/// Is left as it is until somebody acts.
pub(super) fn stop(world: &mut World, invoice: &str) {
    let Some(mut invoice) = world.objects.get(invoice).cloned() else { return };
    invoice["auto_advance"] = false.into();
    invoice["automatically_finalizes_at"] = Value::Null;
    invoice["next_payment_attempt"] = Value::Null;
    world.change(invoice, "invoice.updated");
}

/// The subscription that an invoice is for.
pub(super) fn subscription_of(invoice: &Value) -> String {
    invoice["parent"]["subscription_details"]["subscription"].as_str().unwrap_or_default().to_owned()
}

/// The payment intent that pays it.
pub(super) fn intent_of(invoice: &Value) -> Option<String> {
    invoice["payments"]["data"][0]["payment"]["payment_intent"].as_str().map(str::to_owned)
}

fn set_delinquent(world: &mut World, invoice: &Value, delinquent: bool) {
    let customer = world.objects.get(invoice["customer"].as_str().unwrap_or_default()).cloned();
    if let Some(mut customer) = customer.filter(|customer| customer["delinquent"].is_boolean()) {
        customer["delinquent"] = delinquent.into();
        world.change(customer, "customer.updated");
    }
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("invoice", id)
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer", "status", "subscription"]].concat())?;
    let (customer, subscription) = (form.text("customer")?, form.text("subscription")?);
    let status = form.one_of("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    page(world, form, "invoice", "/v1/invoices", |one| {
        customer.is_none_or(|customer| one["customer"] == customer)
            && status.is_none_or(|status| one["status"] == status)
            && subscription.is_none_or(|subscription| subscription_of(one) == subscription)
    })
}

pub(super) fn pay(world: &mut World, invoice: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["off_session", "payment_method"])?;
    let mut invoice = world.get("invoice", invoice)?;
    if invoice["status"] == "draft" {
        finalize(world, id(&invoice), None);
        invoice = world.get("invoice", id(&invoice))?;
    }
    if invoice["status"] != "open" {
        return Err(Refusal::invalid("Invoice is already paid, or not open").code("invoice_not_editable"));
    }
    let customer = text(&invoice, "customer");
    let method = match form.text("payment_method")? {
        Some(given) => Some(cards::resolve(world, given, Some(&customer), "payment_method")?),
        None => subscriptions::method_of(world, &subscription_of(&invoice)),
    };
    let (Some(method), Some(intent)) = (method, intent_of(&invoice)) else { return Err(subscriptions::no_method()) };
    let off_session = form.boolean("off_session")?.unwrap_or(true);
    match payments::try_to_pay(world, &intent, &method, off_session)? {
        Attempt::Failed(refusal) => Err(refusal),
        Attempt::Paid | Attempt::NeedsAction => world.get("invoice", id(&invoice)),
    }
}

pub(super) fn void_open(world: &mut World, invoice: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let invoice = world.get("invoice", invoice)?;
    if invoice["status"] != "open" && invoice["status"] != "uncollectible" {
        return Err(Refusal::invalid("You can only void an open invoice").code("invoice_not_editable"));
    }
    void(world, id(&invoice));
    world.get("invoice", id(&invoice))
}
