//! Tokens that work once: what for, for how long, and the one way to use one up. The token
//! itself is an id and an HMAC ([`DerivedTokens`](super::derived_token)); its row says whether it
//! still counts. What using it does is decided by who asked for it.

use std::time::Duration;

use super::derived_token::TokenKind;
use super::store::{self, HeldUser, LiveToken, NewOneTimeToken};
use super::user::Email;
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::config::{Loader, Setting};
use crate::database::{Tx, text_enum};
use crate::error::Fault;
use crate::id::{OneTimeTokenId, UserId};
use crate::secret::Secret;

text_enum! {
    /// What a one-time token is good for.
    pub enum Purpose {
        /// Proves that an address is the user's.
        VerifyEmail = "verify_email",
        /// Sets a new password.
        ResetPassword = "reset_password",
        /// Sets the first password of a user whom somebody else made.
        Invite = "invite",
        /// Moves the account to the address that the link was sent to.
        ChangeEmail = "change_email",
        /// Moves the account back to the address that the link was sent to.
        UndoEmailChange = "undo_email_change",
    }
}

impl Purpose {
    /// Those that let somebody in, or move the account: all that a new password or a new address
    /// makes worthless. The way back from a change of address is none of them, since a thief can
    /// ask for links and passwords, too.
    pub(super) const LEADING_IN: [Self; 4] = [Self::VerifyEmail, Self::ResetPassword, Self::Invite, Self::ChangeEmail];
    /// Those that a new password alone makes worthless.
    pub(super) const RESETTING: [Self; 3] = [Self::ResetPassword, Self::Invite, Self::ChangeEmail];
}

/// How long one-time tokens are valid.
#[derive(Clone, Debug)]
pub struct OneTimeTokenSettings {
    /// A link that verifies an address.
    pub verify_ttl: Duration,
    /// A link that sets a new password.
    pub reset_ttl: Duration,
    /// A link that confirms a new address.
    pub email_change_ttl: Duration,
    /// A link to the old address that undoes the change.
    pub undo_ttl: Duration,
    /// A link that sets the first password of an invited user.
    pub invite_ttl: Duration,
}

impl OneTimeTokenSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let mut get =
            |key, seconds, about| from.get(Setting { key, env: None, default: Duration::from_secs(seconds), about });
        let settings = Self {
            verify_ttl: get(
                "auth.verify_ttl",
                24 * HOUR,
                "How long the link that verifies an e-mail address is valid.",
            ),
            reset_ttl: get("auth.reset_ttl", 30 * MINUTE, "How long the link that sets a new password is valid."),
            email_change_ttl: get(
                "auth.email_change_ttl",
                30 * MINUTE,
                "How long the link that confirms a new e-mail address is valid.",
            ),
            undo_ttl: get(
                "auth.email_undo_ttl",
                72 * HOUR,
                "How long the old e-mail address can take an account back, and stays reserved for that.",
            ),
            invite_ttl: get(
                "auth.invite_ttl",
                72 * HOUR,
                "How long the link that sets the first password of an invited user is valid.",
            ),
        };
        from.require_positive(&[
            ("auth.verify_ttl", settings.verify_ttl),
            ("auth.reset_ttl", settings.reset_ttl),
            ("auth.email_change_ttl", settings.email_change_ttl),
            ("auth.email_undo_ttl", settings.undo_ttl),
            ("auth.invite_ttl", settings.invite_ttl),
        ]);
        settings
    }

    fn ttl(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::VerifyEmail => self.verify_ttl,
            Purpose::ResetPassword => self.reset_ttl,
            Purpose::Invite => self.invite_ttl,
            Purpose::ChangeEmail => self.email_change_ttl,
            Purpose::UndoEmailChange => self.undo_ttl,
        }
    }
}

impl Auth {
    /// Makes a token for `user`, which dies when their address is no longer `bound_email`. It
    /// replaces the one of the same purpose before it. The caller [holds](store::hold_user) the
    /// user, or has just made them.
    pub(super) async fn new_one_time_token(
        &self,
        tx: &mut Tx,
        purpose: Purpose,
        user: UserId,
        bound_email: &str,
        new_email: Option<&Email>,
    ) -> Result<OneTimeTokenId, Fault> {
        let now = self.0.clock.now();
        let token = NewOneTimeToken {
            id: OneTimeTokenId::random()?,
            user_id: user,
            purpose,
            bound_email,
            new_email: new_email.map(Email::as_str),
            created_at: now,
            expires_at: now.after(self.0.settings.one_time_tokens.ttl(purpose)),
        };
        if purpose != Purpose::UndoEmailChange {
            store::discard_tokens(tx, user, &[purpose]).await?;
        }
        store::insert_token(tx, &token).await?;
        Ok(token.id)
    }

    /// The token of a row, as it goes into a link.
    pub(crate) fn one_time_token(&self, id: OneTimeTokenId) -> Secret {
        self.0.derived.issue(TokenKind::OneTime, id.as_bytes())
    }

    /// The row of a token for one of these purposes, if it could be used now. What isn't ours
    /// never gets as far as the database.
    pub(super) async fn presented(
        &self,
        caller: &Caller,
        token: &str,
        purposes: &[Purpose],
    ) -> Result<LiveToken, AuthError> {
        let id = self.0.derived.verify(TokenKind::OneTime, token).ok_or(AuthError::OneTimeTokenInvalid)?;
        let (id, now) = (OneTimeTokenId::from_bytes(id), self.0.clock.now());
        match store::find_live_token(&self.0.db, id, now).await? {
            Some(row) if purposes.contains(&row.purpose) => Ok(row),
            row => {
                let mut event = Event::new(Action::OneTimeTokenFail).failed();
                if let Some(row) = row {
                    event = event.on(Subject::User(row.user_id)).detail("purpose", row.purpose.as_str());
                }
                audit::record_now(&self.0.db, now, caller, event).await?;
                Err(AuthError::OneTimeTokenInvalid)
            }
        }
    }

    /// Uses a token up, in the transaction of what it is for, and holds its user until that ends.
    /// Of any number of callers with the same token one gets here; to the others it is invalid.
    pub(super) async fn consume(&self, tx: &mut Tx, token: &LiveToken, now: Timestamp) -> Result<HeldUser, AuthError> {
        // The user first, as everywhere: who takes rows in one order never waits in a circle.
        let user = store::hold_user(tx, token.user_id).await?.ok_or(AuthError::OneTimeTokenInvalid)?;
        if !store::consume_token(tx, token.id, token.purpose, now).await? {
            return Err(AuthError::OneTimeTokenInvalid);
        }
        Ok(user)
    }
}
