//! Photos and documents: announced, sent straight to where they are kept, really looked at, and then
//! shown in sizes made of them, upright and without a word about where they were taken. What an image
//! is made into is `petspark-images`'; where bytes are kept, [`objects`]'.

mod collect;
mod complete;
mod duplicates;
mod error;
#[cfg(feature = "hook")]
mod hook;
mod inventory;
mod links;
pub mod objects;
mod photo;
mod photos;
mod policy;
mod processing;
mod reserve;
mod send;
mod serve;
mod settings;
mod store;
mod sweep;
mod upkeep;
mod upload;

pub use collect::{Collect, Collected};
pub use duplicates::{Duplicate, Duplicates, MAX_DISTANCE, Sought};
pub use error::MediaError;
#[cfg(feature = "hook")]
pub(crate) use hook::Ask;
pub(crate) use inventory::{Kept, known_names, read_inventory};
pub use links::Links;
pub use photo::{Photo, ShownPhoto, Size, UploadStatus, Variant};
pub use photos::PhotoFilter;
pub(crate) use processing::Process;
pub use reserve::Reserved;
pub use serve::{Audience, Served};
pub use settings::{HookSettings, MediaSettings, ModerationPolicy};
pub(crate) use sweep::Sweep;
pub(crate) use upkeep::Remake;
pub use upkeep::{MediaCount, Reread};
pub use upload::{MediaType, NewUpload, Purpose};

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::objects::ObjectStore;
use self::photo::Upload;
use crate::auth::Permission;
use crate::billing::Entitled;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::database::Database;
use crate::error::Fault;
use crate::id::UploadId;
use crate::page::Cursors;
use crate::pets::Pets;

/// The media service; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Media {
    db: Database,
    clock: Clock,
    cursors: Cursors,
    pets: Pets,
    entitled: Entitled,
    objects: ObjectStore,
    links: Links,
    settings: MediaSettings,
    /// Images that are decoded at the same time, each in some hundred MiB.
    workers: Arc<Semaphore>,
    #[cfg(feature = "hook")]
    outgoing: crate::outgoing::Outgoing,
}

impl Media {
    /// # Errors
    /// For a person: what can't be set up.
    #[allow(clippy::too_many_arguments, reason = "each is a service or a setting of its own")]
    pub(crate) fn open(
        db: Database,
        clock: Clock,
        cursors: Cursors,
        pets: Pets,
        entitled: Entitled,
        objects: ObjectStore,
        links: Links,
        settings: MediaSettings,
    ) -> Result<Self, String> {
        Ok(Self {
            db,
            clock,
            cursors,
            pets,
            entitled,
            objects,
            links,
            workers: Arc::new(Semaphore::new(settings.workers as usize)),
            #[cfg(feature = "hook")]
            outgoing: crate::outgoing::Outgoing::new()?,
            settings,
        })
    }

    /// Whether objects can be stored and read.
    ///
    /// # Errors
    /// [`MediaError::Fault`] when they can't.
    pub async fn check(&self) -> Result<(), MediaError> {
        Ok(self.objects.check().await?)
    }

    /// The longest file that can be uploaded, in bytes.
    #[must_use]
    pub fn max_upload(&self) -> u64 {
        self.settings.max_upload.0
    }

    /// Where photos are.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// An upload of the caller's, or one that they may look after.
    async fn find_for(&self, caller: &Caller, id: UploadId) -> Result<Option<Upload>, Fault> {
        let found = store::find(&self.db, id).await?;
        Ok(found.filter(|upload| caller.is(upload.owner_id) || caller.may(Permission::Moderate)))
    }

    /// Waits for one's turn to hold an image in memory, so that however many come at once, few are held.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.workers).acquire_owned().await.map_err(Fault::internal)
    }
}

/// Has `work` done beside the async threads. The turn is over when it is done, whoever still waits for it.
async fn in_worker<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(work).await.map_err(Fault::internal)
}
