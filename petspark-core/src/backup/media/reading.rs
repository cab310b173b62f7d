//! Reading the files of uploads that a backup has: whether they are what was written, and back into the
//! object store.

use std::collections::HashSet;

use super::Shelf;
use super::damage::{self, Damaged, Looked};
use crate::backup::manifest::Manifest;
use crate::backup::pipe::{self, Unreadable};
use crate::backup::target::{Target, blocking, chunks, parsed};
use crate::backup::{BackupError, Backups, IdentityKey};
use crate::database::Database;
use crate::media::objects::{ObjectError, ObjectStore};
use crate::media::{Kept, known_names};
use crate::text::hex;

/// What is to be known of a file.
enum Stored {
    /// It is what was written.
    Good,
    /// It is there, and nobody here can read it.
    Unread,
    /// What is wrong with it.
    Damaged(&'static str),
}

impl Backups {
    /// Reads every file of a full backup: how many there are, or what is wrong with which, which is noted
    /// too.
    pub(in crate::backup) async fn read_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<Result<u64, String>, BackupError> {
        let Some(mut list) = self.list_of(target, manifest).await? else { return Ok(Ok(0)) };
        let part = self.watcher().part("reading uploads, in bytes", manifest.media.bytes);
        let (noted, mut looked) = (self.damaged_files(target).await?, Looked::default());
        while let Some(batch) = list.next().await? {
            for kept in batch.iter().filter(|kept| !manifest.media.lacking.contains(&kept.key)) {
                part.add(kept.size);
                self.look_at_file(target, manifest, kept, keys, &noted, &mut looked).await?;
            }
        }
        self.note_looked(target, manifest.id, &looked).await;
        Ok(if looked.damaged.is_empty() { Ok(looked.good) } else { Err(damage::told(&looked.damaged)) })
    }

    /// Reads every so-manieth file of a full backup, and those that were found damaged before. Says how many.
    pub(in crate::backup) async fn read_some_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        every: u64,
        keys: &[IdentityKey],
    ) -> Result<(usize, Looked), BackupError> {
        let (noted, shelf) = (self.damaged_files(target).await?, Shelf::of(manifest.encryption.as_ref()));
        let sample = self.sample(target, manifest, every, |kept| noted.contains(&shelf.path(kept))).await?;
        let mut looked = Looked::default();
        for kept in sample.iter().filter(|kept| !manifest.media.lacking.contains(&kept.key)) {
            self.look_at_file(target, manifest, kept, keys, &noted, &mut looked).await?;
        }
        self.note_looked(target, manifest.id, &looked).await;
        Ok((sample.len(), looked))
    }

    async fn look_at_file(
        &self,
        target: &Target,
        manifest: &Manifest,
        kept: &Kept,
        keys: &[IdentityKey],
        noted: &HashSet<String>,
        looked: &mut Looked,
    ) -> Result<(), BackupError> {
        let path = Shelf::of(manifest.encryption.as_ref()).path(kept);
        let is_noted = noted.contains(&path);
        let what = match self.stored(target, manifest, kept, keys).await? {
            Stored::Damaged(what) => what,
            // Who can't read it believes who could.
            Stored::Unread if is_noted => "was found damaged before",
            Stored::Good | Stored::Unread => {
                looked.good += 1;
                if is_noted {
                    looked.mended.insert(path);
                }
                return Ok(());
            }
        };
        if looked.damaged.len() < damage::MOST {
            let problem = format!("the file of {} {what} ({path})", kept.key);
            looked.damaged.push(Damaged { path, problem });
        }
        Ok(())
    }

    /// Reads the file of an object. Without a key that opens it an encrypted one is only looked for.
    async fn stored(
        &self,
        target: &Target,
        manifest: &Manifest,
        kept: &Kept,
        keys: &[IdentityKey],
    ) -> Result<Stored, BackupError> {
        let shelf = Shelf::of(manifest.encryption.as_ref());
        let file = target.open_at(&shelf.path(kept), &self.settings().backup.work_folder).await?;
        let Some(file) = file else { return Ok(Stored::Damaged("is missing")) };
        let (keys, expected) = (keys.to_vec(), kept.clone());
        blocking(move || {
            if file.metadata().map_err(BackupError::io)?.len() == 0 {
                return Ok(Stored::Damaged("is empty"));
            }
            if shelf.is_encrypted && keys.is_empty() {
                return Ok(Stored::Unread);
            }
            let read = match pipe::unpack(file, shelf.is_encrypted, &keys) {
                Ok(text) => pipe::measure(text).ok(),
                Err(Unreadable::Key | Unreadable::Damaged(_)) => None,
            };
            let is_it = read.is_some_and(|read| expected.is(read.bytes, &read.sha256));
            Ok(if is_it { Stored::Good } else { Stored::Damaged("was changed") })
        })
        .await
    }

    /// Gives the object store what it lacks, or has otherwise, of the files of a backup: all, or those of
    /// uploads that a database knows. Says of how many objects, and which files are no good.
    pub(in crate::backup) async fn restore_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        known_to: Option<&Database>,
    ) -> Result<(u64, Vec<Damaged>), BackupError> {
        let store = self.store()?;
        let Some(mut list) = self.list_of(target, manifest).await? else { return Ok((0, Vec::new())) };
        let part = self.watcher().part("restoring uploads, in bytes", manifest.media.bytes);
        let (mut restored, mut damaged) = (0, Vec::new());
        while let Some(batch) = list.next().await? {
            let known = match known_to {
                Some(db) => Some(known_names(db, &batch).await?),
                None => None,
            };
            let is_wanted = |kept: &&Kept| {
                !manifest.media.lacking.contains(&kept.key)
                    && known.as_ref().is_none_or(|known| known.contains(&kept.key))
            };
            for kept in batch.iter().filter(is_wanted) {
                part.add(kept.size);
                let key = parsed(&kept.key)?;
                match store.head(&key).await {
                    // All of it is read only where its length is right.
                    Ok(info) if info.size == kept.size && kept.is(info.size, &hex(&store.digest(&key).await?)) => {
                        continue;
                    }
                    Ok(_) | Err(ObjectError::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
                match self.restore_object(&store, target, manifest, kept, keys).await? {
                    None => restored += 1,
                    Some(found) => damaged.push(found),
                }
            }
        }
        Ok((restored, damaged))
    }

    /// What is in the store stays until all of the other is there, and is what it should be.
    async fn restore_object(
        &self,
        store: &ObjectStore,
        target: &Target,
        manifest: &Manifest,
        kept: &Kept,
        keys: &[IdentityKey],
    ) -> Result<Option<Damaged>, BackupError> {
        let shelf = Shelf::of(manifest.encryption.as_ref());
        let path = shelf.path(kept);
        let file = target.open_at(&path, &self.settings().backup.work_folder).await?;
        let text = file.and_then(|file| pipe::unpack(file, shelf.is_encrypted, keys).ok());
        if let Some(text) = text {
            let is_it = |size: u64, digest: &[u8; 32]| kept.is(size, &hex(digest));
            match store.replace(&parsed(&kept.key)?, kept.size, is_it, chunks(text)).await {
                Ok(_) => return Ok(None),
                Err(ObjectError::Sender(_) | ObjectError::TooLarge | ObjectError::Mismatch(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let problem = format!("the file of {} can't be read ({path})", kept.key);
        Ok(Some(Damaged { path, problem }))
    }
}
