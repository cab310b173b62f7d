//! The files of uploads that full backups have. They are beside the backups, each once by its content,
//! however many backups need it, and compressed and encrypted as the database is. Which of them a
//! backup needs is in its list of uploads; which nobody needs any more goes when backups do.

mod damage;
mod reading;
mod sweep;

pub(super) use damage::told;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::create::require_space;
use super::inventory::Inventory;
use super::manifest::{Manifest, ManifestEncryption};
use super::pipe;
use super::progress::Part;
use super::target::{PARTIAL, Target, blocking, chunks, parsed, sync_folder};
use super::{BackupError, Backups};
use crate::error::Fault;
use crate::id::BackupId;
use crate::media::Kept;
use crate::media::objects::{ObjectBody, ObjectError, ObjectStore};
use crate::private;
use crate::text::hex;

/// The folder that they are in.
pub(super) const FOLDER: &str = "media";
/// With more than so many missing something else is wrong than a few lost files.
const MAX_LACKING: usize = 1000;
/// Pieces of an object that are held while they wait to be written.
const WAITING: usize = 4;

/// The files that the same people can read: for other keys there are others.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    name: String,
    is_encrypted: bool,
}

impl Shelf {
    pub(super) fn of(encryption: Option<&ManifestEncryption>) -> Self {
        Self::for_recipients(encryption.map_or(&[], |encryption| &encryption.recipients))
    }

    fn for_recipients(recipients: &[String]) -> Self {
        let name = match recipients {
            [] => "plain".to_owned(),
            recipients => hex(&Sha256::digest(recipients.join(","))[..8]),
        };
        Self { name, is_encrypted: !recipients.is_empty() }
    }

    /// Where the file of an object is, below the backups' folder.
    fn path(&self, kept: &Kept) -> String {
        // Of what was never looked at there is no digest; its name is used once.
        let is_digest = kept.sha256.len() >= 32 && kept.sha256.chars().all(|c| c.is_ascii_hexdigit());
        let name = if is_digest { kept.sha256.clone() } else { hex(&Sha256::digest(&kept.key)) };
        let ending = if self.is_encrypted { "age" } else { "zst" };
        format!("{FOLDER}/{}/{}/{name}.{ending}", self.name, &name[..2])
    }
}

impl Backups {
    /// Copies to beside the backups what is there not yet, or was found damaged, and gives the names of
    /// objects that the store doesn't have as the database says.
    pub(super) async fn keep_media(&self, staged: &Path, id: BackupId) -> Result<Vec<String>, BackupError> {
        let folder = &self.settings().backup.folder;
        let damaged = self.damaged_files(self.folder()).await?;
        let shelf = self.shelf();
        let store = self.store()?;
        let open = || Inventory::new(id, File::open(staged).map_err(BackupError::io)?);
        let (mut list, mut bytes) = (open()?, 0);
        while let Some(batch) = list.next().await? {
            let is_wanted = |path: &str| damaged.contains(path) || !is_there(&folder.join(path));
            bytes += batch.iter().filter(|kept| is_wanted(&shelf.path(kept))).map(|kept| kept.size).sum::<u64>();
        }
        require_space(folder, bytes)?;
        let part = self.watcher().part("copying uploads, in bytes", bytes);
        let (mut list, mut lacking, mut mended) = (open()?, Vec::new(), HashSet::new());
        while let Some(batch) = list.next().await? {
            for kept in batch {
                let path = shelf.path(&kept);
                let is_damaged = damaged.contains(&path);
                match self.keep(&store, &shelf, &kept, is_damaged, &part).await? {
                    true if is_damaged => {
                        mended.insert(path);
                    }
                    true => {}
                    false => lacking.push(kept.key),
                }
            }
            if lacking.len() > MAX_LACKING {
                let problem =
                    format!("more than {MAX_LACKING} objects of uploads are missing or changed; see `media verify`");
                return Err(Fault::internal(problem).into());
            }
        }
        self.forget_damaged(self.folder(), &mended).await?;
        Ok(lacking)
    }

    /// The one that files go to now.
    fn shelf(&self) -> Shelf {
        let names: Vec<_> = self.settings().backup.recipients.iter().map(ToString::to_string).collect();
        Shelf::for_recipients(&names)
    }

    /// Says whether the object is there as it should be. A file that is there already stays, unless it is
    /// known to be damaged.
    async fn keep(
        &self,
        store: &ObjectStore,
        shelf: &Shelf,
        kept: &Kept,
        is_damaged: bool,
        part: &Part,
    ) -> Result<bool, BackupError> {
        let place = self.settings().backup.folder.join(shelf.path(kept));
        if !is_damaged && is_there(&place) {
            // It is needed again, so it isn't old: see the sweep.
            let file = File::open(&place).map_err(|error| BackupError::io(private::told(&place, &error)))?;
            return file.set_modified(self.clock().now().into()).map(|()| true).map_err(BackupError::io);
        }
        let body = match store.get(&parsed(&kept.key)?, None).await {
            Ok((_, body)) => body,
            Err(ObjectError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let folder = place.parent().ok_or_else(|| Fault::internal("a file without a folder"))?.to_owned();
        private::create_folder(&folder).map_err(BackupError::io)?;
        let (kept, part, recipients) = (kept.clone(), part.clone(), self.settings().backup.recipients.clone());
        let (tell, told) = tokio::sync::mpsc::channel(WAITING);
        let write = blocking(move || {
            let draft = Draft(folder.join(format!("{PARTIAL}{}", BackupId::new())));
            let written = pipe::pack(part.of(Received { told, rest: Bytes::new() }), &draft.0, &recipients)?;
            let is_it = kept.is(written.plain.bytes, &written.plain.sha256);
            if is_it {
                fs::rename(&draft.0, &place).and_then(|()| sync_folder(&folder)).map_err(BackupError::io)?;
            }
            Ok(is_it)
        });
        let (written, ()) = tokio::join!(write, send(body, tell));
        written
    }

    /// Copies to a bucket what it lacks of the files of a backup, and what was found damaged there.
    pub(super) async fn send_media(&self, target: &Target, manifest: &Manifest) -> Result<(), BackupError> {
        let Target::Bucket(bucket) = target else { return Ok(()) };
        let shelf = Shelf::of(manifest.encryption.as_ref());
        let Some(mut list) = self.list_of(self.folder(), manifest).await? else { return Ok(()) };
        let (damaged, mut mended) = (self.damaged_files(target).await?, HashSet::new());
        while let Some(batch) = list.next().await? {
            for kept in batch.iter().filter(|kept| !manifest.media.lacking.contains(&kept.key)) {
                let path = shelf.path(kept);
                let is_damaged = damaged.contains(&path);
                match bucket.head(&parsed(&path)?).await {
                    Ok(there) if there.size > 0 && !is_damaged => continue,
                    Ok(_) | Err(ObjectError::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
                let file = File::open(self.settings().backup.folder.join(&path)).map_err(BackupError::io)?;
                let length = file.metadata().map_err(BackupError::io)?.len();
                bucket.replace(&parsed(&path)?, length, |size, _| size == length, chunks(file)).await?;
                if is_damaged {
                    mended.insert(path);
                }
            }
        }
        self.forget_damaged(target, &mended).await
    }

    /// Where uploads are kept.
    pub(super) fn store(&self) -> Result<ObjectStore, BackupError> {
        ObjectStore::open(&self.settings().objects).map_err(BackupError::Settings)
    }
}

/// There is a file, with something in it.
fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// A file that is gone unless it was renamed.
struct Draft(std::path::PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was renamed isn't there; one that can't be removed is found by the sweep.
        let _ = fs::remove_file(&self.0);
    }
}

/// Hands the pieces of an object to whoever writes them, until they don't want any more.
async fn send(mut body: ObjectBody, tell: tokio::sync::mpsc::Sender<io::Result<Bytes>>) {
    while let Some(piece) = body.next().await {
        if tell.send(piece).await.is_err() {
            return;
        }
    }
}

/// What comes by a channel, to be read on a thread that may wait.
struct Received {
    told: tokio::sync::mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.told.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece?,
            }
        }
        let length = into.len().min(self.rest.len());
        into[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
