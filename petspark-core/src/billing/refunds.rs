//! Giving money back: by administrators, written down, and never twice for one decision.

use serde::Serialize;

use super::money::{Currency, Money};
use super::operation::{KEY_LIVES, Operation, Wanted};
use super::remote::{RemoteError, RemoteRefund};
use super::store::{OperationRow, PaymentRow};
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::{Fault, FieldErrors};
use crate::id::OperationId;

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
        let reason = new.reason.trim();
        let mut operation = match begun {
            Some(begun) => Operation::open(&begun),
            None => {
                let name = refund_name(&row.id, row.refunded, amount);
                let asked = noted(Action::PaymentRefundAsked, &row, amount).reason(reason);
                let wanted = Wanted::new(row.user_id, KIND, &name, &amount)?.about(&row.id).noted(caller, asked);
                self.begin_wanted(&wanted).await?
            }
        };
        let made = match self.ask_for_refund(&mut operation, &row.id, amount).await {
            Err(error @ BillingError::Refused { .. }) => {
                let event = noted(Action::PaymentRefunded, &row, amount).failed().reason(reason);
                audit::record_now(&self.db, self.clock.now(), caller, event).await?;
                return Err(error);
            }
            made => made?,
        };
        self.keep_refund(caller, operation.id, &row, &made, Some(reason)).await?;
        // The money is on its way; what follows of it for the plan is also told by an event.
        let read = match self.read_intent(&row.id).await {
            Ok(Some(read)) => read,
            _ => row,
        };
        let currency: Currency = read.currency.parse().map_err(Fault::internal)?;
        tracing::info!(payment = read.id, money = %Money::new(amount, currency), "refunded");
        Ok(Refund { id: made.id, payment_id: read.id, amount, refunded: read.refunded, currency })
    }

    async fn ask_for_refund(
        &self,
        operation: &mut Operation,
        payment: &str,
        amount: i64,
    ) -> Result<RemoteRefund, BillingError> {
        if let Some(id) = operation.done.clone() {
            return Ok(RemoteRefund { id, amount, operation: None });
        }
        let remote = self.remote().await?;
        let mut answer = remote.refund(&operation.key, payment, amount, &operation.id.to_string()).await;
        if let Err(RemoteError::Spent(_)) = answer {
            if let Some(made) = self.look_for_refund(operation.id, payment).await? {
                return Ok(made);
            }
            self.renew(operation).await?;
            answer = remote.refund(&operation.key, payment, amount, &operation.id.to_string()).await;
        }
        self.answered(operation, answer).await
    }

    /// The refund of a payment that an operation made, if it did.
    async fn look_for_refund(
        &self,
        operation: OperationId,
        payment: &str,
    ) -> Result<Option<RemoteRefund>, BillingError> {
        let (refunds, own) = (self.remote().await?.refunds(payment).await?, operation.to_string());
        Ok(refunds.into_iter().find(|refund| refund.operation.as_ref() == Some(&own)))
    }

    async fn keep_refund(
        &self,
        caller: &Caller,
        operation: OperationId,
        row: &PaymentRow,
        made: &RemoteRefund,
        reason: Option<&str>,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // Of several who learn of it, one writes it down.
        if store::settle_operation(&mut tx, operation, &made.id, now).await? {
            let event = noted(Action::PaymentRefunded, row, made.amount).because(reason);
            audit::record(&mut tx, now, caller, event.detail("refund", made.id.clone())).await?;
        }
        tx.commit().await
    }

    /// Finds out what became of a refund whose answer was lost; says whether that is known now. One that isn't
    /// found may still be asked for again under its key, until Stripe has forgotten that.
    pub(super) async fn settle_refund(&self, begun: &OperationRow) -> Result<bool, BillingError> {
        let Some((payment, before, amount)) = parse_name(begun) else { return Ok(false) };
        let Some(row) = self.read_intent(payment).await? else { return Ok(false) };
        let system = Caller::system();
        if let Some(made) = self.look_for_refund(begun.id, payment).await? {
            self.keep_refund(&system, begun.id, &row, &made, None).await?;
            return Ok(true);
        }
        let now = self.clock.now();
        if now.since(begun.created_at) < KEY_LIVES {
            return Ok(false);
        }
        // Those that an earlier release asked for say nothing of us; that the money went back says enough.
        let state = if row.refunded >= before + amount { "done" } else { "refused" };
        store::finish_operation_now(&self.db, begun.id, state, None, now).await?;
        if state == "refused" {
            audit::record_now(&self.db, now, &system, noted(Action::PaymentRefunded, &row, amount).failed()).await?;
        }
        Ok(true)
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
        self.remote().await?;
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

    /// A refund of this payment of which it isn't known what became, and of how much.
    async fn open_refund(&self, row: &PaymentRow) -> Result<Option<(OperationRow, i64)>, BillingError> {
        for begun in store::pending_operations_about(&self.db, KIND, &row.id).await? {
            let is_forgotten = self.clock.now().since(begun.created_at) >= KEY_LIVES;
            if is_forgotten && self.settle_refund(&begun).await? {
                continue;
            }
            if let Some((_, _, amount)) = parse_name(&begun) {
                return Ok(Some((begun, amount)));
            }
        }
        Ok(None)
    }
}

/// What the audit log tells of a refund.
fn noted(action: Action, row: &PaymentRow, amount: i64) -> Event {
    let event = Event::new(action).on(row.user_id.map(Subject::User)).detail("payment", row.id.clone());
    event.detail("amount", amount).detail("currency", row.currency.clone())
}

/// By what a refund is known: how much had been paid back before it, and how much it is.
fn refund_name(payment: &str, refunded: i64, amount: i64) -> String {
    format!("{payment} {refunded} {amount}")
}

fn parse_name(operation: &OperationRow) -> Option<(&str, i64, i64)> {
    let mut words = operation.idempotency_key.strip_prefix(KIND)?.strip_prefix(' ')?.split(' ');
    Some((words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
