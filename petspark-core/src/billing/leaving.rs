//! What becomes of a subscription when its person's account is to be erased: it ends with what is paid for, so that
//! nobody is charged who asked to go, and goes on if that is taken back.

use serde_json::json;

use super::jobs::FOLLOW_ACCOUNT;
use super::remote::SubscriptionUpdate;
use super::status::SubscriptionStatus;
use super::{Billing, BillingError, store};
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{self, NewJob};

/// Has somebody's subscription follow what becomes of their account in this transaction: deleted for a while, or
/// restored.
pub(crate) async fn follow_account(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    if store::has_live_subscription(tx, user).await? {
        jobs::enqueue(tx, now, NewJob::new(FOLLOW_ACCOUNT, json!({ "user": user }))).await?;
    }
    Ok(())
}

impl Billing {
    /// Looks at the account as it is now: jobs of a deletion and its undoing may come in any order.
    pub(super) async fn follow_account(&self, user: UserId) -> Result<(), BillingError> {
        let leaves = !store::live_user(&self.db, user).await?;
        for known in store::subscriptions_of(&self.db, user).await? {
            // One that was never paid ends by itself within the day.
            let is_over = |status: &str| {
                let status = SubscriptionStatus::from(status.to_owned());
                status.is_final() || status == SubscriptionStatus::Incomplete
            };
            if is_over(&known.status) {
                continue;
            }
            // The answer to an earlier attempt may be lost, and people end their subscriptions at Stripe, too.
            let Some(row) = self.read_subscription(&known.id).await?.filter(|row| !is_over(&row.status)) else {
                continue;
            };
            let id = row.id.clone();
            let ends = match (leaves, row.cancel_at_period_end) {
                (true, false) => true,
                // Who had ended it themselves finds it so.
                (false, true) if row.ends_with_account => false,
                (false, false) if row.ends_with_account => {
                    store::mark_leaving(&self.db, &id, false).await?;
                    continue;
                }
                _ => continue,
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
