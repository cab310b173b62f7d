//! Proving oneself anew in a session that is older than what a sensitive change allows.

use super::signed_in;
use crate::audit::{self, Action, Event, Subject};
use crate::auth::password::Password;
use crate::auth::session::Tokens;
use crate::auth::store::Rotated;
use crate::auth::{Auth, AuthError, store};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::id::SessionId;

/// What somebody proves themselves by.
#[derive(Clone, Debug)]
pub enum StepUp {
    /// The password.
    Password(Password),
    /// A code of the authenticator app, or a recovery code.
    Code(String),
}

impl Auth {
    /// Makes the caller's session as good as a new one for sensitive changes. It goes on with
    /// new tokens. A password doesn't stand in for the second factor where that is asked for.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::WrongCode`], [`AuthError::TooMany`];
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn step_up(&self, caller: &Caller, proof: StepUp) -> Result<Tokens, AuthError> {
        let (user, session) = signed_in(caller)?;
        let now = self.0.clock.now();
        let (mut tx, second_factor_at) = match proof {
            StepUp::Password(password) => {
                self.confirm_password(caller, password, Action::StepUp).await?;
                (self.0.db.begin().await?, None)
            }
            StepUp::Code(code) => (self.prove_second_factor(caller, Some(&code), now).await?, Some(now)),
        };
        let renewed = store::renew_session(&mut tx, session, now, second_factor_at).await?;
        let renewed = renewed.ok_or(AuthError::Unauthenticated)?;
        audit::record(&mut tx, now, caller, Event::new(Action::StepUp).on(Subject::User(user))).await?;
        tx.commit().await?;
        self.0.sessions.forget(session).await;
        self.renewed_tokens(session, &renewed, now).await
    }

    /// New tokens for a session that was [renewed](store::renew_session), once that is committed.
    pub(in crate::auth) async fn renewed_tokens(
        &self,
        session: SessionId,
        renewed: &Rotated,
        now: Timestamp,
    ) -> Result<Tokens, AuthError> {
        let (user, version) = (renewed.user_id, renewed.session_version);
        let tokens = self.tokens(user, session, version, renewed.generation, now).await?;
        Ok(Tokens { refresh_ttl: renewed.absolute_expires_at.since(now), ..tokens })
    }
}
