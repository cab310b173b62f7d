//! Uploads in one request, for who can't send a file elsewhere: reserved, received and completed in one go,
//! and done once however often a phone sends it.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::photo::{Photo, Upload};
use super::upload::NewUpload;
use super::{Media, MediaError, MediaType, Purpose, store};
use crate::auth::Denied;
use crate::caller::Caller;
use crate::error::Fault;
use crate::id::{PetId, UploadId, UserId};
use crate::idempotency::{self, Begun, IdempotencyKey, Once, Request};

/// What a request to upload says, as its key stands for it. What the file is called doesn't matter.
#[derive(Serialize)]
pub(super) struct Sent {
    purpose: Purpose,
    pet: Option<PetId>,
    media_type: MediaType,
    sha256: [u8; 32],
}

impl Sent {
    pub(super) fn of(upload: &Upload, sha256: [u8; 32]) -> Self {
        Self { purpose: upload.purpose, pet: upload.pet_id, media_type: upload.content_type, sha256 }
    }

    pub(super) fn request<'a>(&self, user: UserId, key: Option<&'a IdempotencyKey>) -> Result<Request<'a>, Fault> {
        Request::new(user, "uploads.upload", self, key)
    }
}

impl Media {
    /// Reserves, receives and completes in one go. What is said of the length of the file counts until it
    /// is here: `new.file_size` is the most that it may have.
    ///
    /// # Errors
    /// As [`Media::reserve`] and [`Media::complete`].
    pub async fn upload(
        &self,
        caller: &Caller,
        new: &NewUpload,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Photo, MediaError> {
        Ok(self.upload_once(caller, new, body, None).await?.result)
    }

    /// The same, but a request with a `key` that the caller used in the last 24 hours gives what was
    /// uploaded then, as it is now. What is refused, or doesn't arrive, leaves the key free.
    ///
    /// # Errors
    /// As [`Media::upload`]; [`MediaError::Idempotency`] for a key that was used for another file, and
    /// [`MediaError::PhotoNotFound`] for one whose upload was deleted since.
    pub async fn upload_once(
        &self,
        caller: &Caller,
        new: &NewUpload,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Photo>, MediaError> {
        let owner = caller.user_id().ok_or(Denied::Unauthenticated)?;
        if let Some(key) = key
            && idempotency::is_known(&self.db, owner, key, self.clock.now()).await?
        {
            return self.uploaded_before(owner, new, body, key).await;
        }
        let upload = self.reserve_place(caller, new, None).await?.result;
        let received = self.objects.receive(&self.original(&upload)?, self.max_upload(), None, body).await;
        match received {
            Ok(info) => self.complete_received(upload, Some(info.size), key).await,
            Err(error) => {
                self.give_up(upload.id).await?;
                Err(match MediaError::from(error) {
                    MediaError::NotAsDeclared(_) | MediaError::TooLarge { .. } => self.too_large(),
                    error => error,
                })
            }
        }
    }

    /// Answers for a key that was used: if it was for this file, which is read and not kept.
    async fn uploaded_before(
        &self,
        owner: UserId,
        new: &NewUpload,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
        key: &IdempotencyKey,
    ) -> Result<Once<Photo>, MediaError> {
        let announced = new.check(self.max_upload())?;
        let mut body = pin!(body);
        let (mut digest, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| MediaError::Incomplete)?;
            size += chunk.len() as u64;
            if size > self.max_upload() {
                return Err(self.too_large());
            }
            digest.update(&chunk);
        }
        let sent = Sent {
            purpose: announced.purpose,
            pet: announced.pet,
            media_type: announced.media_type,
            sha256: digest.finalize().into(),
        };
        match sent.request(owner, Some(key))?.begin(&self.db, self.clock.now()).await? {
            Begun::Before(before) => self.as_it_is_now(before).await,
            // The key's time was over while this came, and nothing of it was kept.
            Begun::Now(_) => Err(MediaError::Incomplete),
        }
    }

    /// What an earlier request with the same key uploaded.
    pub(super) async fn as_it_is_now(&self, before: Once<UploadId>) -> Result<Once<Photo>, MediaError> {
        let upload = store::find(&self.db, before.result).await?.ok_or(MediaError::PhotoNotFound)?;
        Ok(before.map(|_| self.photo(upload)))
    }

    fn too_large(&self) -> MediaError {
        MediaError::TooLarge { most: self.max_upload() }
    }
}
