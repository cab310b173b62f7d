//! The jobs that follow what happens to a person: each is about one thing, by its id, and does it at Stripe. What is
//! done stands in a file of its own; without keys nothing is, and the sweep finds it when there are some.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Billing, BillingError, in_job};
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{Handler, Job, Jobs};

/// Has Stripe told of a user's new address.
pub(super) const FOLLOW_EMAIL: &str = "billing.follow_email";
/// Has a user's subscription follow what becomes of their account.
pub(super) const FOLLOW_ACCOUNT: &str = "billing.follow_account";
/// Has Stripe forget a customer.
pub(super) const FORGET: &str = "billing.forget";

#[derive(Deserialize)]
struct Whose {
    user: UserId,
}

#[derive(Deserialize)]
struct Whom {
    customer: String,
}

/// A job about what its payload says.
struct Follow<P> {
    kind: &'static str,
    billing: Billing,
    act: fn(Billing, P) -> BoxFuture<'static, Result<(), BillingError>>,
}

impl<P: DeserializeOwned + Send + 'static> Handler for Follow<P> {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let about: P = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            match self.billing.is_configured() {
                true => in_job((self.act)(self.billing.clone(), about).await),
                false => Ok(()),
            }
        })
    }
}

/// Has these jobs done.
pub(crate) fn handle(billing: &Billing, jobs: &Jobs) {
    jobs.handle(Follow {
        kind: FOLLOW_EMAIL,
        billing: billing.clone(),
        act: |billing, Whose { user }| Box::pin(async move { billing.push_email(user).await.map(drop) }),
    });
    jobs.handle(Follow {
        kind: FOLLOW_ACCOUNT,
        billing: billing.clone(),
        act: |billing, Whose { user }| Box::pin(async move { billing.follow_account(user).await }),
    });
    jobs.handle(Follow {
        kind: FORGET,
        billing: billing.clone(),
        act: |billing, Whom { customer }| Box::pin(async move { billing.forget(&customer).await }),
    });
}
