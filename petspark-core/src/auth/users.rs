//! Users as their administrators see them: making, finding, listing them, and their roles.

use super::password::{self, Password};
use super::password_policy::{self, Owner};
use super::permission::Permission;
use super::sign_in::NewAccount;
use super::standing::{UserChange, require_staff_manager};
use super::store::{self, NewUserRow};
use super::user::{DisplayName, Email, Role, User, UserStatus};
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::FieldErrors;
use crate::id::UserId;
use crate::page::{Key, Page, PageRequest};

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

/// A new user with nothing wrong about them.
pub(super) struct CheckedUser {
    pub(super) email: Email,
    password: Password,
    display_name: DisplayName,
    role: Role,
    email_verified: bool,
}

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only those whose e-mail address or name begins so; case doesn't matter.
    pub q: Option<String>,
    /// Only with this role.
    pub role: Option<Role>,
    /// Only with this status.
    pub status: Option<UserStatus>,
    /// Only those whose address is proven to be theirs, or only the others.
    pub verified: Option<bool>,
    /// Only those whose account was made after that.
    pub created_after: Option<Timestamp>,
}

/// A user and what administrators want to know of them.
#[derive(Clone, Debug)]
pub struct UserDetails {
    /// Who.
    pub user: User,
    /// When the suspension ends by itself.
    pub suspended_until: Option<Timestamp>,
    /// Why they are suspended or banned.
    pub status_reason: Option<String>,
    /// Whether they sign in with a second factor.
    pub second_factor: bool,
    /// How many sessions could be used now.
    pub sessions: u64,
    /// When they last signed in, in so far as the session is still remembered.
    pub last_login_at: Option<Timestamp>,
}

impl Auth {
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
        caller.require(Permission::ManageUsers)?;
        require_staff_manager(caller, user.role)?;
        let row = self.new_user_row(self.check_new_user(user)?).await?;
        let mut tx = self.0.db.begin().await?;
        self.insert_user(&mut tx, &row).await?;
        let event = Event::new(Action::UserCreated).on(Subject::User(row.id)).detail("role", row.role.as_str());
        audit::record(&mut tx, row.created_at, caller, event).await?;
        tx.commit().await?;
        Ok(user_of(row, None))
    }

    /// Stores a new user, if their address is free and nobody can take it back.
    pub(super) async fn insert_user(&self, tx: &mut Tx, row: &NewUserRow) -> Result<(), AuthError> {
        if store::insert_users(tx, std::slice::from_ref(row)).await? == 0 {
            return Err(AuthError::EmailTaken);
        }
        // Asked last: a change that frees an address reserves it in the same transaction.
        if store::is_reserved(tx, row.email.as_str(), row.id, row.created_at).await? {
            return Err(AuthError::EmailTaken);
        }
        Ok(())
    }

    /// One user, by id or e-mail.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn get_user(&self, caller: &Caller, id_or_email: &str) -> Result<User, AuthError> {
        caller.require(Permission::ReadUsers)?;
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
        caller.require(Permission::ReadUsers)?;
        let list = self.0.cursors.list(&("users", filter));
        let rows = store::list_users(&self.0.db, filter, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, |user| Key { at: user.created_at, id: user.id }, &list))
    }

    /// A user with what administrators want to know of them.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn user_details(&self, caller: &Caller, user: UserId) -> Result<UserDetails, AuthError> {
        caller.require(Permission::ReadUsers)?;
        let row = store::find_details(&self.0.db, user, self.0.clock.now()).await?.ok_or(AuthError::UserNotFound)?;
        Ok(UserDetails {
            user: row.standing.user,
            suspended_until: row.standing.suspended_until,
            status_reason: row.standing.status_reason,
            second_factor: row.second_factor,
            sessions: u64::try_from(row.sessions).unwrap_or(0),
            last_login_at: row.last_login_at,
        })
    }

    /// How many users there are, deleted ones included.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn count_users(&self, caller: &Caller) -> Result<u64, AuthError> {
        caller.require(Permission::ReadUsers)?;
        Ok(store::count_users(&self.0.db).await?)
    }

    /// Gives a user another role; says how many sessions ended. See [`Auth::change_user`].
    ///
    /// # Errors
    /// As [`Auth::change_user`].
    pub async fn set_role(
        &self,
        caller: &Caller,
        user: UserId,
        role: Role,
        even_the_last_admin: bool,
    ) -> Result<u64, AuthError> {
        let change = UserChange { role: Some(role), ..UserChange::default() };
        Ok(self.change_user(caller, user, &change, even_the_last_admin).await?.sessions_ended)
    }

    /// Checks a new user, cheaply. Nothing is stored.
    pub(super) fn check_new_user(&self, user: NewUser) -> Result<CheckedUser, AuthError> {
        let NewUser { account: NewAccount { email, password, display_name }, role, email_verified } = user;
        let mut errors = FieldErrors::default();
        errors.check("password", self.check_password_of(&password, &email, &display_name));
        let email = errors.check("email", Email::parse(&email));
        let display_name = errors.check("displayName", DisplayName::parse(&display_name));
        let (email, display_name) = errors.finish(email.zip(display_name)).map_err(AuthError::Invalid)?;
        Ok(CheckedUser { email, password, display_name, role, email_verified })
    }

    /// Hashes the password of a checked user. Nothing is stored.
    pub(super) async fn new_user_row(&self, user: CheckedUser) -> Result<NewUserRow, AuthError> {
        let password_hash = password::hash(&self.0.hashing, user.password).await??;
        let now = self.0.clock.now();
        Ok(NewUserRow {
            id: UserId::new(),
            email: user.email,
            email_verified_at: user.email_verified.then_some(now),
            password_hash: Some(password_hash),
            display_name: user.display_name,
            role: user.role,
            created_at: now,
        })
    }

    /// Whether this may become the password of whoever has this address and name; what is wrong,
    /// for a person. The one rule for every way to a new password.
    pub(super) fn check_password_of(&self, password: &Password, email: &str, display_name: &str) -> Result<(), String> {
        password_policy::check(password, Owner { email, display_name }, self.0.settings.password_min_chars)
    }

    /// Hashes a password without an account to it yet: for [seeding](crate::seed).
    pub(crate) async fn hash_password(&self, password: Password) -> Result<String, AuthError> {
        self.check_password_of(&password, "", "")
            .map_err(|problem| AuthError::Invalid(FieldErrors::one("password", problem)))?;
        Ok(password::hash(&self.0.hashing, password).await??)
    }
}

/// The user that a stored row is.
pub(super) fn user_of(row: NewUserRow, last_seen_at: Option<Timestamp>) -> User {
    User {
        id: row.id,
        email: row.email.as_str().to_owned(),
        email_verified_at: row.email_verified_at,
        display_name: row.display_name.as_str().to_owned(),
        avatar: None,
        role: row.role,
        status: UserStatus::Active,
        created_at: row.created_at,
        updated_at: row.created_at,
        last_seen_at,
    }
}
