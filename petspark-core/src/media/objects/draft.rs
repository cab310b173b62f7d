//! Files that bytes go to while they arrive: hashed on the way, on the disk before they count, and
//! gone with whoever wrote them. Where a finished one goes is up to the store.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::{Difference, Expected, ObjectError, ObjectInfo, ObjectKey, blocking};
use crate::clock::Timestamp;
use crate::private;

/// What one upload holds in memory, roughly, before it is written.
const BATCH: usize = 64 << 10;
/// What a draft's name ends with.
const SUFFIX: &str = ".draft";

/// The folder of drafts.
#[derive(Clone)]
pub(super) struct Drafts(PathBuf);

/// One file that is being written. It vanishes when this is dropped, unless it was renamed.
pub(super) struct Draft {
    path: PathBuf,
    file: File,
    size: u64,
    digest: Sha256,
}

/// A draft with all its bytes, safe on the disk.
pub(super) struct Finished {
    pub(super) draft: Draft,
    pub(super) sha256: [u8; 32],
}

impl Drafts {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join("incoming"))
    }

    /// Opens a new one, and the folder if need be.
    pub(super) fn create(&self) -> Result<Draft, ObjectError> {
        private::create_folder(&self.0).map_err(ObjectError::unavailable)?;
        let path = self.0.join(format!("{}{SUFFIX}", uuid::Uuid::now_v7()));
        let file = private::open(&path, OpenOptions::new().write(true).create_new(true));
        Ok(Draft { file: file.map_err(ObjectError::unavailable)?, path, size: 0, digest: Sha256::new() })
    }

    /// Writes all of `body` to a draft. What is longer than `most`, or than expected, is not read on.
    pub(super) async fn receive(
        &self,
        most: u64,
        expected: Option<&Expected>,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Finished, ObjectError> {
        let (limit, beyond) = match expected {
            Some(Expected { size, .. }) if *size > most => return Err(ObjectError::TooLarge),
            Some(Expected { size, .. }) => (*size, ObjectError::Mismatch(Difference::Size)),
            None => (most, ObjectError::TooLarge),
        };
        let mut body = pin!(body);
        let drafts = self.clone();
        let mut draft = blocking(move || drafts.create()).await?;
        let (mut batch, mut waiting, mut size) = (Vec::new(), 0, 0);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(ObjectError::Sender)?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(beyond);
            }
            waiting += chunk.len();
            batch.push(chunk);
            if waiting >= BATCH {
                (waiting, draft) = (0, draft.written(std::mem::take(&mut batch)).await?);
            }
        }
        let expected = expected.copied();
        blocking(move || draft.write(&batch)?.finish(expected.as_ref())).await
    }

    /// Removes drafts that nobody wrote to since then; says how many.
    pub(super) fn remove_older(&self, before: SystemTime) -> io::Result<u64> {
        private::remove_older(&self.0, before, |name| name.ends_with(SUFFIX))
    }
}

impl Draft {
    async fn written(self, batch: Vec<Bytes>) -> Result<Self, ObjectError> {
        blocking(move || self.write(&batch)).await
    }

    /// Appends.
    pub(super) fn write(mut self, batch: &[Bytes]) -> Result<Self, ObjectError> {
        for bytes in batch {
            self.digest.update(bytes);
            self.size += bytes.len() as u64;
            let written = self.file.write_all(bytes);
            written.map_err(|error| ObjectError::unavailable(private::told(&self.path, &error)))?;
        }
        Ok(self)
    }

    /// Waits for the disk, if these are the bytes that were expected.
    pub(super) fn finish(mut self, expected: Option<&Expected>) -> Result<Finished, ObjectError> {
        let sha256: [u8; 32] = std::mem::take(&mut self.digest).finalize().into();
        if let Some(expected) = expected {
            if expected.size != self.size {
                return Err(ObjectError::Mismatch(Difference::Size));
            }
            if expected.sha256.is_some_and(|expected| expected != sha256) {
                return Err(ObjectError::Mismatch(Difference::Sha256));
            }
        }
        let synced = self.file.sync_all();
        synced.map_err(|error| ObjectError::unavailable(private::told(&self.path, &error)))?;
        Ok(Finished { draft: self, sha256 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was renamed isn't there; one that can't be removed is found by `remove_older`.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Finished {
    /// What it will be known as under `key`.
    pub(super) fn info(&self, key: &ObjectKey) -> Result<ObjectInfo, ObjectError> {
        let written = self.draft.file.metadata().and_then(|file| file.modified());
        let written = written.map_err(|error| ObjectError::unavailable(private::told(&self.draft.path, &error)))?;
        Ok(ObjectInfo {
            key: key.clone(),
            size: self.draft.size,
            modified_at: Timestamp::from(written),
            sha256: Some(self.sha256),
        })
    }
}
