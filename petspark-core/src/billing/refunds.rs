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
    /// Stripe's word for where it is: `succeeded`, or `pending` and `requires_action` for a while. It may fail weeks
    /// later; an event tells, and the audit log.
    pub status: String,
}

pub(super) const KIND: &str = "refund";

/// What is to be given back.
struct Asked {
    /// The payment as it is.
    row: PaymentRow,
    /// How much had gone back before.
    before: i64,
    amount: i64,
    /// The attempt of which it isn't known what became, if this is one more.
    begun: Option<OperationRow>,
}

impl Billing {
    /// Gives money back. What the payment bought is taken back with the last of it. If the answer to an
    /// earlier attempt was lost, the same call finds out what became of that one, and gives back nothing more.
    ///
    /// # Errors
    /// [`BillingError::NotFound`]; [`BillingError::BadPrice`] for more than is left; [`BillingError::Conflict`]
    /// while it isn't known what became of another refund of this payment; [`BillingError::Refused`];
    /// [`BillingError::Invalid`]; [`BillingError::NotAdmin`].
    pub async fn refund(&self, caller: &Caller, new: &NewRefund) -> Result<Refund, BillingError> {
        let asked = self.judge(caller, new).await?;
        let (row, amount, reason) = (&asked.row, asked.amount, new.reason.trim());
        let mut operation = match &asked.begun {
            Some(begun) => Operation::open(begun),
            None => self.begin_refund(caller, &asked, reason).await?,
        };
        let made = match self.ask_for_refund(&mut operation, &asked).await {
            Err(error @ BillingError::Refused { .. }) => {
                let event = noted(Action::PaymentRefunded, row, amount).failed().reason(reason);
                audit::record_now(&self.db, self.clock.now(), caller, event).await?;
                return Err(error);
            }
            made => made?,
        };
        self.keep_refund(caller, operation.id, row, amount, Some(&made), Some(reason)).await?;
        if made.has_failed() {
            let cause = format!("the refund {} is {}", made.id, made.status);
            return Err(BillingError::Refused { code: made.failure, cause });
        }
        // The money is on its way; what follows of it for the plan is also told by an event.
        let read = match self.read_intent(&row.id).await {
            Ok(Some(read)) => read,
            _ => asked.row,
        };
        let currency: Currency = read.currency.parse().map_err(Fault::internal)?;
        tracing::info!(payment = read.id, money = %Money::new(amount, currency), "refunded");
        Ok(Refund { id: made.id, payment_id: read.id, amount, refunded: read.refunded, currency, status: made.status })
    }

    /// Begins a refund, or finds the one that was asked for at the same time; one that failed since begins anew.
    async fn begin_refund(&self, caller: &Caller, asked: &Asked, reason: &str) -> Result<Operation, BillingError> {
        let (row, amount) = (&asked.row, asked.amount);
        let noted = noted(Action::PaymentRefundAsked, row, amount).reason(reason);
        let name = refund_name(&row.id, asked.before, amount);
        let wanted = Wanted::new(row.user_id, KIND, &name, &amount)?.about(&row.id).noted(caller, noted);
        let operation = self.begin_wanted(&wanted).await?;
        let Some(id) = &operation.done else { return Ok(operation) };
        // Since refunds that fail are taken off the sum, one of days before may have begun at the same sum; then this is
        // another one, as is one after a failure.
        let is_this = !self.remote().await?.known_refund(id).await?.has_failed()
            && self.read_intent(&row.id).await?.is_some_and(|now| now.refunded >= asked.before + amount);
        if is_this { Ok(operation) } else { self.begin_again(&wanted, operation.id).await }
    }

    async fn ask_for_refund(&self, operation: &mut Operation, asked: &Asked) -> Result<RemoteRefund, BillingError> {
        let (remote, payment, amount) = (self.remote().await?, asked.row.id.as_str(), asked.amount);
        if let Some(id) = &operation.done {
            return Ok(remote.known_refund(id).await?);
        }
        let mut answer = remote.refund(&operation.key, payment, amount, &operation.id.to_string()).await;
        if let Err(RemoteError::Spent(_)) = answer {
            let refunds = remote.refunds(payment).await?;
            let made = made_by(&refunds, operation.id).or_else(|| made_unnamed(&refunds, asked.before, amount));
            if let Some(made) = made {
                return Ok(made);
            }
            self.renew(operation).await?;
            answer = remote.refund(&operation.key, payment, amount, &operation.id.to_string()).await;
        }
        let made = self.answered(operation, answer).await?;
        match asked.begun {
            // Asked once more, Stripe answers as it did at first, whatever became of it.
            Some(_) => Ok(remote.known_refund(&made.id).await?),
            None => Ok(made),
        }
    }

    /// Writes down what became of a refund: of several who learn of it, one does.
    async fn keep_refund(
        &self,
        caller: &Caller,
        operation: OperationId,
        row: &PaymentRow,
        amount: i64,
        made: Option<&RemoteRefund>,
        reason: Option<&str>,
    ) -> Result<(), Fault> {
        let (now, is_given) = (self.clock.now(), made.is_some_and(|made| !made.has_failed()));
        let (state, id) = (if is_given { "done" } else { "refused" }, made.map(|made| made.id.as_str()));
        let mut tx = self.db.begin().await?;
        if store::settle_operation(&mut tx, operation, state, id, now).await? {
            let event = noted(Action::PaymentRefunded, row, amount).because(reason).detail("refund", id);
            audit::record(&mut tx, now, caller, if is_given { event } else { event.failed() }).await?;
        }
        tx.commit().await
    }

    /// Finds out what became of a refund whose answer was lost; says whether that is known now. One that isn't
    /// found may still be asked for again under its key, until Stripe has forgotten that.
    pub(super) async fn settle_refund(&self, begun: &OperationRow) -> Result<bool, BillingError> {
        let Some((payment, before, amount)) = parse_name(begun) else { return Ok(false) };
        let Some(row) = self.read_intent(payment).await? else { return Ok(false) };
        let refunds = self.remote().await?.refunds(payment).await?;
        let is_forgotten = self.clock.now().since(begun.created_at) >= KEY_LIVES;
        let made =
            made_by(&refunds, begun.id).or_else(|| made_unnamed(&refunds, before, amount).filter(|_| is_forgotten));
        if made.is_none() && !is_forgotten {
            return Ok(false);
        }
        self.keep_refund(&Caller::system(), begun.id, &row, amount, made.as_ref(), None).await?;
        Ok(true)
    }

    /// What [`Billing::refund`] would give back, giving nothing; its `id` and `status` are empty.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_refund(&self, caller: &Caller, new: &NewRefund) -> Result<Refund, BillingError> {
        let Asked { row, amount, .. } = self.judge(caller, new).await?;
        let currency = row.currency.parse().map_err(Fault::internal)?;
        let (id, status, refunded) = (String::new(), String::new(), row.refunded + amount);
        Ok(Refund { id, payment_id: row.id, amount, refunded, currency, status })
    }

    async fn judge(&self, caller: &Caller, new: &NewRefund) -> Result<Asked, BillingError> {
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
            Some((begun, before, amount)) if new.amount.is_none_or(|wanted| wanted == amount) => {
                Ok(Asked { row, before, amount, begun: Some(begun) })
            }
            Some(_) => Err(BillingError::Conflict("Another refund of this payment isn't over yet.")),
            None => {
                let left = row.amount - row.refunded;
                let amount = new.amount.unwrap_or(left);
                if row.status != "succeeded" || !(1..=left).contains(&amount) {
                    let message = format!("{left} can be refunded of this payment.");
                    return Err(BillingError::BadPrice(message));
                }
                Ok(Asked { before: row.refunded, row, amount, begun: None })
            }
        }
    }

    /// A refund of this payment of which it isn't known what became, how much had gone back before it, and how much
    /// it is.
    async fn open_refund(&self, row: &PaymentRow) -> Result<Option<(OperationRow, i64, i64)>, BillingError> {
        for begun in store::pending_operations_about(&self.db, KIND, &row.id).await? {
            let is_forgotten = self.clock.now().since(begun.created_at) >= KEY_LIVES;
            if is_forgotten && self.settle_refund(&begun).await? {
                continue;
            }
            if let Some((_, before, amount)) = parse_name(&begun) {
                return Ok(Some((begun, before, amount)));
            }
        }
        Ok(None)
    }
}

/// The refund that an operation made, if it did.
fn made_by(refunds: &[RemoteRefund], operation: OperationId) -> Option<RemoteRefund> {
    let own = operation.to_string();
    refunds.iter().find(|refund| refund.operation.as_ref() == Some(&own)).cloned()
}

/// The same of one that an earlier release asked for: it says nothing of us; that the money went back says enough.
fn made_unnamed(refunds: &[RemoteRefund], before: i64, amount: i64) -> Option<RemoteRefund> {
    let given = || refunds.iter().filter(|refund| !refund.has_failed());
    let back: i64 = given().map(|refund| refund.amount).sum();
    given().find(|refund| refund.operation.is_none()).filter(|_| back >= before + amount).cloned()
}

/// What the audit log tells of a refund.
pub(super) fn noted(action: Action, row: &PaymentRow, amount: i64) -> Event {
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
