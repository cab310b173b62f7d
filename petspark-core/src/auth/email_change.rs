//! Moving an account to another address: asked for with the password, confirmed from the new
//! mailbox, and undone from the old one.

use super::one_time_token::Purpose;
use super::password::Password;
use super::store::{self, HeldUser};
use super::user::{Email, UserStatus};
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::billing;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::{Fault, FieldErrors};
use crate::mail::{self, Mail, Recipient, Template};

impl Auth {
    /// Sends a link to the new address that makes it the caller's. If somebody has that address
    /// already the answer is the same, and it is they who get a mail.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::Invalid`]; [`AuthError::Unauthenticated`]
    /// unless a user is asking.
    pub async fn change_email(&self, caller: &Caller, new_email: &str, password: Password) -> Result<(), AuthError> {
        let (user, _) = self.confirm_password(caller, password, Action::EmailChangeRequested).await?;
        let invalid = |problem| AuthError::Invalid(FieldErrors::one("newEmail", problem));
        let new_email = Email::parse(new_email).map_err(invalid)?;
        if new_email.as_str() == user.email {
            return Err(invalid("is your address already"));
        }
        let now = self.0.clock.now();
        let owner = store::find_login(&self.0.db, &new_email).await?.map(|row| row.user.id);
        let mut tx = self.0.db.begin().await?;
        let user = store::hold_user(&mut tx, user.id).await?.ok_or(AuthError::Unauthenticated)?;
        match owner {
            Some(owner) => {
                mail::send(&mut tx, Mail::new(Recipient::User(owner), Template::AlreadyRegistered, now)).await?;
            }
            None => {
                let purpose = Purpose::ChangeEmail;
                let token = self.new_one_time_token(&mut tx, purpose, user.id, &user.email, Some(&new_email)).await?;
                mail::send(
                    &mut tx,
                    Mail::new(Recipient::NewEmail(token), Template::ConfirmEmailChange, now).link(token),
                )
                .await?;
            }
        }
        audit::record(&mut tx, now, caller, Event::new(Action::EmailChangeRequested).on(Subject::User(user.id)))
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Moves the account to the address that the link was sent to. The old address, if it was
    /// proven to be the user's, gets a link that undoes this, and is nobody else's until that
    /// expires.
    ///
    /// # Errors
    /// [`AuthError::OneTimeTokenInvalid`], also when somebody else has taken the address since.
    pub async fn confirm_email_change(&self, caller: &Caller, token: &str) -> Result<(), AuthError> {
        let token = self.presented(caller, token, &[Purpose::ChangeEmail]).await?;
        let new_email = token.new_email.as_deref().ok_or(AuthError::OneTimeTokenInvalid)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = self.consume(&mut tx, &token, now).await?;
        if user.status != UserStatus::Active || !self.move_account(&mut tx, &user, new_email, Some(now)).await? {
            return Err(AuthError::OneTimeTokenInvalid);
        }
        if user.email_verified_at.is_some() {
            self.send_undo(&mut tx, &user).await?;
        }
        audit::record(&mut tx, now, caller, Event::new(Action::EmailChanged).on(Subject::User(user.id))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Moves the account back to the address that the link was sent to, ends every session, and
    /// takes the password: whoever moved it knows that. A link for a new one is sent.
    ///
    /// # Errors
    /// [`AuthError::OneTimeTokenInvalid`].
    pub async fn undo_email_change(&self, caller: &Caller, token: &str) -> Result<(), AuthError> {
        let token = self.presented(caller, token, &[Purpose::UndoEmailChange]).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = self.consume(&mut tx, &token, now).await?;
        if !self.move_account(&mut tx, &user, &token.bound_email, Some(now)).await? {
            return Err(AuthError::OneTimeTokenInvalid);
        }
        // Of several moves the earliest undone counts: the later addresses may be the thief's.
        store::discard_undo_tokens(&mut tx, user.id, token.created_at).await?;
        let ended = self.replace_password(&mut tx, user.id, None, now).await?;
        self.send_reset(&mut tx, user.id, &token.bound_email).await?;
        let event = Event::new(Action::EmailChangeUndone).on(Subject::User(user.id)).detail("sessionsEnded", ended);
        audit::record(&mut tx, now, caller, event).await?;
        self.commit_ended(tx).await?;
        Ok(())
    }

    /// Gives a user another address, and lets every link die that was sent to the one before.
    /// Says whether the address was free; if not, the transaction can only be undone.
    pub(super) async fn move_account(
        &self,
        tx: &mut Tx,
        user: &HeldUser,
        email: &str,
        verified_at: Option<Timestamp>,
    ) -> Result<bool, Fault> {
        let now = self.0.clock.now();
        if !store::set_email(tx, user.id, email, verified_at, now).await? {
            return Ok(false);
        }
        store::discard_tokens(tx, user.id, &Purpose::LEADING_IN).await?;
        billing::follow_email(tx, user.id, now).await?;
        // Asked last: a change that frees an address reserves it in the same transaction.
        Ok(!store::is_reserved(tx, email, user.id, now).await?)
    }

    /// Sends the link that undoes a change to the address that was left.
    pub(super) async fn send_undo(&self, tx: &mut Tx, user: &HeldUser) -> Result<(), Fault> {
        let token = self.new_one_time_token(tx, Purpose::UndoEmailChange, user.id, &user.email, None).await?;
        mail::send(tx, Mail::new(Recipient::BoundEmail(token), Template::EmailChanged, self.0.clock.now()).link(token))
            .await
    }
}
