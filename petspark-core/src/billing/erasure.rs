//! What becomes of payments when a person is erased: their subscriptions end, Stripe forgets who they were,
//! and the records stay, without them, as the law wants.

use serde_json::json;

use super::jobs::FORGET;
use super::{Billing, BillingError, store};
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{self, NewJob};

/// Has Stripe forget somebody once the transaction, which erases them, is committed. By then no row says
/// any more whose customer it was.
pub(crate) async fn detach(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    for customer in store::live_customers_of(tx, user).await? {
        jobs::enqueue(tx, now, NewJob::new(FORGET, json!({ "customer": customer }))).await?;
    }
    Ok(())
}

impl Billing {
    /// Ends what an erased person subscribed to, and deletes the customer that they were.
    pub(super) async fn forget(&self, customer: &str) -> Result<(), BillingError> {
        let remote = self.remote().await?;
        for id in store::live_subscription_ids(&self.db, customer).await? {
            match remote.cancel_subscription(&id).await {
                Err(error) if error.is_refusal() => {
                    tracing::info!(subscription = id, cause = %error, "was over already");
                }
                canceled => drop(canceled?),
            }
            self.read_subscription(&id).await?;
        }
        remote.delete_customer(customer).await?;
        self.read_customer(customer).await
    }
}
