//! What is kept about a person, and that they have a say in it: their profile and preferences,
//! whom they block, an archive of everything, and deleting it all. How they sign in is `auth`'s
//! business.

mod archive;
mod blocks;
mod deletion;
mod erasure;
mod profile;
mod store;

pub use archive::{
    Archive, ArchivedAccount, ArchivedBlock, ArchivedCustomer, ArchivedDecision, ArchivedEvent, ArchivedFactor,
    ArchivedFavorite, ArchivedKey, ArchivedLink, ArchivedOperation, ArchivedPayment, ArchivedPlan, ArchivedProfile,
    ArchivedReport, ArchivedSession, ArchivedSubscription, ArchivedUpload,
};
pub use blocks::{BlockError, Blocked};
pub use deletion::{Deleted, Known, When};
pub(crate) use erasure::{Erasure, Farewell};
pub use profile::{Preferences, Profile, ProfileChange};
pub(crate) use store::{push_unless_blocked, unless_blocked};

use std::time::Duration;

use crate::auth::Auth;
use crate::clock::{Clock, DAY};
use crate::config::{Loader, Setting};
use crate::database::Database;

/// How people's data is kept.
#[derive(Clone, Debug)]
pub struct PeopleSettings {
    /// How long after its deletion an account can be restored; then it is erased.
    pub erase_after: Duration,
}

impl PeopleSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let erase_after = from.get(Setting {
            key: "people.erase_after",
            env: None,
            default: 30 * DAY,
            about: "How long after its deletion an account can be restored by an operator, at most 365d; then everything about the person is erased.",
        });
        if erase_after > 365 * DAY {
            from.problem("people.erase_after", "must be at most 365d");
        }
        Self { erase_after }
    }
}

/// The people service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct People {
    db: Database,
    clock: Clock,
    auth: Auth,
    settings: PeopleSettings,
}

impl People {
    pub(crate) fn open(db: Database, clock: Clock, auth: Auth, settings: PeopleSettings) -> Self {
        Self { db, clock, auth, settings }
    }
}
