//! Where mails go without a mail server: one `.eml` file each, for a mail program or a person.
//! They hold live links, so only the owner can read them. When one is old is decided elsewhere.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::private;

/// Where the folder is.
pub(super) fn of(data_dir: &Path) -> PathBuf {
    data_dir.join("mail")
}

/// Deletes mails, and drafts that a killed process left, last changed before then; says how many.
/// Other files stay, and so does a folder that isn't there.
pub(super) fn remove_older(folder: &Path, before: SystemTime) -> io::Result<u64> {
    private::remove_older(folder, before, |name| {
        name.ends_with(".eml") || (name.starts_with('.') && name.contains(".eml."))
    })
}

/// Writes `bytes` as `name` in `folder`, wholly or not at all, and gives its path. One that was
/// there under that name is replaced.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    private::create_folder(folder)?;
    let path = folder.join(name);
    let draft = folder.join(format!(".{name}.{}", uuid::Uuid::now_v7()));
    let mut file = private::open(&draft, OpenOptions::new().write(true).create_new(true))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| rename(&draft, &path));
    if let Err(error) = written {
        // What is half there is of no use; the error is what matters.
        let _ = std::fs::remove_file(&draft);
        return Err(private::told(&path, &error));
    }
    File::open(folder)?.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_mail_is_there_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mails = folder.path().join("mail");
        put(&mails, "1.eml", b"draft").unwrap();
        let path = put(&mails, "1.eml", b"mail").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"mail");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&mails).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&mails).unwrap().count(), 1);
    }

    #[test]
    fn old_mails_and_drafts_go_and_nothing_else() {
        use std::time::{Duration, UNIX_EPOCH};
        let folder = tempfile::tempdir().unwrap();
        let day = |n: u64| UNIX_EPOCH + Duration::from_secs(n * 86_400);
        for (name, written) in [
            ("old.eml", day(1)),
            (".old.eml.0193", day(1)),
            ("new.eml", day(3)),
            (".new.eml.0193", day(3)),
            ("notes.txt", day(1)),
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(written).unwrap();
        }
        assert_eq!(remove_older(folder.path(), day(2)).unwrap(), 2);
        assert_eq!(remove_older(folder.path(), day(2)).unwrap(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(!folder.path().join("old.eml").exists());
        assert_eq!(remove_older(&folder.path().join("nowhere"), day(2)).unwrap(), 0);
    }
}
