//! Folders that backups and drills work in, with copies of the data that nobody else may see. They go with whoever
//! works in them; who was killed leaves them to the next backup or drill, which knows by a lock on the folder that
//! nobody is there any more.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::drill::DRILL;
use super::target::{PARTIAL, folder_names};
use super::{BackupError, Backups};
use crate::clock::{DAY, Timestamp};
use crate::id::BackupId;
use crate::private;

/// What the names of folders begin with that a backup is made in.
pub(super) const COPY: &str = "petspark-copy-";

/// A folder that is gone with whoever works in it, unless it was renamed.
pub(super) struct Scratch(pub(super) PathBuf, #[expect(dead_code, reason = "the lock ends with it")] Option<File>);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Result<Self, BackupError> {
        loop {
            private::create_folder(&path).map_err(BackupError::io)?;
            match lock(&path) {
                Ok(lock) if path.exists() => return Ok(Self(path, Some(lock))),
                // Some file systems lock no folders.
                Err(TryLockError::Error(_)) if path.exists() => return Ok(Self(path, None)),
                // Somebody took it for left behind before it was locked, and is removing it.
                _ => std::thread::yield_now(),
            }
        }
    }

    /// One that was left behind; dropping it removes it.
    fn left(path: PathBuf, now: Timestamp) -> Option<Self> {
        match lock(&path) {
            Ok(lock) => Some(Self(path, Some(lock))),
            Err(TryLockError::WouldBlock) => None,
            // Nothing but its age tells.
            Err(TryLockError::Error(_)) => {
                let changed = fs::metadata(&path).and_then(|folder| folder.modified()).map(Timestamp::from);
                changed.is_ok_and(|at| now.since(at) > DAY).then_some(Self(path, None))
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was renamed isn't there; one that can't be removed is found by the next.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let folder = File::open(path).map_err(TryLockError::Error)?;
    folder.try_lock().map(|()| folder)
}

impl Backups {
    /// Removes what processes left that were killed, of whichever database: a folder may be that of several, and may
    /// hold what isn't ours, even the backups.
    pub(super) fn clear_leftovers(&self) -> Result<(), BackupError> {
        let (settings, now) = (&self.settings().backup, self.clock().now());
        for name in folder_names(&settings.work_folder)? {
            let id = [COPY, DRILL].iter().find_map(|beginning| name.strip_prefix(beginning));
            if id.is_some_and(|id| id.parse::<BackupId>().is_ok()) {
                drop(Scratch::left(settings.work_folder.join(name), now));
            }
        }
        for name in folder_names(&settings.folder)?.into_iter().filter(|name| name.starts_with(PARTIAL)) {
            drop(Scratch::left(settings.folder.join(name), now));
        }
        Ok(())
    }
}
