//! Restoring to an SQLite file. All is done in another file beside it, which takes its name in the end: at no
//! moment is there a database that is half one, or none where there was one. Whoever calls keeps the file
//! closed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Filled, Place, Restoring};
use crate::backup::target::sync_folder;
use crate::backup::{BackupError, Backups};
use crate::database::{Database, beside};
use crate::private;

/// Files of SQLite's that belong to a database of the same name, and would be taken for those of the next one.
pub(super) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A database that has yet to get its name.
pub(super) struct Ready {
    file: PathBuf,
    filled: Filled,
}

impl Backups {
    /// Restores into a file beside `path`.
    pub(super) async fn fill_file(&self, path: &Path, job: &Restoring<'_>) -> Result<Ready, BackupError> {
        let file = beside(path, "restoring");
        let place = Place::File(file.clone());
        // One that was killed may have left one.
        place.undo().await?;
        let filled = async {
            let filled = self.fill(&place, job).await?;
            // What its log has goes into the file.
            drop(Database::keep_closed(&file).await?);
            File::open(&file).and_then(|file| file.sync_all()).map_err(BackupError::io)?;
            Ok(filled)
        };
        match filled.await {
            Ok(filled) => Ok(Ready { file, filled }),
            Err(error) => {
                place.undo().await?;
                Err(error)
            }
        }
    }
}

impl Ready {
    /// Gives it the name of a file that isn't there.
    pub(super) fn put_at(self, path: &Path) -> Result<Filled, BackupError> {
        self.rename(path).map_err(BackupError::io)
    }

    /// Gives it the name of a file that may be there, which gets another one; says which.
    pub(super) fn replace(self, path: &Path) -> Result<(Filled, Option<PathBuf>), BackupError> {
        let aside = beside(path, &format!("before-{}", crate::BackupId::new()));
        let was_there = set_aside(path, &aside).and_then(|was_there| Ok((was_there, self.rename(path)?)));
        match was_there {
            Ok((was_there, filled)) => Ok((filled, was_there.then_some(aside))),
            Err(error) => {
                put_back(path, &aside);
                Err(BackupError::io(error))
            }
        }
    }

    fn rename(mut self, path: &Path) -> io::Result<Filled> {
        fs::rename(&self.file, path)?;
        // It is there: whatever goes wrong from here on is no reason to say it isn't.
        let _ = fs::remove_file(with_ending(&self.file, ".lock"));
        if let Err(error) = sync_folder(private::folder_of(path)) {
            self.filled.is_left(&format!("its folder can't be written to the disk for certain: {error}"));
        }
        Ok(self.filled)
    }
}

/// Gives a database a second name, and its side files that name alone. Says whether there was one.
fn set_aside(path: &Path, aside: &Path) -> io::Result<bool> {
    let is_there = path.try_exists()?;
    // Some file systems have no second names.
    if is_there && fs::hard_link(path, aside).is_err() {
        fs::copy(path, aside)?;
        File::open(aside)?.sync_all()?;
    }
    for ending in SIDE_FILES {
        rename_if_there(&with_ending(path, ending), &with_ending(aside, ending))?;
    }
    Ok(is_there)
}

/// Undoes [`set_aside`], as far as it came.
fn put_back(path: &Path, aside: &Path) {
    for ending in SIDE_FILES {
        let _ = rename_if_there(&with_ending(aside, ending), &with_ending(path, ending));
    }
    let _ = fs::remove_file(aside);
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Filled {
        Filled { rows: 0, sessions_ended: None, problem: None }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_has_another_name_with_all_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (live, file) = (folder.path().join("live"), folder.path().join("live.restoring"));
        for (name, text) in
            [("live", "old"), ("live-wal", "log"), ("live-journal", "journal"), ("live.restoring", "new")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (_, aside) = Ready { file, filled: filled() }.replace(&live).unwrap();
        let aside = aside.unwrap();
        assert_eq!(fs::read_to_string(&live).unwrap(), "new");
        assert_eq!(fs::read_to_string(&aside).unwrap(), "old");
        assert_eq!(fs::read_to_string(with_ending(&aside, "-wal")).unwrap(), "log");
        assert_eq!(fs::read_to_string(with_ending(&aside, "-journal")).unwrap(), "journal");
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[test]
    fn what_cannot_be_replaced_stays_with_all_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        for name in ["live", "live-wal"] {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        let missing = Ready { file: folder.path().join("live.restoring"), filled: filled() };
        assert!(missing.replace(&live).is_err());
        assert_eq!(names(folder.path()), ["live", "live-wal"]);
        assert_eq!(fs::read_to_string(&live).unwrap(), "old");
    }
}
