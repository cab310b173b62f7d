//! Accounts in numbers, for an operator who wonders whether something is going on.

use serde::Serialize;

use super::permission::Permission;
use super::{Auth, AuthError, store};
use crate::audit::{self, Action};
use crate::caller::Caller;
use crate::clock::DAY;

/// How many there are now, and how often something happened in the last 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuthStats {
    /// Users who aren't deleted.
    pub users: u64,
    /// Of them, those who never proved their address.
    pub unverified: u64,
    /// Of them, those who may not sign in: suspended or banned.
    pub locked: u64,
    /// Of them, active administrators.
    pub administrators: u64,
    /// Of them, those with an authenticator app.
    pub with_second_factor: u64,
    /// Sessions that could be used.
    pub sessions: u64,
    /// Accounts and addresses that are being counted against guessing.
    pub throttles: u64,
    /// Sign-ins that succeeded, in the last 24 hours.
    #[serde(rename = "logins_24h")]
    pub logins: u64,
    /// Sign-ins that were refused.
    #[serde(rename = "failed_logins_24h")]
    pub failed_logins: u64,
    /// Refusals because of too many attempts that were written down: the 1st, 10th, 100th of each.
    #[serde(rename = "throttled_logins_24h")]
    pub throttled_logins: u64,
    /// Refresh tokens that were used a second time: stolen, or a client with a defect.
    #[serde(rename = "token_reuses_24h")]
    pub token_reuses: u64,
}

impl Auth {
    /// Accounts in numbers.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn stats(&self, caller: &Caller) -> Result<AuthStats, AuthError> {
        caller.require(Permission::ReadUsers)?;
        caller.require(Permission::ReadAudit)?;
        let (db, now) = (&self.0.db, self.0.clock.now());
        let rows = store::count_accounts(db, now).await?;
        let lately = async |action| audit::count_since(db, action, now.before(DAY)).await;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(AuthStats {
            users: count(rows.users),
            unverified: count(rows.unverified),
            locked: count(rows.locked),
            administrators: count(rows.administrators),
            with_second_factor: count(rows.with_second_factor),
            sessions: count(rows.sessions),
            throttles: count(rows.throttles),
            logins: lately(Action::LoginSuccess).await?,
            failed_logins: lately(Action::LoginFail).await?,
            throttled_logins: lately(Action::LoginFailMax).await?,
            token_reuses: lately(Action::TokenReuse).await?,
        })
    }
}
