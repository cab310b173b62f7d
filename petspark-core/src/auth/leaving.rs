//! What `people` needs of accounts when somebody leaves.

use super::{Auth, AuthError, Password, store};
use crate::audit::Action;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UserId;

impl Auth {
    /// Lets pass who deletes their account when `password` is theirs.
    pub(crate) async fn require_password(&self, caller: &Caller, password: Password) -> Result<(), AuthError> {
        self.confirm_password(caller, password, Action::UserDeleted).await.map(drop)
    }

    /// Lets pass when there is an active administrator besides this user. The caller has taken
    /// its turn among those who change administrators.
    pub(crate) async fn require_other_admin(&self, tx: &mut Tx, than: UserId) -> Result<(), AuthError> {
        if store::has_other_admin(tx, than).await? { Ok(()) } else { Err(AuthError::LastAdmin) }
    }

    /// Ends every session of a user in the caller's transaction, and says how many those were.
    pub(crate) async fn end_sessions_of(
        &self,
        tx: &mut Tx,
        user: UserId,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, Fault> {
        store::revoke_sessions_of(tx, user, reason, now).await
    }

    /// Forgets what was tried with this e-mail address. What is counted of a network alone is
    /// nobody's, and is purged after some hours.
    pub(crate) async fn forget_attempts(&self, tx: &mut Tx, email: &str) -> Result<(), Fault> {
        self.0.throttle.forget(tx, email).await.map(drop)
    }
}
