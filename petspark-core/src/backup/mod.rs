//! Backups that are proven: made of one moment while the server writes, described by a manifest with
//! rows and digests of every table, and restored into a scratch database to see whether they are any
//! good. What engines do differently is in `database`; where bytes are kept, in `target`.
//!
//! Nothing here is for clients: operators and jobs of the server ask, and both could read the
//! database itself.

mod check;
mod create;
mod drill;
mod error;
mod inventory;
mod job;
mod keys;
mod manifest;
mod media;
mod metrics;
mod operation;
mod owner;
mod pins;
mod pipe;
mod progress;
mod prune;
mod restore;
mod scratch;
mod settings;
mod store;
mod target;
mod with_files;

pub use check::{Checked, Finding, Severity, Status};
pub use create::NewBackup;
pub use drill::Drill;
pub use error::BackupError;
pub(crate) use job::{MakeBackup, RunDrill};
pub use keys::{IdentityKey, RecipientKey};
pub use manifest::{Manifest, ManifestDatabase, ManifestEncryption, ManifestFile, ManifestMedia, ManifestMigrations};
pub use metrics::write_metrics;
pub use operation::{LastOperations, Operation, OperationKind};
pub use progress::BackupProgress;
pub use prune::{Kept, Pruned};
pub use restore::{Destination, Restore, Restored, RestoredUploads};
pub use settings::{BackupMedia, BackupSettings, External, ExternalTool, Retention};

use std::sync::Arc;

use serde::Serialize;

use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::database::Database;
use crate::id::BackupId;
use crate::media::objects::{ObjectSettings, ObjectStore, StoreKind};
use progress::Watcher;
use target::{Note, Target};

/// The backups of a database; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Backups(Arc<Inner>, Watcher);

struct Inner {
    settings: Settings,
    clock: Clock,
    /// The live database, to be told what was done; restoring goes without.
    database: Option<Database>,
    folder: Target,
    bucket: Option<Target>,
}

/// A backup in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Which.
    pub id: BackupId,
    /// What it says of itself, if that can be read.
    pub manifest: Option<Manifest>,
    /// Why it can't be, or what a drill found wrong with it.
    pub problem: Option<String>,
    /// Whether it stays, whatever the rules say.
    pub pinned: bool,
    /// When a drill last proved it.
    pub proven_at: Option<Timestamp>,
}

impl Backups {
    /// Prepares the backups that `settings` describe; connects to nothing and makes no folder.
    ///
    /// # Errors
    /// [`BackupError::Settings`] if the bucket can't be used like this.
    pub fn open(settings: &Settings, database: Option<Database>, clock: Clock) -> Result<Self, BackupError> {
        let folder = Target::Folder(settings.backup.folder.clone());
        let bucket = match &settings.backup.bucket {
            None => None,
            Some(bucket) => {
                let work = settings.backup.work_folder.clone();
                let objects = ObjectSettings { store: StoreKind::S3, folder: work, s3: Some(bucket.clone()) };
                Some(Target::Bucket(ObjectStore::open(&objects).map_err(BackupError::Settings)?))
            }
        };
        let inner = Inner { settings: settings.clone(), clock, database, folder, bucket };
        Ok(Self(Arc::new(inner), Watcher::default()))
    }

    /// The same, telling `watch` how far long operations are.
    #[must_use]
    pub fn watched(self, watch: impl Fn(BackupProgress) + Send + Sync + 'static) -> Self {
        Self(self.0, Watcher::new(watch))
    }

    /// Every backup of the folder, or of the bucket, the newest first.
    ///
    /// # Errors
    /// [`BackupError::Denied`] unless an administrator asks; [`BackupError::Settings`] if there is no
    /// bucket.
    pub async fn list(&self, caller: &Caller, in_bucket: bool) -> Result<Vec<Listed>, BackupError> {
        caller.require(Permission::ManageStaff)?;
        self.look_at_all(self.target(in_bucket)?).await
    }

    /// One of them; without an id the newest.
    ///
    /// # Errors
    /// As [`Backups::list`]; [`BackupError::NotFound`].
    pub async fn get(&self, caller: &Caller, id: Option<BackupId>, in_bucket: bool) -> Result<Listed, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let target = self.target(in_bucket)?;
        self.look_at(target, find(target, id).await?).await
    }

    /// The newest first.
    async fn look_at_all(&self, target: &Target) -> Result<Vec<Listed>, BackupError> {
        let mut list = Vec::new();
        for id in target.ids().await?.into_iter().rev() {
            list.push(self.look_at(target, id).await?);
        }
        Ok(list)
    }

    async fn look_at(&self, target: &Target, id: BackupId) -> Result<Listed, BackupError> {
        let (manifest, problem) = match (look_into(target, id).await, target) {
            // One that can't be read hides none of the others.
            (Err(BackupError::Fault(fault)), Target::Folder(_)) => (None, Some(fault.chain())),
            (looked, _) => looked?,
        };
        // A note that can't be read says nothing of a drill; of a pin it may.
        let drill = drill::last(target, id).await.ok().flatten();
        Ok(Listed {
            id,
            manifest,
            problem: problem.or_else(|| drill.as_ref()?.verdict()),
            pinned: target.note(Note::Pin, id).await.map_or(true, |note| note.is_some()),
            proven_at: drill.filter(|drill| drill.ok).map(|drill| drill.finished_at),
        })
    }

    /// It went by the rules meanwhile.
    async fn was_pruned(&self, target: &Target, id: BackupId) -> bool {
        let is_gone = target.ids().await.is_ok_and(|ids| !ids.contains(&id));
        is_gone && target.note(Note::Pruned, id).await.is_ok_and(|note| note.is_some())
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn watcher(&self) -> &Watcher {
        &self.1
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn database(&self) -> Option<&Database> {
        self.0.database.as_ref()
    }

    fn folder(&self) -> &Target {
        &self.0.folder
    }

    fn bucket(&self) -> Option<&Target> {
        self.0.bucket.as_ref()
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.0.folder).chain(&self.0.bucket)
    }

    fn target(&self, in_bucket: bool) -> Result<&Target, BackupError> {
        if !in_bucket {
            return Ok(self.folder());
        }
        self.bucket().ok_or_else(|| BackupError::Settings("no bucket is set; see backup.s3.bucket".to_owned()))
    }
}

/// The one that is meant: this one, or the newest.
async fn find(target: &Target, id: Option<BackupId>) -> Result<BackupId, BackupError> {
    let mut ids = target.ids().await?;
    match id {
        Some(id) if ids.contains(&id) => Ok(id),
        Some(_) => Err(BackupError::NotFound),
        None => ids.pop().ok_or(BackupError::NotFound),
    }
}

/// What a backup says of itself, and what is wrong with it, without reading its files.
async fn look_into(target: &Target, id: BackupId) -> Result<(Option<Manifest>, Option<String>), BackupError> {
    let manifest = match read_manifest(target, id).await? {
        Ok(manifest) => manifest,
        Err(problem) => return Ok((None, Some(problem))),
    };
    let there = target.files(id).await?;
    let is_there = |file: &&ManifestFile| there.contains(&(file.path.clone(), file.bytes));
    let lacking = manifest.files.iter().find(|file| !is_there(file));
    let problem = lacking.map(|file| format!("{} is missing, or has another length", file.path));
    Ok((Some(manifest), problem))
}

/// What a backup says of itself, or what is wrong with that.
async fn read_manifest(target: &Target, id: BackupId) -> Result<Result<Manifest, String>, BackupError> {
    Ok(match target.manifest(id).await? {
        Some(text) => Manifest::open(id, &text),
        None => Err("the manifest is missing".to_owned()),
    })
}
