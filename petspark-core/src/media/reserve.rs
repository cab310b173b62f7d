//! Announcing an upload: whose it is and how much room there is, and where to send it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use super::links::{Allows, Links};
use super::objects::{Expected, ObjectKey};
use super::photo::{Upload, UploadStatus};
use super::upload::NewUpload;
use super::{Media, MediaError, MediaSettings, Purpose, store};
use crate::auth::Denied;
use crate::billing::Limits;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::{PetId, UploadId, UserId};
use crate::idempotency::{Begun, IdempotencyKey, Once, Request};
use crate::secret::Secret;

/// Where to send a file. What is sent must be what was announced, and comes through once.
#[derive(Clone, Debug)]
pub struct Reserved {
    /// The name by which the upload is completed.
    pub key: String,
    /// Where the bytes go, by PUT. Whoever knows it can send them.
    pub url: Secret,
    /// What must be sent as headers, besides the length.
    pub headers: Vec<(String, String)>,
    /// Until when, ten minutes from now.
    pub expires_at: Timestamp,
}

/// Files that somebody can announce before they send them.
const MAX_RESERVED: i64 = 100;
/// What an upload counts for at least, in bytes: its row and its objects take room however small it is, so
/// that the storage of a plan limits their number too.
const COUNTED_AT_LEAST: i64 = 16 << 10;

impl Media {
    /// Reserves a place for a file that the caller is about to upload.
    ///
    /// # Errors
    /// [`MediaError::Invalid`], [`MediaError::TooLarge`], [`MediaError::NotYourPet`],
    /// [`MediaError::LimitReached`]; [`MediaError::Denied`] when no user is asking.
    pub async fn reserve(&self, caller: &Caller, new: &NewUpload) -> Result<Reserved, MediaError> {
        Ok(self.reserve_once(caller, new, None).await?.result)
    }

    /// The same, but a request with a `key` that the caller used in the last 24 hours gives the place that
    /// was reserved then, until the same time. What is refused leaves the key free.
    ///
    /// # Errors
    /// As [`Media::reserve`]; [`MediaError::Idempotency`] for a key that was used for another file, and
    /// [`MediaError::UploadNotFound`] for one whose place is gone.
    pub async fn reserve_once(
        &self,
        caller: &Caller,
        new: &NewUpload,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Reserved>, MediaError> {
        let Once { result: upload, replayed } = self.reserve_place(caller, new, key).await?;
        Ok(Once { result: self.where_to_send(&upload).await?, replayed })
    }

    async fn where_to_send(&self, upload: &Upload) -> Result<Reserved, MediaError> {
        let key = self.original(upload)?;
        let expected = Expected { size: upload.size.unsigned_abs(), sha256: upload.sha256() };
        // S3 signs for a second at least.
        let left = upload.expires_at.since(self.clock.now()).max(Duration::from_secs(1));
        let presigned = self.objects.presign_put(&key, &expected, left).await?;
        let (url, headers) = match presigned {
            Some(presigned) => (presigned.url, presigned.headers),
            None => {
                let url = self.links.put(key.as_str(), upload.expires_at);
                (Secret::new(url), vec![("content-type".to_owned(), upload.content_type.to_string())])
            }
        };
        Ok(Reserved { key: key.to_string(), url, headers, expires_at: upload.expires_at })
    }

    pub(super) async fn reserve_place(
        &self,
        caller: &Caller,
        new: &NewUpload,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Upload>, MediaError> {
        let owner = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let announced = new.check(self.max_upload())?;
        let (id, now) = (UploadId::new(), self.clock.now());
        let request = Request::new(owner, "uploads.reserve", &announced, key)?;
        let limits = self.entitled.limits(owner).await?;
        let mut attempt = match request.begin::<UploadId>(&self.db, now).await? {
            Begun::Before(before) => {
                let upload = store::find(&self.db, before.result).await?.ok_or(MediaError::UploadNotFound)?;
                return Ok(before.map(|_| upload));
            }
            Begun::Now(attempt) => attempt,
        };
        take_turns(attempt.tx(), owner).await?;
        require_room(attempt.tx(), owner, announced.pet, announced.size, limits, now).await?;
        store::insert(attempt.tx(), id, owner, &announced, now.after(MediaSettings::UPLOAD_TTL), now).await?;
        let upload = store::find_again(attempt.tx(), id).await?.ok_or(MediaError::UploadNotFound)?;
        Ok(attempt.finish(id).await?.map(|_| upload))
    }

    /// Takes bytes at a URL that [`Media::reserve`] gave out. Nothing of what breaks off, or is
    /// something else than was announced, is kept.
    ///
    /// # Errors
    /// [`MediaError::BadLink`], [`MediaError::AlreadyUploaded`], [`MediaError::NotAsDeclared`],
    /// [`MediaError::Incomplete`].
    pub async fn receive(
        &self,
        key: &str,
        token: &str,
        content_type: Option<&str>,
        length: Option<u64>,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<(), MediaError> {
        let (_, id, _) = Links::parse(key).ok_or(MediaError::BadLink)?;
        if !self.links.allows(Allows::Put, key, token, self.clock.now()) {
            return Err(MediaError::BadLink);
        }
        let upload = store::find(&self.db, id).await?.ok_or(MediaError::BadLink)?;
        if upload.status != UploadStatus::Reserved {
            return Err(MediaError::AlreadyUploaded);
        }
        if content_type != Some(upload.content_type.as_str()) {
            let message = format!("Content-Type must be {}, as it was announced.", upload.content_type);
            return Err(MediaError::NotAsDeclared(message));
        }
        let size = upload.size.unsigned_abs();
        if length.is_some_and(|length| length != size) {
            return Err(MediaError::NotAsDeclared(format!("The file must have {size} bytes, as it was announced.")));
        }
        let expected = Expected { size, sha256: upload.sha256() };
        self.objects.receive(&self.original(&upload)?, size, Some(&expected), body).await?;
        Ok(())
    }

    /// Forgets a reservation, unless it was completed after all; what came of it is removed.
    pub(super) async fn give_up(&self, id: UploadId) -> Result<(), Fault> {
        let mut tx = self.db.begin().await?;
        store::delete_reservation(&mut tx, id).await?;
        self.sweep_soon(&mut tx).await?;
        tx.commit().await
    }

    pub(super) fn original(&self, upload: &Upload) -> Result<ObjectKey, Fault> {
        upload.original().parse().map_err(Fault::internal)
    }
}

/// Whether somebody whose plan has these limits may have one more of this. They take turns, so that two at
/// once don't both get the last place.
pub(super) async fn require_room(
    tx: &mut Tx,
    owner: UserId,
    pet: Option<PetId>,
    size: u64,
    limits: Limits,
    now: Timestamp,
) -> Result<(), MediaError> {
    if let Some(pet) = pet {
        if store::owner_of_pet(tx, pet).await? != Some(owner) {
            return Err(MediaError::NotYourPet);
        }
        let most = limits.photos_per_pet;
        if store::count_photos(tx, pet, now).await? >= u64::from(most) {
            return Err(MediaError::LimitReached(format!("A pet can have at most {most} photos.")));
        }
    }
    let holdings = store::holdings(tx, owner, COUNTED_AT_LEAST, now).await?;
    if holdings.reserved >= MAX_RESERVED {
        let message = format!("You have announced {MAX_RESERVED} files. Please upload them first.");
        return Err(MediaError::LimitReached(message));
    }
    let most = limits.storage_bytes;
    if holdings.bytes.unsigned_abs().saturating_add(size.max(COUNTED_AT_LEAST.unsigned_abs())) > most {
        let message = format!("Your uploads can take at most {} MiB altogether.", most >> 20);
        return Err(MediaError::LimitReached(message));
    }
    Ok(())
}

/// Those who add something to what somebody has do so one after the other.
pub(super) async fn take_turns(tx: &mut Tx, owner: UserId) -> Result<(), Fault> {
    tx.take_turns(&format!("uploads of {owner}")).await
}

impl Purpose {
    /// Whether what is uploaded is shown, and so made into a photo.
    pub(super) fn is_shown(self) -> bool {
        self != Self::Document
    }
}
