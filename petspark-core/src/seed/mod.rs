//! Demonstration data: a plausible set of users and pets, the same for the same seed, stored in
//! batches. Running it again, also after an interruption, adds only what is missing.

mod cities;
mod people_and_pets;

use std::ops::ControlFlow;

use crate::auth::{AuthError, Password, Permission, store as users};
use crate::caller::Caller;
use crate::error::{Fault, failure};
use crate::pets::store as pets;
use crate::petspark::PetSpark;

use people_and_pets::Generator;

/// What to make.
#[derive(Clone, Debug)]
pub struct SeedPlan {
    /// How many users.
    pub users: u32,
    /// How many pets, spread over the users.
    pub pets: u32,
    /// The same seed makes the same data.
    pub seed: u64,
    /// What all the users sign in with; without one nobody can sign in as them.
    pub password: Option<Password>,
}

impl SeedPlan {
    /// Most users or pets in one go.
    pub const MAX: u32 = 10_000_000;
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Users that were not there before.
    pub users_added: u64,
    /// Pets that were not there before.
    pub pets_added: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// Why seeding was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// Pets need owners, and there are bounds.
    #[error(
        "the number of users and pets must be at most {}, and there must be users if there are pets",
        SeedPlan::MAX
    )]
    Impossible,
    /// The password can't be used, or the caller may not seed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    SeedError,
    own {
        Impossible => (Kind::Invalid, "SEED_IMPOSSIBLE"),
    },
    asks { Auth(error), Fault(fault) }
}

/// Rows in a statement and a transaction: far from the 32,766 parameters that SQLite allows.
const BATCH: u32 = 1000;

/// Makes demonstration data; see the [module](self).
pub struct Seeds<'a>(&'a PetSpark);

impl<'a> Seeds<'a> {
    pub(crate) fn of(petspark: &'a PetSpark) -> Self {
        Self(petspark)
    }

    /// Stores what `plan` asks for. `progress` hears how many rows are done, and may stop it:
    /// what is stored by then stays.
    ///
    /// # Errors
    /// [`SeedError::Impossible`]; [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn run(
        &self,
        caller: &Caller,
        plan: SeedPlan,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Seeded, SeedError> {
        caller.require(Permission::ManageStaff).map_err(AuthError::from)?;
        if plan.users > SeedPlan::MAX || plan.pets > SeedPlan::MAX || (plan.users == 0 && plan.pets > 0) {
            return Err(SeedError::Impossible);
        }
        // One hash for all: at 15 ms each, a thousand of them would be most of the waiting.
        let password_hash = match plan.password {
            Some(password) => Some(self.0.auth().hash_password(password).await?),
            None => None,
        };
        let generator = Generator::new(plan.seed, plan.users, password_hash);
        let mut seeded = Seeded::default();
        let mut done = 0;
        for batch in batches(plan.users) {
            let rows: Vec<_> = batch.clone().map(|n| generator.user(n)).collect();
            let mut tx = self.0.database().begin().await?;
            seeded.users_added += users::insert_users(&mut tx, &rows).await?;
            tx.commit().await?;
            done += u64::from(batch.end - batch.start);
            if progress(done).is_break() {
                return Ok(Seeded { interrupted: true, ..seeded });
            }
        }
        for batch in batches(plan.pets) {
            let rows: Vec<_> = batch.clone().map(|n| generator.pet(n)).collect();
            let mut tx = self.0.database().begin().await?;
            seeded.pets_added += pets::insert_pets(&mut tx, &rows).await?;
            tx.commit().await?;
            done += u64::from(batch.end - batch.start);
            if progress(done).is_break() {
                return Ok(Seeded { interrupted: true, ..seeded });
            }
        }
        Ok(seeded)
    }
}

fn batches(total: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..total).step_by(BATCH as usize).map(move |start| start..total.min(start.saturating_add(BATCH)))
}
