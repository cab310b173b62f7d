//! Payments as Stripe has them, written down with what they buy: a plan for a time, until the money goes back.

use super::entitled::plan_of;
use super::remote::RemoteIntent;
use super::store::{ListedPrice, PaymentRow};
use super::{Billing, BillingError, refunds, store};
use crate::audit::{self, Action};
use crate::caller::Caller;
use crate::clock::DAY;
use crate::error::Fault;
use crate::id::{GrantId, UserId};

impl Billing {
    /// Reads a payment anew, with what follows of it for its user's plan. `None`: not one of ours.
    pub(super) async fn read_intent(&self, id: &str) -> Result<Option<PaymentRow>, BillingError> {
        // What isn't known is looked at before it takes a number: anybody may ask for any id.
        if store::find_payment(&self.db, id).await?.is_none() && self.intent_of_ours(id).await?.is_none() {
            return Ok(None);
        }
        let turn = self.take_turn(id).await?;
        let Some((intent, customer, owner)) = self.intent_of_ours(id).await? else { return Ok(None) };
        let price = match &intent.price {
            Some(price) => self.know_price(price).await?,
            None => None,
        };
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        if !store::use_turn(&mut tx, id, turn).await? {
            drop(tx);
            return Ok(store::find_payment(&self.db, id).await?);
        }
        let new = PaymentRow {
            id: intent.id,
            customer_id: customer,
            user_id: owner,
            price_id: intent.price,
            quantity: intent.quantity.unwrap_or(1),
            amount: intent.money.amount,
            currency: intent.money.currency.to_string(),
            status: intent.status,
            refunded: intent.refunded,
            disputed: false,
            created_at: intent.created,
            paid_at: intent.paid,
            synced_at: now,
        };
        let before = store::refunded_of(&mut tx, id).await?.unwrap_or(0);
        let row = store::put_payment(&mut tx, &new).await?;
        if row.refunded < before {
            let event = refunds::noted(Action::PaymentRefundFailed, &row, before - row.refunded);
            audit::record(&mut tx, now, &Caller::system(), event).await?;
        }
        self.settle_purchase(&mut tx, &row, price.as_ref()).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// A payment at Stripe with the customer whose it is, and the user.
    async fn intent_of_ours(&self, id: &str) -> Result<Option<(RemoteIntent, String, Option<UserId>)>, BillingError> {
        let intent = match self.remote().await?.intent(id).await {
            Err(error) if error.is_not_found() => return Ok(None),
            intent => intent?,
        };
        // Payments of invoices are Stripe's own affair: the subscription tells what came of them.
        let Some(customer) = intent.customer.clone().filter(|_| intent.price.is_some()) else { return Ok(None) };
        Ok(self.owner_of(&customer).await?.map(|owner| (intent, customer, owner)))
    }

    /// Gives what a payment bought, or takes it back when the money went back, until that comes back again.
    pub(super) async fn settle_purchase(
        &self,
        tx: &mut crate::database::Tx,
        row: &PaymentRow,
        price: Option<&ListedPrice>,
    ) -> Result<(), Fault> {
        let (Some(owner), Some(price)) = (row.user_id, price) else { return Ok(()) };
        let now = self.clock.now();
        let changed = if row.disputed || row.refunded >= row.amount {
            store::revoke_purchase(tx, &row.id, now).await?
        } else if store::return_purchase(tx, &row.id).await? {
            true
        } else if row.status == "succeeded"
            && let Some(plan) = plan_of(self.entitled.plans(), price.plan.as_deref(), price.lookup_key.as_deref())
        {
            let lifetime = price.lifetime_days.and_then(|days| u32::try_from(days).ok());
            let count = u32::try_from(row.quantity).unwrap_or(1);
            // Whoever pays later than they clicked has all of it.
            let since = row.paid_at.unwrap_or(row.created_at);
            let ends_at = lifetime.map(|days| since.after(DAY.saturating_mul(days.saturating_mul(count))));
            store::insert_purchase(tx, GrantId::new(), owner, &row.id, &plan.name, ends_at, now).await?
        } else {
            false
        };
        if changed {
            self.entitled.forget_after(tx, owner);
        }
        Ok(())
    }
}
