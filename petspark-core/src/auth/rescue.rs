//! What operators do for somebody who can't help themselves: links, invitations, addresses, and,
//! as the last resort, passwords. The rules of what changes are those of the flows that users go
//! through themselves.

use super::one_time_token::Purpose;
use super::password::Password;
use super::permission::Permission;
use super::standing::require_staff_manager;
use super::store::{self, HeldUser, NewUserRow};
use super::user::{DisplayName, Email, Role, User};
use super::users::user_of;
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::database::Tx;
use crate::error::FieldErrors;
use crate::id::UserId;
use crate::mail::{self, Mail, Recipient, Template};
use crate::secret::Secret;

/// How a link gets to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By mail.
    Mail,
    /// The operator is given it, and passes it on.
    Return,
}

/// Somebody who is to have an account, and chooses the password themselves.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Where they can be reached.
    pub email: String,
    /// What others see.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
}

/// Another address for a user.
#[derive(Clone, Debug)]
pub struct NewEmail {
    /// The address.
    pub email: String,
    /// Whether it is known to be theirs. If not, it gets a link that verifies it.
    pub verified: bool,
    /// Whether the address before gets a link that undoes this. Not when somebody else reads
    /// its mail by now; links that it got earlier die then, too.
    pub undo: bool,
}

impl Auth {
    /// Makes a link that sets a new password. Given back if it isn't mailed.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks, and
    /// unless an operator asks to be given it.
    pub async fn send_reset_link(
        &self,
        caller: &Caller,
        user: UserId,
        delivery: Delivery,
    ) -> Result<Option<Secret>, AuthError> {
        let (mut tx, user) = self.hold_for(caller, user).await?;
        let link = self.deliver(&mut tx, caller, Purpose::ResetPassword, user.id, &user.email, delivery).await?;
        let event = Event::new(Action::PasswordResetRequested).on(Subject::User(user.id));
        audit::record(&mut tx, self.0.clock.now(), caller, event).await?;
        tx.commit().await?;
        Ok(link)
    }

    /// Makes a user without a password, and a link that sets the first one.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::EmailTaken`], [`AuthError::Forbidden`] as
    /// [`Auth::send_reset_link`].
    pub async fn invite(
        &self,
        caller: &Caller,
        invitation: Invitation,
        delivery: Delivery,
    ) -> Result<(User, Option<Secret>), AuthError> {
        let mut tx = self.0.db.begin().await?;
        let row = self.insert_invited(&mut tx, caller, invitation).await?;
        let link = self.deliver(&mut tx, caller, Purpose::Invite, row.id, row.email.as_str(), delivery).await?;
        tx.commit().await?;
        Ok((user_of(row, None), link))
    }

    /// Stores a user without a password, to be given a link.
    pub(super) async fn insert_invited(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        invitation: Invitation,
    ) -> Result<NewUserRow, AuthError> {
        caller.require(Permission::ManageUsers)?;
        require_staff_manager(caller, invitation.role)?;
        let mut errors = FieldErrors::default();
        let email = errors.check("email", Email::parse(&invitation.email));
        let display_name = errors.check("displayName", DisplayName::parse(&invitation.display_name));
        let (email, display_name) = errors.finish(email.zip(display_name)).map_err(AuthError::Invalid)?;
        let now = self.0.clock.now();
        let row = NewUserRow {
            id: UserId::new(),
            email,
            email_verified_at: None,
            password_hash: None,
            display_name,
            role: invitation.role,
            created_at: now,
        };
        self.insert_user(tx, &row).await?;
        let event = Event::new(Action::UserCreated).on(Subject::User(row.id)).detail("role", row.role.as_str());
        audit::record(tx, now, caller, event.detail("by", "invite")).await?;
        Ok(row)
    }

    /// Notes that the user's address is theirs. Says whether that was news.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn set_email_verified(&self, caller: &Caller, user: UserId) -> Result<bool, AuthError> {
        let (mut tx, user) = self.hold_for(caller, user).await?;
        if user.email_verified_at.is_some() {
            return Ok(false);
        }
        let now = self.0.clock.now();
        store::mark_verified(&mut tx, user.id, now).await?;
        store::discard_tokens(&mut tx, user.id, &[Purpose::VerifyEmail]).await?;
        audit::record(&mut tx, now, caller, Event::new(Action::EmailVerified).on(Subject::User(user.id))).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Gives a user another address, and lets every link die that was sent to the one before.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::EmailTaken`], [`AuthError::UserNotFound`];
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn set_email(&self, caller: &Caller, user: UserId, new: NewEmail) -> Result<(), AuthError> {
        caller.require(Permission::ManageStaff)?;
        let invalid = |problem| AuthError::Invalid(FieldErrors::one("email", problem));
        let email = Email::parse(&new.email).map_err(invalid)?;
        let (mut tx, user) = self.hold_for(caller, user).await?;
        let now = self.0.clock.now();
        if !self.move_account(&mut tx, &user, email.as_str(), new.verified.then_some(now)).await? {
            return Err(AuthError::EmailTaken);
        }
        if !new.undo {
            store::discard_tokens(&mut tx, user.id, &[Purpose::UndoEmailChange]).await?;
        } else if user.email_verified_at.is_some() && user.email != email.as_str() {
            self.send_undo(&mut tx, &user).await?;
        }
        if !new.verified {
            self.send_verification(&mut tx, user.id, email.as_str()).await?;
        }
        audit::record(&mut tx, now, caller, Event::new(Action::EmailChanged).on(Subject::User(user.id))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets a user's password and ends their sessions, unless those are to be kept. Says how many
    /// were ended. For when no link can get through: a password that two people know is none.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an
    /// operator asks, who has the database in their hands anyway: no administrator sets another's
    /// password (ASVS 5.0 6.4.6).
    pub async fn set_password(
        &self,
        caller: &Caller,
        user: UserId,
        password: Password,
        keep_sessions: bool,
    ) -> Result<u64, AuthError> {
        require_operator(caller)?;
        let user = store::find_user(&self.0.db, user).await?.ok_or(AuthError::UserNotFound)?;
        let hash = self.hash_new_password("password", password, &user.email, &user.display_name).await?;
        let (tx, ended) = self.replace_password_of(caller, user.id, Some(&hash), keep_sessions).await?;
        self.commit_ended(tx).await?;
        Ok(ended)
    }

    /// How many sessions [`Auth::set_password`] would end: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::set_password`].
    pub async fn preview_password(&self, caller: &Caller, user: UserId, keep_sessions: bool) -> Result<u64, AuthError> {
        require_operator(caller)?;
        Ok(self.replace_password_of(caller, user, None, keep_sessions).await?.1)
    }

    async fn replace_password_of(
        &self,
        caller: &Caller,
        user: UserId,
        hash: Option<&str>,
        keep_sessions: bool,
    ) -> Result<(Tx, u64), AuthError> {
        let (mut tx, user) = self.hold_for(caller, user).await?;
        let now = self.0.clock.now();
        let ended = if keep_sessions {
            store::set_password(&mut tx, user.id, hash, now).await?;
            store::discard_tokens(&mut tx, user.id, &Purpose::RESETTING).await?;
            0
        } else {
            self.replace_password(&mut tx, user.id, hash, now).await?
        };
        mail::send(&mut tx, Mail::new(Recipient::User(user.id), Template::PasswordChanged, now)).await?;
        let event = Event::new(Action::PasswordChange).on(Subject::User(user.id)).detail("sessionsEnded", ended);
        audit::record(&mut tx, now, caller, event.detail("by", "operator")).await?;
        Ok((tx, ended))
    }

    /// Begins a transaction that has hold of `user`, for an administrator.
    async fn hold_for(&self, caller: &Caller, user: UserId) -> Result<(Tx, HeldUser), AuthError> {
        caller.require(Permission::ManageStaff)?;
        let mut tx = self.0.db.begin().await?;
        let user = store::hold_user(&mut tx, user).await?.ok_or(AuthError::UserNotFound)?;
        Ok((tx, user))
    }

    async fn deliver(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        purpose: Purpose,
        user: UserId,
        email: &str,
        delivery: Delivery,
    ) -> Result<Option<Secret>, AuthError> {
        if delivery == Delivery::Return {
            require_operator(caller)?;
            let token = self.new_one_time_token(tx, purpose, user, email, None).await?;
            return Ok(Some(self.one_time_token(token)));
        }
        match purpose {
            Purpose::Invite => self.send_invite(tx, user, email).await?,
            _ => self.send_reset(tx, user, email).await?,
        }
        Ok(None)
    }
}

/// Lets those pass who are no user: an administrator who could have another's link could be them.
pub(super) fn require_operator(caller: &Caller) -> Result<(), AuthError> {
    caller.require(Permission::ManageStaff)?;
    if caller.user_id().is_none() { Ok(()) } else { Err(AuthError::Forbidden) }
}
