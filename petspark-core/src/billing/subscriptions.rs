//! Subscriptions: begun, changed and ended at Stripe, and written here as they are there.

use serde::Serialize;

use super::access::{Access, Standing, SubscriptionStatus};
use super::entitled::plan_of;
use super::operation::{Operation, name_of};
use super::remote::{RemoteItem, RemoteSubscription, SubscribeParams, SubscriptionUpdate};
use super::store::SubscriptionRow;
use super::{Billing, BillingError, store, user};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::{OperationId, UserId};
use crate::idempotency::{IdempotencyKey, Once};

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

/// Under which number a reading is written.
enum Turn {
    /// It was just made.
    First,
    Number(i64),
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

    /// Begins a subscription. Unless there is a trial it is `incomplete` until its first payment is made with
    /// [`Subscription::client_secret`]. Who asks again before that gets the same one.
    ///
    /// # Errors
    /// [`BillingError::BadPrice`], [`BillingError::AlreadySubscribed`], [`BillingError::Idempotency`].
    pub async fn subscribe(
        &self,
        caller: &Caller,
        new: &NewSubscription,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Subscription>, BillingError> {
        let (remote, owner) = (self.remote()?, user(caller)?);
        let price = self.recurring_price(caller, "subscribe", &new.price_id).await?;
        if let Some(key) = key
            && let Some(before) = self.subscribed_before(owner, key, &price).await?
        {
            return Ok(Once { result: before, replayed: true });
        }
        if let Some(unpaid) = self.unpaid_subscription(owner, &price).await? {
            return Ok(Once { result: unpaid, replayed: true });
        }
        let (ever, trial_days) = self.require_none_yet(owner).await?;
        let customer = self.customer(owner).await?;
        // Without a key of the client's, a second click is recognised by what it would be: their n-th.
        let name = match key {
            Some(key) => name_of(owner, Some(key)),
            None => format!("{owner} {price} {ever}"),
        };
        let operation = self.begin(Some(owner), "subscribe", &name, &price).await?;
        let params = SubscribeParams { customer, price, trial_days, automatic_tax: self.settings.automatic_tax };
        let made = self.operate(&operation, remote.subscribe(&operation.key, &params)).await?;
        let secret = made.client_secret.clone();
        let row = self.keep_subscription(made, Turn::First, Some(&operation)).await?;
        let row = row.ok_or(BillingError::NotFound("user"))?;
        let result = Subscription { client_secret: secret, ..self.shown(row).await? };
        Ok(Once { result, replayed: operation.done.is_some() })
    }

    /// The subscription that was begun under a key of the caller's.
    async fn subscribed_before(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        price: &String,
    ) -> Result<Option<Subscription>, BillingError> {
        let name = name_of(owner, Some(key));
        if store::find_operation(&self.db, &format!("subscribe {name}")).await?.is_none() {
            return Ok(None);
        }
        let operation = self.begin(Some(owner), "subscribe", &name, price).await?;
        let Some(id) = operation.done else { return Ok(None) };
        self.read_to_pay(&id).await.map(Some)
    }

    /// One that somebody began for this price and hasn't paid yet: who left the page comes back to it.
    async fn unpaid_subscription(&self, owner: UserId, price: &str) -> Result<Option<Subscription>, BillingError> {
        let incomplete = SubscriptionStatus::Incomplete;
        let is_unpaid =
            |row: &SubscriptionRow| row.status == incomplete.as_str() && row.price_id.as_deref() == Some(price);
        let Some(begun) = store::subscriptions_of(&self.db, owner).await?.into_iter().find(is_unpaid) else {
            return Ok(None);
        };
        let read = self.read_to_pay(&begun.id).await?;
        Ok((read.status == incomplete).then_some(read))
    }

    /// A subscription read anew, with what its payer's browser needs.
    async fn read_to_pay(&self, id: &str) -> Result<Subscription, BillingError> {
        let turn = store::take_turn(&self.db, id).await?;
        let read = self.remote()?.subscription(id).await?;
        let secret = read.client_secret.clone();
        let row = self.kept(self.keep_subscription(read, Turn::Number(turn), None).await?)?;
        Ok(Subscription { client_secret: secret, ..self.shown(row).await? })
    }

    /// Changes a subscription of the caller's.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`], [`BillingError::BadPrice`];
    /// [`BillingError::Conflict`] for one that is over; [`BillingError::Invalid`] when nothing is to change.
    pub async fn change_subscription(
        &self,
        caller: &Caller,
        id: &str,
        change: &SubscriptionChange,
    ) -> Result<Subscription, BillingError> {
        self.remote()?;
        let row = self.own_live_subscription(caller, "change_subscription", id).await?;
        let mut updates = Vec::new();
        if let Some(price) = &change.price_id {
            let price = self.recurring_price(caller, "change_subscription", price).await?;
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
        self.shown(row).await
    }

    /// Has a paused subscription of the caller's go on.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`]; [`BillingError::Conflict`] unless it is paused.
    pub async fn resume_subscription(&self, caller: &Caller, id: &str) -> Result<Subscription, BillingError> {
        let remote = self.remote()?;
        let row = self.own_live_subscription(caller, "resume_subscription", id).await?;
        let row = if row.status == SubscriptionStatus::Paused.as_str() {
            let name = format!("{id} {}", OperationId::new());
            let operation = self.begin(row.user_id, "resume", &name, &id).await?;
            let turn = store::take_turn(&self.db, id).await?;
            let read = self.operate(&operation, remote.resume_subscription(&operation.key, id)).await?;
            self.kept(self.keep_subscription(read, Turn::Number(turn), Some(&operation)).await?)?
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
        let remote = self.remote()?;
        let row = self.own_live_subscription(caller, "cancel_subscription", id).await?;
        // Ending what has ended changes nothing: it needs no key.
        let operation = self.begin(row.user_id, "cancel", &format!("{id} {}", OperationId::new()), &id).await?;
        let turn = store::take_turn(&self.db, id).await?;
        let read = self.operate(&operation, remote.cancel_subscription(id)).await?;
        let row = self.kept(self.keep_subscription(read, Turn::Number(turn), Some(&operation)).await?)?;
        self.shown(row).await
    }

    async fn update(&self, row: SubscriptionRow, update: &SubscriptionUpdate) -> Result<SubscriptionRow, BillingError> {
        let name = format!("{} {}", row.id, OperationId::new());
        let operation = self.begin(row.user_id, "update", &name, &format!("{update:?}")).await?;
        let turn = store::take_turn(&self.db, &row.id).await?;
        let call = self.remote()?.update_subscription(&operation.key, &row.id, update);
        let read = self.operate(&operation, call).await?;
        self.kept(self.keep_subscription(read, Turn::Number(turn), Some(&operation)).await?)
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

    async fn recurring_price(&self, caller: &Caller, tried: &str, id: &str) -> Result<String, BillingError> {
        let error = match self.sold(id).await {
            Ok(price) if price.period.is_some() => return Ok(price.id),
            Ok(_) => BillingError::BadPrice("This price is charged once.".to_owned()),
            Err(error @ BillingError::BadPrice(_)) => error,
            Err(error) => return Err(error),
        };
        Err(self.refuse(caller, tried, error).await)
    }

    /// Lets those pass who have no subscription; says how many they had, and how long their first one costs
    /// nothing.
    pub(super) async fn require_none_yet(&self, owner: UserId) -> Result<(i64, Option<u32>), BillingError> {
        match store::count_subscriptions_of(&self.db, owner).await? {
            (0, _) => Ok((0, Some(self.settings.trial_days).filter(|days| *days > 0))),
            (ever, 0) => Ok((ever, None)),
            _ => Err(BillingError::AlreadySubscribed),
        }
    }

    /// Reads a subscription anew. `None`: not one of ours.
    pub(super) async fn read_subscription(&self, id: &str) -> Result<Option<SubscriptionRow>, BillingError> {
        let turn = store::take_turn(&self.db, id).await?;
        match self.remote()?.subscription(id).await {
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
            read => self.keep_subscription(read?, Turn::Number(turn), None).await,
        }
    }

    /// Writes a reading down, unless a newer one is; with the operation that it comes of. Gives what is written
    /// then.
    async fn keep_subscription(
        &self,
        read: RemoteSubscription,
        turn: Turn,
        operation: Option<&Operation>,
    ) -> Result<Option<SubscriptionRow>, BillingError> {
        let Some(owner) = self.owner_of(&read.customer).await? else { return Ok(None) };
        for item in &read.items {
            self.know_price(&item.price.id).await?;
        }
        let before = store::find_subscription(&self.db, &read.id).await?;
        let row = self.row(read, owner, before.map_or(Access::None, |before| before.last_access)).await?;
        let mut tx = self.db.begin().await?;
        let is_newest = match turn {
            Turn::First => store::first_turn(&mut tx, &row.id).await?,
            Turn::Number(turn) => store::use_turn(&mut tx, &row.id, turn).await?,
        };
        if is_newest {
            store::put_subscription(&mut tx, &row).await?;
            if let Some(owner) = owner {
                self.entitled.forget_after(&mut tx, owner);
            }
        }
        if let Some(operation) = operation {
            store::finish_operation(&mut tx, operation.id, &row.id, self.clock.now()).await?;
        }
        tx.commit().await?;
        // Who read it later may not have written it yet: of one that was just made, ours will do meanwhile.
        Ok(Some(store::find_subscription(&self.db, &row.id).await?.unwrap_or(row)))
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
        let failing_since = chosen.filter(|_| read.status.is_failing()).map(|item| item.period_start);
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
            created_at: read.created,
            synced_at: self.clock.now(),
        };
        if matches!(read.status, SubscriptionStatus::Other(_)) {
            tracing::warn!(subscription = row.id, status = row.status, "a status that this release doesn't know");
        }
        row.last_access = Standing::from(&row).allowed();
        Ok(row)
    }

    async fn shown(&self, row: SubscriptionRow) -> Result<Subscription, BillingError> {
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
