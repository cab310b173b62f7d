//! Payment intents, the charges that they make, and refunds.

use serde_json::{Value, json};

use super::cards::{self, Card};
use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::world::{World, id};
use super::{invoices, objects::list_of};

/// What came of trying to get the money.
#[derive(Debug)]
pub(super) enum Attempt {
    Paid,
    NeedsAction,
    Failed(Refusal),
}

/// Intents in these states can still be paid, changed or canceled.
const OPEN: [&str; 3] = ["requires_payment_method", "requires_confirmation", "requires_action"];

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "amount",
        "automatic_payment_methods",
        "confirm",
        "currency",
        "customer",
        "description",
        "metadata",
        "off_session",
        "payment_method",
        "payment_method_types",
        "receipt_email",
        "return_url",
        "setup_future_usage",
    ])?;
    let amount = form.integer("amount")?.ok_or_else(|| Refusal::required("amount"))?;
    let currency = form.need("currency")?.to_lowercase();
    let customer = match form.text("customer")? {
        Some(customer) => Some(id(&world.named("customer", customer, "customer")?).to_owned()),
        None => None,
    };
    let method = match form.text("payment_method")? {
        Some(method) => Some(cards::resolve(world, method, customer.as_deref(), "payment_method")?),
        None => None,
    };
    let mut intent = new_intent(world, amount, &currency, customer.as_deref())?;
    if let Some(automatic) = form.below("automatic_payment_methods")? {
        automatic.only(&["enabled", "allow_redirects"])?;
        let redirects = automatic.one_of("allow_redirects", &["always", "never"])?.unwrap_or("always");
        intent["automatic_payment_methods"] =
            json!({ "enabled": automatic.boolean("enabled")?, "allow_redirects": redirects });
    }
    if form.has("payment_method_types") {
        intent["payment_method_types"] = form.texts("payment_method_types")?.into();
    }
    form.copy(&["description", "receipt_email"], &mut intent)?;
    if let Some(usage) = form.one_of("setup_future_usage", &["off_session", "on_session"])? {
        intent["setup_future_usage"] = usage.into();
    }
    form.metadata(&mut intent)?;
    if let Some(method) = &method {
        intent["payment_method"] = method.as_str().into();
        intent["status"] = "requires_confirmation".into();
    }
    let intent = world.add(intent, "payment_intent.created");
    if form.boolean("confirm")? != Some(true) {
        return Ok(intent);
    }
    let off_session = form.boolean("off_session")?.unwrap_or(false);
    let method = method.ok_or_else(|| Refusal::required("payment_method"))?;
    let attempt = try_to_pay(world, id(&intent), &method, off_session)?;
    outcome(world, id(&intent), attempt)
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["client_secret"])?;
    world.get("payment_intent", id)
}

pub(super) fn update(world: &mut World, intent: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["amount", "customer", "description", "metadata", "receipt_email", "setup_future_usage"])?;
    let mut intent = world.get("payment_intent", intent)?;
    if let Some(amount) = form.integer("amount")? {
        open(&intent)?;
        chargeable(amount)?;
        intent["amount"] = amount.into();
    }
    if let Some(customer) = form.text("customer")? {
        open(&intent)?;
        intent["customer"] = world.named("customer", customer, "customer")?["id"].clone();
    }
    form.copy(&["description", "receipt_email", "setup_future_usage"], &mut intent)?;
    form.metadata(&mut intent)?;
    world.put(&intent);
    Ok(intent)
}

pub(super) fn confirm(world: &mut World, intent: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["client_secret", "off_session", "payment_method", "receipt_email", "return_url"])?;
    let intent = world.get("payment_intent", intent)?;
    let customer = intent["customer"].as_str().map(str::to_owned);
    let method = match (form.text("payment_method")?, intent["payment_method"].as_str()) {
        (Some(given), _) => cards::resolve(world, given, customer.as_deref(), "payment_method")?,
        (None, Some(known)) => known.to_owned(),
        (None, None) => {
            return Err(Refusal::invalid(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
            )
            .code("payment_intent_unexpected_state"));
        }
    };
    let off_session = form.boolean("off_session")?.unwrap_or(false);
    let attempt = try_to_pay(world, id(&intent), &method, off_session)?;
    outcome(world, id(&intent), attempt)
}

pub(super) fn cancel(world: &mut World, intent: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["cancellation_reason"])?;
    let intent = world.get("payment_intent", intent)?;
    open(&intent)?;
    if world.invoice_of.contains_key(id(&intent)) {
        return Err(Refusal::invalid("You cannot cancel a PaymentIntent that an invoice made; void the invoice."));
    }
    let reason =
        form.one_of("cancellation_reason", &["abandoned", "duplicate", "fraudulent", "requested_by_customer"])?;
    Ok(give_up(world, intent, reason))
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer"]].concat())?;
    let customer = form.text("customer")?;
    page(world, form, "payment_intent", "/v1/payment_intents", |one| {
        customer.is_none_or(|customer| one["customer"] == customer)
    })
}

/// An intent that isn't kept yet.
pub(super) fn new_intent(
    world: &mut World,
    amount: i64,
    currency: &str,
    customer: Option<&str>,
) -> Result<Value, Refusal> {
    chargeable(amount)?;
    let mut intent = objects::payment_intent();
    let id = world.id("pi");
    intent["amount"] = amount.into();
    intent["client_secret"] = format!("{id}_secret_{}", id.to_lowercase()).into();
    intent["created"] = world.now.into();
    intent["currency"] = currency.into();
    intent["customer"] = customer.into();
    intent["id"] = id.into();
    Ok(intent)
}

/// Ends an intent for good.
pub(super) fn give_up(world: &mut World, mut intent: Value, reason: Option<&str>) -> Value {
    intent["status"] = "canceled".into();
    intent["canceled_at"] = world.now.into();
    intent["cancellation_reason"] = reason.into();
    intent["next_action"] = Value::Null;
    world.change(intent, "payment_intent.canceled")
}

/// Tries to pay an intent by a method, and tells its invoice if it has one.
pub(super) fn try_to_pay(world: &mut World, intent: &str, method: &str, off_session: bool) -> Result<Attempt, Refusal> {
    let attempt = attempt(world, intent, method, off_session)?;
    if let Some(invoice) = world.invoice_of.get(intent).cloned() {
        invoices::tried(world, &invoice, &attempt);
    }
    Ok(attempt)
}

/// The same without telling the invoice.
pub(super) fn attempt(world: &mut World, intent: &str, method: &str, off_session: bool) -> Result<Attempt, Refusal> {
    let mut intent = world.get("payment_intent", intent)?;
    open(&intent)?;
    intent["payment_method"] = method.into();
    intent["last_payment_error"] = Value::Null;
    let authenticated = world.authenticated.contains(id(&intent));
    match world.card(method) {
        Card::Declines(code) => Ok(fail(world, intent, method, cards::decline(code))),
        Card::NeedsAuthentication if !authenticated && off_session => {
            let refusal = Refusal::card("authentication_required", Some("authentication_required"));
            Ok(fail(world, intent, method, refusal))
        }
        Card::NeedsAuthentication if !authenticated => {
            let url = format!("{}/authenticate/{}", world.url, id(&intent));
            intent["status"] = "requires_action".into();
            intent["next_action"] =
                json!({ "type": "redirect_to_url", "redirect_to_url": { "return_url": null, "url": url } });
            world.change(intent, "payment_intent.requires_action");
            Ok(Attempt::NeedsAction)
        }
        Card::Pays | Card::NeedsAuthentication => {
            let charge = charge(world, &intent, method, None);
            intent["amount_received"] = intent["amount"].clone();
            intent["latest_charge"] = charge["id"].clone();
            intent["next_action"] = Value::Null;
            intent["status"] = "succeeded".into();
            if let (Some(customer), true) = (intent["customer"].as_str(), intent["setup_future_usage"].is_string()) {
                cards::keep_with(world, method, customer)?;
            }
            world.change(intent, "payment_intent.succeeded");
            Ok(Attempt::Paid)
        }
    }
}

/// The card's holder has declined, or failed, to authenticate.
pub(super) fn authentication_failed(world: &mut World, intent: &str) -> Result<(), Refusal> {
    let intent = world.get("payment_intent", intent)?;
    let method = intent["payment_method"].as_str().unwrap_or_default().to_owned();
    let (intent_id, refusal) = (id(&intent).to_owned(), Refusal::card("payment_intent_authentication_failure", None));
    let attempt = fail(world, intent, &method, refusal);
    if let Some(invoice) = world.invoice_of.get(&intent_id).cloned() {
        invoices::tried(world, &invoice, &attempt);
    }
    Ok(())
}

fn fail(world: &mut World, mut intent: Value, method: &str, refusal: Refusal) -> Attempt {
    let charge = charge(world, &intent, method, Some(&refusal));
    let mut error = refusal.error.clone();
    error.insert("charge".to_owned(), charge["id"].clone());
    error.insert("payment_method".to_owned(), world.objects.get(method).cloned().unwrap_or(Value::Null));
    intent["last_payment_error"] = error.into();
    intent["latest_charge"] = charge["id"].clone();
    intent["next_action"] = Value::Null;
    intent["payment_method"] = Value::Null;
    intent["status"] = "requires_payment_method".into();
    let intent = world.change(intent, "payment_intent.payment_failed");
    Attempt::Failed(refusal.with("charge", charge["id"].clone()).with("payment_intent", intent))
}

fn charge(world: &mut World, intent: &Value, method: &str, refusal: Option<&Refusal>) -> Value {
    let mut charge = objects::charge();
    let card = world.objects.get(method).map(|method| method["card"].clone()).unwrap_or_default();
    for key in ["amount", "currency", "customer", "description", "receipt_email"] {
        charge[key] = intent[key].clone();
    }
    for key in ["brand", "last4", "exp_month", "exp_year", "fingerprint", "funding", "country"] {
        charge["payment_method_details"]["card"][key] = card[key].clone();
    }
    charge["payment_method_details"]["card"]["network"] = card["brand"].clone();
    let id = world.id("ch");
    charge["created"] = world.now.into();
    charge["metadata"] = intent["metadata"].clone();
    charge["payment_intent"] = intent["id"].clone();
    charge["payment_method"] = method.into();
    charge["refunds"] = list_of(Vec::new(), &format!("/v1/charges/{id}/refunds"));
    charge["id"] = id.clone().into();
    let mut outcome = json!({
        "advice_code": null, "network_advice_code": null, "network_decline_code": null,
        "network_status": "approved_by_network", "reason": null, "seller_message": "Payment complete.",
        "type": "authorized",
    });
    if let Some(refusal) = refusal {
        outcome["network_status"] = "declined_by_network".into();
        outcome["reason"] = refusal.error.get("decline_code").cloned().unwrap_or_default();
        outcome["seller_message"] = "The bank declined.".into();
        outcome["type"] = "issuer_declined".into();
        charge["failure_code"] = refusal.error["code"].clone();
        charge["failure_message"] = refusal.error["message"].clone();
        charge["status"] = "failed".into();
        charge["outcome"] = outcome;
        return world.add(charge, "charge.failed");
    }
    charge["amount_captured"] = charge["amount"].clone();
    charge["captured"] = true.into();
    charge["outcome"] = outcome;
    charge["paid"] = true.into();
    charge["receipt_url"] = format!("{}/receipts/{id}", world.url).into();
    charge["status"] = "succeeded".into();
    world.add(charge, "charge.succeeded")
}

pub(super) fn outcome(world: &World, intent: &str, attempt: Attempt) -> Result<Value, Refusal> {
    match attempt {
        Attempt::Paid | Attempt::NeedsAction => world.get("payment_intent", intent),
        Attempt::Failed(refusal) => Err(refusal),
    }
}

fn open(intent: &Value) -> Result<(), Refusal> {
    let status = intent["status"].as_str().unwrap_or_default();
    if OPEN.contains(&status) {
        return Ok(());
    }
    let message = format!("This PaymentIntent's state can't be changed because it has a status of {status}.");
    Err(Refusal::invalid(message).code("payment_intent_unexpected_state").with("payment_intent", intent.clone()))
}

/// Stripe's least for a charge in dollars; other currencies' differ little.
fn chargeable(amount: i64) -> Result<(), Refusal> {
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refusal::invalid(message).code("parameter_invalid_integer").param("amount"));
    }
    if amount < 50 {
        return Err(Refusal::invalid("Amount must be at least 50 cents").code("amount_too_small").param("amount"));
    }
    Ok(())
}

pub(super) fn retrieve_setup_intent(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("setup_intent", id)
}

/// Somebody gives a card for later.
pub(super) fn set_up(world: &mut World, intent: &str, card: &str) -> Result<(), Refusal> {
    let mut intent = world.get("setup_intent", intent)?;
    let customer = intent["customer"].as_str().unwrap_or_default().to_owned();
    let method = cards::resolve(world, card, Some(&customer), "payment_method")?;
    cards::keep_with(world, &method, &customer)?;
    intent["payment_method"] = method.as_str().into();
    intent["status"] = "succeeded".into();
    let intent = world.change(intent, "setup_intent.succeeded");
    let waiting = world.all("subscription").find(|one| one["pending_setup_intent"] == intent["id"]).cloned();
    if let Some(mut subscription) = waiting {
        subscription["pending_setup_intent"] = Value::Null;
        subscription["default_payment_method"] = method.into();
        world.change(subscription, "customer.subscription.updated");
    }
    Ok(())
}

pub(super) fn retrieve_charge(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("charge", id)
}

pub(super) fn list_charges(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer", "payment_intent"]].concat())?;
    let (customer, intent) = (form.text("customer")?, form.text("payment_intent")?);
    page(world, form, "charge", "/v1/charges", |one| {
        customer.is_none_or(|customer| one["customer"] == customer)
            && intent.is_none_or(|intent| one["payment_intent"] == intent)
    })
}

pub(super) fn create_refund(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["amount", "charge", "metadata", "payment_intent", "reason"])?;
    let mut charge = match (form.text("charge")?, form.text("payment_intent")?) {
        (Some(charge), _) => world.named("charge", charge, "charge")?,
        (None, Some(intent)) => {
            let intent = world.named("payment_intent", intent, "payment_intent")?;
            let charge = intent["latest_charge"].as_str().unwrap_or_default();
            let none = || Refusal::invalid("This PaymentIntent does not have a successful charge to refund.");
            world.get("charge", charge).ok().filter(|charge| charge["paid"] == true).ok_or_else(none)?
        }
        (None, None) => return Err(Refusal::invalid("One of the following params should be provided: charge.")),
    };
    if charge["paid"] != true {
        return Err(Refusal::invalid("This charge has failed and cannot be refunded."));
    }
    let number = |key: &str| charge[key].as_i64().unwrap_or_default();
    let (whole, before) = (number("amount"), given_back(&charge));
    if before == whole {
        let message = format!("Charge {} has already been refunded.", id(&charge));
        return Err(Refusal::invalid(message).code("charge_already_refunded"));
    }
    let amount = form.integer("amount")?.unwrap_or(whole - before);
    if amount < 1 {
        let message = "Invalid positive integer";
        return Err(Refusal::invalid(message).code("parameter_invalid_integer").param("amount"));
    }
    if amount > whole - before {
        let message =
            format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({}).", whole - before);
        return Err(Refusal::invalid(message).param("amount"));
    }
    let reason = form.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let mut refund = objects::refund();
    refund["amount"] = amount.into();
    refund["charge"] = charge["id"].clone();
    refund["created"] = world.now.into();
    refund["currency"] = charge["currency"].clone();
    refund["id"] = world.id("re").into();
    refund["payment_intent"] = charge["payment_intent"].clone();
    refund["reason"] = reason.into();
    form.metadata(&mut refund)?;
    charge["amount_refunded"] = (number("amount_refunded") + amount).into();
    charge["refunded"] = (before + amount == whole).into();
    if let Some(refunds) = charge["refunds"]["data"].as_array_mut() {
        refunds.insert(0, refund.clone());
    }
    let refund = world.add(refund, "refund.created");
    world.change(charge, "charge.refunded");
    Ok(refund)
}

/// What went back of a charge and stayed there.
fn given_back(charge: &Value) -> i64 {
    let refunds = charge["refunds"]["data"].as_array().into_iter().flatten();
    refunds.filter(|refund| refund["status"] != "failed").filter_map(|refund| refund["amount"].as_i64()).sum()
}

/// The bank couldn't take the money of a refund. Stripe doesn't say whether a charge's sum still counts it; here it
/// does, as that is harder on who reads it.
pub(super) fn fail_refund(world: &mut World, refund: &str, reason: &str) -> Result<(), Refusal> {
    let mut refund = world.get("refund", refund)?;
    if refund["status"] == "failed" {
        return Err(Refusal::invalid("This refund has failed already."));
    }
    refund["status"] = "failed".into();
    refund["failure_reason"] = reason.into();
    refund["failure_balance_transaction"] = world.id("txn").into();
    let mut charge = world.get("charge", refund["charge"].as_str().unwrap_or_default())?;
    for one in charge["refunds"]["data"].as_array_mut().into_iter().flatten() {
        if one["id"] == refund["id"] {
            *one = refund.clone();
        }
    }
    world.put(&charge);
    let refund = world.change(refund, "refund.failed");
    for kind in ["refund.updated", "charge.refund.updated"] {
        world.emit(kind, &refund, None);
    }
    Ok(())
}

pub(super) fn retrieve_refund(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("refund", id)
}

pub(super) fn list_refunds(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["charge", "payment_intent"]].concat())?;
    let (charge, intent) = (form.text("charge")?, form.text("payment_intent")?);
    page(world, form, "refund", "/v1/refunds", |one| {
        charge.is_none_or(|charge| one["charge"] == charge)
            && intent.is_none_or(|intent| one["payment_intent"] == intent)
    })
}
