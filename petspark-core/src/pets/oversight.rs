//! What those who look after all pets do to one, by an operator's hand: each a single step that is
//! written down with its reason. What owners do to theirs is the rest of this folder.

use super::{Pet, PetError, PetStatus, Pets, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Tx, text_enum};
use crate::error::Fault;
use crate::id::{PetId, UserId};

/// What to do to a pet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Let nobody but its owner see it, who can show it again.
    Hide,
    /// The same, and only a moderator can lift it.
    Ban,
    /// Show it again.
    Unban,
    /// Delete it; it can be restored for a while.
    Delete,
    /// Take that back.
    Restore,
    /// Remove it for good, deleted before or not.
    Purge,
}

text_enum! {
    /// How a pet stands, deleted or not.
    pub enum Standing {
        /// Everybody can see it.
        Active = "active",
        /// Its owner can see it.
        Hidden = "hidden",
        /// Its owner can see it, by a moderator's decision.
        Banned = "banned",
        /// Nobody can see it, and it can be restored for a while.
        Deleted = "deleted",
        /// It isn't there any more.
        Gone = "gone",
    }
}

impl Standing {
    fn of(status: PetStatus, deleted_at: Option<Timestamp>) -> Self {
        match (deleted_at, status) {
            (Some(_), _) => Self::Deleted,
            (None, PetStatus::Active) => Self::Active,
            (None, PetStatus::Hidden) => Self::Hidden,
            (None, PetStatus::Banned) => Self::Banned,
        }
    }
}

/// What was, or would be, done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervened {
    /// To which pet.
    pub id: PetId,
    /// Whose.
    pub owner_id: UserId,
    /// What it is called.
    pub name: String,
    /// How it stood before.
    pub from: Standing,
    /// How it stands now.
    pub to: Standing,
    /// Whether that made a difference.
    pub changed: bool,
}

impl Pets {
    /// Does something to somebody's pet. What is so already is left alone.
    ///
    /// # Errors
    /// [`PetError::NotFound`], also for a deleted pet that is to be hidden or shown, and for one
    /// that can't be restored; [`PetError::Banned`] for a banned one that is to be hidden;
    /// [`PetError::Denied`] unless the caller may look after pets, and to purge, is an administrator.
    pub async fn intervene(
        &self,
        caller: &Caller,
        id: PetId,
        what: Intervention,
        reason: Option<&str>,
    ) -> Result<Intervened, PetError> {
        let (tx, done) = self.begin_intervention(caller, id, what, reason).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// What [`Pets::intervene`] would do: the same steps, undone at the end.
    ///
    /// # Errors
    /// As [`Pets::intervene`].
    pub async fn preview_intervention(
        &self,
        caller: &Caller,
        id: PetId,
        what: Intervention,
    ) -> Result<Intervened, PetError> {
        Ok(self.begin_intervention(caller, id, what, None).await?.1)
    }

    /// Does it in a transaction that is yet to be committed.
    async fn begin_intervention(
        &self,
        caller: &Caller,
        id: PetId,
        what: Intervention,
        reason: Option<&str>,
    ) -> Result<(Tx, Intervened), PetError> {
        caller.require(match what {
            Intervention::Purge => Permission::ManageStaff,
            _ => Permission::ManagePets,
        })?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let pet = store::hold_pet(&mut tx, id).await?.ok_or(PetError::NotFound)?;
        let from = Standing::of(pet.status, pet.deleted_at);
        let (to, action) = match (what, from) {
            (Intervention::Purge, _) => (Standing::Gone, Action::PetsPurged),
            (Intervention::Delete, _) => (Standing::Deleted, Action::PetDeleted),
            (Intervention::Restore, _) => (Standing::of(pet.status, None), Action::PetRestored),
            // It would be shown, or hidden, when it is restored.
            (_, Standing::Deleted) => return Err(PetError::NotFound),
            (Intervention::Hide, Standing::Banned) => return Err(PetError::Banned),
            (Intervention::Hide, _) => (Standing::Hidden, Action::PetStatusChanged),
            (Intervention::Ban, _) => (Standing::Banned, Action::PetStatusChanged),
            (Intervention::Unban, Standing::Banned) => (Standing::Active, Action::PetStatusChanged),
            (Intervention::Unban, _) => (from, Action::PetStatusChanged),
        };
        if to != from {
            match to {
                Standing::Gone => store::remove_pet(&mut tx, id).await?,
                Standing::Deleted => store::mark_deleted(&mut tx, id, now).await?,
                _ if what == Intervention::Restore => {
                    let restored = store::restore_pet(&mut tx, id, self.kept_since(), now).await?;
                    restored.ok_or(PetError::NotFound)?;
                }
                Standing::Active => store::set_status(&mut tx, id, PetStatus::Active, now).await?,
                Standing::Hidden => store::set_status(&mut tx, id, PetStatus::Hidden, now).await?,
                Standing::Banned => store::set_status(&mut tx, id, PetStatus::Banned, now).await?,
            }
            let event = event(action, id, pet.owner_id, from.as_str(), to.as_str()).because(reason);
            audit::record(&mut tx, now, caller, event).await?;
        }
        let done = Intervened { id, owner_id: pet.owner_id, name: pet.name, from, to, changed: to != from };
        Ok((tx, done))
    }
}

/// Writes down what somebody does to a pet that isn't theirs, in the transaction that does it.
pub(super) async fn record(
    tx: &mut Tx,
    now: Timestamp,
    caller: &Caller,
    pet: &Pet,
    action: Action,
    to: &str,
) -> Result<(), Fault> {
    if caller.is(pet.owner_id) {
        return Ok(());
    }
    audit::record(tx, now, caller, event(action, pet.id, pet.owner_id, pet.status.as_str(), to)).await
}

/// About the owner: it is in their archive, and goes with them.
fn event(action: Action, pet: PetId, owner: UserId, from: &str, to: &str) -> Event {
    Event::new(action).on(Subject::User(owner)).detail("pet", pet.to_string()).detail("from", from).detail("to", to)
}
