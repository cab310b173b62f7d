//! What operators do about everything that was uploaded: counting it, reading it again, and having photos
//! made anew. What is left over or missing is for [`super::collect`] to find.

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::objects::ObjectError;
use super::photo::{Upload, UploadStatus};
use super::processing::{About, Process};
use super::{Links, Media, MediaError, Purpose, store};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::Fault;
use crate::id::UploadId;
use crate::jobs::{self, Handler, Job, NewJob};
use crate::secret;
use crate::text::hex;

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

/// What was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reread {
    /// Uploads that were read.
    pub uploads: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Uploads of which something is missing or changed, the first thousand of them.
    pub damaged: Vec<UploadId>,
    /// If it was ended before its time: the last upload that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_after: Option<UploadId>,
}

/// Rows looked at in one go.
pub(super) const BATCH: usize = 500;
pub(super) const MAX_TOLD: usize = 1000;

impl Media {
    /// How much there is of everything.
    ///
    /// # Errors
    /// [`MediaError::Denied`] unless an administrator asks.
    pub async fn stats(&self, caller: &Caller) -> Result<Vec<MediaCount>, MediaError> {
        caller.require(Permission::ManageStaff)?;
        Ok(store::count_uploads(&self.db).await?)
    }

    /// Reads what is kept and compares it with its checksums: all of it, from behind an upload if one is
    /// said, or of some uploads from somewhere on. `go_on` is told how far it is and may end it between two
    /// uploads: what was found until then is told.
    ///
    /// # Errors
    /// [`MediaError::Denied`] unless an administrator asks.
    pub async fn reread(
        &self,
        caller: &Caller,
        sample: Option<u64>,
        after: Option<UploadId>,
        mut go_on: impl FnMut(&Reread) -> bool + Send,
    ) -> Result<Reread, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let mut reread = Reread::default();
        let most = sample.unwrap_or(u64::MAX);
        let start = match (sample, store::first_and_last(&self.db).await?) {
            (Some(_), Some((first, last))) => Some(between(first, last, secret::random()?)),
            _ => None,
        };
        self.reread_between(start.or(after), None, most, &mut reread, &mut go_on).await?;
        if start.is_some() && reread.ended_after.is_none() {
            // From the end it goes on at the beginning, and no further than to where it began.
            self.reread_between(None, start, most, &mut reread, &mut go_on).await?;
        }
        Ok(reread)
    }

    /// Rereads uploads from after one id to another, until it has been `most`.
    async fn reread_between(
        &self,
        mut after: Option<UploadId>,
        until: Option<UploadId>,
        most: u64,
        reread: &mut Reread,
        go_on: &mut (impl FnMut(&Reread) -> bool + Send),
    ) -> Result<(), MediaError> {
        loop {
            let uploads = store::uploads_after(&self.db, after, BATCH).await?;
            let Some(last) = uploads.last() else { return Ok(()) };
            for upload in uploads.iter().filter(|upload| is_settled(upload)) {
                if reread.uploads == most || until.is_some_and(|until| upload.id > until) {
                    return Ok(());
                }
                if !go_on(reread) {
                    reread.ended_after = Some(after.unwrap_or_else(|| UploadId::from_bytes([0; 16])));
                    return Ok(());
                }
                after = Some(upload.id);
                reread.uploads += 1;
                if !self.is_sound(upload, &mut reread.bytes).await? && reread.damaged.len() < MAX_TOLD {
                    reread.damaged.push(upload.id);
                }
            }
            after = Some(last.id);
        }
    }

    async fn is_sound(&self, upload: &Upload, bytes: &mut u64) -> Result<bool, MediaError> {
        // What was never looked at is not known to be sound.
        let Some(original) = upload.sha256() else { return Ok(false) };
        let original = (hex(&original), upload.size.unsigned_abs());
        let variants = upload.variants().iter().map(|variant| (variant.hash.clone(), variant.bytes));
        for (name, (hash, size)) in upload.names().into_iter().zip(std::iter::once(original).chain(variants)) {
            let digest = match self.objects.digest(&name.parse().map_err(Fault::internal)?).await {
                Ok(digest) => digest,
                Err(ObjectError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            *bytes += size;
            if !hex(&digest).starts_with(&hash) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has photos made anew from what was uploaded, by jobs: one, or all. Says how many. `go_on` is told
    /// how many so far, and may end it between two photos.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`]; [`MediaError::Denied`] unless an administrator asks.
    pub async fn reprocess(
        &self,
        caller: &Caller,
        photo: Option<UploadId>,
        mut go_on: impl FnMut(u64) -> bool + Send,
    ) -> Result<u64, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let (mut count, mut last) = (0, None);
        loop {
            let uploads = match photo {
                Some(id) => store::find_all(&self.db, &[id]).await?,
                None => store::uploads_after(&self.db, last, BATCH).await?,
            };
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            let mut is_stopped = false;
            for upload in uploads.iter().filter(|upload| is_settled(upload) && upload.purpose.is_shown()) {
                is_stopped = !go_on(count);
                if is_stopped {
                    break;
                }
                // What was given up before it was made is made for the first time, and shown if it may be.
                let job = match store::begin_again(&mut tx, upload.id, now).await? {
                    true => Process::job(upload.id),
                    false => Remake::job(upload.id),
                };
                jobs::enqueue(&mut tx, now, job).await?;
                count += 1;
            }
            tx.commit().await?;
            last = uploads.last().map(|upload| upload.id);
            match photo {
                _ if is_stopped => return Ok(count),
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
        if !store::finish(&mut tx, id, upload.status, &made, self.clock.now()).await? {
            drop(tx);
            self.discard(&upload, &made).await?;
            return Err(MediaError::Fault(Fault::unavailable("something else happened to the photo meanwhile")));
        }
        if upload.status == UploadStatus::Approved {
            self.show(&mut tx, &upload).await?;
        }
        tx.commit().await?;
        let now = Links::all(upload.owner_id, id, upload.content_type, &made.variants);
        Ok(self.remove_all(upload.names().into_iter().filter(|name| !now.contains(name)).collect()).await?)
    }
}

/// Whether nothing is being done about it at the moment.
pub(super) fn is_settled(upload: &Upload) -> bool {
    !matches!(upload.status, UploadStatus::Reserved | UploadStatus::Processing)
}

/// An id on the way from one to another: so far as `chance` is on its way from 0 to its end.
fn between(first: UploadId, last: UploadId, chance: [u8; 8]) -> UploadId {
    let number = |id: UploadId| u128::from_be_bytes(*id.as_bytes()) >> 64;
    let (first, last) = (number(first), number(last));
    let way = (last.saturating_sub(first) * u128::from(u64::from_be_bytes(chance))) >> 64;
    UploadId::from_bytes(((first + way) << 64).to_be_bytes())
}

/// Makes a photo anew. The sizes that it had before are removed with what else is left over.
pub(crate) struct Remake(pub(crate) Media);

impl Remake {
    const KIND: &'static str = "media.remake";

    pub(super) fn job(upload: UploadId) -> NewJob {
        About::job(Self::KIND, upload).priority(10)
    }
}

impl Handler for Remake {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.0.remake(About::of(job)?).await.map_err(MediaError::into_fault) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_begins_anywhere_between_the_first_and_the_last() {
        let (first, last) = (UploadId::from_bytes([1; 16]), UploadId::from_bytes([3; 16]));
        let at = |chance: u64| between(first, last, chance.to_be_bytes());
        assert!(at(0) <= first && at(0).as_bytes()[..8] == first.as_bytes()[..8], "nothing is left out before it");
        assert!(at(u64::MAX) < last && at(u64::MAX).as_bytes()[..7] == last.as_bytes()[..7]);
        assert_eq!(at(1 << 63).as_bytes()[..8], [2; 8], "half the way");
        assert!(between(last, last, [255; 8]) <= last, "the only one is found");
    }
}
