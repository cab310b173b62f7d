//! Pins: what was pinned stays, whatever the rules say. They are set in turn with removing, so that who was told that a
//! backup is pinned has it; which waits for one removal at most, and not for a whole backup as another backup would.

use std::fs::File;
use std::io::ErrorKind;

use super::target::blocking;
use super::{BackupError, Backups, find, owner};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::id::BackupId;

/// Held while a pin is set, and from the last look for one to the end of a removal. Where folders can't be locked, or
/// there is none, that is how it is.
pub(super) struct PinsHeld(#[expect(dead_code, reason = "the lock ends with it")] Option<File>);

impl Backups {
    /// Keeps a backup whatever the rules say, or no longer.
    ///
    /// # Errors
    /// [`BackupError::NotFound`], also of one that is just gone by the rules; [`BackupError::NotOwner`].
    pub async fn set_pinned(&self, caller: &Caller, id: BackupId, pinned: bool) -> Result<(), BackupError> {
        caller.require(Permission::ManageStaff)?;
        owner::require_owner(&self.settings().backup.folder)?;
        let _held = self.hold_pins().await?;
        find(self.folder(), Some(id)).await?;
        for target in self.targets() {
            target.pin(id, pinned).await?;
        }
        Ok(())
    }

    /// Waits for whoever sets a pin, or removes a backup.
    pub(super) async fn hold_pins(&self) -> Result<PinsHeld, BackupError> {
        let folder = self.settings().backup.folder.clone();
        blocking(move || match File::open(&folder) {
            Ok(folder) => Ok(PinsHeld(folder.lock().is_ok().then_some(folder))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(PinsHeld(None)),
            Err(error) => Err(BackupError::io(error)),
        })
        .await
    }
}
