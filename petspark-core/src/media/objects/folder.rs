//! Objects as files of a folder, for one server or a file system that servers share. Everything
//! here blocks; whoever calls it does so on a thread for that.
//!
//! An object lies on one of 4,096 shelves, named by the first three digits of its key's SHA-256,
//! so that no folder grows beyond some thousands of files among ten million. Its file is named as
//! the key, with `+` for `/`. Shelves and files are opened without following symbolic links.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::draft::{Drafts, Finished};
use super::{ObjectError, ObjectInfo, ObjectKey};
use crate::clock::Timestamp;
use crate::private;

#[derive(Clone)]
pub(super) struct Folder {
    root: PathBuf,
    pub(super) drafts: Drafts,
}

/// What becomes of an object that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Stays,
    IsReplaced,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), drafts: Drafts::in_folder(root) }
    }

    /// Gives a finished draft its name, after which it is there for good.
    pub(super) fn publish(
        &self,
        key: &ObjectKey,
        finished: Finished,
        existing: Existing,
    ) -> Result<ObjectInfo, ObjectError> {
        let info = finished.info(key)?;
        let shelf = self.make_shelf(key)?;
        let (draft, name) = (finished.draft.path(), file_name(key));
        // A link, unlike a renamed file, never replaces what is there, on any file system.
        let named = match existing {
            Existing::Stays => rustix::fs::linkat(CWD, draft, &shelf, &name, AtFlags::empty()),
            Existing::IsReplaced => rustix::fs::renameat(CWD, draft, &shelf, &name),
        };
        match named {
            Err(Errno::EXIST) => return Err(ObjectError::AlreadyThere),
            named => named.map_err(|error| self.failed(key, error))?,
        }
        rustix::fs::fsync(&shelf).map_err(|error| self.failed(key, error))?;
        Ok(info)
    }

    /// An object, open for reading.
    pub(super) fn open(&self, key: &ObjectKey) -> Result<(File, ObjectInfo), ObjectError> {
        let (file, metadata) = self.find(key)?.ok_or(ObjectError::NotFound)?;
        let modified = metadata.modified().map_err(|error| self.failed(key, error))?;
        let modified_at = Timestamp::from(modified);
        Ok((file, ObjectInfo { key: key.clone(), size: metadata.len(), modified_at, sha256: None }))
    }

    fn find(&self, key: &ObjectKey) -> Result<Option<(File, Metadata)>, ObjectError> {
        let Some(shelf) = self.shelf(&shelf_name(key)).map_err(|error| self.failed(key, error))? else {
            return Ok(None);
        };
        // Not to wait for a writer, should it be a pipe.
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&shelf, file_name(key), how, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            file => File::from(file.map_err(|error| self.failed(key, error))?),
        };
        let metadata = file.metadata().map_err(|error| self.failed(key, error))?;
        Ok(metadata.is_file().then_some((file, metadata)))
    }

    /// Removes an object, or finds that there is none.
    pub(super) fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let Some(shelf) = self.shelf(&shelf_name(key)).map_err(|error| self.failed(key, error))? else {
            return Ok(());
        };
        match rustix::fs::unlinkat(&shelf, file_name(key), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            // Whoever was told that it is gone must not see it again after a power cut.
            result => result.and_then(|()| rustix::fs::fsync(&shelf)).map_err(|error| self.failed(key, error)),
        }
    }

    /// The first `most` objects behind `after` whose name begins with `prefix`, by name.
    ///
    /// Shelves are in no order, so that a page looks at every name there is: about a second among a
    /// million. Ask for large pages.
    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        let mut after = after.cloned();
        loop {
            let keys = self.keys(prefix, after.as_ref(), most).map_err(ObjectError::unavailable)?;
            let Some(last) = keys.last().cloned() else { return Ok(Vec::new()) };
            let mut page = Vec::with_capacity(keys.len());
            for key in &keys {
                match self.open(key) {
                    Err(ObjectError::NotFound) => {}
                    opened => page.push(opened?.1),
                }
            }
            if !page.is_empty() {
                return Ok(page);
            }
            // All of them went meanwhile; an empty page would say that there are no more.
            after = Some(last);
        }
    }

    fn keys(&self, prefix: &str, after: Option<&ObjectKey>, most: usize) -> io::Result<BTreeSet<ObjectKey>> {
        let mut first = BTreeSet::new();
        for shelf in self.shelves()? {
            let Some(folder) = self.shelf(&shelf)? else { continue };
            for name in names(folder)? {
                let Ok(key) = name?.replace('+', "/").parse::<ObjectKey>() else { continue };
                if !key.as_str().starts_with(prefix) || after.is_some_and(|after| key <= *after) {
                    continue;
                }
                if first.len() < most {
                    first.insert(key);
                } else if first.last().is_some_and(|last| key < *last) {
                    first.insert(key);
                    first.pop_last();
                }
            }
        }
        Ok(first)
    }

    fn shelves(&self) -> io::Result<Vec<String>> {
        let root = match rustix::fs::open(&self.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            root => root.map_err(|error| private::told(&self.root, &error.into()))?,
        };
        let is_shelf = |name: &String| name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        names(root)?.filter(|name| name.as_ref().map_or(true, is_shelf)).collect()
    }

    /// Whether files can be written here.
    pub(super) fn check(&self) -> Result<(), ObjectError> {
        self.drafts.create()?.write(&[bytes::Bytes::from_static(b"?")]).map(drop)
    }

    fn shelf(&self, name: &str) -> io::Result<Option<OwnedFd>> {
        let path = self.root.join(name);
        match rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(shelf) => Ok(Some(shelf)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(private::told(&path, &error.into())),
        }
    }

    fn make_shelf(&self, key: &ObjectKey) -> Result<OwnedFd, ObjectError> {
        let name = shelf_name(key);
        let made = || -> io::Result<Option<OwnedFd>> {
            if let Some(shelf) = self.shelf(&name)? {
                return Ok(Some(shelf));
            }
            private::create_folder(&self.root.join(&name))?;
            File::open(&self.root)?.sync_all()?;
            self.shelf(&name)
        };
        made().and_then(|shelf| shelf.ok_or_else(|| Errno::NOENT.into())).map_err(|error| self.failed(key, error))
    }

    fn failed(&self, key: &ObjectKey, error: impl Into<io::Error>) -> ObjectError {
        let path = self.root.join(shelf_name(key)).join(file_name(key));
        ObjectError::unavailable(private::told(&path, &error.into()))
    }
}

fn file_name(key: &ObjectKey) -> String {
    key.as_str().replace('/', "+")
}

fn shelf_name(key: &ObjectKey) -> String {
    let digest = Sha256::digest(key.as_str());
    format!("{:02x}{:x}", digest[0], digest[1] >> 4)
}

/// What lies in a folder; names that aren't UTF-8 are nobody's of ours.
fn names(folder: OwnedFd) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    Ok(Dir::new(folder)?.filter_map(|entry| match entry {
        Ok(entry) => entry.file_name().to_str().ok().map(|name| Ok(name.to_owned())),
        Err(error) => Some(Err(error.into())),
    }))
}
