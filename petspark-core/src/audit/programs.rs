//! Programs that operators run as commands of the tool. What those do there, their own calls tell.

use sha2::{Digest as _, Sha256};

use super::{Action, Event, record_now};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Database;
use crate::error::Fault;
use crate::text::hex;

/// Why it is not written down that a program is run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecorded {
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The database is away, or has no audit log yet.
    #[error("{}", .0.chain())]
    Fault(#[from] Fault),
}

/// What a program is known by: the SHA-256 of its bytes in hexadecimal digits.
#[must_use]
pub fn fingerprint(program: &[u8]) -> String {
    hex(&Sha256::digest(program))
}

/// Writes down that `caller` runs `program`, these bytes, as the command `name`. Only the database is
/// needed, whichever migrations it has.
///
/// # Errors
/// [`NotRecorded`]: then it is for the caller to decide whether to run it.
pub async fn record_program(
    db: &Database,
    now: Timestamp,
    caller: &Caller,
    name: &str,
    program: &[u8],
) -> Result<(), NotRecorded> {
    caller.require(Permission::ManageStaff)?;
    let event = Event::new(Action::PluginExecuted).detail("command", name).detail("sha256", fingerprint(program));
    Ok(record_now(db, now, caller, event).await?)
}
