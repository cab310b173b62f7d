//! Customers: one at Stripe for each user who buys something, whoever asks at the same time and whatever
//! breaks in between.

use serde_json::json;

use super::jobs::FOLLOW_EMAIL;
use super::operation::{KEY_LIVES, Operation, Wanted};
use super::remote::RemoteError;
use super::{Billing, BillingError, store};
use crate::clock::Timestamp;
use crate::database::{Tx, violates_foreign_key};
use crate::error::Fault;
use crate::id::{OperationId, UserId};
use crate::jobs::{self, NewJob};

pub(super) const KIND: &str = "customer";

impl Billing {
    /// The customer that a user is at Stripe; made if there is none.
    pub(super) async fn customer(&self, user: UserId) -> Result<String, BillingError> {
        if let Some(id) = store::customer_of(&self.db, user).await? {
            return Ok(id);
        }
        let remote = self.remote().await?;
        let wanted = Wanted::new(Some(user), KIND, &user.to_string(), &json!({ "user": user }))?;
        if let Some(made) = self.lost_customer(user).await? {
            return Ok(made);
        }
        let mut operation = self.begin_wanted(&wanted).await?;
        if operation.done.is_some() {
            // Somebody was quicker; or the customer that this made is gone.
            if let Some(id) = store::customer_of(&self.db, user).await? {
                return Ok(id);
            }
            operation = self.begin_again(&wanted, operation.id).await?;
        }
        let mut answer = remote.create_customer(&operation.key, user).await;
        if let Err(RemoteError::Spent(_)) = answer {
            let since = self.clock.now().before(KEY_LIVES);
            if let Some(made) = self.look_for_customer(user, since).await? {
                return self.keep_customer(&operation, user, &made).await;
            }
            self.renew(&mut operation).await?;
            answer = remote.create_customer(&operation.key, user).await;
        }
        let made = self.answered(&operation, answer).await?;
        self.keep_customer(&operation, user, &made.id).await
    }

    async fn keep_customer(&self, operation: &Operation, user: UserId, id: &str) -> Result<String, BillingError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let is_new = match store::insert_customer(&mut tx, id, user, now).await {
            // Erased meanwhile: the sweep finds the operation, and with it the customer.
            Err(error) if violates_foreign_key(&error) => return Err(BillingError::NotFound("user")),
            result => result.map_err(Fault::from)?,
        };
        store::finish_operation(&mut tx, operation.id, id, now).await?;
        if is_new {
            follow_email(&mut tx, user, now).await?;
        }
        tx.commit().await?;
        let id = store::customer_of(&self.db, user).await?;
        let id = id.ok_or_else(|| Fault::unavailable("a customer was deleted while it was made"))?;
        if is_new && let Err(error) = self.push_email(user).await {
            // The job tries again.
            tracing::info!(customer = id, cause = error.cause(), "a new customer has no address yet");
        }
        Ok(id)
    }

    /// A customer that was asked for so long ago that Stripe has forgotten the key, and may have been made.
    async fn lost_customer(&self, user: UserId) -> Result<Option<String>, BillingError> {
        let Some(begun) = store::find_operation(&self.db, &format!("{KIND} {user}")).await? else { return Ok(None) };
        if begun.state != "pending" || self.clock.now().since(begun.created_at) < KEY_LIVES {
            return Ok(None);
        }
        let Some(id) = self.look_for_customer(user, begun.created_at).await? else { return Ok(None) };
        self.keep_customer(&Operation::open(&begun), user, &id).await.map(Some)
    }

    /// Looks through the customers made since about then for that of a user.
    pub(super) async fn look_for_customer(
        &self,
        user: UserId,
        since: Timestamp,
    ) -> Result<Option<String>, BillingError> {
        let remote = self.remote().await?;
        let since = since.before(std::time::Duration::from_secs(3600));
        let mut after = None;
        loop {
            let page = remote.customers(Some(since), after).await?;
            let found = page.items.into_iter().find(|customer| customer.user == Some(user) && !customer.deleted);
            match (found, page.next) {
                (Some(found), _) => return Ok(Some(found.id)),
                (None, None) => return Ok(None),
                (None, next) => after = next,
            }
        }
    }

    /// Whose a customer is; one that we made and don't know of is known afterwards. `None`: not ours.
    pub(super) async fn owner_of(&self, customer: &str) -> Result<Option<Option<UserId>>, BillingError> {
        if let Some(row) = store::customer_by_id(&self.db, customer).await? {
            return Ok(Some(row.user_id));
        }
        let made = match self.remote().await?.customer(customer).await {
            Err(error) if error.is_not_found() => return Ok(None),
            made => made?,
        };
        let Some(user) = made.user.filter(|_| !made.deleted) else { return Ok(None) };
        if !self.adopt_customer(&made.id, user).await? {
            return Ok(None);
        }
        Ok(store::customer_by_id(&self.db, customer).await?.map(|row| row.user_id))
    }

    /// Takes a customer in that was made for a user; says whether it could be.
    pub(super) async fn adopt_customer(&self, id: &str, user: UserId) -> Result<bool, BillingError> {
        if !store::live_user(&self.db, user).await? {
            return Ok(false);
        }
        let mut tx = self.db.begin().await?;
        let adopted = store::insert_customer(&mut tx, id, user, self.clock.now()).await;
        if adopted.as_ref().is_err_and(violates_foreign_key) {
            return Ok(false);
        }
        let adopted = adopted.map_err(Fault::from)?;
        follow_email(&mut tx, user, self.clock.now()).await?;
        tx.commit().await?;
        Ok(adopted)
    }

    /// Reads a customer anew: one that is deleted there is none here, and one that isn't is one again. The newest
    /// reading wins, so that none that was begun before a deletion undoes it.
    pub(super) async fn read_customer(&self, id: &str) -> Result<(), BillingError> {
        // Most of an account's may be others'.
        if store::customer_by_id(&self.db, id).await?.is_none() {
            return Ok(());
        }
        let remote = self.remote().await?;
        let turn = self.take_turn(id).await?;
        let gone = match remote.customer(id).await {
            Err(error) if error.is_not_found() => true,
            customer => customer?.deleted,
        };
        let mut tx = self.db.begin().await?;
        if !store::use_turn(&mut tx, id, turn).await? {
            return Ok(());
        }
        let changed = match gone {
            true => store::mark_customer_deleted(&mut tx, id, self.clock.now()).await?,
            false => store::unmark_customer(&mut tx, id).await?,
        };
        if let Some(Some(user)) = changed {
            self.entitled.forget_after(&mut tx, user);
        }
        Ok(tx.commit().await?)
    }

    /// Tells Stripe the address that a user has now, if it knows another.
    pub(super) async fn push_email(&self, user: UserId) -> Result<bool, BillingError> {
        let Some(customer) = store::customer_of(&self.db, user).await? else { return Ok(false) };
        let Some(email) = store::email_of(&self.db, user).await? else { return Ok(false) };
        let remote = self.remote().await?;
        let known = remote.customer(&customer).await?;
        if known.deleted || known.email.as_deref() == Some(&email) {
            return Ok(false);
        }
        let name = format!("{customer} {}", OperationId::new());
        let operation = self.begin(Some(user), "email", &name, &customer).await?;
        self.operate(&operation, remote.set_email(&operation.key, &customer, &email)).await?;
        self.end_operation(&operation, "done", Some(&customer)).await?;
        Ok(true)
    }
}

/// Has Stripe told of a user's new address once the transaction is committed.
pub(crate) async fn follow_email(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    if store::live_customers_of(tx, user).await?.is_empty() {
        return Ok(());
    }
    jobs::enqueue(tx, now, NewJob::new(FOLLOW_EMAIL, json!({ "user": user }))).await.map(drop)
}
