//! Where backups are: a folder with one folder for each, and a bucket with the same names. In the
//! folder a backup appears whole, by being renamed; in the bucket its manifest comes last.
//!
//! Beside them are notes: which were pinned, pruned, or proven by a drill, and what was found damaged.

mod notes;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;

pub(super) use notes::Note;

use super::{BackupError, manifest};
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::BackupId;
use crate::media::objects::{ObjectError, ObjectInfo, ObjectKey, ObjectStore};
use crate::private;

/// One of the two.
#[derive(Clone)]
pub(super) enum Target {
    Folder(PathBuf),
    Bucket(ObjectStore),
}

/// What the names of unfinished backups begin with.
pub(super) const PARTIAL: &str = ".partial-";
/// Objects listed in one go.
const LISTED: usize = 1000;
/// Bytes sent in one piece.
const CHUNK: usize = 256 << 10;

impl Target {
    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Bucket(_) => "bucket",
        }
    }

    /// Every backup that can be seen, the oldest first. Whether it is good is not looked at.
    pub(super) async fn ids(&self) -> Result<Vec<BackupId>, BackupError> {
        let mut ids = match self {
            Self::Folder(root) => folder_names(root)?.iter().filter_map(|name| name.parse().ok()).collect(),
            Self::Bucket(store) => manifests(&files_of_backups(store).await?),
        };
        ids.sort_unstable();
        Ok(ids)
    }

    /// The text of a manifest, if there is one.
    pub(super) async fn manifest(&self, id: BackupId) -> Result<Option<Vec<u8>>, BackupError> {
        match self {
            Self::Folder(root) => read_small(&root.join(id.to_string()).join(manifest::FILE), manifest::MAX_BYTES),
            Self::Bucket(store) => read_object(store, &key(id, manifest::FILE)?, manifest::MAX_BYTES).await,
        }
    }

    /// Every file of a backup with its length.
    pub(super) async fn files(&self, id: BackupId) -> Result<Vec<(String, u64)>, BackupError> {
        match self {
            Self::Folder(root) => {
                let mut files = Vec::new();
                for entry in fs::read_dir(root.join(id.to_string())).map_err(BackupError::io)? {
                    let entry = entry.map_err(BackupError::io)?;
                    let bytes = entry.metadata().map_err(BackupError::io)?.len();
                    files.push((entry.file_name().to_string_lossy().into_owned(), bytes));
                }
                Ok(files)
            }
            Self::Bucket(_) => {
                let beginning = format!("{id}/");
                let name =
                    |(key, size): (ObjectKey, u64)| Some((key.as_str().strip_prefix(&beginning)?.to_owned(), size));
                Ok(self.keys(&beginning).await?.into_iter().filter_map(name).collect())
            }
        }
    }

    /// A file of a backup, to be read. From the bucket it comes by way of `work`.
    pub(super) async fn open(&self, id: BackupId, name: &str, work: &Path) -> Result<Option<File>, BackupError> {
        self.open_at(&format!("{id}/{name}"), work).await
    }

    /// The same for any file, by its path.
    pub(super) async fn open_at(&self, path: &str, work: &Path) -> Result<Option<File>, BackupError> {
        match self {
            Self::Folder(root) => match File::open(root.join(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                file => file.map(Some).map_err(BackupError::io),
            },
            Self::Bucket(store) => {
                let mut body = match store.get(&parsed(path)?, None).await {
                    Ok((_, body)) => body,
                    Err(ObjectError::NotFound) => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                private::create_folder(work).map_err(BackupError::io)?;
                let path = work.join(format!("{}.part", uuid::Uuid::now_v7()));
                let mut options = OpenOptions::new();
                let mut file =
                    private::open(&path, options.read(true).write(true).create_new(true)).map_err(BackupError::io)?;
                // It is gone with whoever reads it.
                fs::remove_file(&path).map_err(BackupError::io)?;
                while let Some(chunk) = body.try_next().await.map_err(BackupError::io)? {
                    file = blocking(move || file.write_all(&chunk).map(|()| file).map_err(BackupError::io)).await?;
                }
                io::Seek::rewind(&mut file).map_err(BackupError::io)?;
                Ok(Some(file))
            }
        }
    }

    /// Copies a complete backup of a folder to here.
    pub(super) async fn receive(&self, id: BackupId, from: &Path, names: &[&str]) -> Result<(), BackupError> {
        let Self::Bucket(store) = self else { return Err(Fault::internal("only buckets are copied to").into()) };
        for name in names.iter().copied().chain([manifest::FILE]) {
            let file = File::open(from.join(name)).map_err(BackupError::io)?;
            store.receive(&key(id, name)?, u64::MAX, None, chunks(file)).await?;
        }
        Ok(())
    }

    /// Removes a backup: first what makes it visible.
    pub(super) async fn remove(&self, id: BackupId) -> Result<(), BackupError> {
        match self {
            Self::Folder(root) => {
                let gone = root.join(format!("{PARTIAL}{id}"));
                fs::rename(root.join(id.to_string()), &gone).map_err(BackupError::io)?;
                blocking(move || fs::remove_dir_all(gone).map_err(BackupError::io)).await
            }
            Self::Bucket(store) => {
                store.delete(&key(id, manifest::FILE)?).await?;
                for (key, _) in self.keys(&format!("{id}/")).await? {
                    store.delete(&key).await?;
                }
                Ok(())
            }
        }
    }

    /// Removes what is left in a bucket of backups that were pruned, if it is older than that: who removed them may have
    /// died over it. What was never noted is nobody's business: ids look like other people's names. In a folder
    /// they are found by their own.
    pub(super) async fn remove_leftovers(&self, before: Timestamp) -> Result<(), BackupError> {
        let Self::Bucket(store) = self else { return Ok(()) };
        let (files, mut gone) = (files_of_backups(store).await?, HashSet::new());
        gone.extend(self.noted(Note::Pruned).await?);
        for id in manifests(&files) {
            gone.remove(&id);
        }
        for (_, object) in files.iter().filter(|(id, object)| gone.contains(id) && object.modified_at < before) {
            store.delete(&object.key).await?;
        }
        Ok(())
    }

    /// Whether there is a file, by its path.
    pub(super) async fn has(&self, path: &str) -> Result<bool, BackupError> {
        match self {
            Self::Folder(root) => root.join(path).try_exists().map_err(BackupError::io),
            Self::Bucket(store) => match store.head(&parsed(path)?).await {
                Ok(_) => Ok(true),
                Err(ObjectError::NotFound) => Ok(false),
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn keys(&self, beginning: &str) -> Result<Vec<(ObjectKey, u64)>, BackupError> {
        let Self::Bucket(store) = self else { return Ok(Vec::new()) };
        let mut all: Vec<(ObjectKey, u64)> = Vec::new();
        loop {
            let page = store.list(beginning, all.last().map(|(key, _)| key), LISTED).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|object| (object.key, object.size)));
        }
    }
}

/// Every file of every backup in a bucket, whole or not. Names of ids come before all others there, of which there may be
/// very many.
async fn files_of_backups(store: &ObjectStore) -> Result<Vec<(BackupId, ObjectInfo)>, BackupError> {
    let (mut files, mut last) = (Vec::new(), None);
    loop {
        let page = store.list("", last.as_ref(), LISTED).await?;
        last = page.last().map(|object| object.key.clone());
        let id = |object: &ObjectInfo| object.key.as_str().split_once('/')?.0.parse().ok();
        files.extend(page.into_iter().filter_map(|object| Some((id(&object)?, object))));
        // An id begins with a hexadecimal digit.
        if last.as_ref().is_none_or(|last| last.as_str() >= "g") {
            return Ok(files);
        }
    }
}

/// Those of which the manifest is there, which comes last and goes first.
fn manifests(files: &[(BackupId, ObjectInfo)]) -> Vec<BackupId> {
    let is_manifest =
        |(id, object): &&(BackupId, ObjectInfo)| object.key.as_str() == format!("{id}/{}", manifest::FILE);
    files.iter().filter(is_manifest).map(|(id, _)| *id).collect()
}

fn key(id: BackupId, name: &str) -> Result<ObjectKey, BackupError> {
    parsed(&format!("{id}/{name}"))
}

pub(super) fn parsed(path: &str) -> Result<ObjectKey, BackupError> {
    path.parse().map_err(|error| Fault::internal(error).into())
}

async fn read_object(store: &ObjectStore, key: &ObjectKey, most: u64) -> Result<Option<Vec<u8>>, BackupError> {
    match store.read(key, most).await {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(ObjectError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_small(path: &Path, most: u64) -> Result<Option<Vec<u8>>, BackupError> {
    // Opening a pipe would wait for whoever writes to it.
    let opened = fs::metadata(path).and_then(|found| match found.is_file() {
        true => File::open(path),
        false => Err(private::told(path, &io::Error::other("is not a file"))),
    });
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(BackupError::io)?,
    };
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text).map_err(BackupError::io)?;
    Ok(Some(text))
}

/// The names in a folder; one that isn't there has none.
pub(super) fn folder_names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| BackupError::io(private::told(folder, &error)))?,
    };
    entries.map(|entry| Ok(entry.map_err(BackupError::io)?.file_name().to_string_lossy().into_owned())).collect()
}

/// Writes a small file of which there is never a half, and replaces what is there.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> Result<(), BackupError> {
    let folder = private::folder_of(path);
    private::create_folder(folder).map_err(BackupError::io)?;
    let draft = folder.join(format!(".{}.tmp", uuid::Uuid::now_v7()));
    let written = private::open(&draft, OpenOptions::new().write(true).create_new(true)).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_folder(folder)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.map_err(BackupError::io)
}

/// Waits until the names in a folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Runs what waits for a disk or a tool on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.map_err(Fault::internal)?
}

/// A file, or what is in one, piece by piece.
pub(super) fn chunks(
    from: impl io::Read + Send + 'static,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold(from, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK);
            (&mut file).take(CHUNK as u64).read_to_end(&mut chunk)?;
            Ok::<_, io::Error>((chunk, file))
        });
        let (chunk, file) = read.await.map_err(io::Error::other)??;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), file)))
    })
}
