//! Reading the files of uploads that a backup has: whether they are what was written, and back into the
//! object store.

use super::Shelf;
use crate::backup::manifest::Manifest;
use crate::backup::pipe::{self, Unreadable};
use crate::backup::target::{Target, blocking, chunks, parsed};
use crate::backup::{BackupError, Backups, IdentityKey};
use crate::media::Kept;
use crate::media::objects::ObjectError;
use crate::text::hex;

impl Backups {
    /// What is wrong with the file of an object in a backup, if anything. Without a key an encrypted one is
    /// only looked for.
    pub(in crate::backup) async fn stored_problem(
        &self,
        target: &Target,
        manifest: &Manifest,
        kept: &Kept,
        keys: &[IdentityKey],
    ) -> Result<Option<String>, BackupError> {
        let shelf = Shelf::of(manifest.encryption.as_ref());
        let work = &self.settings().backup.work_folder;
        let Some(file) = target.open_at(&shelf.path(kept), work).await? else {
            return Ok(Some(format!("the file of {} is missing", kept.key)));
        };
        let (keys, expected) = (keys.to_vec(), kept.clone());
        blocking(move || {
            if file.metadata().map_err(BackupError::io)?.len() == 0 {
                return Ok(Some(format!("the file of {} is empty", expected.key)));
            }
            if shelf.is_encrypted && keys.is_empty() {
                return Ok(None);
            }
            let read = match pipe::unpack(file, shelf.is_encrypted, &keys) {
                Ok(text) => pipe::measure(text).ok(),
                Err(Unreadable::Key | Unreadable::Damaged(_)) => None,
            };
            let is_it =
                read.is_some_and(|read| read.bytes == expected.size && read.sha256.starts_with(&expected.sha256));
            Ok((!is_it).then(|| format!("the file of {} was changed", expected.key)))
        })
        .await
    }

    /// Reads every file of a full backup: how many there are, or what is wrong with one.
    pub(in crate::backup) async fn read_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<Result<u64, String>, BackupError> {
        let Some(mut list) = self.list_of(target, manifest).await? else { return Ok(Ok(0)) };
        let part = self.watcher().part("reading uploads, in bytes", manifest.media.bytes);
        let mut objects = 0;
        loop {
            let (rest, batch) = list.next().await?;
            if batch.is_empty() {
                return Ok(Ok(objects));
            }
            list = rest;
            for kept in batch.iter().filter(|kept| !manifest.media.lacking.contains(&kept.key)) {
                if let Some(problem) = self.stored_problem(target, manifest, kept, keys).await? {
                    return Ok(Err(problem));
                }
                part.add(kept.size);
                objects += 1;
            }
        }
    }

    /// Gives the object store what it lacks, or has otherwise, of the files of a backup, which were read
    /// before; says of how many objects.
    pub(in crate::backup) async fn restore_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<u64, BackupError> {
        let (store, shelf) = (self.store()?, Shelf::of(manifest.encryption.as_ref()));
        let Some(mut list) = self.list_of(target, manifest).await? else { return Ok(0) };
        let part = self.watcher().part("restoring uploads, in bytes", manifest.media.bytes);
        let mut restored = 0;
        loop {
            let (rest, batch) = list.next().await?;
            if batch.is_empty() {
                return Ok(restored);
            }
            list = rest;
            for kept in batch.iter().filter(|kept| !manifest.media.lacking.contains(&kept.key)) {
                part.add(kept.size);
                let key = parsed(&kept.key)?;
                match store.head(&key).await {
                    Ok(info) if info.size == kept.size && hex(&store.digest(&key).await?).starts_with(&kept.sha256) => {
                        continue;
                    }
                    Ok(_) => store.delete(&key).await?,
                    Err(ObjectError::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
                let damaged =
                    || BackupError::Damaged { id: manifest.id, problem: format!("{} can't be read", kept.key) };
                let file = target.open_at(&shelf.path(kept), &self.settings().backup.work_folder).await?;
                let text = pipe::unpack(file.ok_or_else(damaged)?, shelf.is_encrypted, keys).map_err(|_| damaged())?;
                store.receive(&key, kept.size, None, chunks(text)).await?;
                restored += 1;
            }
        }
    }
}
