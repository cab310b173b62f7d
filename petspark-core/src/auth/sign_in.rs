//! Registering and signing in: the ways into a session. What becomes of sessions afterwards is
//! `sessions`' business.
//!
//! Who has no account here is answered like who mistypes a password: with the same words, after
//! the same work. Whether an account is suspended or not yet verified is told to nobody but who
//! knows its password.

use super::password::{self, Password, Verdict};
use super::session::{Client, SignedIn, Tokens};
use super::store::{self, LoginRow, NewSession};
use super::throttle::Bucket;
use super::user::{Email, Role, UserStatus};
use super::users::{NewUser, user_of};
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Tx, text_enum};
use crate::error::{Failure as _, Fault};
use crate::id::{SessionId, UserId};
use crate::mail::{self, Mail, Recipient, Template};
use crate::secret::Secret;

text_enum! {
    /// What a registration leads to.
    pub enum RegisterMode {
        /// A session at once. Tells whether an address has an account.
        Open = "open",
        /// A mail, whether the address has an account or not, and no session before it is verified.
        VerifyFirst = "verify_first",
    }
}

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

/// What came of a registration; see [`RegisterMode`].
#[derive(Clone, Debug)]
pub enum Registered {
    /// There is an account, and this is its first session.
    SignedIn(Box<SignedIn>),
    /// A mail says how it goes on.
    VerificationSent,
}

impl Auth {
    /// Makes an account. In the mode [`RegisterMode::Open`] it is signed in; in the other its
    /// address is to be verified first, and the answer is the same if there is one already.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with every invalid field, [`AuthError::EmailTaken`] in the open
    /// mode, [`AuthError::TooMany`].
    pub async fn register(&self, account: NewAccount, client: Client) -> Result<Registered, AuthError> {
        let checked = self.check_new_user(NewUser { account, role: Role::User, email_verified: false })?;
        let caller = client.caller();
        self.0.throttle.check(&caller, Bucket::Register, checked.email.as_str(), self.0.clock.now()).await?;
        let row = self.new_user_row(checked).await?;
        let (user_id, now) = (row.id, row.created_at);
        let mut tx = self.0.db.begin().await?;
        match self.insert_user(&mut tx, &row).await {
            Err(AuthError::EmailTaken) => {
                drop(tx);
                return self.register_again(&caller, &row.email, now).await;
            }
            inserted => inserted?,
        }
        let event = Event::new(Action::UserCreated).on(Subject::User(user_id));
        audit::record(&mut tx, now, &caller, event).await?;
        self.send_verification(&mut tx, user_id, row.email.as_str()).await?;
        if self.0.settings.register_mode == RegisterMode::VerifyFirst {
            tx.commit().await?;
            return Ok(Registered::VerificationSent);
        }
        let session = self.begin_session(&mut tx, user_id, now, &client).await?;
        self.commit_session(tx, &client).await?;
        let tokens = self.tokens(user_id, session, 0, 0, now).await?;
        Ok(Registered::SignedIn(Box::new(SignedIn { user: user_of(row, Some(now)), tokens })))
    }

    /// The address has an account. Its owner hears of it, and nothing changes: not even an account
    /// that was never verified, for whoever registers last needn't be the owner either.
    async fn register_again(&self, caller: &Caller, email: &Email, now: Timestamp) -> Result<Registered, AuthError> {
        let owner = store::find_login(&self.0.db, email).await?.map(|row| row.user.id);
        let mut tx = self.0.db.begin().await?;
        let event = Event::new(Action::UserCreated).on(owner.map(Subject::User)).failed();
        audit::record(&mut tx, now, caller, event.reason("the address is taken")).await?;
        if self.0.settings.register_mode == RegisterMode::Open {
            tx.commit().await?;
            return Err(AuthError::EmailTaken);
        }
        if let Some(owner) = owner {
            mail::send(&mut tx, Mail::new(Recipient::User(owner), Template::AlreadyRegistered, now)).await?;
        }
        tx.commit().await?;
        Ok(Registered::VerificationSent)
    }

    /// Signs in with e-mail and password.
    ///
    /// # Errors
    /// [`AuthError::WrongCredentials`]; with the right password also [`AuthError::Suspended`] and
    /// [`AuthError::NotVerified`], or [`AuthError::SecondFactorNeeded`], after which it goes on with
    /// [`Auth::verify_second_factor`]. [`AuthError::TooMany`] after too many failures,
    /// [`AuthError::Busy`] when more sign-ins arrive than the machine can check.
    pub async fn login(&self, email: &str, password: Password, client: Client) -> Result<SignedIn, AuthError> {
        if password.is_too_long() {
            return Err(AuthError::WrongCredentials);
        }
        if self.0.hashing.is_full() {
            return Err(AuthError::Busy);
        }
        let caller = client.caller();
        self.0.throttle.admit(&caller, email, self.0.clock.now()).await?;
        let (row, verdict) = match self.check_password(email, password).await {
            Err(AuthError::Busy) => {
                self.0.throttle.undo(&caller, email, self.0.clock.now()).await?;
                return Err(AuthError::Busy);
            }
            checked => checked?,
        };
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let user = row.as_ref().map(|row| Subject::User(row.user.id));
        let Some(mut row) = row.filter(|_| verdict != Verdict::Wrong) else {
            self.refused(&mut tx, &caller, user, "wrong credentials", now).await?;
            self.0.throttle.failed(&mut tx, &caller, now).await?;
            tx.commit().await?;
            return Err(AuthError::WrongCredentials);
        };
        if let Some(error) = self.obstacle(&mut tx, &mut row, now).await? {
            self.refused(&mut tx, &caller, user, error.code(), now).await?;
            self.0.throttle.succeeded(&mut tx, &caller, email, now).await?;
            tx.commit().await?;
            return Err(error);
        }
        if let (Verdict::RightAndRehashed(new), Some(old)) = (&verdict, &row.password_hash) {
            store::replace_password_hash(&mut tx, row.user.id, old, new).await?;
        }
        if let Some(mfa_token) = self.challenge_second_factor(&mut tx, row.user.id, row.session_version, now).await? {
            // Still counted: challenges are not to be had without end by who knows the password only.
            tx.commit().await?;
            return Err(AuthError::SecondFactorNeeded { mfa_token });
        }
        let session = self.begin_session(&mut tx, row.user.id, now, &client).await?;
        let event = Event::new(Action::LoginSuccess).on(Subject::User(row.user.id));
        audit::record(&mut tx, now, &caller, event).await?;
        // Last: rows of throttles are locked after those of users, here as everywhere.
        self.0.throttle.succeeded(&mut tx, &caller, email, now).await?;
        self.commit_session(tx, &client).await?;
        row.user.last_seen_at = Some(now);
        let tokens = self.tokens(row.user.id, session, row.session_version, 0, now).await?;
        Ok(SignedIn { user: row.user, tokens })
    }

    /// Whose e-mail this is, and whether the password is theirs. Nobody's takes as long.
    async fn check_password(&self, email: &str, password: Password) -> Result<(Option<LoginRow>, Verdict), AuthError> {
        let row = match Email::parse(email) {
            Ok(email) => store::find_login(&self.0.db, &email).await?,
            Err(_) => None,
        };
        let stored = row.as_ref().and_then(|row| row.password_hash.clone());
        let verdict = password::verify(&self.0.hashing, password, stored).await??;
        Ok((row, verdict))
    }

    /// Why this user can't sign in although they know the password. A suspension that is over
    /// ends here.
    async fn obstacle(&self, tx: &mut Tx, row: &mut LoginRow, now: Timestamp) -> Result<Option<AuthError>, Fault> {
        if row.user.status == UserStatus::Suspended && store::end_suspension(tx, row.user.id, now).await? {
            row.user.status = UserStatus::Active;
        }
        let verify_first = self.0.settings.register_mode == RegisterMode::VerifyFirst;
        Ok(match row.user.status {
            UserStatus::Active if verify_first && row.user.email_verified_at.is_none() => Some(AuthError::NotVerified),
            UserStatus::Active => None,
            UserStatus::Suspended | UserStatus::Banned => Some(AuthError::Suspended),
        })
    }

    /// Writes down a sign-in that is refused.
    async fn refused(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        user: Option<Subject>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        audit::record(tx, now, caller, Event::new(Action::LoginFail).on(user).failed().reason(reason)).await
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
