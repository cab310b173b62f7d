//! Sessions after signing in: renewing, proving, and signing out. Looking at sessions and ending
//! those elsewhere is `session_control`'s business.

use super::access_token::{Claims, Rejected};
use super::api_key;
use super::refresh_token::Presented;
use super::refresh_worth::Worth;
use super::session::{SessionState, Tokens};
use super::store;
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::{Caller, Origin};
use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::mail::{self, Mail, Recipient, Template};

impl Auth {
    /// Exchanges a refresh token for the next pair. Callers who present the same token at the
    /// same time, or again because the answer got lost, all get the same successor: within the
    /// grace period, and later as long as nobody has used the successor's access token. Any
    /// other second use ends the session, and only this one.
    ///
    /// # Errors
    /// [`AuthError::RefreshInvalid`], [`AuthError::RefreshExpired`], [`AuthError::RefreshReused`];
    /// [`AuthError::TooMany`] when this session was renewed too often in the last minute.
    pub async fn refresh(&self, token: &str, origin: Origin) -> Result<Tokens, AuthError> {
        let presented = self.0.refresh.verify(token).ok_or(AuthError::RefreshInvalid)?;
        let now = self.0.clock.now();
        self.0.refresh_limit.admit(presented, now).await.map_err(AuthError::too_many)?;
        let rotated = store::rotate_session(
            &self.0.db,
            presented.session,
            presented.generation,
            now,
            self.0.settings.session_idle_ttl,
        )
        .await?;
        match rotated {
            Some(rotated) => self.renewed_tokens(presented.session, &rotated, now).await,
            None => self.refresh_not_rotated(presented, now, origin).await,
        }
    }

    async fn refresh_not_rotated(
        &self,
        presented: Presented,
        now: Timestamp,
        origin: Origin,
    ) -> Result<Tokens, AuthError> {
        let session = presented.session;
        let row = store::find_session(&self.0.db, session).await?.ok_or(AuthError::RefreshInvalid)?;
        let caller = Caller::anonymous().from(origin);
        match Worth::of(presented, &row, now, self.0.settings.refresh_grace) {
            Worth::SessionExpired => Err(AuthError::RefreshExpired),
            Worth::Newer => {
                // Signed by us, yet newer than the database: a restored backup, or a leaked key.
                tracing::error!(%session, "a refresh token is newer than its session");
                let event =
                    Event::new(Action::TokenReuse).on(Subject::Session(session)).failed().reason("newer_than_session");
                audit::record_now(&self.0.db, now, &caller, event).await?;
                Err(AuthError::RefreshInvalid)
            }
            Worth::SameAgain => self.renewed_tokens(session, &row.into(), now).await,
            // The present one was refused a moment ago: whoever may sign in again since then tries again.
            Worth::SessionEnded | Worth::Overtaken | Worth::Renews => Err(AuthError::RefreshInvalid),
            Worth::Stolen => {
                let mut tx = self.0.db.begin().await?;
                store::revoke_session(&mut tx, session, "refresh_reuse", now).await?;
                let event = Event::new(Action::TokenReuse).on(Subject::User(row.user_id)).failed();
                audit::record(&mut tx, now, &caller, event.detail("session", session.to_string())).await?;
                mail::send(&mut tx, Mail::new(Recipient::User(row.user_id), Template::SessionRevoked, now)).await?;
                tx.commit().await?;
                self.0.sessions.forget(session).await;
                tracing::warn!(%session, user = %row.user_id, "a refresh token was used twice; its session was ended");
                Err(AuthError::RefreshReused)
            }
        }
    }

    /// Ends the session that either token belongs to. An access token may have expired; a token
    /// that is not ours ends nothing and is no error: the caller wanted to be signed out, and is.
    ///
    /// # Errors
    /// [`AuthError::Fault`] when the database can't be reached: then the session lives on.
    pub async fn logout(&self, refresh: Option<&str>, access: Option<&str>, origin: Origin) -> Result<(), AuthError> {
        let now = self.0.clock.now();
        let by_refresh = refresh.and_then(|token| self.0.refresh.verify(token)).map(|presented| presented.session);
        let by_access = match access {
            Some(token) => self.0.access.verify_expired_too(&*self.key_ring().await?, token, now).ok(),
            None => None,
        };
        let by_access = by_access.map(|claims| claims.sid);
        for session in [by_refresh, by_access.filter(|session| by_refresh != Some(*session))].into_iter().flatten() {
            self.end_session(session, "logout", now, &origin).await?;
        }
        Ok(())
    }

    /// The claims of an access token that is valid now.
    async fn claims_of(&self, token: &str) -> Result<Claims, AuthError> {
        let now = self.0.clock.now();
        let mut verified = self.0.access.verify(&*self.key_ring().await?, token, now).await;
        if verified == Err(Rejected::UnknownKey) {
            // Another server may have made the key a moment ago.
            verified = self.0.access.verify(&*self.key_ring_with_news().await?, token, now).await;
        }
        verified.map_err(|_| AuthError::Unauthenticated)
    }

    async fn end_session(
        &self,
        session: SessionId,
        reason: &str,
        now: Timestamp,
        origin: &Origin,
    ) -> Result<(), AuthError> {
        let mut tx = self.0.db.begin().await?;
        let Some(user) = store::revoke_session(&mut tx, session, reason, now).await? else { return Ok(()) };
        let caller = Caller::anonymous().from(origin.clone());
        let event = Event::new(Action::Logout).on(Subject::User(user)).detail("session", session.to_string());
        audit::record(&mut tx, now, &caller, event).await?;
        tx.commit().await?;
        self.0.sessions.forget(session).await;
        Ok(())
    }

    /// Who presents this access token. A token whose session was ended, or whose user may not
    /// sign in any more, is nobody's; roles are those of now, not those of when it was issued.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`]; [`AuthError::Fault`] if the session's state can't be known.
    pub async fn authenticate(&self, access_token: &str) -> Result<Caller, AuthError> {
        if access_token.starts_with(api_key::PREFIX) {
            return self.authenticate_api_key(access_token).await;
        }
        let claims = self.claims_of(access_token).await?;
        let look_up = || store::find_session_state(&self.0.db, claims.sid);
        let state = self.0.sessions.get(claims.sid, look_up).await?;
        self.caller_of(&claims, state).await
    }

    /// The same by what the database says now, whatever is remembered of the session: for what
    /// only administrators do, so that no demotion is felt late.
    ///
    /// # Errors
    /// As [`Auth::authenticate`].
    pub async fn authenticate_afresh(&self, access_token: &str) -> Result<Caller, AuthError> {
        if access_token.starts_with(api_key::PREFIX) {
            return self.authenticate_api_key(access_token).await;
        }
        let claims = self.claims_of(access_token).await?;
        let state = store::find_session_state(&self.0.db, claims.sid).await?;
        self.caller_of(&claims, state).await
    }

    async fn caller_of(&self, claims: &Claims, state: Option<SessionState>) -> Result<Caller, AuthError> {
        let accepted = state.filter(|state| state.accepts(claims.sub, claims.sv));
        let state = accepted.ok_or(AuthError::Unauthenticated)?;
        if state.acknowledged.advance_to(claims.generation)
            && let Err(fault) = store::acknowledge(&self.0.db, claims.sid, claims.generation).await
        {
            // The token is good all the same; the next look-up of the session tries again.
            tracing::warn!(cause = fault.chain(), "the use of a new token could not be noted");
        }
        let proof = state.proof(self.0.settings.second_factor.required_for);
        Ok(Caller::user(claims.sub, state.role, claims.sid, proof))
    }
}
