//! What accounts do later, in jobs: making the links that were asked for.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::Auth;
use super::one_time_token::Purpose;
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
