//! Second factors as others may see and remove them: somebody who lost phone and recovery codes
//! needs an administrator.

use crate::audit::{self, Action, Event, Subject};
use crate::auth::{Auth, AuthError, Permission, store};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::id::UserId;
use crate::mail::{self, Mail, Recipient, Template};

/// What somebody has besides their password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// Since when they have an authenticator app; `None` if they have none.
    pub totp_since: Option<Timestamp>,
    /// Recovery codes not yet used.
    pub recovery_codes_left: u32,
}

/// What a reset did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactorReset {
    /// Whether there was a second factor.
    pub removed: bool,
    /// Sessions that were ended.
    pub sessions_ended: u64,
}

impl Auth {
    /// The caller's second factors.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn my_factors(&self, caller: &Caller) -> Result<Factors, AuthError> {
        self.find_factors(caller.user_id().ok_or(AuthError::Unauthenticated)?).await
    }

    /// Somebody's second factors.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn factors(&self, caller: &Caller, user: UserId) -> Result<Factors, AuthError> {
        caller.require(Permission::ReadUsers)?;
        self.find_factors(user).await
    }

    async fn find_factors(&self, user: UserId) -> Result<Factors, AuthError> {
        Ok(Factors {
            totp_since: store::find_totp_since(&self.0.db, user).await?,
            recovery_codes_left: store::count_recovery_codes(&self.0.db, user).await?,
        })
    }

    /// Removes the second factor of somebody who lost it, and ends their sessions: their password
    /// alone signs them in again. `reason` is kept in the audit log.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn reset_second_factor(
        &self,
        caller: &Caller,
        user: UserId,
        reason: &str,
    ) -> Result<SecondFactorReset, AuthError> {
        let (tx, reset) = self.plan_reset(caller, user, reason).await?;
        if reset.removed {
            self.commit_ended(tx).await?;
        }
        Ok(reset)
    }

    /// What [`Auth::reset_second_factor`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::reset_second_factor`].
    pub async fn preview_reset_second_factor(
        &self,
        caller: &Caller,
        user: UserId,
        reason: &str,
    ) -> Result<SecondFactorReset, AuthError> {
        Ok(self.plan_reset(caller, user, reason).await?.1)
    }

    async fn plan_reset(
        &self,
        caller: &Caller,
        user: UserId,
        reason: &str,
    ) -> Result<(Tx, SecondFactorReset), AuthError> {
        caller.require(Permission::ManageStaff)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        store::find_standing(&mut tx, user).await?.ok_or(AuthError::UserNotFound)?;
        if !store::delete_second_factor(&mut tx, user).await? {
            return Ok((tx, SecondFactorReset { removed: false, sessions_ended: 0 }));
        }
        let sessions_ended = store::revoke_sessions_of(&mut tx, user, "second_factor_reset", now).await?;
        mail::send(&mut tx, Mail::new(Recipient::User(user), Template::SecondFactorRemoved, now)).await?;
        let event = Event::new(Action::SecondFactorReset)
            .on(Subject::User(user))
            .reason(reason)
            .detail("sessions_ended", sessions_ended);
        audit::record(&mut tx, now, caller, event).await?;
        Ok((tx, SecondFactorReset { removed: true, sessions_ended }))
    }
}
