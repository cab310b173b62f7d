//! Deleting accounts: first so that they can be restored, then for good, which is `erasure`'s
//! business. Whoever is deleted is signed out, can't sign in, and nobody sees their pets.

use std::time::Duration;

use super::erasure::Farewell;
use super::{People, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{AuthError, Email, Password, Permission, Role, User};
use crate::billing;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::id::UserId;
use crate::jobs;
use crate::mail::{self, Mail, Recipient, Template};
use crate::pets;

/// A user, deleted or not, as operators find them.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    /// Who.
    #[sqlx(flatten)]
    pub user: User,
    /// When they were deleted, if they were.
    pub deleted_at: Option<Timestamp>,
    /// When they will be erased; not before an hourly job has come by.
    pub erase_at: Option<Timestamp>,
}

/// When a deleted user is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When the setting `people.erase_after` says; until then they can be restored.
    Later,
    /// After this much time; until then they can be restored.
    After(Duration),
    /// At once, and for good.
    Now,
}

/// What deleting somebody did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Who.
    pub user: User,
    /// Sessions that ended.
    pub sessions_ended: u64,
    /// Pets that nobody sees any more.
    pub pets: u64,
    /// When everything is erased; `None` when it is already.
    pub erase_at: Option<Timestamp>,
}

impl People {
    /// Deletes the caller's account, to be erased when the setting `people.erase_after` says. The
    /// password confirms it; who signed in with a second factor must have done so lately.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`], [`AuthError::StepUpRequired`], [`AuthError::LastAdmin`];
    /// [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn delete_own(&self, caller: &Caller, password: Password) -> Result<Deleted, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        if caller.proof().is_some_and(|proof| proof.second_factor_at.is_some()) {
            self.auth.require_recent(caller)?;
        }
        self.auth.require_password(caller, password).await?;
        let (tx, deleted) = self.begin_deletion(caller, id, When::Later, None, false).await?;
        self.auth.commit_ended(tx).await?;
        Ok(deleted)
    }

    /// A user by id or e-mail address, deleted or not.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn find(&self, caller: &Caller, id_or_email: &str) -> Result<Known, AuthError> {
        caller.require(Permission::ReadUsers)?;
        let found = match (id_or_email.parse::<UserId>(), Email::parse(id_or_email)) {
            (Ok(id), _) => store::find_by_id(&self.db, id).await?,
            (_, Ok(email)) => store::find_by_email(&self.db, &email).await?,
            _ => None,
        };
        found.ok_or(AuthError::UserNotFound)
    }

    /// Deletes a user, or erases one who is deleted already. The last active administrator stays,
    /// unless `even_the_last_admin`.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], also for one who is deleted already and not to be erased now;
    /// [`AuthError::LastAdmin`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn delete(
        &self,
        caller: &Caller,
        user: UserId,
        when: When,
        reason: Option<&str>,
        even_the_last_admin: bool,
    ) -> Result<Deleted, AuthError> {
        caller.require(Permission::ManageStaff)?;
        let (tx, deleted) = self.begin_deletion(caller, user, when, reason, even_the_last_admin).await?;
        self.auth.commit_ended(tx).await?;
        Ok(deleted)
    }

    /// What [`People::delete`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`People::delete`].
    pub async fn preview_deletion(
        &self,
        caller: &Caller,
        user: UserId,
        when: When,
        even_the_last_admin: bool,
    ) -> Result<Deleted, AuthError> {
        caller.require(Permission::ManageStaff)?;
        Ok(self.begin_deletion(caller, user, when, None, even_the_last_admin).await?.1)
    }

    /// Takes a deletion back: the user can sign in again, and their pets are seen again.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`] unless they are deleted and not yet erased;
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn restore(&self, caller: &Caller, user: UserId, why: Option<&str>) -> Result<User, AuthError> {
        caller.require(Permission::ManageStaff)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let deleted_at = store::hold(&mut tx, user).await?.and_then(|known| known.deleted_at);
        let deleted_at = deleted_at.ok_or(AuthError::UserNotFound)?;
        let restored = store::restore(&mut tx, user, now).await?.ok_or(AuthError::UserNotFound)?;
        pets::store::restore_pets_of(&mut tx, user, deleted_at).await?;
        billing::follow_account(&mut tx, user, now).await?;
        let event = Event::new(Action::UserRestored).on(Subject::User(user)).because(why);
        audit::record(&mut tx, now, caller, event).await?;
        tx.commit().await?;
        Ok(restored)
    }

    /// Deletes in a transaction that is yet to be committed.
    async fn begin_deletion(
        &self,
        caller: &Caller,
        user: UserId,
        when: When,
        reason: Option<&str>,
        even_the_last_admin: bool,
    ) -> Result<(Tx, Deleted), AuthError> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // Two administrators who delete themselves at the same moment take turns here.
        tx.take_turns("administrators").await?;
        let known = store::hold(&mut tx, user).await?.ok_or(AuthError::UserNotFound)?;
        let is_deleted = known.deleted_at.is_some();
        if !is_deleted && known.user.role == Role::Admin && !even_the_last_admin {
            self.auth.require_other_admin(&mut tx, user).await?;
        }
        let grace = match when {
            When::Later => Some(self.settings.erase_after),
            When::After(grace) => Some(grace),
            When::Now => None,
        };
        let Some(grace) = grace else {
            let (sessions, pets) = store::count_things(&mut tx, user).await?;
            self.erase(&mut tx, caller, &known.user, reason).await?;
            return Ok((tx, Deleted { user: known.user, sessions_ended: sessions, pets, erase_at: None }));
        };
        if is_deleted {
            return Err(AuthError::UserNotFound);
        }
        let erase_at = now.after(grace);
        store::mark_deleted(&mut tx, user, now, erase_at).await?;
        let sessions_ended = self.auth.end_sessions_of(&mut tx, user, "account_deleted", now).await?;
        let pets = pets::store::delete_pets_of(&mut tx, user, now).await?;
        let event = Event::new(Action::UserDeleted).on(Subject::User(user)).detail("eraseAt", erase_at.to_string());
        audit::record(&mut tx, now, caller, event.because(reason)).await?;
        let mail = Mail::new(Recipient::User(user), Template::AccountDeletionScheduled, now).time("erase_at", erase_at);
        mail::send(&mut tx, mail).await?;
        jobs::enqueue(&mut tx, now, Farewell::job(user, erase_at, grace)).await?;
        billing::follow_account(&mut tx, user, now).await?;
        Ok((tx, Deleted { user: known.user, sessions_ended, pets, erase_at: Some(erase_at) }))
    }
}
