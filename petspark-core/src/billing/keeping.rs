//! Subscriptions as Stripe answers them, written down here; the newest reading wins.

use super::access::{Access, Standing};
use super::entitled::plan_of;
use super::remote::{RemoteItem, RemoteSubscription};
use super::status::SubscriptionStatus;
use super::store::SubscriptionRow;
use super::{Billing, BillingError, Subscription, store};
use crate::id::{OperationId, UserId};

/// Under which number a reading is written.
pub(super) enum Turn {
    /// It was just made.
    First,
    Number(i64),
}

impl Billing {
    /// The next number for reading this.
    pub(super) async fn take_turn(&self, object: &str) -> Result<i64, BillingError> {
        Ok(store::take_turn(&self.db, object, self.clock.now()).await?)
    }

    /// Reads a subscription anew. `None`: not one of ours.
    pub(super) async fn read_subscription(&self, id: &str) -> Result<Option<SubscriptionRow>, BillingError> {
        let remote = self.remote().await?;
        let turn = self.take_turn(id).await?;
        match remote.subscription(id).await {
            Err(error) if error.is_not_found() => {
                let known = store::find_subscription(&self.db, id).await?;
                let mut tx = self.db.begin().await?;
                if store::use_turn(&mut tx, id, turn).await?
                    && store::end_subscription(&mut tx, id, self.clock.now()).await?
                    && let Some(owner) = known.and_then(|row| row.user_id)
                {
                    self.entitled.forget_after(&mut tx, owner);
                }
                tx.commit().await?;
                Ok(store::find_subscription(&self.db, id).await?)
            }
            read => {
                let kept = self.keep_subscription(read?, Turn::Number(turn), &[]).await?;
                Ok(kept.map(|(row, _)| row))
            }
        }
    }

    /// Writes a reading down, unless a newer one is; with the operations that it comes of. Gives what is written
    /// then, and whether that is this. `None`: not one of ours.
    pub(super) async fn keep_subscription(
        &self,
        read: RemoteSubscription,
        turn: Turn,
        operations: &[OperationId],
    ) -> Result<Option<(SubscriptionRow, bool)>, BillingError> {
        let Some(owner) = self.owner_of(&read.customer).await? else { return Ok(None) };
        for item in &read.items {
            self.know_price(&item.price.id).await?;
        }
        let before = store::find_subscription(&self.db, &read.id).await?;
        let row = self.row(read, owner, before.map_or(Access::None, |before| before.last_access)).await?;
        let mut tx = self.db.begin().await?;
        let is_newest = match turn {
            Turn::First => store::first_turn(&mut tx, &row.id, self.clock.now()).await?,
            Turn::Number(turn) => store::use_turn(&mut tx, &row.id, turn).await?,
        };
        if is_newest {
            store::put_subscription(&mut tx, &row).await?;
            if let Some(owner) = owner {
                self.entitled.forget_after(&mut tx, owner);
            }
        }
        for operation in operations {
            store::finish_operation(&mut tx, *operation, &row.id, self.clock.now()).await?;
        }
        tx.commit().await?;
        // Who read it later may not have written it yet: of one that was just made, ours will do meanwhile.
        Ok(Some((store::find_subscription(&self.db, &row.id).await?.unwrap_or(row), is_newest)))
    }

    pub(super) async fn row(
        &self,
        read: RemoteSubscription,
        owner: Option<UserId>,
        last_access: Access,
    ) -> Result<SubscriptionRow, BillingError> {
        let mut chosen: Option<&RemoteItem> = read.items.first();
        for item in &read.items {
            let price = store::find_price(&self.db, &item.price.id).await?;
            let plan = price.and_then(|price| {
                plan_of(self.entitled.plans(), price.plan.as_deref(), price.lookup_key.as_deref()).map(|_| ())
            });
            if plan.is_some() {
                chosen = Some(item);
                break;
            }
        }
        // What is owed is the period, or the invoice of a change within it.
        let failing_since = chosen.filter(|_| read.status.is_failing()).map(|item| item.period_start);
        let failing_since = failing_since.map(|start| read.invoiced.map_or(start, |invoiced| invoiced.max(start)));
        let mut row = SubscriptionRow {
            id: read.id,
            customer_id: read.customer,
            user_id: owner,
            status: read.status.as_str().to_owned(),
            item_id: chosen.map(|item| item.id.clone()),
            price_id: chosen.map(|item| item.price.id.clone()),
            quantity: chosen.map_or(1, |item| item.quantity),
            period_start: chosen.map(|item| item.period_start),
            period_end: read.items.iter().map(|item| item.period_end).max(),
            trial_end: read.trial_end,
            cancel_at: read.cancel_at,
            cancel_at_period_end: read.cancel_at_period_end,
            canceled_at: read.canceled_at,
            ended_at: read.ended_at,
            paused: read.paused,
            failing_since,
            last_access,
            ends_with_account: false,
            created_at: read.created,
            synced_at: self.clock.now(),
        };
        if matches!(read.status, SubscriptionStatus::Other(_)) {
            tracing::warn!(subscription = row.id, status = row.status, "a status that this release doesn't know");
        }
        row.last_access = Standing::from(&row).allowed();
        Ok(row)
    }

    pub(super) async fn shown(&self, row: SubscriptionRow) -> Result<Subscription, BillingError> {
        let price = match &row.price_id {
            Some(price) => store::find_price(&self.db, price).await?,
            None => None,
        };
        let plan = price
            .as_ref()
            .and_then(|price| plan_of(self.entitled.plans(), price.plan.as_deref(), price.lookup_key.as_deref()));
        Ok(Subscription {
            access: Standing::from(&row).access(self.clock.now(), self.settings.patience()),
            plan: plan.map(|plan| plan.name.clone()),
            id: row.id,
            status: SubscriptionStatus::from(row.status),
            price_id: row.price_id,
            current_period_end: row.period_end,
            trial_end: row.trial_end,
            cancel_at_period_end: row.cancel_at_period_end,
            cancel_at: row.cancel_at,
            ended_at: row.ended_at,
            created_at: row.created_at,
            client_secret: None,
        })
    }
}

impl From<&SubscriptionRow> for Standing {
    fn from(row: &SubscriptionRow) -> Self {
        Self {
            status: SubscriptionStatus::from(row.status.clone()),
            period_end: row.period_end,
            cancel_at: row.cancel_at,
            cancel_at_period_end: row.cancel_at_period_end,
            ended_at: row.ended_at,
            is_void: row.paused.as_deref() == Some("void"),
            failing_since: row.failing_since,
            last_access: row.last_access,
        }
    }
}
