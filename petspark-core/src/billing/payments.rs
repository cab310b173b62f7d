//! Payments that are made once: the server decides what is to be paid, the client's browser pays it at
//! Stripe, and what came of it is asked of Stripe.

use serde::Serialize;

use super::money::{Currency, Money};
use super::operation::{KEY_LIVES, Operation, name_of};
use super::remote::{IntentParams, RemoteError, RemoteIntent};
use super::store::{ListedPrice, PaymentRow};
use super::{Billing, BillingError, store, user};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::idempotency::{IdempotencyKey, Once};

/// What somebody wants to buy.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// A price that is charged once.
    pub price_id: String,
    /// How many, from 1 to 1000.
    pub quantity: i64,
    /// What the client thinks that it costs, if it says; it must be right.
    pub amount: Option<i64>,
    /// In which currency it thinks so.
    pub currency: Option<String>,
}

/// A payment that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Stripe's id.
    pub id: String,
    /// What the payer's browser needs. Whoever knows it can pay.
    pub client_secret: Option<String>,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Which currency.
    pub currency: Currency,
    /// Stripe's word for where it is: `requires_payment_method`, `succeeded` and the like.
    pub status: String,
}

/// A payment as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Stripe's id.
    pub id: String,
    /// What it is for.
    pub price_id: Option<String>,
    /// How many.
    pub quantity: i64,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Which currency.
    pub currency: Currency,
    /// Stripe's word for where it is.
    pub status: String,
    /// What was paid back of it.
    pub refunded: i64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When the money came.
    pub paid_at: Option<Timestamp>,
}

const MAX_QUANTITY: i64 = 1000;

impl Billing {
    /// Begins a payment. A request with a `key` that the caller used in the last 24 hours gives the payment
    /// that was begun then, as it is now.
    ///
    /// # Errors
    /// [`BillingError::BadPrice`] for what isn't sold, and an amount that isn't its price;
    /// [`BillingError::Idempotency`].
    pub async fn create_intent(
        &self,
        caller: &Caller,
        new: &NewPayment,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Intent>, BillingError> {
        let (owner, remote) = (user(caller)?, self.remote().await?);
        let (price, money) = match self.due(new).await {
            Err(error @ BillingError::BadPrice(_)) => return Err(self.refuse(caller, "create_intent", error).await),
            due => due?,
        };
        let quantity = u32::try_from(new.quantity).map_err(Fault::internal)?;
        let customer = self.customer(owner).await?;
        let request = (&price.id, quantity, money);
        let mut operation = self.begin(Some(owner), "intent", &name_of(owner, key), &request).await?;
        if let Some(id) = &operation.done {
            let intent = remote.intent(id).await?;
            return Ok(Once { result: Intent::from(intent), replayed: true });
        }
        let price = price.id;
        let mut params = IntentParams { customer, money, price, quantity, operation: operation.id.to_string() };
        let made = self.ask_for_intent(&mut operation, &mut params).await?;
        let mut tx = self.db.begin().await?;
        let is_first = store::first_turn(&mut tx, &made.id, self.clock.now()).await?;
        if is_first {
            let row = PaymentRow {
                id: made.id.clone(),
                customer_id: params.customer,
                user_id: Some(owner),
                price_id: Some(params.price),
                quantity: i64::from(quantity),
                amount: made.money.amount,
                currency: made.money.currency.to_string(),
                status: made.status.clone(),
                refunded: 0,
                disputed: false,
                created_at: made.created,
                paid_at: made.paid,
                synced_at: self.clock.now(),
            };
            store::put_payment(&mut tx, &row).await?;
        }
        store::finish_operation(&mut tx, operation.id, &made.id, self.clock.now()).await?;
        tx.commit().await?;
        Ok(Once { result: Intent::from(made), replayed: false })
    }

    async fn ask_for_intent(
        &self,
        operation: &mut Operation,
        params: &mut IntentParams,
    ) -> Result<RemoteIntent, BillingError> {
        let remote = self.remote().await?;
        let mut answer = remote.create_intent(&operation.key, params).await;
        if let Err(RemoteError::Spent(_)) = answer {
            if let Some(made) = self.look_for_intent(params).await? {
                return Ok(made);
            }
            self.renew(operation).await?;
            params.operation = operation.id.to_string();
            answer = remote.create_intent(&operation.key, params).await;
        }
        self.answered(operation, answer).await
    }

    /// Looks through a customer's payments of the day for the one that this would have made.
    async fn look_for_intent(&self, params: &IntentParams) -> Result<Option<RemoteIntent>, BillingError> {
        let (remote, since, mut after) = (self.remote().await?, self.clock.now().before(KEY_LIVES), None);
        loop {
            let page = remote.intents(Some(&params.customer), since, after).await?;
            let found = page.items.into_iter().find(|one| one.operation.as_ref() == Some(&params.operation));
            match (found, page.next) {
                (None, Some(next)) => after = Some(next),
                (found, _) => return Ok(found),
            }
        }
    }

    /// What is to be paid for it.
    async fn due(&self, new: &NewPayment) -> Result<(ListedPrice, Money), BillingError> {
        let bad = |message: &str| BillingError::BadPrice(message.to_owned());
        let price = self.sold(&new.price_id).await?;
        if price.period.is_some() {
            return Err(bad("This price is for a subscription."));
        }
        let each = price.money()?.ok_or_else(|| bad("This price has no amount."))?;
        if !(1..=MAX_QUANTITY).contains(&new.quantity) {
            return Err(bad("The quantity must be from 1 to 1000."));
        }
        let quantity = u32::try_from(new.quantity).map_err(Fault::internal)?;
        let money = each.times(quantity).filter(|money| money.is_chargeable());
        let money = money.ok_or_else(|| bad("This amount can't be paid at once."))?;
        let other_currency = new.currency.as_deref().is_some_and(|text| text.parse() != Ok(money.currency));
        if new.amount.is_some_and(|amount| amount != money.amount) || other_currency {
            return Err(bad("This isn't the price."));
        }
        Ok((price, money))
    }

    /// What became of a payment of the caller's, by Stripe itself.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], [`BillingError::NotYours`].
    pub async fn confirm(&self, caller: &Caller, id: &str) -> Result<Payment, BillingError> {
        let owner = user(caller)?;
        self.remote().await?;
        let not_found = || BillingError::NotFound("payment");
        let is_id =
            id.starts_with("pi_") && id.len() < 100 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_id {
            return Err(not_found());
        }
        if let Some(row) = store::find_payment(&self.db, id).await?
            && row.user_id != Some(owner)
        {
            return Err(self.refuse(caller, "confirm", BillingError::NotYours("payment")).await);
        }
        let row = self.read_intent(id).await?.ok_or_else(not_found)?;
        if row.user_id != Some(owner) {
            return Err(self.refuse(caller, "confirm", BillingError::NotYours("payment")).await);
        }
        Payment::try_from(row).map_err(Into::into)
    }

    /// The caller's payments, the newest first, 100 at most.
    ///
    /// # Errors
    /// [`BillingError::Denied`] when no user is asking.
    pub async fn payments(&self, caller: &Caller) -> Result<Vec<Payment>, BillingError> {
        let rows = store::payments_of(&self.db, user(caller)?).await?;
        Ok(rows.into_iter().map(Payment::try_from).collect::<Result<_, _>>()?)
    }
}

impl From<RemoteIntent> for Intent {
    fn from(intent: RemoteIntent) -> Self {
        Self {
            id: intent.id,
            client_secret: intent.client_secret,
            amount: intent.money.amount,
            currency: intent.money.currency,
            status: intent.status,
        }
    }
}

impl TryFrom<PaymentRow> for Payment {
    type Error = Fault;

    fn try_from(row: PaymentRow) -> Result<Self, Fault> {
        Ok(Self {
            id: row.id,
            price_id: row.price_id,
            quantity: row.quantity,
            amount: row.amount,
            currency: row.currency.parse().map_err(Fault::internal)?,
            status: row.status,
            refunded: row.refunded,
            created_at: row.created_at,
            paid_at: row.paid_at,
        })
    }
}
