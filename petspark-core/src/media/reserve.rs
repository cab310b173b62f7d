//! Announcing an upload: whose it is and how much room there is, and where to send it.

use std::io;

use bytes::Bytes;
use futures_util::Stream;

use super::links::{Allows, Links};
use super::objects::{Expected, ObjectKey};
use super::photo::{Photo, Upload, UploadStatus};
use super::upload::{Announced, NewUpload};
use super::{Media, MediaError, MediaSettings, Purpose, store};
use crate::auth::Denied;
use crate::billing::Limits;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::Tx;
use crate::error::Fault;
use crate::id::{UploadId, UserId};
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

impl Media {
    /// Reserves a place for a file that the caller is about to upload.
    ///
    /// # Errors
    /// [`MediaError::Invalid`], [`MediaError::TooLarge`], [`MediaError::NotYourPet`],
    /// [`MediaError::LimitReached`]; [`MediaError::Denied`] when no user is asking.
    pub async fn reserve(&self, caller: &Caller, new: &NewUpload) -> Result<Reserved, MediaError> {
        let upload = self.reserve_place(caller, new).await?;
        let key = self.original(&upload)?;
        let expected = Expected { size: upload.size.unsigned_abs(), sha256: upload.sha256() };
        let presigned = self.objects.presign_put(&key, &expected, MediaSettings::UPLOAD_TTL).await?;
        let (url, headers) = match presigned {
            Some(presigned) => (presigned.url, presigned.headers),
            None => {
                let url = self.links.put(key.as_str(), upload.expires_at);
                (Secret::new(url), vec![("content-type".to_owned(), upload.content_type.to_string())])
            }
        };
        Ok(Reserved { key: key.to_string(), url, headers, expires_at: upload.expires_at })
    }

    async fn reserve_place(&self, caller: &Caller, new: &NewUpload) -> Result<Upload, MediaError> {
        let owner = caller.user_id().ok_or(Denied::Unauthenticated)?;
        let announced = new.check(self.max_upload())?;
        let (id, now) = (UploadId::new(), self.clock.now());
        let limits = self.entitled.limits(owner).await?;
        let mut tx = self.db.begin().await?;
        take_turns(&mut tx, owner).await?;
        require_room(&mut tx, owner, &announced, limits).await?;
        store::insert(&mut tx, id, owner, &announced, now.after(MediaSettings::UPLOAD_TTL), now).await?;
        let upload = store::find_again(&mut tx, id).await?.ok_or(MediaError::UploadNotFound)?;
        tx.commit().await?;
        Ok(upload)
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

    /// Reserves, receives and completes in one go, for who can't send a file elsewhere. What is said of
    /// the length of the file counts until it is here: `new.file_size` is the most that it may have.
    ///
    /// # Errors
    /// As [`Media::reserve`] and [`Media::complete`].
    pub async fn upload(
        &self,
        caller: &Caller,
        new: &NewUpload,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Photo, MediaError> {
        let upload = self.reserve_place(caller, new).await?;
        let received = self.objects.receive(&self.original(&upload)?, self.max_upload(), None, body).await;
        match received {
            Ok(info) => self.complete_received(upload, Some(info.size)).await,
            Err(error) => {
                self.give_up(upload.id).await?;
                Err(match MediaError::from(error) {
                    MediaError::NotAsDeclared(_) | MediaError::TooLarge { .. } => {
                        MediaError::TooLarge { most: self.max_upload() }
                    }
                    error => error,
                })
            }
        }
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
async fn require_room(tx: &mut Tx, owner: UserId, announced: &Announced, limits: Limits) -> Result<(), MediaError> {
    if let Some(pet) = announced.pet {
        if store::owner_of_pet(tx, pet).await? != Some(owner) {
            return Err(MediaError::NotYourPet);
        }
        let most = limits.photos_per_pet;
        if store::count_photos(tx, pet).await? >= u64::from(most) {
            return Err(MediaError::LimitReached(format!("A pet can have at most {most} photos.")));
        }
    }
    let holdings = store::holdings(tx, owner).await?;
    if holdings.reserved >= MAX_RESERVED {
        let message = format!("You have announced {MAX_RESERVED} files. Please upload them first.");
        return Err(MediaError::LimitReached(message));
    }
    let most = limits.storage_bytes;
    if holdings.bytes.unsigned_abs().saturating_add(announced.size) > most {
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
