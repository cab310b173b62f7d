//! How many there are of everything, for administrators. The numbers are kept by the database while
//! things change, so reading them counts nothing; `fold` keeps the table that has them small.

mod fold;
mod store;

pub(crate) use fold::Fold;

use std::collections::BTreeMap;

use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::database::Database;
use crate::error::{Fault, failure};

/// How many there are of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Accounts, those that can still be restored included.
    pub users: UserNumbers,
    /// Pets, deleted ones included until they are purged.
    pub pets: PetNumbers,
    /// Moderation tasks that aren't decided.
    pub moderation: ModerationNumbers,
    /// The queue.
    pub jobs: JobNumbers,
    /// Accounts made lately, whatever became of them.
    pub signups: SignupNumbers,
}

/// Accounts by what may be done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserNumbers {
    /// May sign in.
    pub active: u64,
    /// May not for a while.
    pub suspended: u64,
    /// May not for good.
    pub banned: u64,
    /// Are deleted, and not erased yet.
    pub deleted: u64,
}

/// Pets by who can see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PetNumbers {
    /// Everybody.
    pub active: u64,
    /// Their owners.
    pub hidden: u64,
    /// Their owners, by a moderator's decision.
    pub banned: u64,
    /// Nobody: deleted, and not purged yet.
    pub deleted: u64,
}

/// Moderation tasks by where they are on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModerationNumbers {
    /// Nobody is at them.
    pub open: u64,
    /// A moderator has taken them.
    pub taken: u64,
}

/// Jobs by what can be hoped for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobNumbers {
    /// To be done, or being done. Those that come up by schedule are always there, and not among them.
    pub queued: u64,
    /// Failed for good.
    pub dead: u64,
}

/// New accounts. The first hour counts in full, so that a day has at least 23 and at most 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignupNumbers {
    /// In the last 24 hours.
    pub last_day: u64,
    /// In the last 7 times 24 hours.
    pub last_week: u64,
}

/// Why the numbers can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    DashboardError,
    own {},
    asks { Denied(denied), Fault(fault) }
}

/// The dashboard service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    db: Database,
    clock: Clock,
}

impl Dashboard {
    pub(crate) fn open(db: Database, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// How many there are of everything at this moment.
    ///
    /// # Errors
    /// [`DashboardError::Denied`] unless an administrator asks.
    pub async fn read(&self, caller: &Caller) -> Result<Numbers, DashboardError> {
        caller.require(Permission::ReadDashboard)?;
        Ok(numbers(&store::read(&self.db).await?, self.clock.now()))
    }
}

/// Before the hour in the name of a counter of sign-ups.
const SIGNUPS: &str = "signups.";
const DAY: i64 = 24;

fn hour(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(3600)
}

fn numbers(counters: &BTreeMap<String, u64>, now: Timestamp) -> Numbers {
    let get = |name| counters.get(name).copied().unwrap_or_default();
    let signups_after = |first: i64| {
        let hours = counters.iter().filter_map(|(name, count)| Some((name.strip_prefix(SIGNUPS)?, count)));
        hours.filter(|(hour, _)| hour.parse().is_ok_and(|hour: i64| hour > first)).map(|(_, count)| count).sum()
    };
    Numbers {
        users: UserNumbers {
            active: get("users.active"),
            suspended: get("users.suspended"),
            banned: get("users.banned"),
            deleted: get("users.deleted"),
        },
        pets: PetNumbers {
            active: get("pets.active"),
            hidden: get("pets.hidden"),
            banned: get("pets.banned"),
            deleted: get("pets.deleted"),
        },
        moderation: ModerationNumbers { open: get("moderation_tasks.open"), taken: get("moderation_tasks.taken") },
        jobs: JobNumbers { queued: get("jobs.queued"), dead: get("jobs.dead") },
        signups: SignupNumbers {
            last_day: signups_after(hour(now) - DAY),
            last_week: signups_after(hour(now) - 7 * DAY),
        },
    }
}
