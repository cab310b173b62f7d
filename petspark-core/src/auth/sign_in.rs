//! Registering and signing in: the ways into a session. What becomes of sessions afterwards is
//! `sessions`' business.

use super::password::{self, Password, Verdict};
use super::session::{Client, SignedIn, Tokens};
use super::store::{self, NewSession};
use super::user::{Email, Role, UserStatus};
use super::users::{NewUser, user_of};
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::{SessionId, UserId};
use crate::secret::Secret;

/// Somebody who wants an account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Where they can be reached.
    pub email: String,
    /// What only they know.
    pub password: Password,
    /// What others see.
    pub display_name: String,
}

impl Auth {
    /// Makes an account and signs it in.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with every invalid field, [`AuthError::EmailTaken`].
    pub async fn register(&self, account: NewAccount, client: Client) -> Result<SignedIn, AuthError> {
        let row = self.new_user_row(NewUser { account, role: Role::User, email_verified: false }).await?;
        let (user_id, now) = (row.id, row.created_at);
        let mut tx = self.0.db.begin().await?;
        self.insert_user(&mut tx, &row).await?;
        self.send_verification(&mut tx, row.id, row.email.as_str()).await?;
        let session = self.begin_session(&mut tx, user_id, now, &client).await?;
        self.commit_session(tx, &client).await?;
        Ok(SignedIn { user: user_of(row, Some(now)), tokens: self.tokens(user_id, session, 0, 0, now).await? })
    }

    /// Signs in with e-mail and password.
    ///
    /// # Errors
    /// [`AuthError::WrongCredentials`]; with the right password also [`AuthError::Suspended`] and
    /// [`AuthError::SecondFactorNeeded`], after which it goes on with [`Auth::verify_second_factor`].
    /// [`AuthError::Busy`] when more sign-ins arrive than the machine can check.
    pub async fn login(&self, email: &str, password: Password, client: Client) -> Result<SignedIn, AuthError> {
        if password.is_too_long() {
            return Err(AuthError::WrongCredentials);
        }
        let row = match Email::parse(email) {
            Ok(email) => store::find_login(&self.0.db, &email).await?,
            Err(_) => None,
        };
        let stored = row.as_ref().and_then(|row| row.password_hash.clone());
        let verdict = password::verify(&self.0.hashing, password, stored.clone()).await??;
        let Some(mut row) = row.filter(|_| verdict != Verdict::Wrong) else {
            return Err(AuthError::WrongCredentials);
        };
        if row.user.status != UserStatus::Active {
            return Err(AuthError::Suspended);
        }
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        if let (Verdict::RightAndRehashed(new), Some(old)) = (&verdict, &stored) {
            store::replace_password_hash(&mut tx, row.user.id, old, new).await?;
        }
        if let Some(mfa_token) = self.challenge_second_factor(&mut tx, row.user.id, row.session_version, now).await? {
            tx.commit().await?;
            return Err(AuthError::SecondFactorNeeded { mfa_token });
        }
        let session = self.begin_session(&mut tx, row.user.id, now, &client).await?;
        self.commit_session(tx, &client).await?;
        row.user.last_seen_at = Some(now);
        let tokens = self.tokens(row.user.id, session, row.session_version, 0, now).await?;
        Ok(SignedIn { user: row.user, tokens })
    }

    pub(super) async fn begin_session(
        &self,
        tx: &mut Tx,
        user_id: UserId,
        now: Timestamp,
        client: &Client,
    ) -> Result<SessionId, Fault> {
        let id = SessionId::new();
        let settings = &self.0.settings;
        let session = NewSession {
            id,
            user_id,
            now,
            idle_ttl: settings.session_idle_ttl,
            absolute_ttl: settings.session_absolute_ttl,
            client,
        };
        // First the user's row: whoever signs in as them at the same moment waits here, so that
        // the sessions counted below are all there are.
        store::touch_user(tx, user_id, now).await?;
        store::insert_session(tx, &session).await?;
        if let Some(replaced) = self.replaced_by(client)
            && store::revoke_session(tx, replaced, "replaced", now).await?.is_some()
        {
            let caller = Caller::anonymous().from(client.origin.clone());
            let event = Event::new(Action::SessionRevoked).on(Subject::Session(replaced)).reason("replaced");
            audit::record(tx, now, &caller, event.detail("by", id.to_string())).await?;
        }
        store::revoke_surplus(tx, user_id, settings.max_sessions, now).await?;
        Ok(id)
    }

    /// Commits what [`Auth::begin_session`] is part of.
    pub(super) async fn commit_session(&self, tx: Tx, client: &Client) -> Result<(), Fault> {
        tx.commit().await?;
        if let Some(replaced) = self.replaced_by(client) {
            self.0.sessions.forget(replaced).await;
        }
        Ok(())
    }

    /// The session that the device had before. A token that isn't ours is none.
    fn replaced_by(&self, client: &Client) -> Option<SessionId> {
        let token = client.replaces.as_ref()?;
        self.0.refresh.verify(token.expose()).map(|presented| presented.session)
    }

    pub(super) async fn tokens(
        &self,
        user: UserId,
        session: SessionId,
        session_version: i64,
        generation: i64,
        now: Timestamp,
    ) -> Result<Tokens, AuthError> {
        let ring = self.key_ring().await?;
        let access = self.0.access.issue(&ring, user, session, session_version, generation, now)?;
        Ok(Tokens {
            access: Secret::new(access),
            access_ttl: self.0.access.ttl(),
            refresh: Secret::new(self.0.refresh.issue(session, generation)),
            refresh_ttl: self.0.settings.session_absolute_ttl,
        })
    }
}
