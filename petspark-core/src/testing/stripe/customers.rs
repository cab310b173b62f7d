//! Customers.

use serde_json::{Value, json};

use super::cards;
use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::subscriptions;
use super::world::{World, id};

const TEXTS: [&str; 4] = ["description", "email", "name", "phone"];
const KNOWN: [&str; 8] =
    ["address", "description", "email", "invoice_settings", "metadata", "name", "phone", "preferred_locales"];

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[KNOWN.as_slice(), &["payment_method"]].concat())?;
    let mut customer = objects::customer();
    let customer_id = world.id("cus");
    customer["invoice_prefix"] = customer_id[customer_id.len() - 8..].into();
    customer["id"] = customer_id.as_str().into();
    customer["created"] = world.now.into();
    let method = match form.text("payment_method")? {
        Some(given) => {
            let method = cards::resolve(world, given, None, "payment_method")?;
            cards::keep_with(world, &method, &customer_id)?;
            Some(method)
        }
        None => None,
    };
    apply(world, form, &mut customer, method.as_deref())?;
    Ok(world.add(customer, "customer.created"))
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("customer", id)
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&KNOWN)?;
    let mut customer = world.get("customer", id)?;
    if customer["deleted"] == true {
        return Err(Refusal::absent("customer", id));
    }
    apply(world, form, &mut customer, None)?;
    Ok(world.change(customer, "customer.updated"))
}

pub(super) fn delete(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let customer = world.get("customer", id)?;
    if customer["deleted"] == true {
        return Err(Refusal::absent("customer", id));
    }
    let subscriptions: Vec<Value> =
        world.all("subscription").filter(|one| one["customer"] == id && one["ended_at"].is_null()).cloned().collect();
    for subscription in subscriptions {
        subscriptions::end(world, subscription, "cancellation_requested");
    }
    let methods: Vec<Value> = world.all("payment_method").filter(|one| one["customer"] == id).cloned().collect();
    for mut method in methods {
        method["customer"] = Value::Null;
        world.change(method, "payment_method.detached");
    }
    world.emit("customer.deleted", &customer, None);
    let grave = json!({ "id": id, "object": "customer", "deleted": true });
    world.put(&grave);
    Ok(grave)
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["email"]].concat())?;
    let email = form.text("email")?;
    let wanted = |one: &Value| one["deleted"] != true && email.is_none_or(|email| one["email"] == email);
    page(world, form, "customer", "/v1/customers", wanted)
}

/// `attached` is a payment method that has just been attached to this customer.
fn apply(world: &mut World, form: &Form, customer: &mut Value, attached: Option<&str>) -> Result<(), Refusal> {
    if let Some(settings) = form.below("invoice_settings")? {
        settings.only(&["default_payment_method"])?;
        if let Some(given) = settings.text("default_payment_method")? {
            let name = "invoice_settings[default_payment_method]";
            let of_theirs =
                || Refusal::invalid("The customer does not have a payment method with this ID.").param(name);
            let method = match attached {
                Some(attached) if given.starts_with("pm_card_") => attached.to_owned(),
                _ => id(&world.named("payment_method", given, name)?).to_owned(),
            };
            let holder = world.get("payment_method", &method)?["customer"].clone();
            if holder != customer["id"] {
                return Err(of_theirs());
            }
            customer["invoice_settings"]["default_payment_method"] = method.into();
        } else if settings.unset("default_payment_method") {
            customer["invoice_settings"]["default_payment_method"] = Value::Null;
        }
    }
    form.copy(&TEXTS, customer)?;
    form.metadata(customer)?;
    if form.has("preferred_locales") {
        customer["preferred_locales"] = form.texts("preferred_locales")?.into();
    }
    if form.unset("address") {
        customer["address"] = Value::Null;
    } else if let Some(given) = form.below("address")? {
        const PARTS: [&str; 6] = ["city", "country", "line1", "line2", "postal_code", "state"];
        given.only(&PARTS)?;
        let mut address =
            json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null });
        given.copy(&PARTS, &mut address)?;
        customer["address"] = address;
    }
    Ok(())
}
