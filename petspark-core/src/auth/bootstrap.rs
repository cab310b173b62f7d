//! The first administrator: made once, by an operator, and given a link instead of a password.

use super::one_time_token::Purpose;
use super::rescue::{Invitation, require_operator};
use super::user::{Role, User};
use super::users::user_of;
use super::{Auth, AuthError, store};
use crate::caller::Caller;
use crate::id::UserId;
use crate::secret::Secret;

impl Auth {
    /// Makes the first administrator, and the token of a link that sets their password. Of any
    /// number of callers one makes one.
    ///
    /// # Errors
    /// [`AuthError::AdminExists`] when there is an active administrator; [`AuthError::Invalid`],
    /// [`AuthError::EmailTaken`]; [`AuthError::Forbidden`] unless an operator asks.
    pub async fn bootstrap_admin(
        &self,
        caller: &Caller,
        email: &str,
        display_name: &str,
    ) -> Result<(User, Secret), AuthError> {
        require_operator(caller)?;
        let mut tx = self.0.db.begin().await?;
        tx.take_turns("administrators").await?;
        // Besides somebody who isn't there yet.
        if store::has_other_admin(&mut tx, UserId::new()).await? {
            return Err(AuthError::AdminExists);
        }
        let invitation =
            Invitation { email: email.to_owned(), display_name: display_name.to_owned(), role: Role::Admin };
        let row = self.insert_invited(&mut tx, caller, invitation).await?;
        let token = self.new_one_time_token(&mut tx, Purpose::Invite, row.id, row.email.as_str(), None).await?;
        tx.commit().await?;
        Ok((user_of(row, None), self.one_time_token(token)))
    }
}
