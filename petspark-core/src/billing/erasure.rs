//! What becomes of payments when a person is erased: their subscriptions end, Stripe forgets who they were,
//! and the records stay, without them, as the law wants.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{Billing, BillingError, in_job, store};
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{self, Handler, Job, NewJob};

const JOB: &str = "billing.forget";

/// Has Stripe forget somebody once the transaction, which erases them, is committed. By then no row says
/// any more whose customer it was.
pub(crate) async fn detach(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    for customer in store::live_customers_of(tx, user).await? {
        jobs::enqueue(tx, now, NewJob::new(JOB, json!({ "customer": customer }))).await?;
    }
    Ok(())
}

/// Ends what erased people subscribed to, and deletes the customers that they were.
pub(crate) struct Forget(pub(crate) Billing);

#[derive(Deserialize)]
struct Whom {
    customer: String,
}

impl Billing {
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
        let mut tx = self.db.begin().await?;
        store::mark_customer_deleted(&mut tx, customer, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

impl Handler for Forget {
    fn kind(&self) -> &'static str {
        JOB
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Whom { customer } = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            in_job(self.0.forget(&customer).await)
        })
    }
}
