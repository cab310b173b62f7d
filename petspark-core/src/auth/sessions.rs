//! Sessions after signing in: renewing, proving, ending them.

use super::access_token::{Claims, Rejected};
use super::refresh_token::Presented;
use super::session::Tokens;
use super::store;
use super::user::UserStatus;
use super::{Auth, AuthError};
use crate::caller::Caller;
use crate::clock::Timestamp;

impl Auth {
    /// Exchanges a refresh token for the next pair. Callers who present the same token at the
    /// same time, or again within the grace period because the answer got lost, all get the
    /// same successor. Any other second use ends the session.
    ///
    /// # Errors
    /// [`AuthError::RefreshInvalid`], [`AuthError::RefreshExpired`], [`AuthError::RefreshReused`].
    pub async fn refresh(&self, token: &str) -> Result<Tokens, AuthError> {
        let presented = self.0.refresh.verify(token).ok_or(AuthError::RefreshInvalid)?;
        let now = self.0.clock.now();
        let rotated = store::rotate_session(
            &self.0.db,
            presented.session,
            presented.generation,
            now,
            self.0.settings.session_idle_ttl,
        )
        .await?;
        match rotated {
            Some(row) => {
                let tokens =
                    self.tokens(row.user_id, presented.session, row.session_version, row.generation, now).await?;
                Ok(Tokens { refresh_ttl: row.absolute_expires_at.since(now), ..tokens })
            }
            None => self.refresh_not_rotated(presented, now).await,
        }
    }

    async fn refresh_not_rotated(&self, presented: Presented, now: Timestamp) -> Result<Tokens, AuthError> {
        let row = store::find_session(&self.0.db, presented.session).await?.ok_or(AuthError::RefreshInvalid)?;
        if row.revoked_at.is_some() || row.deleted || row.status != UserStatus::Active {
            return Err(AuthError::RefreshInvalid);
        }
        if row.idle_expires_at <= now || row.absolute_expires_at <= now {
            return Err(AuthError::RefreshExpired);
        }
        if row.generation < presented.generation {
            // Signed by us, yet newer than the database: a restored backup, or a leaked key.
            tracing::error!(session = %presented.session, "a refresh token is newer than its session");
            return Err(AuthError::RefreshInvalid);
        }
        let is_predecessor = row.generation == presented.generation + 1;
        if is_predecessor && now.since(row.rotated_at) <= self.0.settings.refresh_grace {
            let tokens = self.tokens(row.user_id, presented.session, row.session_version, row.generation, now).await?;
            return Ok(Tokens { refresh_ttl: row.absolute_expires_at.since(now), ..tokens });
        }
        store::revoke_session(&self.0.db, presented.session, "refresh_reuse", now).await?;
        self.0.sessions.forget(presented.session).await;
        tracing::warn!(session = %presented.session, user = %row.user_id, "a refresh token was used twice; its session was ended");
        Err(AuthError::RefreshReused)
    }

    /// Ends the session that either token belongs to. An access token may have expired; a token
    /// that is not ours ends nothing and is no error: the caller wanted to be signed out, and is.
    ///
    /// # Errors
    /// [`AuthError::Fault`] when the database can't be reached: then the session lives on.
    pub async fn logout(&self, refresh: Option<&str>, access: Option<&str>) -> Result<(), AuthError> {
        let now = self.0.clock.now();
        let by_refresh = refresh.and_then(|token| self.0.refresh.verify(token)).map(|presented| presented.session);
        let by_access = match access {
            Some(token) => self.0.access.verify_expired_too(&*self.key_ring().await?, token, now).ok(),
            None => None,
        };
        let by_access = by_access.map(|claims| claims.sid);
        for session in [by_refresh, by_access.filter(|session| by_refresh != Some(*session))].into_iter().flatten() {
            store::revoke_session(&self.0.db, session, "logout", now).await?;
            self.0.sessions.forget(session).await;
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

    /// Who presents this access token. A token whose session was ended, or whose user may not
    /// sign in any more, is nobody's; roles are those of now, not those of when it was issued.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`]; [`AuthError::Fault`] if the session's state can't be known.
    pub async fn authenticate(&self, access_token: &str) -> Result<Caller, AuthError> {
        let claims = self.claims_of(access_token).await?;
        let look_up = || store::find_session_state(&self.0.db, claims.sid);
        match self.0.sessions.get(claims.sid, look_up).await? {
            Some(state) if state.accepts(claims.sub, claims.sv) => {
                Ok(Caller::user(claims.sub, state.role, claims.sid, state.proof()))
            }
            _ => Err(AuthError::Unauthenticated),
        }
    }
}
