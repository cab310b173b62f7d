//! The dashboard on the wire.

use petspark_core::dashboard::Numbers;
use serde::Serialize;
use utoipa::ToSchema;

/// How many there are of everything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dashboard {
    users: UserNumbers,
    pets: PetNumbers,
    moderation: ModerationNumbers,
    jobs: JobNumbers,
    signups: SignupNumbers,
}

/// Accounts; `deleted` can still be restored.
#[derive(Debug, Serialize, ToSchema)]
struct UserNumbers {
    active: u64,
    suspended: u64,
    banned: u64,
    deleted: u64,
}

/// Pets; `deleted` aren't purged yet.
#[derive(Debug, Serialize, ToSchema)]
struct PetNumbers {
    active: u64,
    hidden: u64,
    banned: u64,
    deleted: u64,
}

/// Moderation tasks that aren't decided.
#[derive(Debug, Serialize, ToSchema)]
struct ModerationNumbers {
    open: u64,
    taken: u64,
}

/// Jobs, without those of schedules; `queued` has those that are running, too.
#[derive(Debug, Serialize, ToSchema)]
struct JobNumbers {
    queued: u64,
    dead: u64,
}

/// Accounts made in the last 24 hours and 7 days, to the hour, whatever became of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignupNumbers {
    last_day: u64,
    last_week: u64,
}

impl From<Numbers> for Dashboard {
    fn from(numbers: Numbers) -> Self {
        let Numbers { users, pets, moderation, jobs, signups } = numbers;
        Self {
            users: UserNumbers {
                active: users.active,
                suspended: users.suspended,
                banned: users.banned,
                deleted: users.deleted,
            },
            pets: PetNumbers { active: pets.active, hidden: pets.hidden, banned: pets.banned, deleted: pets.deleted },
            moderation: ModerationNumbers { open: moderation.open, taken: moderation.taken },
            jobs: JobNumbers { queued: jobs.queued, dead: jobs.dead },
            signups: SignupNumbers { last_day: signups.last_day, last_week: signups.last_week },
        }
    }
}
