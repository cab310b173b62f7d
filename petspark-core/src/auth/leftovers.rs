//! What accounts leave behind when its time is over, and removing it: every hour by jobs, and at
//! once for an operator. Old entries of the audit log are `audit`'s business.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::permission::Permission;
use super::throttle::Purge;
use super::{Auth, AuthError, store};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::database::Tx;
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// One-time tokens, with the addresses in them, are kept this long after they expired: until then
/// somebody may ask what became of a link.
const TOKENS_KEPT: Duration = DAY;
/// Sessions, with the addresses of their devices, are kept this long after the time at which they
/// would have ended in any case: for somebody who asks where their account was used.
const SESSIONS_KEPT: Duration = DAY.saturating_mul(30);

/// What was, or would be, removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    /// Tokens of links, a day after they expired.
    pub one_time_tokens: u64,
    /// Sign-ins that no second factor was given for in time.
    pub challenges: u64,
    /// Sessions, 30 days after they could have been used at the latest.
    pub sessions: u64,
    /// What was counted against guessing, once it can't refuse anybody any more.
    pub throttles: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    OneTimeToken,
    Challenge,
    Session,
    Throttle,
}

impl Kind {
    const ALL: [Self; 4] = [Self::OneTimeToken, Self::Challenge, Self::Session, Self::Throttle];
    /// Those that the throttles' own job doesn't see to.
    const HOURLY: [Self; 3] = [Self::OneTimeToken, Self::Challenge, Self::Session];
}

impl Leftovers {
    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::OneTimeToken => &mut self.one_time_tokens,
            Kind::Challenge => &mut self.challenges,
            Kind::Session => &mut self.sessions,
            Kind::Throttle => &mut self.throttles,
        }
    }
}

impl Auth {
    /// Removes what jobs would have removed within the hour, and says how much.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn remove_leftovers(&self, caller: &Caller) -> Result<Leftovers, AuthError> {
        caller.require(Permission::ManageUsers)?;
        let removed = self.remove_old(&Kind::ALL).await?;
        let event = Event::new(Action::LeftoversRemoved)
            .detail("oneTimeTokens", removed.one_time_tokens)
            .detail("challenges", removed.challenges)
            .detail("sessions", removed.sessions)
            .detail("throttles", removed.throttles);
        audit::record_now(&self.0.db, self.0.clock.now(), caller, event).await?;
        Ok(removed)
    }

    /// What [`Auth::remove_leftovers`] would remove: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::remove_leftovers`].
    pub async fn preview_leftovers(&self, caller: &Caller) -> Result<Leftovers, AuthError> {
        caller.require(Permission::ManageUsers)?;
        let (mut found, now) = (Leftovers::default(), self.0.clock.now());
        let mut tx = self.0.db.begin().await?;
        for kind in Kind::ALL {
            while let more @ 1.. = self.remove_some(&mut tx, kind, now).await? {
                *found.of(kind) += more;
            }
        }
        Ok(found)
    }

    /// In transactions of a few rows each, so that others get their turn in between.
    async fn remove_old(&self, kinds: &[Kind]) -> Result<Leftovers, Fault> {
        let mut removed = Leftovers::default();
        for kind in kinds {
            loop {
                let mut tx = self.0.db.begin().await?;
                let some = self.remove_some(&mut tx, *kind, self.0.clock.now()).await?;
                tx.commit().await?;
                if some == 0 {
                    break;
                }
                *removed.of(*kind) += some;
            }
        }
        Ok(removed)
    }

    async fn remove_some(&self, tx: &mut Tx, kind: Kind, now: Timestamp) -> Result<u64, Fault> {
        match kind {
            Kind::OneTimeToken => store::purge_tokens(tx, now.before(TOKENS_KEPT)).await,
            Kind::Challenge => store::purge_challenges(tx, now).await,
            Kind::Session => store::purge_sessions(tx, now.before(SESSIONS_KEPT)).await,
            Kind::Throttle => {
                let purge = Purge::new(self.0.db.clone(), self.0.clock.clone(), &self.0.settings.throttle);
                purge.remove_some(tx).await
            }
        }
    }
}

/// The hourly job.
pub(crate) struct ExpiredTokens(Auth);

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
            let removed = self.0.remove_old(&Kind::HOURLY).await?;
            tracing::debug!(?removed, "what accounts left behind was removed");
            Ok(())
        })
    }

    fn every(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }
}
