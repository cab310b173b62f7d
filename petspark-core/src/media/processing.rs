//! The job that makes a photo of what was uploaded: all its sizes, what it looks like in few bytes,
//! and whether it is shown or waits for a moderator. Doing it twice gives the same, under the same names.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use petspark_images::{Limits, Processed, Refused, VariantName, process};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::objects::{ObjectError, ObjectKey};
use super::photo::{Size, StoredVariant, Upload, UploadStatus};
use super::upkeep::Remake;
use super::{Links, Media, MediaError, MediaType, Purpose, in_worker, store};
use crate::database::Tx;
use crate::error::Fault;
use crate::id::UploadId;
use crate::jobs::{self, Handler, Job, NewJob};
use crate::text::hex;

/// What its owner is told of a photo that could not be made.
pub(super) const GIVEN_UP: &str = "The photo could not be processed. Please upload it again.";

/// By then an attempt at a photo that is under way has ended.
const STILL_BEING_MADE: Duration = Duration::from_secs(3600);

/// Makes a photo.
pub(crate) struct Process(pub(crate) Media);

impl Process {
    pub(super) const KIND: &'static str = "media.process";

    pub(super) fn job(upload: UploadId) -> NewJob {
        About::job(Self::KIND, upload)
    }
}

/// Which upload a job is about.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct About {
    pub(super) upload: UploadId,
}

impl About {
    /// A job of that kind. With the pauses between them, six attempts take a quarter of an hour: a store
    /// that is away for longer is looked after by somebody, who can have it done again.
    pub(super) fn job(kind: &'static str, upload: UploadId) -> NewJob {
        NewJob::new(kind, json!(Self { upload })).max_attempts(6)
    }

    pub(super) fn of(job: &Job) -> Result<UploadId, Fault> {
        let Self { upload } = serde_json::from_value(job.payload.clone()).map_err(Fault::lasting)?;
        Ok(upload)
    }
}

impl Handler for Process {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Self(media) = self;
            let upload = About::of(job)?;
            match media.process(upload).await {
                Err(MediaError::NotAsDeclared(reason)) => media.reject_unprocessed(upload, &reason).await,
                Err(error) if job.attempts >= job.max_attempts => {
                    media.reject_unprocessed(upload, GIVEN_UP).await?;
                    Err(error.into_fault())
                }
                Err(error) => Err(error.into_fault()),
                Ok(()) => Ok(()),
            }
        })
    }
}

impl Media {
    async fn process(&self, id: UploadId) -> Result<(), MediaError> {
        // Deleted meanwhile, or done by an attempt that died before it could say so.
        let Some(upload) = store::find(&self.db, id).await? else { return Ok(()) };
        if upload.status != UploadStatus::Processing {
            return Ok(());
        }
        let made = self.make(&upload).await?;
        let status = self.policy(&upload).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let made = store::Made { status, ..made };
        if !store::finish(&mut tx, id, UploadStatus::Processing, &made, now).await? {
            drop(tx);
            return self.discard(&upload, &made).await;
        }
        match status {
            UploadStatus::Approved => self.show(&mut tx, &upload).await?,
            _ => self.hold(&mut tx, &upload).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// Removes what was made of a photo that was deleted or given up meanwhile; of one that another attempt
    /// made, these are the same objects, and stay.
    pub(super) async fn discard(&self, upload: &Upload, made: &store::Made) -> Result<(), MediaError> {
        let names = match store::find(&self.db, upload.id).await? {
            Some(found) if is_given_up(&found) => {
                let variants = made.variants.iter();
                variants.map(|variant| Links::key(upload.owner_id, upload.id, &variant.file_name())).collect()
            }
            Some(_) => return Ok(()),
            None => Links::all(upload.owner_id, upload.id, upload.content_type, &made.variants),
        };
        self.remove_all(names).await?;
        Ok(self.make_anew(upload.id).await?)
    }

    /// Makes and keeps the sizes of a photo.
    pub(super) async fn make(&self, upload: &Upload) -> Result<store::Made, MediaError> {
        let turn = self.turn().await?;
        let bytes = match self.objects.read(&self.original(upload)?, self.max_upload()).await {
            Ok(bytes) => bytes,
            Err(ObjectError::NotFound) => {
                return Err(MediaError::NotAsDeclared("The file that was uploaded is gone.".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let (format, sha256) = (upload.content_type.format(), upload.sha256());
        let processed = in_worker(turn, move || {
            if sha256 != Some(Sha256::digest(&bytes).into()) {
                return Err("The file was changed after it was checked.".to_owned());
            }
            let format = format.ok_or("This is not a photo.")?;
            process(&bytes, format, &Limits::default()).map_err(|refused: Refused| refused.to_string())
        })
        .await?
        .map_err(MediaError::NotAsDeclared)?;
        self.keep(upload, processed).await
    }

    async fn keep(&self, upload: &Upload, made: Processed) -> Result<store::Made, MediaError> {
        let [red, green, blue] = made.dominant_color;
        let mut variants: Vec<StoredVariant> = Vec::with_capacity(made.variants.len());
        for variant in made.variants {
            let digest = Sha256::digest(&variant.bytes);
            let stored = StoredVariant {
                name: Size::from(variant.name),
                media_type: MediaType::from(variant.format),
                width: variant.width,
                height: variant.height,
                bytes: variant.bytes.len() as u64,
                hash: hex(&digest[..16]),
            };
            let key = Links::key(upload.owner_id, upload.id, &stored.file_name());
            let key: ObjectKey = key.parse().map_err(Fault::internal)?;
            self.objects.put(&key, Bytes::from(variant.bytes)).await?;
            variants.push(stored);
        }
        Ok(store::Made {
            status: upload.status,
            variants,
            width: made.width,
            height: made.height,
            thumb_hash: made.thumb_hash,
            perceptual_hash: made.perceptual_hash,
            dominant_color: format!("#{red:02x}{green:02x}{blue:02x}"),
        })
    }

    pub(super) async fn reject_unprocessed(&self, id: UploadId, reason: &str) -> Result<(), Fault> {
        let being_made = |upload: &Upload| upload.status == UploadStatus::Processing;
        let Some(upload) = store::find(&self.db, id).await?.filter(being_made) else { return Ok(()) };
        // Before it is rejected: after that an operator can have it made again, under the same names.
        if let Err(error) = self.remove_sizes(&upload).await {
            // The photo is rejected all the same, and `media gc` finds them.
            tracing::warn!(upload = %id, %error, "sizes of a rejected photo are left over");
        }
        let mut tx = self.db.begin().await?;
        let only = [UploadStatus::Processing; 2];
        let rejected =
            store::set_status(&mut tx, id, only, UploadStatus::Rejected, Some(reason), self.clock.now()).await?;
        tx.commit().await?;
        if rejected { Ok(()) } else { self.make_anew(id).await }
    }

    /// Removes what earlier attempts made of a photo, whatever that was. Its file stays: the photo may be
    /// tried again.
    async fn remove_sizes(&self, upload: &Upload) -> Result<(), MediaError> {
        let (folder, original) = (format!("{}/{}/", upload.owner_id, upload.id), upload.original());
        // A few sizes in two formats, of one attempt or another.
        let made = self.objects.list(&folder, None, 100).await?.into_iter().map(|object| object.key.to_string());
        Ok(self.remove_all(made.filter(|name| *name != original).collect()).await?)
    }

    /// Has a photo made anew that another attempt made, or is making, while this one removed what it took for
    /// leftovers: they have the same names.
    async fn make_anew(&self, id: UploadId) -> Result<(), Fault> {
        let Some(upload) = store::find(&self.db, id).await?.filter(|found| !is_given_up(found)) else { return Ok(()) };
        tracing::warn!(upload = %id, "a photo was made while another attempt gave it up; it is made anew");
        let pause = if upload.status == UploadStatus::Processing { STILL_BEING_MADE } else { Duration::ZERO };
        let mut tx = self.db.begin().await?;
        jobs::enqueue(&mut tx, self.clock.now(), Remake::job(id).after(pause)).await?;
        tx.commit().await
    }

    /// Writes what is shown of a photo's pet or person anew. Of a person, the newest picture is all
    /// that is kept.
    pub(crate) async fn show(&self, tx: &mut Tx, upload: &Upload) -> Result<(), Fault> {
        let now = self.clock.now();
        match (upload.purpose, upload.pet_id) {
            (Purpose::PetPhoto, Some(pet)) => store::refresh_pet(tx, pet, now).await?,
            (Purpose::ProfileAvatar, _) => {
                for replaced in store::refresh_avatar(tx, upload.owner_id, now).await? {
                    store::delete(tx, replaced).await?;
                }
                self.sweep_soon(tx).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Rejected before anything was made of it.
fn is_given_up(upload: &Upload) -> bool {
    upload.status == UploadStatus::Rejected && upload.variants.is_none()
}

impl From<VariantName> for Size {
    fn from(name: VariantName) -> Self {
        match name {
            VariantName::Thumb => Self::Thumb,
            VariantName::Small => Self::Small,
            VariantName::Medium => Self::Medium,
            VariantName::Large => Self::Large,
        }
    }
}

impl From<petspark_images::Format> for MediaType {
    fn from(format: petspark_images::Format) -> Self {
        match format {
            petspark_images::Format::Jpeg => Self::Jpeg,
            petspark_images::Format::Png => Self::Png,
            petspark_images::Format::Webp => Self::Webp,
            petspark_images::Format::Gif => Self::Gif,
        }
    }
}
