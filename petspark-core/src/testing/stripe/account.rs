//! The account itself, and what it holds.

use serde_json::Value;

use super::form::Form;
use super::objects;
use super::refusal::Refusal;
use super::world::World;

pub(super) fn retrieve(_: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    Ok(objects::account())
}

pub(super) fn balance(_: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    Ok(objects::balance())
}
