//! What users and operators do with sessions that exist: look at them, and end them.

use std::net::IpAddr;

use super::permission::Permission;
use super::session::ClientKind;
use super::{ApiKey, Auth, AuthError, api_key, store};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::id::{SessionId, UserId};

/// A live session, as its user may see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SessionInfo {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last renewed.
    pub last_seen_at: Timestamp,
    /// When it ends unless it is renewed before.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub absolute_expires_at: Timestamp,
    /// When a second factor was given in it, if ever.
    pub second_factor_at: Option<Timestamp>,
    /// What kind of program.
    pub client: Option<ClientKind>,
    /// What the device calls itself.
    pub device_name: Option<String>,
    /// Its `User-Agent` when it began.
    pub user_agent: Option<String>,
    /// Where it began.
    pub ip: Option<String>,
}

/// What a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenHolder {
    /// Somebody's session, and whose it is; of a session that is gone that may not be known.
    Session(SessionId, Option<UserId>),
    /// Another service's key.
    ApiKey(Box<ApiKey>),
}

/// Which live sessions: those that all conditions hold for. Without any, every session.
#[derive(Clone, Debug, Default)]
pub struct SessionSelection {
    /// This one.
    pub id: Option<SessionId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Not this one.
    pub except: Option<SessionId>,
    /// Begun from this address.
    pub ip: Option<IpAddr>,
    /// Begun by this kind of program.
    pub client: Option<ClientKind>,
    /// Begun before.
    pub created_before: Option<Timestamp>,
}

/// Ends every session of a database that was restored: some were ended after the backup was made, and
/// would be alive again. Says how many.
pub(crate) async fn end_all_sessions(db: &Database, now: Timestamp) -> Result<u64, Fault> {
    store::revoke_all_sessions(db, "restored", now).await
}

/// Sessions ended in one transaction: a bound, so that no lock is held for long.
const BATCH: i64 = 1000;

impl Auth {
    /// The live sessions of a user, the one used last first.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless the user or an administrator asks.
    pub async fn list_sessions(&self, caller: &Caller, user: UserId) -> Result<Vec<SessionInfo>, AuthError> {
        if !caller.is(user) {
            caller.require(Permission::ReadUsers)?;
        }
        Ok(store::list_sessions(&self.0.db, user, self.0.clock.now()).await?)
    }

    /// Ends one of the caller's own sessions, the present one included.
    ///
    /// # Errors
    /// [`AuthError::SessionNotFound`] when it is over already, or isn't theirs.
    pub async fn revoke_own_session(&self, caller: &Caller, session: SessionId) -> Result<(), AuthError> {
        let user = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        let which = SessionSelection { id: Some(session), user: Some(user), ..SessionSelection::default() };
        match self.revoke(caller, &which, "revoked", None).await? {
            0 => Err(AuthError::SessionNotFound),
            _ => Ok(()),
        }
    }

    /// Ends all of the caller's sessions but the present one, and says how many those were.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn revoke_other_sessions(&self, caller: &Caller) -> Result<u64, AuthError> {
        let user = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        let which = SessionSelection { user: Some(user), except: caller.session_id(), ..SessionSelection::default() };
        self.revoke(caller, &which, "revoked", None).await
    }

    /// Ends the sessions that `which` means, whosever they are, and says how many those were. Many
    /// are ended in steps of a thousand; when it fails half-way, doing it again goes on.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn revoke_sessions(
        &self,
        caller: &Caller,
        which: &SessionSelection,
        why: Option<&str>,
    ) -> Result<u64, AuthError> {
        caller.require(Permission::ManageSessions)?;
        self.revoke(caller, which, "revoked_by_admin", why).await
    }

    /// How many sessions [`Auth::revoke_sessions`] would end now.
    ///
    /// # Errors
    /// As [`Auth::revoke_sessions`].
    pub async fn count_sessions(&self, caller: &Caller, which: &SessionSelection) -> Result<u64, AuthError> {
        caller.require(Permission::ReadUsers)?;
        Ok(store::count_sessions(&self.0.db, which, self.0.clock.now()).await?)
    }

    /// What a refresh token, an access token whose time may be over, or an API key belongs to: when somebody's
    /// token turns up where it shouldn't, for [`Auth::revoke_sessions`] and [`Auth::revoke_api_key`].
    ///
    /// # Errors
    /// [`AuthError::NoToken`] for what is no token of ours; [`AuthError::ApiKeyNotFound`];
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn holder_of_token(&self, caller: &Caller, token: &str) -> Result<TokenHolder, AuthError> {
        caller.require(Permission::ManageSessions)?;
        if let Some((id, _)) = api_key::parse(token) {
            let row = store::find_api_key(&self.0.db, id).await?.ok_or(AuthError::ApiKeyNotFound)?;
            return Ok(TokenHolder::ApiKey(Box::new(row.key)));
        }
        if let Some(presented) = self.0.refresh.verify(token) {
            let row = store::find_session(&self.0.db, presented.session).await?;
            return Ok(TokenHolder::Session(presented.session, row.map(|row| row.user_id)));
        }
        let ring = self.key_ring_with_news().await?;
        let claims = self.0.access.verify_expired_too(&ring, token, self.0.clock.now());
        claims.map(|claims| TokenHolder::Session(claims.sid, Some(claims.sub))).map_err(|_| AuthError::NoToken)
    }

    /// Commits what ended sessions or changed what they may do: this process sees it at once.
    pub(crate) async fn commit_ended(&self, tx: Tx) -> Result<(), Fault> {
        tx.commit().await?;
        self.0.sessions.forget_all();
        Ok(())
    }

    /// Ends them without asking who may.
    pub(super) async fn revoke(
        &self,
        caller: &Caller,
        which: &SessionSelection,
        reason: &str,
        why: Option<&str>,
    ) -> Result<u64, AuthError> {
        let mut ended = 0;
        loop {
            let now = self.0.clock.now();
            let mut tx = self.0.db.begin().await?;
            let batch = store::revoke_selected(&mut tx, which, BATCH, reason, now).await?;
            if batch > 0 {
                let subject = which.id.map(Subject::Session).or(which.user.map(Subject::User));
                let event = Event::new(Action::SessionRevoked).on(subject).because(why).detail("count", batch);
                audit::record(&mut tx, now, caller, event).await?;
                self.commit_ended(tx).await?;
            }
            ended += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(ended);
            }
        }
    }
}
