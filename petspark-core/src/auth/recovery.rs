//! Getting back in by a link in a mail, and proving an address by one. Who asks for a link learns
//! nothing about who has an account: the answer and the work are the same, and what differs is
//! done by a [job](RequestedLinks) after the answer.

use super::one_time_token::Purpose;
use super::password::Password;
use super::store;
use super::throttle::Bucket;
use super::user::Email;
use super::work::RequestedLinks;
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::{Fault, FieldErrors};
use crate::id::UserId;
use crate::jobs;
use crate::mail::{self, Mail, Recipient, Template};

impl Auth {
    /// Sends a link that sets a new password, if there is an account with this address.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what can't be an address, whoever has an account or not;
    /// [`AuthError::TooMany`].
    pub async fn forgot_password(&self, caller: &Caller, email: &str) -> Result<(), AuthError> {
        self.request_link(caller, email, Bucket::Forgot, Purpose::ResetPassword, Action::PasswordResetRequested).await
    }

    /// Sends the link that verifies an address anew, if there is an account that it is missing from.
    ///
    /// # Errors
    /// As [`Auth::forgot_password`].
    pub async fn resend_verification(&self, caller: &Caller, email: &str) -> Result<(), AuthError> {
        self.request_link(caller, email, Bucket::Resend, Purpose::VerifyEmail, Action::VerificationRequested).await
    }

    /// The same work for every address: one look-up, one job, one row of the audit log. The job
    /// for nobody finds nobody.
    async fn request_link(
        &self,
        caller: &Caller,
        email: &str,
        bucket: Bucket,
        purpose: Purpose,
        action: Action,
    ) -> Result<(), AuthError> {
        let email = Email::parse(email).map_err(|problem| AuthError::Invalid(FieldErrors::one("email", problem)))?;
        self.0.throttle.check(caller, bucket, email.as_str(), self.0.clock.now()).await?;
        let found = store::find_login(&self.0.db, &email).await?.map(|row| row.user.id);
        let user = found.unwrap_or_else(UserId::new);
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        jobs::enqueue(&mut tx, now, RequestedLinks::job(user, purpose)).await?;
        let mut event = Event::new(action);
        if found.is_some() {
            event = event.on(Subject::User(user));
        }
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the link and hands it to the mails, in one transaction.
    pub(super) async fn send_requested_link(&self, user: UserId, purpose: Purpose) -> Result<(), Fault> {
        let mut tx = self.0.db.begin().await?;
        let Some(user) = store::hold_user(&mut tx, user).await? else { return Ok(()) };
        match purpose {
            Purpose::VerifyEmail if user.email_verified_at.is_some() => return Ok(()),
            Purpose::VerifyEmail => self.send_verification(&mut tx, user.id, &user.email).await?,
            _ => self.send_reset(&mut tx, user.id, &user.email).await?,
        }
        tx.commit().await
    }

    /// Sends the link that verifies `email`. The caller holds the user, or has just made them.
    pub(super) async fn send_verification(&self, tx: &mut Tx, user: UserId, email: &str) -> Result<(), Fault> {
        let token = self.new_one_time_token(tx, Purpose::VerifyEmail, user, email, None).await?;
        mail::send(tx, Mail::new(Recipient::BoundEmail(token), Template::VerifyEmail, self.0.clock.now()).link(token))
            .await
    }

    /// Sends the link that sets a new password. The caller holds the user.
    pub(super) async fn send_reset(&self, tx: &mut Tx, user: UserId, email: &str) -> Result<(), Fault> {
        let token = self.new_one_time_token(tx, Purpose::ResetPassword, user, email, None).await?;
        mail::send(tx, Mail::new(Recipient::BoundEmail(token), Template::ResetPassword, self.0.clock.now()).link(token))
            .await
    }

    /// Sends the link that sets the first password. The caller holds the user, or has just made them.
    pub(super) async fn send_invite(&self, tx: &mut Tx, user: UserId, email: &str) -> Result<(), Fault> {
        let token = self.new_one_time_token(tx, Purpose::Invite, user, email, None).await?;
        mail::send(tx, Mail::new(Recipient::BoundEmail(token), Template::Invite, self.0.clock.now()).link(token)).await
    }

    /// Sets a new password by the link of a mail, and ends every session. Nobody is signed in by
    /// it, and a second factor stays. Whoever has the link has the mailbox, so the address counts
    /// as verified.
    ///
    /// # Errors
    /// [`AuthError::OneTimeTokenInvalid`]; [`AuthError::Invalid`] when the password can't be
    /// accepted, and the link can be used again then.
    pub async fn reset_password(&self, caller: &Caller, token: &str, password: Password) -> Result<(), AuthError> {
        let token = self.presented(caller, token, &[Purpose::ResetPassword, Purpose::Invite]).await?;
        let user = store::find_user(&self.0.db, token.user_id).await?.ok_or(AuthError::OneTimeTokenInvalid)?;
        let hash = self.hash_new_password("newPassword", password, &user.email, &user.display_name).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = self.consume(&mut tx, &token, now).await?;
        store::mark_verified(&mut tx, user.id, now).await?;
        let ended = self.replace_password(&mut tx, user.id, Some(&hash), now).await?;
        let event = Event::new(Action::PasswordChange).on(Subject::User(user.id));
        let event = event.detail("by", token.purpose.as_str()).detail("sessionsEnded", ended);
        audit::record(&mut tx, now, caller, event).await?;
        if token.purpose == Purpose::ResetPassword {
            mail::send(&mut tx, Mail::new(Recipient::User(user.id), Template::PasswordChanged, now)).await?;
        }
        // Last: rows of throttles are locked after those of users.
        self.0.throttle.forget(&mut tx, &user.email).await?;
        self.commit_ended(tx).await?;
        Ok(())
    }

    /// Sets or takes the password, ends every session, and lets every link die that leads in.
    /// Gives back how many sessions those were.
    pub(super) async fn replace_password(
        &self,
        tx: &mut Tx,
        user: UserId,
        hash: Option<&str>,
        now: Timestamp,
    ) -> Result<u64, Fault> {
        store::set_password(tx, user, hash, now).await?;
        store::outdate_access_tokens(tx, user).await?;
        store::discard_tokens(tx, user, &Purpose::LEADING_IN).await?;
        store::revoke_sessions_of(tx, user, "password_changed", now).await
    }

    /// Notes that an address is its user's, by the link that was sent there. Nobody is signed in.
    ///
    /// # Errors
    /// [`AuthError::OneTimeTokenInvalid`].
    pub async fn verify_email(&self, caller: &Caller, token: &str) -> Result<(), AuthError> {
        let token = self.presented(caller, token, &[Purpose::VerifyEmail]).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = self.consume(&mut tx, &token, now).await?;
        store::mark_verified(&mut tx, user.id, now).await?;
        audit::record(&mut tx, now, caller, Event::new(Action::EmailVerified).on(Subject::User(user.id))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Checks a new password by the one rule for all, and hashes it.
    pub(super) async fn hash_new_password(
        &self,
        field: &str,
        password: Password,
        email: &str,
        display_name: &str,
    ) -> Result<String, AuthError> {
        self.check_password_of(&password, email, display_name)
            .map_err(|problem| AuthError::Invalid(FieldErrors::one(field, problem)))?;
        Ok(super::password::hash(&self.0.hashing, password).await??)
    }
}
