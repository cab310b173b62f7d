//! Customers.

use serde_json::{Value, json};

use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::world::World;

const TEXTS: [&str; 4] = ["description", "email", "name", "phone"];

pub(super) fn create(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["description", "email", "name", "phone", "metadata", "address", "preferred_locales"])?;
    let mut customer = objects::customer();
    apply(form, &mut customer)?;
    let id = world.id("cus");
    customer["invoice_prefix"] = id[id.len() - 8..].into();
    customer["id"] = id.into();
    customer["created"] = world.now.into();
    Ok(world.add(customer, "customer.created"))
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("customer", id)
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["description", "email", "name", "phone", "metadata", "address", "preferred_locales"])?;
    let mut customer = world.get("customer", id)?;
    if customer["deleted"] == true {
        return Err(Refusal::absent("customer", id));
    }
    apply(form, &mut customer)?;
    Ok(world.change(customer, "customer.updated"))
}

pub(super) fn delete(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let customer = world.get("customer", id)?;
    if customer["deleted"] == true {
        return Err(Refusal::absent("customer", id));
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

fn apply(form: &Form, customer: &mut Value) -> Result<(), Refusal> {
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
