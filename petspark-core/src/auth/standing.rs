//! Role and status of a user, as administrators change them: who may change whose, that their
//! sessions end with it, and that somebody who can administer remains.

use super::permission::Permission;
use super::session_control::SessionSelection;
use super::store::{self, Standing};
use super::user::{Role, User, UserStatus};
use super::{Auth, AuthError};
use crate::audit::{self, Action, Event, Subject};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::FieldErrors;
use crate::id::UserId;
use crate::mail::{self, Mail, Recipient, Template};

/// What to change of a user; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The new role.
    pub role: Option<Role>,
    /// Why they get it, for the audit log: 1 to 500 characters in one line.
    pub role_reason: Option<String>,
    /// The new status.
    pub status: Option<StatusChange>,
}

/// A new status and why.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// Whether they may sign in.
    pub status: UserStatus,
    /// Why, for the record and other administrators: 1 to 500 characters in one line. Needed
    /// unless the status is active.
    pub reason: Option<String>,
    /// When a suspension ends by itself; never, if nothing is said.
    pub until: Option<Timestamp>,
}

/// What a change did, or would do.
#[derive(Clone, Debug)]
pub struct UserChanged {
    /// Whether anything is different now.
    pub changed: bool,
    /// The user before.
    pub before: User,
    /// The user now.
    pub after: User,
    /// How many sessions ended.
    pub sessions_ended: u64,
}

impl StatusChange {
    /// Longest reason, in characters.
    pub const MAX_REASON: usize = 500;

    fn clean(reason: &str) -> Result<String, &'static str> {
        crate::text::one_line(reason, Self::MAX_REASON).ok_or("must have 1 to 500 characters in one line")
    }

    fn check(&self, now: Timestamp) -> Result<Option<String>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let reason = self.reason.as_deref().map(Self::clean);
        match (&reason, self.status) {
            (Some(Err(problem)), _) => errors.add("reason", *problem),
            (None, UserStatus::Suspended | UserStatus::Banned) => errors.add("reason", "is needed"),
            _ => {}
        }
        match (self.until, self.status) {
            (Some(_), UserStatus::Active | UserStatus::Banned) => {
                errors.add("until", "is only for a suspension");
            }
            (Some(until), UserStatus::Suspended) if until <= now => errors.add("until", "must be in the future"),
            _ => {}
        }
        errors.finish(Some(reason.and_then(Result::ok)))
    }
}

impl Standing {
    fn administers(&self) -> bool {
        self.user.role == Role::Admin && self.user.status == UserStatus::Active
    }

    fn changed(&self, change: &UserChange, reason: Option<String>, now: Timestamp) -> Self {
        let mut new = self.clone();
        new.user.role = change.role.unwrap_or(new.user.role);
        if let Some(status) = &change.status {
            new.user.status = status.status;
            new.suspended_until = status.until;
            // Of a reason to let somebody in again only the audit log knows.
            new.status_reason = reason.filter(|_| status.status != UserStatus::Active);
        }
        if new != *self {
            new.user.updated_at = now;
        }
        new
    }

    fn has_status_of(&self, other: &Self) -> bool {
        (self.user.status, self.suspended_until, &self.status_reason)
            == (other.user.status, other.suspended_until, &other.status_reason)
    }
}

impl Auth {
    /// Changes role, status or both, and ends the user's sessions if they have another role now
    /// or may no longer sign in. What they are already is no change. The last active
    /// administrator stays one, unless `even_the_last_admin`.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::UserNotFound`], [`AuthError::LastAdmin`];
    /// [`AuthError::Forbidden`] unless an administrator asks, or an API key about a user who is
    /// neither moderator nor administrator.
    pub async fn change_user(
        &self,
        caller: &Caller,
        user: UserId,
        change: &UserChange,
        even_the_last_admin: bool,
    ) -> Result<UserChanged, AuthError> {
        let (tx, changed) = self.begin_change(caller, user, change, even_the_last_admin).await?;
        if changed.changed {
            self.commit_ended(tx).await?;
        }
        Ok(changed)
    }

    /// What [`Auth::change_user`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Auth::change_user`].
    pub async fn preview_change(
        &self,
        caller: &Caller,
        user: UserId,
        change: &UserChange,
        even_the_last_admin: bool,
    ) -> Result<UserChanged, AuthError> {
        Ok(self.begin_change(caller, user, change, even_the_last_admin).await?.1)
    }

    /// Ends all sessions of a user; says how many.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] as for [`Auth::change_user`].
    pub async fn end_sessions(&self, caller: &Caller, user: UserId, why: Option<&str>) -> Result<u64, AuthError> {
        caller.require(Permission::ManageUsers)?;
        let found = store::find_user(&self.0.db, user).await?.ok_or(AuthError::UserNotFound)?;
        require_staff_manager(caller, found.role)?;
        let which = SessionSelection { user: Some(user), ..SessionSelection::default() };
        self.revoke(caller, &which, "revoked_by_admin", why).await
    }

    /// Makes the change in a transaction that is yet to be committed.
    async fn begin_change(
        &self,
        caller: &Caller,
        user: UserId,
        change: &UserChange,
        even_the_last_admin: bool,
    ) -> Result<(Tx, UserChanged), AuthError> {
        caller.require(Permission::ManageUsers)?;
        let now = self.0.clock.now();
        let reason = change.status.as_ref().map(|status| status.check(now)).transpose().map_err(AuthError::Invalid)?;
        let role_reason = change.role_reason.as_deref().map(StatusChange::clean).transpose();
        let role_reason = role_reason.map_err(|problem| AuthError::Invalid(FieldErrors::one("reason", problem)))?;
        let mut tx = self.0.db.begin().await?;
        // Two administrators who demote each other at the same moment take turns here.
        tx.take_turns("administrators").await?;
        let old = store::find_standing(&mut tx, user).await?.ok_or(AuthError::UserNotFound)?;
        let reason = reason.flatten();
        let new = old.changed(change, reason.clone(), now);
        require_staff_manager(caller, old.user.role.max(new.user.role))?;
        let mut done =
            UserChanged { changed: new != old, before: old.user.clone(), after: new.user.clone(), sessions_ended: 0 };
        if !done.changed {
            return Ok((tx, done));
        }
        let leaves = old.administers() && !new.administers();
        if leaves && !even_the_last_admin && !store::has_other_admin(&mut tx, user).await? {
            return Err(AuthError::LastAdmin);
        }
        store::set_standing(&mut tx, &new).await?;
        if let Some(why) = why_sessions_end(&old.user, &new.user) {
            done.sessions_ended = store::revoke_sessions_of(&mut tx, user, why, now).await?;
        }
        for event in events(&old, &new, reason, role_reason.as_deref()) {
            audit::record(&mut tx, now, caller, event).await?;
        }
        if old.user.status == UserStatus::Active && new.user.status != UserStatus::Active {
            // Without the reason: it was written for colleagues.
            let mail = Mail::new(Recipient::User(user), Template::AccountSuspended, now);
            let mail = new.suspended_until.into_iter().fold(mail, |mail, until| mail.time("until", until));
            mail::send(&mut tx, mail).await?;
        }
        Ok((tx, done))
    }
}

/// Lets those pass who may manage somebody with this role.
pub(super) fn require_staff_manager(caller: &Caller, of: Role) -> Result<(), AuthError> {
    if of > Role::User {
        caller.require(Permission::ManageStaff)?;
    }
    Ok(())
}

/// Who may no longer sign in, or may now do other things than when they did, is signed out.
fn why_sessions_end(old: &User, new: &User) -> Option<&'static str> {
    match new.status {
        UserStatus::Suspended | UserStatus::Banned => Some(new.status.as_str()),
        UserStatus::Active => (old.role != new.role).then_some("role_changed"),
    }
}

fn events(old: &Standing, new: &Standing, reason: Option<String>, role_reason: Option<&str>) -> Vec<Event> {
    let subject = Subject::User(new.user.id);
    let mut events = Vec::new();
    if old.user.role != new.user.role {
        let event = Event::new(Action::RoleChanged).on(subject).because(role_reason);
        events.push(event.detail("from", old.user.role.as_str()).detail("to", new.user.role.as_str()));
    }
    if !new.has_status_of(old) {
        let action = match new.user.status {
            UserStatus::Active => Action::LoginUnlocked,
            UserStatus::Suspended | UserStatus::Banned => Action::LoginLocked,
        };
        let mut event = Event::new(action).on(subject);
        event = event.detail("from", old.user.status.as_str()).detail("to", new.user.status.as_str());
        if let Some(until) = new.suspended_until {
            event = event.detail("until", until.to_string());
        }
        if let Some(reason) = reason {
            event = event.reason(reason);
        }
        events.push(event);
    }
    events
}
