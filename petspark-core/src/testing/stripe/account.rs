//! The account itself, and what it holds.

use serde_json::Value;

use super::form::Form;
use super::objects;
use super::refusal::Refusal;
use super::world::World;

pub(super) fn retrieve(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    if world.is_account_hidden {
        return Err(Refusal::permission("rak_accounts_kyc_basic_read"));
    }
    let mut account = objects::account();
    if let Some(id) = &world.account {
        account["id"] = id.as_str().into();
    }
    Ok(account)
}

pub(super) fn balance(_: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    Ok(objects::balance())
}
