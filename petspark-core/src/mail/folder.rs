//! Where mails go without a mail server: one `.eml` file each, for a mail program or a person.
//! They hold live links, so only the owner can read them. Nothing here deletes them.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::private;

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
}
