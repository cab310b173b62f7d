//! Beginning a subscription: one for each user, however often they click, in how many tabs, on which of the two
//! ways and under which keys. What they begin next has one operation (`next`), whatever it is: who wants another
//! price, or to pay on Stripe's page, waits until it is known what became of it. And before anything is begun,
//! pages that are open are closed, and what Stripe has is looked at.

use super::keeping::Turn;
use super::operation::{KEY_LIVES, Operation, Wanted, name_of};
use super::remote::{RemoteError, RemoteSubscription, SubscribeParams};
use super::status::SubscriptionStatus;
use super::store::{OperationRow, SubscriptionRow};
use super::{Billing, BillingError, NewSubscription, Subscription, store, user};
use crate::caller::Caller;
use crate::id::{OperationId, UserId};
use crate::idempotency::{IdempotencyError, IdempotencyKey, Once};

const KIND: &str = "subscribe";
/// What a client asks for under a key of its own. Stripe gets another, as two keys must not be two subscriptions.
pub(super) const ASKED: &str = "asked";

impl Billing {
    /// Begins a subscription. Unless there is a trial it is `incomplete` until its first payment is made with
    /// [`Subscription::client_secret`]. Who asks again before that gets the same one.
    ///
    /// # Errors
    /// [`BillingError::BadPrice`], [`BillingError::AlreadySubscribed`], [`BillingError::Idempotency`];
    /// [`BillingError::Conflict`] while another one is being begun.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        new: &NewSubscription,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Subscription>, BillingError> {
        let owner = user(caller)?;
        self.remote().await?;
        let price = self.recurring_price(caller, "subscribe", &new.price_id).await?;
        let Some(key) = key else { return self.begin_subscription(owner, &price, None).await };
        let name = format!("{KIND} {}", name_of(owner, Some(key)));
        let asked = self.begin(Some(owner), ASKED, &name, &price).await?;
        if let Some(id) = &asked.done {
            return Ok(Once { result: self.read_to_pay(id, &[]).await?, replayed: true });
        }
        let begun = self.begin_subscription(owner, &price, Some(&asked)).await;
        if let Err(BillingError::AlreadySubscribed | BillingError::Conflict(_) | BillingError::Refused { .. }) = begun {
            self.end_operation(&asked, "refused", None).await?;
        }
        begun
    }

    async fn begin_subscription(
        &self,
        owner: UserId,
        price: &str,
        asked: Option<&Operation>,
    ) -> Result<Once<Subscription>, BillingError> {
        let asked: Vec<OperationId> = asked.map(|asked| asked.id).into_iter().collect();
        let lost = store::pending_subscription(&self.db, owner, price).await?;
        let lost = lost.filter(|lost| self.clock.now().since(lost.created_at) < KEY_LIVES);
        let (operation, ever, customer) = match lost {
            // Whatever an event has told meanwhile of what came of it.
            Some(lost) => (Operation::open(&lost), nth(&lost), self.customer(owner).await?),
            None => {
                if let Some(unpaid) = self.unpaid_subscription(owner, price, &asked).await? {
                    return Ok(Once { result: unpaid, replayed: true });
                }
                let (ever, _) = self.require_none_yet(owner).await?;
                let customer = self.customer(owner).await?;
                let wanted = Wanted::new(Some(owner), KIND, "", &price)?.named(next(owner, ever)).about(price);
                (self.begin_next(&wanted).await?, ever, customer)
            }
        };
        if let Some(id) = &operation.done {
            return Ok(Once { result: self.read_to_pay(id, &asked).await?, replayed: true });
        }
        if let Some(made) = self.clear_the_way(owner, &customer, &operation).await? {
            let result = self.read_to_pay(&made, &[&[operation.id][..], &asked[..]].concat()).await?;
            return Ok(Once { result, replayed: false });
        }
        if let Some(unpaid) = self.unpaid_subscription(owner, price, &asked).await? {
            self.end_operation(&operation, "refused", None).await?;
            return Ok(Once { result: unpaid, replayed: true });
        }
        self.require_none_but(owner, &operation).await?;
        let result = self.ask_for_subscription(operation, customer, price, ever, &asked).await?;
        Ok(Once { result, replayed: false })
    }

    async fn ask_for_subscription(
        &self,
        mut operation: Operation,
        customer: String,
        price: &str,
        ever: i64,
        asked: &[OperationId],
    ) -> Result<Subscription, BillingError> {
        let remote = self.remote().await?;
        let mut params = SubscribeParams {
            customer,
            price: price.to_owned(),
            trial_days: self.trial(ever),
            automatic_tax: self.settings.automatic_tax,
            operation: operation.id.to_string(),
        };
        self.hold(&mut operation).await?;
        if let Some(id) = &operation.done {
            return self.read_to_pay(id, asked).await;
        }
        let mut answer = remote.subscribe(&operation.key, &params).await;
        if let Err(RemoteError::Spent(_)) = answer {
            let there = remote.subscriptions_of(&params.customer).await?;
            if let Some(made) = self.made_by(&there, &operation).await? {
                return self.read_to_pay(&made, &[&[operation.id][..], asked].concat()).await;
            }
            // Counts as asking anew, as `hold` does.
            self.renew(&mut operation).await?;
            params.operation = operation.id.to_string();
            answer = remote.subscribe(&operation.key, &params).await;
        }
        let made = self.answered(&operation, answer).await?;
        let secret = made.client_secret.clone();
        let kept = self.keep_subscription(made, Turn::First, &[&[operation.id][..], asked].concat()).await?;
        let (row, _) = kept.ok_or(BillingError::NotFound("user"))?;
        Ok(Subscription { client_secret: secret, ..self.shown(row).await? })
    }

    /// Begins what somebody is going to subscribe by, unless they are doing so otherwise.
    pub(super) async fn begin_next(&self, wanted: &Wanted) -> Result<Operation, BillingError> {
        match self.begin_wanted(wanted).await {
            // At another price, or on Stripe's page.
            Err(BillingError::Idempotency(IdempotencyError::Reused)) => {}
            begun => return begun,
        }
        let busy = || BillingError::Conflict("Another subscription is being begun. Please try again in a moment.");
        let other = store::find_operation(&self.db, wanted.name()).await?.ok_or_else(busy)?;
        match other.stripe_id {
            _ if other.state == "pending" && other.updated_at > self.idle() => Err(busy()),
            Some(id) if other.state == "done" && id.starts_with("sub_") => Err(BillingError::AlreadySubscribed),
            _ => match self.begin_again(wanted, other.id).await {
                Err(BillingError::Idempotency(IdempotencyError::Reused)) => Err(busy()),
                begun => begun,
            },
        }
    }

    /// Closes the pages on which a customer could subscribe, but for the one that this operation opened, and
    /// reads the subscriptions that Stripe has. Says which of these the operation made.
    pub(super) async fn clear_the_way(
        &self,
        owner: UserId,
        customer: &str,
        operation: &Operation,
    ) -> Result<Option<String>, BillingError> {
        let (remote, own) = (self.remote().await?, operation.id.to_string());
        for page in remote.open_checkouts(customer).await? {
            if !page.recurring || page.operation.as_ref() == Some(&own) {
                continue;
            }
            let name = format!("{} {}", page.id, OperationId::new());
            let closing = self.begin(Some(owner), "expire", &name, &page.id).await?;
            match self.operate(&closing, remote.expire_checkout(&closing.key, &page.id)).await {
                // Paid on, or over, since a moment ago; what came of it is among what is read next.
                Err(BillingError::Refused { .. }) => {}
                closed => drop(closed?),
            }
            self.end_operation(&closing, "done", Some(&page.id)).await?;
        }
        let there = remote.subscriptions_of(customer).await?;
        for other in there.iter().filter(|one| !one.status.is_final() && one.operation.as_ref() != Some(&own)) {
            self.read_subscription(&other.id).await?;
        }
        self.made_by(&there, operation).await
    }

    /// Which of these an operation made. One that has ended meanwhile ends the operation, too: what is wanted now
    /// is another.
    async fn made_by(
        &self,
        there: &[RemoteSubscription],
        operation: &Operation,
    ) -> Result<Option<String>, BillingError> {
        let own = operation.id.to_string();
        let Some(made) = there.iter().find(|one| one.operation.as_ref() == Some(&own)) else { return Ok(None) };
        if !made.status.is_final() {
            return Ok(Some(made.id.clone()));
        }
        self.read_subscription(&made.id).await?;
        self.end_operation(operation, "done", Some(&made.id)).await?;
        Err(BillingError::Conflict("The subscription that you began before has ended. Please begin another."))
    }

    /// One that somebody began for this price and hasn't paid yet: who left the page comes back to it.
    async fn unpaid_subscription(
        &self,
        owner: UserId,
        price: &str,
        asked: &[OperationId],
    ) -> Result<Option<Subscription>, BillingError> {
        let incomplete = SubscriptionStatus::Incomplete;
        let is_unpaid =
            |row: &SubscriptionRow| row.status == incomplete.as_str() && row.price_id.as_deref() == Some(price);
        let Some(begun) = store::subscriptions_of(&self.db, owner).await?.into_iter().find(is_unpaid) else {
            return Ok(None);
        };
        let read = self.read_to_pay(&begun.id, asked).await?;
        Ok((read.status == incomplete).then_some(read))
    }

    /// A subscription read anew, with what its payer's browser needs; what was asked for is thereby done.
    async fn read_to_pay(&self, id: &str, operations: &[OperationId]) -> Result<Subscription, BillingError> {
        let turn = self.take_turn(id).await?;
        let read = self.remote().await?.subscription(id).await?;
        let secret = read.client_secret.clone();
        let kept = self.keep_subscription(read, Turn::Number(turn), operations).await?;
        let (row, _) = kept.ok_or(BillingError::NotFound("subscription"))?;
        Ok(Subscription { client_secret: secret, ..self.shown(row).await? })
    }

    /// Lets those pass who have no subscription; says how many they had, and how long their first one costs
    /// nothing.
    pub(super) async fn require_none_yet(&self, owner: UserId) -> Result<(i64, Option<u32>), BillingError> {
        match store::count_subscriptions_of(&self.db, owner).await? {
            (ever, 0) => Ok((ever, self.trial(ever))),
            _ => Err(BillingError::AlreadySubscribed),
        }
    }

    /// The same for an operation that was begun and isn't of any use otherwise.
    pub(super) async fn require_none_but(&self, owner: UserId, operation: &Operation) -> Result<(), BillingError> {
        let none_yet = self.require_none_yet(owner).await;
        if none_yet.is_err() {
            self.end_operation(operation, "refused", None).await?;
        }
        none_yet.map(drop)
    }

    fn trial(&self, ever: i64) -> Option<u32> {
        Some(self.settings.trial_days).filter(|days| ever == 0 && *days > 0)
    }
}

/// What somebody's next subscription is begun as, on whichever way: that comes after so many.
pub(super) fn next(owner: UserId, ever: i64) -> String {
    format!("{KIND} {owner} {ever}")
}

/// After how many it was.
fn nth(begun: &OperationRow) -> i64 {
    begun.idempotency_key.rsplit_once(' ').and_then(|(_, ever)| ever.parse().ok()).unwrap_or(1)
}
