//! The second step of signing in. After the right password there is no session yet but a
//! challenge: five minutes and five attempts to give a code. Its token is derived from its id.

use std::time::Duration;

use super::Kind;
use crate::audit::{self, Action, Event, Subject};
use crate::auth::derived_token::TokenKind;
use crate::auth::session::{Client, SignedIn};
use crate::auth::user::UserStatus;
use crate::auth::{Auth, AuthError, store};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::id::{OneTimeTokenId, UserId};
use crate::mail::{self, Mail, Recipient, Template};
use crate::secret::Secret;

/// How long the code may take (auth.md 2.10).
const TTL: Duration = Duration::from_secs(5 * 60);
/// Wrong codes that kill a challenge (auth.md 2.6).
const ATTEMPTS: i64 = 5;

impl Auth {
    /// The token with which `user`, whose password was right, must go on; `None` if they have no
    /// second factor. Whoever calls this commits `tx`.
    pub(in crate::auth) async fn challenge_second_factor(
        &self,
        tx: &mut Tx,
        user: UserId,
        session_version: i64,
        now: Timestamp,
    ) -> Result<Option<Secret>, AuthError> {
        if store::find_totp(tx, user).await?.is_none_or(|row| row.confirmed_at.is_none()) {
            return Ok(None);
        }
        let id = OneTimeTokenId::random()?;
        store::insert_challenge(tx, id, user, session_version, now, now.after(TTL)).await?;
        Ok(Some(self.0.derived.issue(TokenKind::SecondFactor, id.as_bytes())))
    }

    /// Signs in who gave the right password before, with a code of their authenticator app or a
    /// recovery code.
    ///
    /// # Errors
    /// [`AuthError::WrongCode`]; [`AuthError::OneTimeTokenInvalid`] when the token is not ours, was
    /// used, has expired, or had five wrong codes: then it begins again with the password.
    /// [`AuthError::TooMany`] after many wrong codes.
    pub async fn verify_second_factor(
        &self,
        mfa_token: &str,
        code: &str,
        client: Client,
    ) -> Result<SignedIn, AuthError> {
        let caller = Caller::anonymous().from(client.origin.clone());
        let token = self.0.derived.verify(TokenKind::SecondFactor, mfa_token).ok_or(AuthError::OneTimeTokenInvalid)?;
        let challenge_id = OneTimeTokenId::from_bytes(token);
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let challenge = store::charge_challenge(&mut tx, challenge_id, now, ATTEMPTS).await?;
        let challenge = challenge.ok_or(AuthError::OneTimeTokenInvalid)?;
        let user_id = challenge.user_id;
        let row = store::find_login_by_id(&mut tx, user_id).await?;
        // A new password, a suspension: what ended all sessions meanwhile has ended this one too.
        let row = row.filter(|row| row.session_version == challenge.session_version);
        let mut row = row.ok_or(AuthError::OneTimeTokenInvalid)?;
        if row.user.status != UserStatus::Active {
            return Err(AuthError::Suspended);
        }
        let Some(kind) = self.use_code(&mut tx, user_id, code, now).await? else {
            return self.refuse_code(tx, &caller, user_id, now).await;
        };
        store::delete_challenge(&mut tx, challenge_id).await?;
        let session = self.begin_session(&mut tx, user_id, now, &client).await?;
        store::set_second_factor(&mut tx, session, now).await?;
        if kind == Kind::RecoveryCode {
            mail::send(&mut tx, Mail::new(Recipient::User(user_id), Template::RecoveryCodeUsed, now)).await?;
            audit::record(&mut tx, now, &caller, Event::new(Action::RecoveryCodeUsed).on(Subject::User(user_id)))
                .await?;
        }
        let event = Event::new(Action::LoginSuccess).on(Subject::User(user_id)).detail("second_factor", kind.as_str());
        audit::record(&mut tx, now, &caller, event).await?;
        self.0.throttle.succeeded(&mut tx, &caller, &row.user.email, now).await?;
        self.commit_session(tx, &client).await?;
        row.user.last_seen_at = Some(now);
        let tokens = self.tokens(user_id, session, row.session_version, 0, now).await?;
        Ok(SignedIn { user: row.user, tokens })
    }
}
