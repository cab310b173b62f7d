//! What operators do about everything that was uploaded: counting it, looking for what is left over
//! or missing, reading it again, and having photos made anew.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::objects::{ObjectError, ObjectInfo, ObjectKey};
use super::photo::{Upload, UploadStatus};
use super::{Links, Media, MediaError, Purpose, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::Fault;
use crate::id::UploadId;
use crate::jobs::{self, Handler, Job, NewJob};

/// How many uploads there are at one point of their way, and how much is kept of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct MediaCount {
    /// What they are for.
    pub purpose: Purpose,
    /// Where they are on their way.
    pub status: UploadStatus,
    /// How many.
    pub uploads: i64,
    /// Bytes that are kept of them.
    pub bytes: i64,
}

/// What is left over, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Objects that were looked at.
    pub objects: u64,
    /// Those that belong to nothing: removed, unless it was a dry run.
    pub leftovers: u64,
    /// Bytes of those.
    pub leftover_bytes: u64,
    /// Uploads of which something is missing, the first thousand of them.
    pub missing: Vec<UploadId>,
}

/// What was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reread {
    /// Uploads that were read.
    pub uploads: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Uploads of which something is missing or changed, the first thousand of them.
    pub damaged: Vec<UploadId>,
}

/// Rows looked at in one go.
const BATCH: usize = 500;
/// Objects listed in one go: a folder looks at all names for every list.
const LISTED: usize = 10_000;
const MAX_TOLD: usize = 1000;
/// What is younger may belong to something that is being written just now.
const YOUNG: Duration = Duration::from_secs(3600);

impl Media {
    /// How much there is of everything.
    ///
    /// # Errors
    /// [`MediaError::Denied`] unless an administrator asks.
    pub async fn stats(&self, caller: &Caller) -> Result<Vec<MediaCount>, MediaError> {
        caller.require(Permission::ManageStaff)?;
        Ok(store::count_uploads(&self.db).await?)
    }

    /// Compares what is kept with what is written down, both ways. Objects older than an hour that
    /// belong to nothing are removed; `dry_run` only counts them.
    ///
    /// # Errors
    /// [`MediaError::Denied`] unless an administrator asks.
    pub async fn collect(&self, caller: &Caller, dry_run: bool) -> Result<Collected, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let mut collected = Collected::default();
        let mut after: Option<ObjectKey> = None;
        loop {
            let objects = self.objects.list("", after.as_ref(), LISTED).await?;
            let Some(last) = objects.last() else { break };
            after = Some(last.key.clone());
            collected.objects += objects.len() as u64;
            for objects in objects.chunks(BATCH) {
                for leftover in self.leftovers(objects).await? {
                    collected.leftovers += 1;
                    collected.leftover_bytes += leftover.size;
                    if !dry_run {
                        self.objects.delete(&leftover.key).await?;
                    }
                }
            }
        }
        let mut last = None;
        loop {
            let uploads = store::uploads_after(&self.db, last, BATCH).await?;
            let Some(next) = uploads.last().map(|upload| upload.id) else { break };
            for upload in &uploads {
                if collected.missing.len() < MAX_TOLD && !self.has_all(upload).await? {
                    collected.missing.push(upload.id);
                }
            }
            last = Some(next);
        }
        if !dry_run && collected.leftovers > 0 {
            let event = Event::new(Action::MediaCollected).detail("objects", collected.leftovers);
            audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        }
        Ok(collected)
    }

    async fn leftovers(&self, objects: &[ObjectInfo]) -> Result<Vec<ObjectInfo>, MediaError> {
        let (now, mut ids) = (self.clock.now(), Vec::new());
        ids.extend(objects.iter().filter_map(|object| Links::parse(object.key.as_str()).map(|(_, id, _)| id)));
        ids.sort_unstable();
        ids.dedup();
        let uploads = store::find_all(&self.db, &ids).await?;
        let known: HashMap<UploadId, &Upload> = uploads.iter().map(|upload| (upload.id, upload)).collect();
        let is_leftover = |object: &&ObjectInfo| {
            let Some((owner, id, _)) = Links::parse(object.key.as_str()) else { return true };
            known.get(&id).is_none_or(|upload| {
                upload.owner_id != owner
                    || (is_settled(upload) && !upload.names().iter().any(|name| name == object.key.as_str()))
            })
        };
        let is_old = |object: &&ObjectInfo| now.since(object.modified_at) > YOUNG;
        Ok(objects.iter().filter(is_leftover).filter(is_old).cloned().collect())
    }

    async fn has_all(&self, upload: &Upload) -> Result<bool, MediaError> {
        if !is_settled(upload) {
            return Ok(true);
        }
        for name in upload.names() {
            match self.objects.head(&name.parse().map_err(Fault::internal)?).await {
                Ok(_) => {}
                Err(ObjectError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Reads what is kept and compares it with its checksums: all of it, or of some uploads here and
    /// there.
    ///
    /// # Errors
    /// [`MediaError::Denied`] unless an administrator asks.
    pub async fn reread(&self, caller: &Caller, sample: Option<u64>) -> Result<Reread, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let (mut reread, mut last) = (Reread::default(), sample.map(|_| UploadId::random()).transpose()?);
        let most = sample.unwrap_or(u64::MAX);
        let mut came_round = sample.is_none();
        while reread.uploads < most {
            let uploads = store::uploads_after(&self.db, last, BATCH).await?;
            match uploads.last() {
                Some(upload) => last = Some(upload.id),
                // A sample begins somewhere, and goes on at the beginning.
                None if !came_round => (came_round, last) = (true, None),
                None => break,
            }
            for upload in uploads.iter().filter(|upload| is_settled(upload)) {
                if reread.uploads == most {
                    break;
                }
                reread.uploads += 1;
                if !self.is_sound(upload, &mut reread.bytes).await? && reread.damaged.len() < MAX_TOLD {
                    reread.damaged.push(upload.id);
                }
            }
        }
        Ok(reread)
    }

    async fn is_sound(&self, upload: &Upload, bytes: &mut u64) -> Result<bool, MediaError> {
        let original = upload.sha256.as_deref().map(crate::text::hex).unwrap_or_default();
        let hashes = std::iter::once(original).chain(upload.variants().iter().map(|variant| variant.hash.clone()));
        for (name, hash) in upload.names().into_iter().zip(hashes) {
            let key: ObjectKey = name.parse().map_err(Fault::internal)?;
            let content = match self.objects.read(&key, self.max_upload().max(64 << 20)).await {
                Ok(content) => content,
                Err(ObjectError::NotFound | ObjectError::TooLarge) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            *bytes += content.len() as u64;
            if !crate::text::hex(&Sha256::digest(&content)).starts_with(&hash) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has photos made anew from what was uploaded, by jobs: one, or all. Says how many.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`]; [`MediaError::Denied`] unless an administrator asks.
    pub async fn reprocess(&self, caller: &Caller, photo: Option<UploadId>) -> Result<u64, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let (mut count, mut last) = (0, None);
        loop {
            let uploads = match photo {
                Some(id) => store::find_all(&self.db, &[id]).await?,
                None => store::uploads_after(&self.db, last, BATCH).await?,
            };
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            for upload in uploads.iter().filter(|upload| is_settled(upload) && upload.purpose.is_shown()) {
                jobs::enqueue(&mut tx, now, Remake::job(upload.id)).await?;
                count += 1;
            }
            tx.commit().await?;
            last = uploads.last().map(|upload| upload.id);
            match photo {
                Some(_) if count == 0 => return Err(MediaError::PhotoNotFound),
                Some(_) => return Ok(count),
                None if last.is_none() => return Ok(count),
                None => {}
            }
        }
    }

    async fn remake(&self, id: UploadId) -> Result<(), MediaError> {
        let Some(upload) = store::find(&self.db, id).await?.filter(is_settled) else { return Ok(()) };
        let made = self.make(&upload).await?;
        let mut tx = self.db.begin().await?;
        if store::finish(&mut tx, id, upload.status, &made, self.clock.now()).await?
            && upload.status == UploadStatus::Approved
        {
            self.show(&mut tx, &upload).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Whether nothing is being done about it at the moment.
fn is_settled(upload: &Upload) -> bool {
    !matches!(upload.status, UploadStatus::Reserved | UploadStatus::Processing)
}

/// Makes a photo anew. The sizes that it had before are removed with what else is left over.
pub(crate) struct Remake(pub(crate) Media);

impl Remake {
    const KIND: &'static str = "media.remake";

    fn job(upload: UploadId) -> NewJob {
        NewJob::new(Self::KIND, json!({ "upload": upload })).priority(10).max_attempts(6)
    }
}

#[derive(serde::Deserialize)]
struct Payload {
    upload: UploadId,
}

impl Handler for Remake {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Payload { upload } = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
            self.0.remake(upload).await.map_err(MediaError::into_fault)
        })
    }
}
