//! Giving money back: by administrators, written down, and never twice for one decision.

use serde::Serialize;

use super::money::{Currency, Money};
use super::operation::{KEY_LIVES, Operation};
use super::store::{OperationRow, PaymentRow};
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::{Fault, FieldErrors};

/// Money to be given back.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// Of which payment: Stripe's id, `pi_...`.
    pub payment_id: String,
    /// How much, in the currency's smallest unit; all that is left if it isn't said.
    pub amount: Option<i64>,
    /// Why: 1 to 500 characters, for the record.
    pub reason: String,
}

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// Stripe's id.
    pub id: String,
    /// Of which payment.
    pub payment_id: String,
    /// How much this time.
    pub amount: i64,
    /// How much altogether.
    pub refunded: i64,
    /// Which currency.
    pub currency: Currency,
}

pub(super) const KIND: &str = "refund";

impl Billing {
    /// Gives money back. What the payment bought is taken back with the last of it. If the answer to an
    /// earlier attempt was lost, the same call finds out what became of that one, and gives back nothing more.
    ///
    /// # Errors
    /// [`BillingError::NotFound`]; [`BillingError::BadPrice`] for more than is left; [`BillingError::Conflict`]
    /// while it isn't known what became of another refund of this payment; [`BillingError::Invalid`];
    /// [`BillingError::NotAdmin`].
    pub async fn refund(&self, caller: &Caller, new: &NewRefund) -> Result<Refund, BillingError> {
        let (row, begun, amount) = self.judge(caller, new).await?;
        let remote = self.remote()?;
        let operation = match begun {
            Some(begun) => Operation { key: Operation::key_of(KIND, begun.id), id: begun.id, done: None },
            None => {
                let name = refund_name(&row.id, row.refunded, amount);
                self.begin(row.user_id, KIND, &name, &amount).await?
            }
        };
        let reason = new.reason.trim();
        let id = self.operate(&operation, remote.refund(&operation.key, &row.id, amount)).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        store::finish_operation(&mut tx, operation.id, &id, now).await?;
        let event = Event::new(Action::PaymentRefunded).on(row.user_id.map(Subject::User)).reason(reason);
        let event = event.detail("payment", row.id.clone()).detail("refund", id.clone());
        let event = event.detail("amount", amount).detail("currency", row.currency.clone());
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        // The money is on its way; what follows of it for the plan is also told by an event.
        let read = match self.read_intent(&row.id).await {
            Ok(Some(read)) => read,
            _ => row,
        };
        let currency: Currency = read.currency.parse().map_err(Fault::internal)?;
        tracing::info!(payment = read.id, money = %Money::new(amount, currency), "refunded");
        Ok(Refund { id, payment_id: read.id, amount, refunded: read.refunded, currency })
    }

    /// What [`Billing::refund`] would give back, giving nothing; its `id` is empty.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_refund(&self, caller: &Caller, new: &NewRefund) -> Result<Refund, BillingError> {
        let (row, _, amount) = self.judge(caller, new).await?;
        let currency = row.currency.parse().map_err(Fault::internal)?;
        Ok(Refund { id: String::new(), payment_id: row.id, amount, refunded: row.refunded + amount, currency })
    }

    /// The payment as it is, how much of it is to be given back, and the attempt of which it isn't known
    /// what became if this is one more.
    async fn judge(
        &self,
        caller: &Caller,
        new: &NewRefund,
    ) -> Result<(PaymentRow, Option<OperationRow>, i64), BillingError> {
        caller.require(Permission::ManageBilling)?;
        self.remote()?;
        let reason = new.reason.trim();
        if reason.is_empty() || reason.chars().count() > 500 || reason.contains('\0') {
            return Err(BillingError::Invalid(FieldErrors::one("reason", "must have 1 to 500 characters")));
        }
        if store::find_payment(&self.db, &new.payment_id).await?.is_none() {
            return Err(BillingError::NotFound("payment"));
        }
        let row = self.read_intent(&new.payment_id).await?.ok_or(BillingError::NotFound("payment"))?;
        match self.open_refund(&row).await? {
            Some((begun, amount)) if new.amount.is_none_or(|wanted| wanted == amount) => Ok((row, Some(begun), amount)),
            Some(_) => Err(BillingError::Conflict("Another refund of this payment isn't over yet.")),
            None => {
                let left = row.amount - row.refunded;
                let amount = new.amount.unwrap_or(left);
                if row.status != "succeeded" || !(1..=left).contains(&amount) {
                    let message = format!("{left} can be refunded of this payment.");
                    return Err(BillingError::BadPrice(message));
                }
                Ok((row, None, amount))
            }
        }
    }

    /// A refund of this payment of which it isn't known what became, and of how much. One that Stripe has
    /// forgotten is recognised by what was paid back since.
    async fn open_refund(&self, row: &PaymentRow) -> Result<Option<(OperationRow, i64)>, BillingError> {
        let now = self.clock.now();
        for begun in store::pending_operations(&self.db, now.after(KEY_LIVES), 1000).await? {
            let Some((refunded, amount)) = parse_name(&begun, &row.id) else { continue };
            if now.since(begun.created_at) < KEY_LIVES {
                return Ok(Some((begun, amount)));
            }
            let state = if row.refunded > refunded { "done" } else { "refused" };
            store::finish_operation_now(&self.db, begun.id, state, None, now).await?;
        }
        Ok(None)
    }
}

/// By what a refund is known: how much had been paid back before it, and how much it is.
fn refund_name(payment: &str, refunded: i64, amount: i64) -> String {
    format!("{payment} {refunded} {amount}")
}

fn parse_name(operation: &OperationRow, payment: &str) -> Option<(i64, i64)> {
    let name = operation.idempotency_key.strip_prefix(KIND)?.strip_prefix(' ')?;
    let (refunded, amount) = name.strip_prefix(payment)?.strip_prefix(' ')?.split_once(' ')?;
    Some((refunded.parse().ok()?, amount.parse().ok()?))
}
