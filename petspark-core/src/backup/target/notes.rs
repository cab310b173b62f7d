//! Notes beside the backups, each of one kind about one backup: known where the database is lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Target, folder_names, read_object, read_small, write_whole};
use crate::backup::BackupError;
use crate::error::Fault;
use crate::id::BackupId;
use crate::media::objects::ObjectKey;

/// What is noted of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backup) enum Note {
    /// It stays, whatever the rules say.
    Pin,
    /// The last drill with it, and how that went.
    Drill,
    /// It was removed by the rules.
    Pruned,
    /// Files of uploads that it needs, and that were found damaged. They may be others' too: it outlives its backup.
    Damaged,
}

impl Note {
    fn folder(self) -> &'static str {
        match self {
            Self::Pin => "pins",
            Self::Drill => "drills",
            Self::Pruned => "pruned",
            Self::Damaged => "damaged",
        }
    }
}

const NOTES: &str = "notes";
const MAX_NOTE: u64 = 1 << 20;

impl Target {
    pub(in crate::backup) async fn note(&self, note: Note, id: BackupId) -> Result<Option<Vec<u8>>, BackupError> {
        match self {
            Self::Folder(root) => read_small(&note_path(root, note, id), MAX_NOTE),
            Self::Bucket(store) => read_object(store, &note_key(note, id)?, MAX_NOTE).await,
        }
    }

    /// Of which backups something is noted; some of them may be gone.
    pub(in crate::backup) async fn noted(&self, note: Note) -> Result<Vec<BackupId>, BackupError> {
        let folder = format!("{NOTES}/{}/", note.folder());
        let names = match self {
            Self::Folder(root) => folder_names(&root.join(folder))?,
            Self::Bucket(_) => {
                let name = |(key, _): (ObjectKey, u64)| key.as_str().strip_prefix(&folder).map(str::to_owned);
                self.keys(&folder).await?.into_iter().filter_map(name).collect()
            }
        };
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    pub(in crate::backup) async fn put_note(&self, note: Note, id: BackupId, text: Vec<u8>) -> Result<(), BackupError> {
        match self {
            Self::Folder(root) => write_whole(&note_path(root, note, id), &text),
            Self::Bucket(store) => Ok(store.put(&note_key(note, id)?, Bytes::from(text)).await?),
        }
    }

    /// Notes that a backup stays whatever the rules say, or no longer.
    pub(in crate::backup) async fn pin(&self, id: BackupId, pinned: bool) -> Result<(), BackupError> {
        match pinned {
            true => self.put_note(Note::Pin, id, b"{}\n".to_vec()).await,
            false => self.remove_note(Note::Pin, id).await,
        }
    }

    pub(in crate::backup) async fn remove_note(&self, note: Note, id: BackupId) -> Result<(), BackupError> {
        match self {
            Self::Folder(root) => match fs::remove_file(note_path(root, note, id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io(error)),
                _ => Ok(()),
            },
            Self::Bucket(store) => Ok(store.delete(&note_key(note, id)?).await?),
        }
    }

    /// Whether something was ever noted here; looks at a folder only.
    pub(in crate::backup) fn has_notes(&self) -> Result<bool, BackupError> {
        let Self::Folder(root) = self else { return Ok(false) };
        for kind in folder_names(&root.join(NOTES))? {
            if !folder_names(&root.join(NOTES).join(kind))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn note_key(note: Note, id: BackupId) -> Result<ObjectKey, BackupError> {
    format!("{NOTES}/{}/{id}.json", note.folder()).parse().map_err(|error| Fault::internal(error).into())
}

fn note_path(root: &Path, note: Note, id: BackupId) -> PathBuf {
    root.join(NOTES).join(note.folder()).join(format!("{id}.json"))
}
