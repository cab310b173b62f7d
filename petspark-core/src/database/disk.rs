//! A disk that is full, as SQLite tells of it: without saying where, and often as nothing but an error of
//! writing (a quota, or a limit on the size of files, is that to it, too). So the folders of the files that
//! this process has opened are remembered, and named with how much is free there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::config::{ByteSize, Value as _};
use crate::private;

static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// https://sqlite.org/rescode.html: FULL, and of IOERR those of WRITE, FSYNC, TRUNCATE and SHMSIZE.
const CODES: [&str; 5] = ["13", "778", "1034", "1546", "4874"];

/// With less than this, SQLite can do nothing that matters.
const LITTLE: u64 = 1 << 20;

/// That there was no room, and where.
#[derive(Debug, thiserror::Error)]
#[error("{hint}")]
pub(super) struct NoRoom {
    hint: String,
    #[source]
    error: sqlx::Error,
}

impl NoRoom {
    /// The error itself, if it is about something else.
    pub(super) fn told(error: sqlx::Error) -> Result<Self, sqlx::Error> {
        let is_sqlite = |error: &dyn sqlx::error::DatabaseError| {
            error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
                && error.code().is_some_and(|code| CODES.contains(&&*code))
        };
        if error.as_database_error().is_some_and(is_sqlite) { Ok(Self { hint: hint(), error }) } else { Err(error) }
    }
}

/// Notes where SQLite writes.
pub(super) fn writes_to(file: &Path) {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    if let Some(folder) = file.parent() {
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    }
}

fn hint() -> String {
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let free = |folder: &PathBuf| private::free_bytes(folder).ok();
    let places: Vec<_> = folders.iter().filter_map(|folder| Some((folder, free(folder)?))).collect();
    let told = |(folder, free): &(&PathBuf, u64)| format!("{} has {} free", folder.display(), ByteSize(*free).render());
    let places_told = places.iter().map(told).collect::<Vec<_>>().join(", ");
    if places.iter().any(|(_, free)| *free < LITTLE) {
        format!("the disk is full ({places_told})")
    } else {
        format!("the disk may be full, or a quota or a limit on the size of files reached ({places_told})")
    }
}
