//! What webhooks may leave undone, looked for every hour: events that never came, operations of which nobody
//! knows what became, and what is so old that it can go.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::operation::{KEY_LIVES, Operation};
use super::remote::RemoteError;
use super::store::OperationRow;
use super::{Billing, BillingError, customers, in_job, inbox, refunds, store};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::error::Fault;
use crate::id::{OperationId, UserId};
use crate::jobs::{self, Handler, Job};

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Events that Stripe could not deliver somewhere.
    pub undelivered: u64,
    /// Those of them that we didn't have.
    pub taken_in: u64,
    /// Operations of which it is known now what became.
    pub settled: u64,
}

/// Stripe tries to deliver an event for three days, and lists it for thirty.
const LOOK_BACK: Duration = DAY.saturating_mul(7);
/// An operation that takes longer has lost its answer.
const LOST_AFTER: Duration = Duration::from_secs(900);
/// Operations looked through at a time.
const BATCH: i64 = 200;
/// Events of longer ago aren't worth another attempt: the daily comparison has mended what they told.
const REVIVED_FOR: Duration = DAY.saturating_mul(30);
/// An event that waits longer has no job any more, or one that has failed for long.
const WAITS_TOO_LONG: Duration = Duration::from_secs(4 * 3600);
/// How long what is over is kept, for who looks for what happened.
const KEPT: Duration = DAY.saturating_mul(90);

impl Billing {
    /// Asks Stripe for events that didn't come, and settles what was left open.
    ///
    /// # Errors
    /// [`BillingError::NotConfigured`], [`BillingError::Unavailable`], [`BillingError::NotAdmin`].
    pub async fn sweep(&self, caller: &Caller) -> Result<Swept, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let remote = self.remote().await?;
        // First what ends charges: there may be very many events, or none that the key may read.
        let mut swept = Swept { settled: self.settle_operations().await?, ..Swept::default() };
        let (since, mut after) = (self.clock.now().before(LOOK_BACK), None);
        loop {
            let page = remote.undelivered_events(since, after).await?;
            for event in page.items.into_iter().filter(|event| event.livemode == remote.is_live()) {
                swept.undelivered += 1;
                swept.taken_in += u64::from(self.intake.take_in(event).await?);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(swept)
    }

    async fn settle_operations(&self) -> Result<u64, BillingError> {
        let now = self.clock.now();
        // Whatever else came of what Stripe has forgotten was told by events, and is found by the daily comparison.
        let mut settled = store::give_up_forgotten(&self.db, now.before(KEY_LIVES), self.idle(), now).await?;
        for kind in [customers::KIND, refunds::KIND] {
            let mut after = (Timestamp::from_micros(0), OperationId::from_bytes([0; 16]));
            loop {
                let batch = store::pending_operations(&self.db, kind, now.before(LOST_AFTER), after, BATCH).await?;
                let Some(last) = batch.last() else { break };
                after = (last.created_at, last.id);
                for operation in batch {
                    settled += u64::from(self.settle(&operation).await);
                }
            }
        }
        Ok(settled)
    }

    /// Finds out what became of an operation; says whether that is known now. One that can't be settled must
    /// not keep the others.
    async fn settle(&self, operation: &OperationRow) -> bool {
        let user = operation.idempotency_key.strip_prefix("customer ").and_then(|user| user.parse::<UserId>().ok());
        let settled = match user {
            Some(user) => self.settle_customer(operation, user).await.map(|()| true),
            None => self.settle_refund(operation).await,
        };
        settled.unwrap_or_else(|error| {
            let cause = error.into_fault().chain();
            tracing::warn!(operation = %operation.id, cause, "what became of it is still unknown");
            false
        })
    }

    /// Finds the customer whose making was never answered. Nobody's goes.
    async fn settle_customer(&self, operation: &OperationRow, user: UserId) -> Result<(), BillingError> {
        if operation.user_id.is_some() {
            return self.customer(user).await.map(drop);
        }
        let remote = self.remote().await?;
        let is_known = self.clock.now().since(operation.created_at) < KEY_LIVES;
        let again = match is_known {
            true => Some(remote.create_customer(&Operation::open(operation).key, user).await),
            false => None,
        };
        let made = match again {
            None | Some(Err(RemoteError::Spent(_))) => self.look_for_customer(user, operation.created_at).await?,
            Some(made) => Some(made?.id),
        };
        if let Some(made) = &made {
            remote.delete_customer(made).await?;
        }
        let now = self.clock.now();
        Ok(store::finish_operation_now(&self.db, operation.id, "done", made.as_deref(), now).await?)
    }

    /// Does what jobs were given up over, or died over: people who left, and whom Stripe may still charge.
    async fn go_on(&self) -> Result<(), Fault> {
        let mut after = UserId::from_bytes([0; 16]);
        loop {
            let leaving = store::accounts_to_follow(&self.db, after, BATCH).await?;
            let Some(last) = leaving.last() else { break };
            after = *last;
            for user in leaving {
                if let Err(error) = self.follow_account(user).await {
                    let cause = error.into_fault().chain();
                    tracing::error!(%user, cause, "a subscription doesn't follow its account");
                }
            }
        }
        for customer in store::customers_of_nobody(&self.db, 50).await? {
            if let Err(error) = self.forget(&customer).await {
                tracing::error!(
                    customer,
                    cause = error.into_fault().chain(),
                    "an erased person is still known to Stripe"
                );
            }
        }
        Ok(())
    }

    /// Has events processed that wait without a job, and those that were given up while Stripe was away, now
    /// that it answers.
    async fn revive(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let waiting = store::waiting_events(&self.db, now.before(WAITS_TOO_LONG), 500).await?;
        let mut tx = self.db.begin().await?;
        jobs::enqueue_all(&mut tx, now, waiting.iter().map(|event| inbox::process(event))).await?;
        tx.commit().await?;
        loop {
            let mut tx = self.db.begin().await?;
            let revived = store::revive_unavailable(&mut tx, now.before(REVIVED_FOR), BATCH).await?;
            if revived.is_empty() {
                return Ok(());
            }
            jobs::enqueue_all(&mut tx, now, revived.iter().map(|event| inbox::process(event))).await?;
            tx.commit().await?;
            tracing::info!(events = revived.len(), "events that were given up in an outage are processed after all");
        }
    }

    async fn purge(&self) -> Result<(), Fault> {
        let before = self.clock.now().before(KEPT);
        loop {
            // A few at a time, so that others get to write in between.
            let mut tx = self.db.begin().await?;
            let purged = store::purge_events(&mut tx, before).await?
                + store::purge_operations(&mut tx, before).await?
                + store::purge_turns(&mut tx, before).await?;
            tx.commit().await?;
            if purged == 0 {
                return Ok(());
            }
        }
    }
}

/// The job that does it, once an hour.
pub(crate) struct Sweep(pub(crate) Billing);

impl Handler for Sweep {
    fn kind(&self) -> &'static str {
        "billing.sweep"
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    /// Of a busy account, a week has many events.
    fn limit(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(billing) = self;
            billing.purge().await?;
            if !billing.is_configured() {
                return Ok(());
            }
            billing.go_on().await?;
            let swept = in_job(billing.sweep(&Caller::system()).await)?;
            // Stripe answers, so there is use in that.
            billing.revive().await?;
            if swept.taken_in + swept.settled > 0 {
                tracing::info!(events = swept.taken_in, operations = swept.settled, "found what webhooks didn't bring");
            }
            Ok(())
        })
    }
}
