//! Products and prices.

use serde_json::{Value, json};

use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::subscriptions;
use super::world::{World, id};

const INTERVALS: [&str; 4] = ["day", "week", "month", "year"];

pub(super) fn create_product(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "id",
        "active",
        "description",
        "images",
        "marketing_features",
        "metadata",
        "name",
        "unit_label",
        "url",
    ])?;
    form.need("name")?;
    let mut product = objects::product();
    let made = world.id("prod");
    let id = form.text("id")?.map_or(made, str::to_owned);
    if world.objects.contains_key(&id) {
        return Err(Refusal::invalid("Product already exists.").code("resource_already_exists").param("id"));
    }
    product["id"] = id.into();
    product["created"] = world.now.into();
    apply_product(world, form, &mut product)?;
    Ok(world.add(product, "product.created"))
}

pub(super) fn retrieve_product(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("product", id)
}

pub(super) fn update_product(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "active",
        "default_price",
        "description",
        "images",
        "marketing_features",
        "metadata",
        "name",
        "unit_label",
        "url",
    ])?;
    let mut product = world.get("product", id)?;
    if let Some(price) = form.text("default_price")? {
        world.named("price", price, "default_price")?;
    }
    form.copy(&["default_price"], &mut product)?;
    apply_product(world, form, &mut product)?;
    Ok(world.change(product, "product.updated"))
}

pub(super) fn delete_product(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    let product = world.get("product", id)?;
    if world.all("price").any(|price| price["product"] == id) {
        return Err(Refusal::invalid("This product cannot be deleted because it has one or more user-created prices."));
    }
    world.objects.remove(id);
    world.emit("product.deleted", &product, None);
    Ok(json!({ "id": id, "object": "product", "deleted": true }))
}

pub(super) fn list_products(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["active", "ids"]].concat())?;
    let (active, ids) = (form.boolean("active")?, form.texts("ids")?);
    page(world, form, "product", "/v1/products", |one| {
        active.is_none_or(|active| one["active"] == active)
            && (ids.is_empty() || ids.iter().any(|id| one["id"] == **id))
    })
}

fn apply_product(world: &World, form: &Form, product: &mut Value) -> Result<(), Refusal> {
    form.copy(&["description", "name", "unit_label", "url"], product)?;
    form.metadata(product)?;
    if let Some(active) = form.boolean("active")? {
        product["active"] = active.into();
    }
    if form.has("images") {
        product["images"] = form.texts("images")?.into();
    }
    if form.has("marketing_features") {
        let features = form.forms("marketing_features")?;
        let features: Result<Vec<Value>, Refusal> =
            features.iter().map(|feature| Ok(json!({ "name": feature.need("name")? }))).collect();
        product["marketing_features"] = features?.into();
    }
    product["updated"] = world.now.into();
    Ok(())
}

pub(super) fn create_price(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[
        "active",
        "currency",
        "lookup_key",
        "metadata",
        "nickname",
        "product",
        "product_data",
        "recurring",
        "tax_behavior",
        "transfer_lookup_key",
        "unit_amount",
    ])?;
    let mut price = objects::price();
    let currency = form.need("currency")?.to_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Refusal::invalid(format!("Invalid currency: {currency}.")).param("currency"));
    }
    price["currency"] = currency.into();
    let amount = form.integer("unit_amount")?.ok_or_else(|| Refusal::required("unit_amount"))?;
    if amount < 0 {
        return Err(Refusal::invalid("Invalid non-negative integer")
            .code("parameter_invalid_integer")
            .param("unit_amount"));
    }
    price["unit_amount"] = amount.into();
    price["unit_amount_decimal"] = amount.to_string().into();
    if let Some(recurring) = form.below("recurring")? {
        price["recurring"] = recurrence(&recurring)?;
        price["type"] = "recurring".into();
    }
    price["product"] = match form.below("product_data")? {
        Some(data) => create_product(world, "", &data)?["id"].clone(),
        None => world.named("product", form.need("product")?, "product")?["id"].clone(),
    };
    price["id"] = world.id("price").into();
    price["created"] = world.now.into();
    apply_price(world, form, &mut price)?;
    Ok(world.add(price, "price.created"))
}

fn recurrence(form: &Form) -> Result<Value, Refusal> {
    form.only(&["interval", "interval_count", "trial_period_days", "usage_type"])?;
    form.one_of("usage_type", &["licensed"])?;
    form.need("interval")?;
    let count = form.integer("interval_count")?.unwrap_or(1);
    if count < 1 {
        return Err(
            Refusal::invalid("This value must be greater than or equal to 1.").param("recurring[interval_count]")
        );
    }
    Ok(json!({
        "interval": form.one_of("interval", &INTERVALS)?,
        "interval_count": count,
        "meter": null,
        "trial_period_days": form.integer("trial_period_days")?,
        "usage_type": "licensed",
    }))
}

pub(super) fn retrieve_price(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("price", id)
}

/// What it costs can't be changed, as with Stripe: another price it must be.
pub(super) fn update_price(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&["active", "lookup_key", "metadata", "nickname", "tax_behavior", "transfer_lookup_key"])?;
    let mut price = world.get("price", id)?;
    apply_price(world, form, &mut price)?;
    let price = world.change(price, "price.updated");
    subscriptions::price_changed(world, &price);
    Ok(price)
}

pub(super) fn list_prices(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["active", "currency", "lookup_keys", "product", "recurring", "type"]].concat())?;
    let (active, keys) = (form.boolean("active")?, form.texts("lookup_keys")?);
    let recurring = form.below("recurring")?.unwrap_or_default();
    recurring.only(&["interval"])?;
    let interval = recurring.one_of("interval", &INTERVALS)?;
    let texts =
        [("currency", form.text("currency")?), ("product", form.text("product")?), ("type", form.text("type")?)];
    page(world, form, "price", "/v1/prices", |one| {
        active.is_none_or(|active| one["active"] == active)
            && (keys.is_empty() || keys.iter().any(|key| one["lookup_key"] == **key))
            && interval.is_none_or(|interval| one["recurring"]["interval"] == interval)
            && texts.iter().all(|(key, text)| text.is_none_or(|text| one[*key] == text))
    })
}

fn apply_price(world: &mut World, form: &Form, price: &mut Value) -> Result<(), Refusal> {
    form.copy(&["nickname"], price)?;
    form.metadata(price)?;
    if let Some(active) = form.boolean("active")? {
        price["active"] = active.into();
    }
    if let Some(behavior) = form.one_of("tax_behavior", &["exclusive", "inclusive", "unspecified"])? {
        price["tax_behavior"] = behavior.into();
    }
    if let Some(key) = form.text("lookup_key")? {
        let holder = world.all("price").find(|other| other["lookup_key"] == key && other["id"] != price["id"]).cloned();
        match holder {
            Some(mut holder) if form.boolean("transfer_lookup_key")? == Some(true) => {
                holder["lookup_key"] = Value::Null;
                world.change(holder, "price.updated");
            }
            Some(holder) => {
                let message = format!("A price (`{}`) already uses that lookup key.", id(&holder));
                return Err(Refusal::invalid(message).param("lookup_key"));
            }
            None => {}
        }
    }
    form.copy(&["lookup_key"], price)
}
