//! Changing the password while signed in, and giving it to confirm what is sensitive.

use super::one_time_token::Purpose;
use super::password::{self, Password, Verdict};
use super::session::Tokens;
use super::store;
use super::user::User;
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::mail::{self, Mail, Recipient, Template};

impl Auth {
    /// Changes the caller's password. Their other sessions end; their own goes on with the tokens
    /// given back, and with no others.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`]; [`AuthError::Invalid`] when the new one can't be accepted;
    /// [`AuthError::Unauthenticated`] unless a user is asking.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: Password,
        new: Password,
    ) -> Result<Tokens, AuthError> {
        let session = caller.session_id().ok_or(AuthError::Unauthenticated)?;
        let (user, password_hash) = self.confirm_password(caller, current, Action::PasswordChange).await?;
        let hash = self.hash_new_password("newPassword", new, &user.email, &user.display_name).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = store::hold_user(&mut tx, user.id).await?.ok_or(AuthError::Unauthenticated)?;
        if user.password_hash != password_hash {
            // Somebody was quicker, so what was given is no longer the password.
            return Err(AuthError::WrongPassword);
        }
        store::set_password(&mut tx, user.id, Some(&hash), now).await?;
        store::outdate_access_tokens(&mut tx, user.id).await?;
        store::discard_tokens(&mut tx, user.id, &Purpose::RESETTING).await?;
        let ended = store::revoke_other_sessions(&mut tx, user.id, session, "password_changed", now).await?;
        let renewed = store::renew_session(&mut tx, session, now, None).await?.ok_or(AuthError::Unauthenticated)?;
        let event = Event::new(Action::PasswordChange).on(Subject::User(user.id)).detail("sessionsEnded", ended);
        audit::record(&mut tx, now, caller, event).await?;
        mail::send(&mut tx, Mail::new(Recipient::User(user.id), Template::PasswordChanged, now)).await?;
        self.commit_ended(tx).await?;
        self.renewed_tokens(session, &renewed, now).await
    }

    /// The caller's account and their password's hash, if `password` is theirs: the proof that a
    /// sensitive change asks for. `action` is what was tried, if it isn't. Wrong ones count like
    /// those of signing in: a stolen session is no way to guess on.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::TooMany`]; [`AuthError::Unauthenticated`] unless a
    /// signed-in user is asking.
    pub(super) async fn confirm_password(
        &self,
        caller: &Caller,
        password: Password,
        action: Action,
    ) -> Result<(User, Option<String>), AuthError> {
        // An API key, too, may speak for a user; only a session is one.
        let id = caller.session_id().and_then(|_| caller.user_id()).ok_or(AuthError::Unauthenticated)?;
        let user = store::find_user(&self.0.db, id).await?.ok_or(AuthError::Unauthenticated)?;
        let hash = store::find_password_hash(&self.0.db, id).await?;
        self.0.throttle.admit(caller, &user.email, self.0.clock.now()).await?;
        // What nobody's password can be is wrong without being hashed.
        let is_wrong = password.is_too_long() || {
            let Ok(verdict) = password::verify(&self.0.hashing, password, hash.clone()).await else {
                self.0.throttle.undo(caller, &user.email, self.0.clock.now()).await?;
                return Err(AuthError::Busy);
            };
            verdict? == Verdict::Wrong
        };
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        if is_wrong {
            audit::record(&mut tx, now, caller, Event::new(action).on(Subject::User(id)).failed()).await?;
            self.0.throttle.failed(&mut tx, caller, now).await?;
        } else {
            self.0.throttle.succeeded(&mut tx, caller, &user.email, now).await?;
        }
        tx.commit().await?;
        if is_wrong { Err(AuthError::WrongPassword) } else { Ok((user, hash)) }
    }
}
