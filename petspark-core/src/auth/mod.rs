//! Accounts: registering, signing in, sessions and their tokens, and what operators do with
//! users. Cookies and headers are the front door's business; what a pet is, is not known here.

mod access_token;
mod error;
mod hash_pool;
mod keys;
mod password;
mod refresh_token;
mod session;
pub(crate) mod store;
mod user;

pub use error::AuthError;
pub use password::Password;
pub use session::{Client, ClientKind, SignedIn, Tokens};
pub use user::{DisplayName, Email, Role, User, UserStatus};

use std::path::Path;
use std::sync::Arc;

use access_token::AccessTokens;
use hash_pool::HashPool;
use password::Verdict;
use refresh_token::{Presented, RefreshTokens};
use session::SessionStates;
use store::{NewSession, NewUserRow};

use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::AuthSettings;
use crate::database::{Database, Tx};
use crate::error::{Fault, FieldErrors};
use crate::id::{SessionId, UserId};
use crate::page::{Key, ListIdentity, Page, PageRequest, Start};
use crate::secret::Secret;

/// The accounts service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    settings: AuthSettings,
    access: AccessTokens,
    refresh: RefreshTokens,
    hashing: HashPool,
    sessions: SessionStates,
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

/// A user whom an operator makes.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// E-mail, password and name, by the same rules as for everybody.
    pub account: NewAccount,
    /// What they may do.
    pub role: Role,
    /// Whether the address is known to be theirs.
    pub email_verified: bool,
}

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only with this role.
    pub role: Option<Role>,
    /// Only with this status.
    pub status: Option<UserStatus>,
}

impl Auth {
    pub(crate) fn open(db: Database, clock: Clock, settings: AuthSettings, data_dir: &Path) -> Result<Self, Fault> {
        let secret = match &settings.jwt_secret {
            Some(secret) => secret.clone(),
            None => keys::stored_secret(data_dir).map_err(Fault::unavailable)?,
        };
        let access = AccessTokens::new(&secret, settings.access_token_ttl);
        access.self_test(clock.now())?;
        Ok(Self(Arc::new(Inner {
            refresh: RefreshTokens::new(&keys::refresh_key(&secret)?)?,
            hashing: HashPool::start(settings.hash_concurrency).map_err(Fault::internal)?,
            sessions: SessionStates::new(settings.session_cache_ttl),
            access,
            db,
            clock,
            settings,
        })))
    }

    /// Makes an account and signs it in.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with every invalid field, [`AuthError::EmailTaken`].
    pub async fn register(&self, account: NewAccount, client: Client) -> Result<SignedIn, AuthError> {
        let row = self.new_user_row(NewUser { account, role: Role::User, email_verified: false }).await?;
        let (user_id, now) = (row.id, row.created_at);
        let mut tx = self.0.db.begin().await?;
        if store::insert_users(&mut tx, std::slice::from_ref(&row)).await? == 0 {
            return Err(AuthError::EmailTaken);
        }
        let session = self.begin_session(&mut tx, user_id, now, &client).await?;
        tx.commit().await?;
        Ok(SignedIn { user: user_of(row, Some(now)), tokens: self.tokens(user_id, session, 0, 0, now)? })
    }

    /// Signs in with e-mail and password.
    ///
    /// # Errors
    /// [`AuthError::WrongCredentials`]; with the right password also [`AuthError::Suspended`].
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
        let session = self.begin_session(&mut tx, row.user.id, now, &client).await?;
        tx.commit().await?;
        row.user.last_seen_at = Some(now);
        let tokens = self.tokens(row.user.id, session, row.session_version, 0, now)?;
        Ok(SignedIn { user: row.user, tokens })
    }

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
            Some(row) => self.tokens(row.user_id, presented.session, row.session_version, row.generation, now),
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
            return self.tokens(row.user_id, presented.session, row.session_version, row.generation, now);
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
        let by_access =
            access.and_then(|token| self.0.access.verify_expired_too(token, now).ok()).map(|claims| claims.sid);
        for session in [by_refresh, by_access.filter(|session| by_refresh != Some(*session))].into_iter().flatten() {
            store::revoke_session(&self.0.db, session, "logout", now).await?;
            self.0.sessions.forget(session).await;
        }
        Ok(())
    }

    /// Who presents this access token. A token whose session was ended, or whose user may not
    /// sign in any more, is nobody's; roles are those of now, not those of when it was issued.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`]; [`AuthError::Fault`] if the session's state can't be known.
    pub async fn authenticate(&self, access_token: &str) -> Result<Caller, AuthError> {
        let claims = self.0.access.verify(access_token, self.0.clock.now()).map_err(|_| AuthError::Unauthenticated)?;
        let look_up = || store::find_session_state(&self.0.db, claims.sid);
        match self.0.sessions.get(claims.sid, look_up).await? {
            Some(state) if state.accepts(claims.sub, claims.sv) => Ok(Caller::user(claims.sub, state.role, claims.sid)),
            _ => Err(AuthError::Unauthenticated),
        }
    }

    /// The caller's own account.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn me(&self, caller: &Caller) -> Result<User, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        store::find_user(&self.0.db, id).await?.ok_or(AuthError::Unauthenticated)
    }

    /// Makes a user, without signing them in.
    ///
    /// # Errors
    /// As [`Auth::register`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn create_user(&self, caller: &Caller, user: NewUser) -> Result<User, AuthError> {
        require_admin(caller)?;
        let row = self.new_user_row(user).await?;
        let mut tx = self.0.db.begin().await?;
        if store::insert_users(&mut tx, std::slice::from_ref(&row)).await? == 0 {
            return Err(AuthError::EmailTaken);
        }
        tx.commit().await?;
        Ok(user_of(row, None))
    }

    /// One user, by id or e-mail.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn get_user(&self, caller: &Caller, id_or_email: &str) -> Result<User, AuthError> {
        require_admin(caller)?;
        let found = match (id_or_email.parse::<UserId>(), Email::parse(id_or_email)) {
            (Ok(id), _) => store::find_user(&self.0.db, id).await?,
            (_, Ok(email)) => store::find_login(&self.0.db, &email).await?.map(|row| row.user),
            _ => None,
        };
        found.ok_or(AuthError::UserNotFound)
    }

    /// Users, newest first.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a foreign cursor; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn list_users(
        &self,
        caller: &Caller,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<User>, AuthError> {
        require_admin(caller)?;
        let list = ListIdentity::new(&("users", filter));
        let after = match page.start() {
            Start::Cursor(cursor) => Some(Key::decode(cursor, &list)?),
            _ => None,
        };
        let rows = store::list_users(&self.0.db, filter.role, filter.status, page, after).await?;
        Ok(Page::of(page, rows, None, |user| Key { at: user.created_at, id: *user.id.as_bytes() }, &list))
    }

    /// How many users there are, deleted ones included.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn count_users(&self, caller: &Caller) -> Result<u64, AuthError> {
        require_admin(caller)?;
        Ok(store::count_users(&self.0.db).await?)
    }

    /// Gives a user another role and ends their sessions; says how many those were. Who has the
    /// role already stays signed in. The last
    /// active administrator keeps the role, unless `even_the_last_admin`.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::LastAdmin`]; [`AuthError::Forbidden`] unless an
    /// administrator asks.
    pub async fn set_role(
        &self,
        caller: &Caller,
        user: UserId,
        role: Role,
        even_the_last_admin: bool,
    ) -> Result<u64, AuthError> {
        let (tx, ended) = self.change_role(caller, user, role, even_the_last_admin).await?;
        let Some(ended) = ended else { return Ok(0) };
        tx.commit().await?;
        self.0.sessions.forget_all();
        tracing::info!(%user, %role, by = %caller, "role changed");
        Ok(ended)
    }

    /// What [`Auth::set_role`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::set_role`].
    pub async fn preview_role(
        &self,
        caller: &Caller,
        user: UserId,
        role: Role,
        even_the_last_admin: bool,
    ) -> Result<u64, AuthError> {
        Ok(self.change_role(caller, user, role, even_the_last_admin).await?.1.unwrap_or(0))
    }

    /// Changes the role in a transaction that is yet to be committed. `None` if they have it
    /// already: nothing to change, and so no reason to sign them out.
    async fn change_role(
        &self,
        caller: &Caller,
        user: UserId,
        role: Role,
        even_the_last_admin: bool,
    ) -> Result<(Tx, Option<u64>), AuthError> {
        require_admin(caller)?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        // Two administrators who demote each other at the same moment take turns here.
        tx.take_turns("administrators").await?;
        let current = store::find_role(&mut tx, user).await?.ok_or(AuthError::UserNotFound)?;
        if current == role {
            return Ok((tx, None));
        }
        if current == Role::Admin && !even_the_last_admin && !store::has_other_admin(&mut tx, user).await? {
            return Err(AuthError::LastAdmin);
        }
        if !store::set_role(&mut tx, user, role, now).await? {
            return Err(AuthError::UserNotFound);
        }
        let ended = store::revoke_sessions_of(&mut tx, user, "role_changed", now).await?;
        Ok((tx, Some(ended)))
    }

    /// Checks a new user and hashes their password. Nothing is stored.
    async fn new_user_row(&self, user: NewUser) -> Result<NewUserRow, AuthError> {
        let mut errors = FieldErrors::default();
        let email = errors.check("email", Email::parse(&user.account.email));
        let display_name = errors.check("displayName", DisplayName::parse(&user.account.display_name));
        errors.check("password", user.account.password.check_new());
        let (email, display_name) = errors.finish(email.zip(display_name)).map_err(AuthError::Invalid)?;
        let password_hash = password::hash(&self.0.hashing, user.account.password).await??;
        let now = self.0.clock.now();
        Ok(NewUserRow {
            id: UserId::new(),
            email,
            email_verified_at: user.email_verified.then_some(now),
            password_hash: Some(password_hash),
            display_name,
            role: user.role,
            created_at: now,
        })
    }

    /// Hashes a password without an account to it yet: for [seeding](crate::seed).
    pub(crate) async fn hash_password(&self, password: Password) -> Result<String, AuthError> {
        password.check_new().map_err(|problem| AuthError::Invalid(FieldErrors::one("password", problem)))?;
        Ok(password::hash(&self.0.hashing, password).await??)
    }

    async fn begin_session(
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
        store::insert_session(tx, &session).await?;
        store::touch_user(tx, user_id, now).await?;
        Ok(id)
    }

    fn tokens(
        &self,
        user: UserId,
        session: SessionId,
        session_version: i64,
        generation: i64,
        now: Timestamp,
    ) -> Result<Tokens, AuthError> {
        let access = self.0.access.issue(user, session, session_version, generation, now)?;
        Ok(Tokens {
            access: Secret::new(access),
            access_ttl: self.0.access.ttl(),
            refresh: Secret::new(self.0.refresh.issue(session, generation)),
        })
    }
}

fn require_admin(caller: &Caller) -> Result<(), AuthError> {
    if caller.has_role(Role::Admin) { Ok(()) } else { Err(AuthError::Forbidden) }
}

/// The user that a stored row is.
fn user_of(row: NewUserRow, last_seen_at: Option<Timestamp>) -> User {
    User {
        id: row.id,
        email: row.email.as_str().to_owned(),
        email_verified_at: row.email_verified_at,
        display_name: row.display_name.as_str().to_owned(),
        role: row.role,
        status: UserStatus::Active,
        created_at: row.created_at,
        updated_at: row.created_at,
        last_seen_at,
    }
}
