//! Disputes: what becomes of a payment whose payer asks the bank for the money back. Who disputes, and how it ends, the
//! test decides.

use serde_json::Value;

use super::form::Form;
use super::list::{PAGING, page};
use super::objects;
use super::refusal::Refusal;
use super::world::World;

/// Somebody disputes a payment.
pub(super) fn open(world: &mut World, intent: &str) -> Result<String, Refusal> {
    let intent = world.get("payment_intent", intent)?;
    let none = || Refusal::invalid("This PaymentIntent does not have a successful charge to dispute.");
    let charge = world.get("charge", intent["latest_charge"].as_str().unwrap_or_default()).ok();
    let mut charge = charge.filter(|charge| charge["paid"] == true && charge["disputed"] == false).ok_or_else(none)?;
    let mut dispute = objects::dispute();
    let dispute_id = world.id("dp");
    for key in ["amount", "currency", "payment_intent"] {
        dispute[key] = charge[key].clone();
    }
    dispute["charge"] = charge["id"].clone();
    dispute["created"] = world.now.into();
    dispute["id"] = dispute_id.clone().into();
    for key in ["brand", "network"] {
        dispute["payment_method_details"]["card"][key] = charge["payment_method_details"]["card"][key].clone();
    }
    charge["disputed"] = true.into();
    world.change(charge, "charge.updated");
    world.add(dispute, "charge.dispute.created");
    Ok(dispute_id)
}

/// The bank has decided.
pub(super) fn close(world: &mut World, dispute: &str, won: bool) -> Result<(), Refusal> {
    let mut dispute = world.get("dispute", dispute)?;
    if dispute["status"] != "needs_response" {
        return Err(Refusal::invalid("This dispute is already closed."));
    }
    dispute["status"] = if won { "won" } else { "lost" }.into();
    world.change(dispute, "charge.dispute.closed");
    Ok(())
}

pub(super) fn retrieve(world: &mut World, id: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[])?;
    world.get("dispute", id)
}

pub(super) fn list(world: &mut World, _: &str, form: &Form) -> Result<Value, Refusal> {
    form.only(&[PAGING.as_slice(), &["charge", "payment_intent"]].concat())?;
    let (charge, intent) = (form.text("charge")?, form.text("payment_intent")?);
    page(world, form, "dispute", "/v1/disputes", |one| {
        charge.is_none_or(|charge| one["charge"] == charge)
            && intent.is_none_or(|intent| one["payment_intent"] == intent)
    })
}
