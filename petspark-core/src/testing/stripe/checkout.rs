//! Checkout sessions and the portal: pages that this Stripe doesn't show, but whose outcome a test
//! decides.

use serde_json::{Value, json};

use super::cards;
use super::customers;
use super::form::Form;
use super::list::{PAGING, page};
use super::objects::{self, list_of};
use super::payments::{self, Attempt};
use super::refusal::Refusal;
use super::subscribing;
use super::world::{World, id};

const EXPIRES_AFTER: i64 = 24 * 3600;

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "allow_promotion_codes",
        "automatic_tax",
        "cancel_url",
        "client_reference_id",
        "customer",
        "customer_email",
        "customer_update",
        "expires_at",
        "line_items",
        "locale",
        "metadata",
        "mode",
        "payment_intent_data",
        "payment_method_types",
        "subscription_data",
        "success_url",
    ])?;
    form.need("mode")?;
    let mode = form.one_of("mode", &["payment", "subscription"])?.unwrap_or_default();
    form.need("success_url")?;
    if form.has("customer") && form.has("customer_email") {
        return Err(Refusal::invalid("You may only specify one of these parameters: customer, customer_email."));
    }
    if let Some(customer) = form.text("customer")? {
        world.named("customer", customer, "customer")?;
    }
    let mut session = objects::checkout_session();
    let session_id = world.id("cs_test");
    let items = line_items(world, form, mode)?;
    let total: i64 = items.iter().filter_map(|item| item["amount_total"].as_i64()).sum();
    session["currency"] = items[0]["currency"].clone();
    session["amount_subtotal"] = total.into();
    session["amount_total"] = total.into();
    session["line_items"] = list_of(items, &format!("/v1/checkout/sessions/{session_id}/line_items"));
    form.copy(
        &["cancel_url", "client_reference_id", "customer", "customer_email", "locale", "success_url"],
        &mut session,
    )?;
    form.metadata(&mut session)?;
    if let Some(tax) = form.below("automatic_tax")? {
        tax.only(&["enabled"])?;
        session["automatic_tax"]["enabled"] = tax.boolean("enabled")?.unwrap_or(false).into();
    }
    if let Some(update) = form.below("customer_update")? {
        // Who types an address into the page is nobody here.
        update.only(&["address", "name"])?;
        if !form.has("customer") {
            return Err(
                Refusal::invalid("`customer_update` can only be used with `customer`.").param("customer_update")
            );
        }
    }
    if let Some(codes) = form.boolean("allow_promotion_codes")? {
        session["allow_promotion_codes"] = codes.into();
    }
    let expires_at = form.integer("expires_at")?.unwrap_or(world.now + EXPIRES_AFTER);
    if !(world.now + 1800..=world.now + EXPIRES_AFTER).contains(&expires_at) {
        return Err(
            Refusal::invalid("expires_at must be between 30 minutes and 24 hours from now.").param("expires_at")
        );
    }
    session["expires_at"] = expires_at.into();
    session["created"] = world.now.into();
    session["mode"] = mode.into();
    if mode == "payment" && form.text("customer")?.is_none() {
        session["customer_creation"] = "if_required".into();
    }
    session["url"] = format!("{}/pay/{session_id}", world.url).into();
    session["id"] = session_id.clone().into();
    for key in ["payment_intent_data", "subscription_data"] {
        let Some(data) = form.below(key)? else { continue };
        data.only(if key == "subscription_data" { &["metadata", "trial_period_days"] } else { &["metadata"] })?;
        if (key == "subscription_data") != (mode == "subscription") {
            return Err(Refusal::invalid(format!("You can not pass `{key}` in `{mode}` mode.")).param(key));
        }
        world.checkout_data.insert(session_id.clone(), data);
    }
    world.put(&session);
    Ok(session)
}

fn line_items(world: &mut World, form: &Form, mode: &str) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    for given in form.forms("line_items")? {
        given.only(&["price", "quantity"])?;
        let price = world.named("price", given.need("price")?, "line_items[0][price]")?;
        if price["active"] != true {
            let message = format!("The price specified is inactive: {}.", id(&price));
            return Err(Refusal::invalid(message).param("line_items[0][price]"));
        }
        if mode == "payment" && price["type"] == "recurring" {
            return Err(Refusal::invalid("You specified `payment` mode but passed a recurring price."));
        }
        let quantity = given.integer("quantity")?.ok_or_else(|| Refusal::required("line_items[0][quantity]"))?;
        if quantity < 1 {
            return Err(Refusal::invalid("Quantity must be at least 1.").param("line_items[0][quantity]"));
        }
        let amount = quantity * price["unit_amount"].as_i64().unwrap_or_default();
        let product = world.objects.get(price["product"].as_str().unwrap_or_default());
        let name = product.map(|product| product["name"].clone()).unwrap_or_default();
        items.push(json!({
            "adjustable_quantity": null, "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0,
            "amount_total": amount, "currency": price["currency"], "description": name, "id": world.id("li"),
            "metadata": {}, "object": "item", "price": price, "quantity": quantity,
        }));
    }
    let Some(first) = items.first() else { return Err(Refusal::required("line_items")) };
    if items.iter().any(|item| item["currency"] != first["currency"]) {
        return Err(Refusal::invalid("All line items must have the same currency."));
    }
    if mode == "subscription" && items.iter().all(|item| item["price"]["type"] != "recurring") {
        return Err(Refusal::invalid("You must provide at least one recurring price in `subscription` mode."));
    }
    Ok(items)
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("checkout.session", id)
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["customer", "payment_intent", "status", "subscription"]].concat())?;
    let mut texts = Vec::new();
    for key in ["customer", "payment_intent", "status", "subscription"] {
        texts.push((key, form.text(key)?));
    }
    page(world, form, "checkout.session", "/v1/checkout/sessions", |one| {
        texts.iter().all(|(key, text)| text.is_none_or(|text| one[*key] == text))
    })
}

pub(super) fn list_items(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["limit"])?;
    Ok(world.get("checkout.session", id)?["line_items"].clone())
}

pub(super) fn expire(world: &mut World, session: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let session = world.get("checkout.session", session)?;
    if session["status"] != "open" {
        return Err(Refusal::invalid("Only Checkout Sessions with a status in [\"open\"] can be expired."));
    }
    end(world, id(&session));
    world.get("checkout.session", id(&session))
}

/// Nobody paid in time.
pub(super) fn end(world: &mut World, session: &str) {
    let Some(mut session) = world.objects.get(session).cloned() else { return };
    session["status"] = "expired".into();
    session["url"] = Value::Null;
    world.change(session, "checkout.session.expired");
}

/// Somebody fills in the page and pays by this card.
pub(super) fn complete(world: &mut World, session: &str, card: &str, email: &str) -> Result<(), Refusal> {
    let mut session = world.get("checkout.session", session)?;
    if session["status"] != "open" {
        return Err(Refusal::invalid("This Checkout Session isn't open."));
    }
    let customer = match session["customer"].as_str() {
        Some(customer) => customer.to_owned(),
        None => {
            let email = session["customer_email"].as_str().unwrap_or(email).to_owned();
            let form = Form::of(&[("email", &email)]);
            id(&customers::create(world, "", &form)?).to_owned()
        }
    };
    let method = cards::resolve(world, card, Some(&customer), "payment_method")?;
    let data = world.checkout_data.get(id(&session)).cloned().unwrap_or_default();
    if session["mode"] == "subscription" {
        cards::keep_with(world, &method, &customer)?;
        let subscription = subscribing::create(world, "", &subscription_form(&session, &customer, &method, &data)?)?;
        if subscription["status"] == "incomplete" {
            subscribing::cancel(world, id(&subscription), &Form::default())?;
            return Err(Refusal::card("card_declined", None));
        }
        session["subscription"] = subscription["id"].clone();
        session["invoice"] = subscription["latest_invoice"].clone();
        let free = subscription["status"] == "trialing";
        session["payment_status"] = if free { "no_payment_required" } else { "paid" }.into();
    } else {
        let (amount, currency) = (session["amount_total"].as_i64(), session["currency"].as_str().unwrap_or_default());
        let mut intent = payments::new_intent(world, amount.unwrap_or_default(), currency, Some(&customer))?;
        data.metadata(&mut intent)?;
        let intent = world.add(intent, "payment_intent.created");
        match payments::attempt(world, id(&intent), &method, false)? {
            Attempt::Paid => {}
            Attempt::NeedsAction => return Err(Refusal::card("authentication_required", None)),
            Attempt::Failed(refusal) => return Err(refusal),
        }
        session["payment_intent"] = intent["id"].clone();
        session["payment_status"] = "paid".into();
    }
    let customer = world.get("customer", &customer)?;
    session["customer"] = customer["id"].clone();
    session["customer_details"] = json!({
        "address": null, "business_name": null, "email": customer["email"], "individual_name": null,
        "name": customer["name"], "phone": customer["phone"], "tax_exempt": "none", "tax_ids": [],
    });
    session["status"] = "complete".into();
    session["url"] = Value::Null;
    world.change(session, "checkout.session.completed");
    Ok(())
}

fn subscription_form(session: &Value, customer: &str, method: &str, data: &Form) -> Result<Form, Refusal> {
    let mut pairs = vec![("customer".to_owned(), customer.to_owned())];
    pairs.push(("default_payment_method".to_owned(), method.to_owned()));
    let items = session["line_items"]["data"].as_array().map_or(&[][..], Vec::as_slice);
    for (n, item) in items.iter().enumerate() {
        pairs.push((format!("items[{n}][price]"), id(&item["price"]).to_owned()));
        pairs.push((format!("items[{n}][quantity]"), item["quantity"].to_string()));
    }
    if let Some(days) = data.text("trial_period_days")? {
        pairs.push(("trial_period_days".to_owned(), days.to_owned()));
    }
    let mut kept = json!({ "metadata": {} });
    data.metadata(&mut kept)?;
    for (key, value) in kept["metadata"].as_object().into_iter().flatten() {
        pairs.push((format!("metadata[{key}]"), value.as_str().unwrap_or_default().to_owned()));
    }
    Ok(Form::of(&pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>()))
}

pub(super) fn create_portal_session(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["customer", "locale", "return_url"])?;
    let customer = world.named("customer", form.need("customer")?, "customer")?;
    let mut session = objects::billing_portal_session();
    let session_id = world.id("bps");
    session["created"] = world.now.into();
    session["customer"] = customer["id"].clone();
    form.copy(&["locale", "return_url"], &mut session)?;
    session["url"] = format!("{}/portal/{session_id}", world.url).into();
    session["id"] = session_id.into();
    world.put(&session);
    Ok(session)
}
