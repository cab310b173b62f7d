//! Payment methods: cards by Stripe's well known test names, which decide whether payments succeed.

use serde_json::{Value, json};

use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::world::{World, id};

/// How a card behaves when it is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// It pays.
    Pays,
    /// It doesn't, for the reason that Stripe's decline code gives.
    Declines(&'static str),
    /// It pays once its holder has authenticated the payment.
    NeedsAuthentication,
}

struct Known {
    name: &'static str,
    brand: &'static str,
    last4: &'static str,
    card: Card,
    /// Whether it can be kept with a customer.
    attaches: bool,
}

const fn known(name: &'static str, last4: &'static str, card: Card, attaches: bool) -> Known {
    Known { name, brand: "visa", last4, card, attaches }
}

/// From Stripe's documentation on testing. Each is also known as `tok_...` without `card_`.
static KNOWN: [Known; 12] = [
    known("visa", "4242", Card::Pays, true),
    Known { brand: "mastercard", ..known("mastercard", "4444", Card::Pays, true) },
    known("chargeCustomerFail", "0341", Card::Declines("generic_decline"), true),
    known("chargeDeclined", "0002", Card::Declines("generic_decline"), false),
    known("visa_chargeDeclined", "0002", Card::Declines("generic_decline"), false),
    known("chargeDeclinedInsufficientFunds", "9995", Card::Declines("insufficient_funds"), false),
    known("chargeDeclinedLostCard", "9987", Card::Declines("lost_card"), false),
    known("chargeDeclinedExpiredCard", "0069", Card::Declines("expired_card"), false),
    known("chargeDeclinedIncorrectCvc", "0127", Card::Declines("incorrect_cvc"), false),
    known("chargeDeclinedProcessingError", "0119", Card::Declines("processing_error"), false),
    known("authenticationRequired", "3184", Card::NeedsAuthentication, true),
    known("threeDSecure2Required", "3220", Card::NeedsAuthentication, true),
];

/// Why a payment by such a card fails.
pub(super) fn decline(code: &str) -> Refusal {
    match code {
        "expired_card" | "incorrect_cvc" | "processing_error" => Refusal::card(code, None),
        code => Refusal::card("card_declined", Some(code)),
    }
}

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["type", "card", "billing_details", "metadata"])?;
    form.need("type")?;
    form.one_of("type", &["card"])?;
    let card = form.below("card")?.ok_or_else(|| Refusal::required("card"))?;
    card.only(&["token"])?;
    let token = card.need("token")?;
    let known = find(token, "tok_").ok_or_else(|| Refusal::missing("token", token, "card[token]"))?;
    let mut method = make(world, known);
    form.metadata(&mut method)?;
    if let Some(details) = form.below("billing_details")? {
        details.only(&["email", "name", "phone"])?;
        details.copy(&["email", "name", "phone"], &mut method["billing_details"])?;
    }
    world.put(&method);
    Ok(method)
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("payment_method", id)
}

pub(super) fn attach(world: &mut World, method: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["customer"])?;
    let customer = id(&world.named("customer", form.need("customer")?, "customer")?).to_owned();
    let method = resolve(world, method, Some(&customer), "payment_method")?;
    keep_with(world, &method, &customer)
}

pub(super) fn detach(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let mut method = world.get("payment_method", id)?;
    if method["customer"].is_null() {
        return Err(Refusal::invalid("The payment method you provided is not attached to a customer."));
    }
    method["customer"] = Value::Null;
    Ok(world.change(method, "payment_method.detached"))
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer", "type"]].concat())?;
    let (customer, kind) = (form.need("customer")?, form.text("type")?);
    world.named("customer", customer, "customer")?;
    page(world, form, "payment_method", "/v1/payment_methods", |one| {
        one["customer"] == customer && kind.is_none_or(|kind| one["type"] == kind)
    })
}

/// The payment method that a parameter names, made if it is one of the well known.
pub(super) fn resolve(world: &mut World, given: &str, customer: Option<&str>, param: &str) -> Result<String, Refusal> {
    if let Some(known) = find(given, "pm_card_") {
        return Ok(id(&make(world, known)).to_owned());
    }
    let method = world.named("payment_method", given, param)?;
    match method["customer"].as_str() {
        Some(holder) if customer != Some(holder) => Err(Refusal::invalid(
            "The payment method supplied belongs to a different Customer, or to one that wasn't given.",
        )
        .param(param)),
        _ => Ok(given.to_owned()),
    }
}

/// Attaches a payment method, unless its card doesn't let itself be kept.
pub(super) fn keep_with(world: &mut World, method: &str, customer: &str) -> Result<Value, Refusal> {
    let mut method = world.get("payment_method", method)?;
    if method["customer"] == customer {
        return Ok(method);
    }
    if let (Card::Declines(code), false) = (world.card(id(&method)), world.attaches.contains(id(&method))) {
        return Err(decline(code));
    }
    method["customer"] = customer.into();
    Ok(world.change(method, "payment_method.attached"))
}

fn find(given: &str, prefix: &str) -> Option<&'static Known> {
    let name = given.strip_prefix(prefix)?;
    KNOWN.iter().find(|known| known.name == name)
}

fn make(world: &mut World, known: &Known) -> Value {
    let mut method = objects::payment_method();
    let id = world.id("pm");
    method["card"]["brand"] = known.brand.into();
    method["card"]["display_brand"] = known.brand.into();
    method["card"]["last4"] = known.last4.into();
    method["card"]["networks"] = json!({ "available": [known.brand], "preferred": null });
    method["created"] = world.now.into();
    method["id"] = id.clone().into();
    if known.attaches {
        world.attaches.insert(id.clone());
    }
    world.cards.insert(id, known.card);
    world.put(&method);
    method
}
