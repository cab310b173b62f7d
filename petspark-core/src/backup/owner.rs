//! Whose the folder of backups is. What somebody else writes there only they can read, root before all,
//! and the server's next backup, or its pruning, would meet what it can't touch. Handing the files on to
//! the owner afterwards would leave a time in which they are somebody else's, and needs root: so whoever
//! isn't the owner is told so before anything is written.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::BackupError;
use crate::private;

/// The bit by which a folder is shared with its group on purpose: who does that, as Kubernetes does with
/// `fsGroup`, has seen to who can read what.
const GROUP_WRITES: u32 = 0o020;

/// Refuses unless the folder is ours, or will be.
pub(super) fn require_owner(folder: &Path) -> Result<(), BackupError> {
    let us = rustix::process::geteuid().as_raw();
    for place in folder.ancestors() {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let found = match fs::metadata(place) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            found => found.map_err(|error| BackupError::io(private::told(place, &error)))?,
        };
        let is_there = place == folder;
        // Of what isn't there yet, only root could make something that the owner of the place can't use.
        let is_shared = us != 0 && (!is_there || found.mode() & GROUP_WRITES != 0);
        if found.uid() == us || is_shared {
            return Ok(());
        }
        return Err(BackupError::NotOwner { folder: folder.to_owned(), owner: found.uid(), us });
    }
    Ok(())
}
