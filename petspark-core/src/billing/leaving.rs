//! What becomes of a subscription when its person's account is to be erased: it ends with what is paid for, so that
//! nobody is charged who asked to go, and goes on if that is taken back.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::access::SubscriptionStatus;
use super::customers::Whose;
use super::remote::SubscriptionUpdate;
use super::{Billing, BillingError, in_job, store};
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{self, Handler, Job, NewJob};

const JOB: &str = "billing.follow_account";

/// Has somebody's subscription follow what becomes of their account in this transaction: deleted for a while, or
/// restored.
pub(crate) async fn follow_account(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    if store::has_live_subscription(tx, user).await? {
        jobs::enqueue(tx, now, NewJob::new(JOB, json!({ "user": user }))).await?;
    }
    Ok(())
}

impl Billing {
    /// Looks at the account as it is now: jobs of a deletion and its undoing may come in any order.
    pub(super) async fn follow_account(&self, user: UserId) -> Result<(), BillingError> {
        let leaves = !store::live_user(&self.db, user).await?;
        for row in store::subscriptions_of(&self.db, user).await? {
            let (id, status) = (row.id.clone(), SubscriptionStatus::from(row.status.clone()));
            // One that was never paid ends by itself within the day.
            let is_over = status.is_final() || status == SubscriptionStatus::Incomplete;
            let ends = match (leaves, row.cancel_at_period_end) {
                (true, false) if !is_over => true,
                // Who had ended it themselves finds it so.
                (false, true) if row.ends_with_account && !is_over => false,
                (leaves, _) => {
                    if row.ends_with_account && !leaves {
                        store::mark_leaving(&self.db, &id, false).await?;
                    }
                    continue;
                }
            };
            if ends {
                store::mark_leaving(&self.db, &id, true).await?;
            }
            match self.update(row, &SubscriptionUpdate::CancelAtPeriodEnd(ends)).await {
                Err(refused @ BillingError::Refused { .. }) => {
                    // It ended a moment ago; or Stripe won't have it, and somebody must look at that.
                    let now = self.read_subscription(&id).await?;
                    let follows = now.is_none_or(|row| {
                        row.cancel_at_period_end == ends || SubscriptionStatus::from(row.status).is_final()
                    });
                    if !follows {
                        return Err(refused);
                    }
                }
                updated => drop(updated?),
            }
            if !ends {
                store::mark_leaving(&self.db, &id, false).await?;
            }
        }
        Ok(())
    }
}

/// Has subscriptions follow accounts.
pub(crate) struct FollowAccount(pub(crate) Billing);

impl Handler for FollowAccount {
    fn kind(&self) -> &'static str {
        JOB
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Whose { user } = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            match self.0.is_configured() {
                true => in_job(self.0.follow_account(user).await),
                false => Ok(()),
            }
        })
    }
}
