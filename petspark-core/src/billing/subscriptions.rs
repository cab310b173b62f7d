//! Subscriptions as they are shown, changed and ended. `subscribing.rs` begins them, `keeping.rs` writes them down.

use serde::Serialize;

use super::access::Access;
use super::keeping::Turn;
use super::operation::Operation;
use super::remote::{RemoteSubscription, SubscriptionUpdate};
use super::status::SubscriptionStatus;
use super::store::SubscriptionRow;
use super::{Billing, BillingError, store, user};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::OperationId;

/// A subscription that somebody wants.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// A price that is charged again and again.
    pub price_id: String,
}

/// What is to be different; what isn't said stays.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionChange {
    /// Another price.
    pub price_id: Option<String>,
    /// Whether it ends with what is paid for; `false` takes that back.
    pub cancel_at_period_end: Option<bool>,
}

/// A subscription as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Stripe's id.
    pub id: String,
    /// Where it is in its life.
    pub status: SubscriptionStatus,
    /// What it allows now.
    pub access: Access,
    /// The plan that it is for.
    pub plan: Option<String>,
    /// What it costs.
    pub price_id: Option<String>,
    /// When what is paid for ends.
    pub current_period_end: Option<Timestamp>,
    /// When the trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When it will end, if that is known.
    pub cancel_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// What the payer's browser needs for the first payment; told when it is begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

impl Billing {
    /// The caller's subscriptions, the newest first, 100 at most.
    ///
    /// # Errors
    /// [`BillingError::Denied`] when no user is asking.
    pub async fn subscriptions(&self, caller: &Caller) -> Result<Vec<Subscription>, BillingError> {
        let mut all = Vec::new();
        for row in store::subscriptions_of(&self.db, user(caller)?).await? {
            all.push(self.shown(row).await?);
        }
        Ok(all)
    }

    /// Changes a subscription of the caller's.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`], [`BillingError::BadPrice`];
    /// [`BillingError::Conflict`] for one that is over, and for another price unless it is `active` or `trialing`;
    /// [`BillingError::Refused`] when what the other price costs more can't be paid, and nothing has changed then;
    /// [`BillingError::Invalid`] when nothing is to change.
    pub async fn change_subscription(
        &self,
        caller: &Caller,
        id: &str,
        change: &SubscriptionChange,
    ) -> Result<Subscription, BillingError> {
        self.remote().await?;
        let row = self.own_live_subscription(caller, "change_subscription", id).await?;
        let mut updates = Vec::new();
        if let Some(price) = &change.price_id {
            let price = self.recurring_price(caller, "change_subscription", price).await?;
            // Of what isn't paid for, nobody knows what another price would cost.
            if !matches!(row.status.as_str(), "active" | "trialing") {
                return Err(BillingError::Conflict("Only a subscription that is paid for can change its price."));
            }
            let item = row.item_id.clone().ok_or(BillingError::Conflict("This subscription is for nothing."))?;
            updates.push(SubscriptionUpdate::Swap { item, price });
        }
        updates.extend(change.cancel_at_period_end.map(SubscriptionUpdate::CancelAtPeriodEnd));
        if updates.is_empty() {
            let problem = "must say priceId or cancelAtPeriodEnd";
            return Err(BillingError::Invalid(FieldErrors::one("priceId", problem)));
        }
        let mut row = row;
        for update in updates {
            row = self.update(row, &update).await?;
        }
        if change.cancel_at_period_end.is_some() && row.ends_with_account {
            // Now it is as they want it themselves, whatever became of their account before.
            store::mark_leaving(&self.db, id, false).await?;
        }
        self.shown(row).await
    }

    /// Has a paused subscription of the caller's go on.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`]; [`BillingError::Conflict`] unless it is paused.
    pub async fn resume_subscription(&self, caller: &Caller, id: &str) -> Result<Subscription, BillingError> {
        let remote = self.remote().await?;
        let row = self.own_live_subscription(caller, "resume_subscription", id).await?;
        let row = if row.status == SubscriptionStatus::Paused.as_str() {
            let name = format!("{id} {}", OperationId::new());
            let operation = self.begin(row.user_id, "resume", &name, &id).await?;
            let turn = self.take_turn(id).await?;
            let read = self.operate(&operation, remote.resume_subscription(&operation.key, id)).await?;
            self.keep_change(read, turn, &operation).await?
        } else if row.paused.is_some() {
            self.update(row, &SubscriptionUpdate::Collect).await?
        } else {
            return Err(BillingError::Conflict("This subscription isn't paused."));
        };
        self.shown(row).await
    }

    /// Ends a subscription of the caller's at once.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`]; [`BillingError::Conflict`] for one that is over.
    pub async fn cancel_subscription(&self, caller: &Caller, id: &str) -> Result<Subscription, BillingError> {
        let remote = self.remote().await?;
        let row = self.own_live_subscription(caller, "cancel_subscription", id).await?;
        // Ending what has ended changes nothing: it needs no key.
        let operation = self.begin(row.user_id, "cancel", &format!("{id} {}", OperationId::new()), &id).await?;
        let turn = self.take_turn(id).await?;
        let row = match remote.cancel_subscription(id).await {
            // Most likely it has ended by an attempt whose answer was lost.
            Err(error) if error.is_refusal() => {
                let row = self.kept(self.read_subscription(id).await?)?;
                if !SubscriptionStatus::from(row.status.clone()).is_final() {
                    return self.answered(&operation, Err(error)).await;
                }
                self.end_operation(&operation, "done", Some(id)).await?;
                row
            }
            answer => self.keep_change(self.answered(&operation, answer).await?, turn, &operation).await?,
        };
        self.shown(row).await
    }

    pub(super) async fn update(
        &self,
        row: SubscriptionRow,
        update: &SubscriptionUpdate,
    ) -> Result<SubscriptionRow, BillingError> {
        let name = format!("{} {}", row.id, OperationId::new());
        let operation = self.begin(row.user_id, "update", &name, &format!("{update:?}")).await?;
        let turn = self.take_turn(&row.id).await?;
        let call = self.remote().await?.update_subscription(&operation.key, &row.id, update);
        let read = self.operate(&operation, call).await?;
        self.keep_change(read, turn, &operation).await
    }

    /// Writes a change down as Stripe answered it. A reading that was begun later may be written already, and
    /// may have been made before the change was: then it is read once more.
    async fn keep_change(
        &self,
        read: RemoteSubscription,
        turn: i64,
        operation: &Operation,
    ) -> Result<SubscriptionRow, BillingError> {
        let id = read.id.clone();
        match self.keep_subscription(read, Turn::Number(turn), &[operation.id]).await? {
            Some((row, true)) => Ok(row),
            _ => self.kept(self.read_subscription(&id).await?),
        }
    }

    fn kept(&self, row: Option<SubscriptionRow>) -> Result<SubscriptionRow, BillingError> {
        row.ok_or(BillingError::NotFound("subscription"))
    }

    async fn own_live_subscription(
        &self,
        caller: &Caller,
        tried: &str,
        id: &str,
    ) -> Result<SubscriptionRow, BillingError> {
        let owner = user(caller)?;
        let row = self.kept(store::find_subscription(&self.db, id).await?)?;
        if row.user_id != Some(owner) {
            return Err(self.refuse(caller, tried, BillingError::NotYours("subscription")).await);
        }
        match SubscriptionStatus::from(row.status.clone()).is_final() {
            true => Err(BillingError::Conflict("This subscription is over.")),
            false => Ok(row),
        }
    }

    pub(super) async fn recurring_price(&self, caller: &Caller, tried: &str, id: &str) -> Result<String, BillingError> {
        let error = match self.sold(id).await {
            Ok(price) if price.period.is_some() => return Ok(price.id),
            Ok(_) => BillingError::BadPrice("This price is charged once.".to_owned()),
            Err(error @ BillingError::BadPrice(_)) => error,
            Err(error) => return Err(error),
        };
        Err(self.refuse(caller, tried, error).await)
    }
}
