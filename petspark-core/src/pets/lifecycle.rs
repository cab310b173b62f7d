//! What becomes of pets that were deleted: for a while they can be restored, then a job removes
//! them with everything that hangs on them. Those of a deleted account come back or go with it,
//! which is `people`'s business.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Pet, PetError, Pets, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::config::{Loader, Setting};
use crate::error::Fault;
use crate::id::PetId;
use crate::jobs::{Handler, Job};

/// How pets are kept.
#[derive(Clone, Debug)]
pub struct PetSettings {
    /// How long a deleted pet can be restored; then it is removed for good.
    pub restore_for: Duration,
    /// Pets of a user, in the free plan.
    pub max_pets: u32,
}

impl PetSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let restore_for = from.get(Setting {
            key: "pets.restore_for",
            env: None,
            default: 30 * DAY,
            about: "How long a deleted pet can be restored, at least 1d; then it is removed for good.",
        });
        if restore_for < DAY {
            from.problem("pets.restore_for", "must be at least 1d");
        }
        let max_pets = from.get(Setting {
            key: "pets.max_pets",
            env: None,
            default: 1000,
            about: "Pets that a user can have, unless their plan has more.",
        });
        Self { restore_for, max_pets }
    }
}

impl Pets {
    /// Takes the deletion of a pet back. It is as it was: a banned one is still banned.
    ///
    /// # Errors
    /// [`PetError::NotFound`] unless it was deleted, not longer ago than the setting
    /// `pets.restore_for` says, and is the caller's or one that they may look after;
    /// [`PetError::LimitReached`] when it is the caller's, and their plan has no room for it.
    pub async fn restore(&self, caller: &Caller, id: PetId) -> Result<Pet, PetError> {
        let now = self.clock.now();
        let most = match caller.user_id() {
            Some(user) => self.entitled.limits(user).await?.pets,
            None => 0,
        };
        let mut tx = self.db.begin().await?;
        let restored = store::restore_pet(&mut tx, id, self.kept_since(), now).await?;
        let owner = restored.ok_or(PetError::NotFound)?;
        if caller.is(owner) {
            // Else a plan's limit would be one of how many are added, not of how many there are.
            store::take_turns(&mut tx, owner).await?;
            if store::count_pets_of(&mut tx, owner).await? > u64::from(most) {
                return Err(PetError::LimitReached { most });
            }
        } else {
            // Whoever may not restore it may not know of it.
            caller.require(Permission::ManagePets).map_err(|_| PetError::NotFound)?;
            let event = Event::new(Action::PetRestored).on(Subject::User(owner)).detail("pet", id.to_string());
            audit::record(&mut tx, now, caller, event).await?;
        }
        tx.commit().await?;
        self.find(caller, id).await?.ok_or(PetError::NotFound)
    }

    /// Pets that were deleted before can't be restored.
    pub(super) fn kept_since(&self) -> Timestamp {
        self.clock.now().before(self.settings.restore_for)
    }

    /// Removes what can't be restored any more, as a daily job does, and says how many pets that were.
    ///
    /// # Errors
    /// [`PetError::Denied`] unless an administrator asks.
    pub async fn remove_deleted(&self, caller: &Caller, reason: Option<&str>) -> Result<u64, PetError> {
        caller.require(Permission::ManageStaff)?;
        let mut all = 0;
        loop {
            // A few at a time, so that others get their turn in between.
            let mut tx = self.db.begin().await?;
            let pets = store::purge_pets(&mut tx, self.kept_since(), BATCH).await?;
            if pets == 0 {
                return Ok(all);
            }
            let event = Event::new(Action::PetsPurged).because(reason).detail("pets", pets);
            audit::record(&mut tx, self.clock.now(), caller, event).await?;
            tx.commit().await?;
            all += pets;
        }
    }

    /// How many pets that would be.
    ///
    /// # Errors
    /// As [`Pets::remove_deleted`].
    pub async fn count_removable(&self, caller: &Caller) -> Result<u64, PetError> {
        caller.require(Permission::ManageStaff)?;
        Ok(store::count_purgeable(&self.db, self.kept_since()).await?)
    }
}

/// Pets that are removed in one transaction.
const BATCH: i64 = 500;

/// The daily job.
pub(crate) struct Purge(pub(crate) Pets);

impl Handler for Purge {
    fn kind(&self) -> &'static str {
        "pets.purge"
    }

    fn every(&self) -> Option<Duration> {
        Some(DAY)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.0.remove_deleted(&Caller::system(), None).await.map(drop).map_err(|error| match error {
                PetError::Fault(fault) => fault,
                refused => Fault::internal(refused),
            })
        })
    }
}
