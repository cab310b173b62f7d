//! What accounts do later, in jobs: links that were asked for, and clearing away old ones.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::one_time_token::Purpose;
use super::{Auth, store};
use crate::error::Fault;
use crate::id::UserId;
use crate::jobs::{Handler, Job, NewJob};

/// Makes the links that somebody asked for, if there is somebody to get them.
pub(crate) struct RequestedLinks(Auth);

#[derive(Deserialize)]
struct Requested {
    user: UserId,
    purpose: Purpose,
}

impl RequestedLinks {
    const KIND: &'static str = "auth.send_link";

    pub(crate) fn new(auth: Auth) -> Self {
        Self(auth)
    }

    pub(super) fn job(user: UserId, purpose: Purpose) -> NewJob {
        NewJob::new(Self::KIND, json!({ "user": user, "purpose": purpose }))
    }
}

impl Handler for RequestedLinks {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Requested { user, purpose } = serde_json::from_value(job.payload.clone()).map_err(Fault::internal)?;
            self.0.send_requested_link(user, purpose).await
        })
    }
}

/// Removes one-time tokens, with the addresses in them, a day after they expired.
pub(crate) struct ExpiredTokens(Auth);

/// Until then somebody may ask what became of a link.
const KEPT: Duration = Duration::from_secs(24 * 3600);

impl Auth {
    async fn remove_expired_tokens(&self) -> Result<u64, Fault> {
        store::purge_tokens(&self.0.db, self.0.clock.now().before(KEPT)).await
    }
}

impl ExpiredTokens {
    pub(crate) fn new(auth: Auth) -> Self {
        Self(auth)
    }
}

impl Handler for ExpiredTokens {
    fn kind(&self) -> &'static str {
        "auth.remove_expired_tokens"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let removed = self.0.remove_expired_tokens().await?;
            tracing::debug!(removed, "expired one-time tokens were removed");
            Ok(())
        })
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use crate::testing::on_both;

    on_both! {
        async fn a_token_is_removed_a_day_after_it_expired(app: TestApp) {
            app.register("ada").await;
            let auth = app.petspark.auth();
            auth.forgot_password(&Caller::anonymous(), "ada@example.org").await.unwrap();
            app.run_jobs().await;
            assert_eq!(auth.remove_expired_tokens().await.unwrap(), 0);
            app.clock.advance(KEPT + Duration::from_secs(3600));
            assert_eq!(auth.remove_expired_tokens().await.unwrap(), 1, "the link for a password, which is valid for half an hour");
            app.clock.advance(KEPT);
            assert_eq!(auth.remove_expired_tokens().await.unwrap(), 1, "the one that verifies the address");
        }
    }
}
