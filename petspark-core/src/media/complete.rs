//! Completing an upload: looking at what really came. What isn't what was announced is removed at once.

use petspark_images::{Format, Limits, Refused, Sniffed, sniff, verify};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::links::Links;
use super::objects::ObjectError;
use super::photo::{Photo, Upload, UploadStatus};
use super::processing::Process;
use super::send::Sent;
use super::{Media, MediaError, MediaType, in_worker, reserve, store};
use crate::billing;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Fault, FieldErrors};
use crate::idempotency::{Attempt, Begun, IdempotencyError, IdempotencyKey, Once};
use crate::jobs;

/// What was found in the bytes.
struct Looked {
    size: u64,
    sha256: [u8; 32],
    /// Pixels, upright; of a photo.
    sides: Option<(u32, u32)>,
}

impl Media {
    /// Says that the upload with this key is there, and has it looked at. Saying so again changes
    /// nothing. A photo is made into its sizes by a job that begins at once.
    ///
    /// `upload_type` and `pet_id` must be what was announced, if they are given.
    ///
    /// # Errors
    /// [`MediaError::UploadNotFound`]; [`MediaError::NotUploaded`] when nothing came;
    /// [`MediaError::NotAsDeclared`] when something else did.
    pub async fn complete(
        &self,
        caller: &Caller,
        key: &str,
        upload_type: Option<&str>,
        pet_id: Option<&str>,
    ) -> Result<Photo, MediaError> {
        let (_, id, _) = Links::parse(key).ok_or(MediaError::UploadNotFound)?;
        let found = store::find(&self.db, id).await?.filter(|upload| caller.is(upload.owner_id));
        let upload = found.filter(|upload| upload.original() == key).ok_or(MediaError::UploadNotFound)?;
        let mut errors = FieldErrors::default();
        if upload_type.is_some_and(|text| text != upload.purpose.as_str()) {
            errors.add("uploadType", "is not what was announced");
        }
        if pet_id.is_some_and(|text| upload.pet_id.is_none_or(|pet| pet.to_string() != text)) {
            errors.add("petId", "is not what was announced");
        }
        errors.finish(Some(())).map_err(MediaError::Invalid)?;
        if upload.status != UploadStatus::Reserved {
            // Without waiting for a turn: there is nothing to look at.
            return Ok(self.photo(upload));
        }
        Ok(self.complete_received(upload, None, None).await?.result)
    }

    /// The same for one that is known. `size` is what it has, if that wasn't announced; `key` stands for
    /// the request that sent it.
    pub(super) async fn complete_received(
        &self,
        upload: Upload,
        size: Option<u64>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once<Photo>, MediaError> {
        let turn = self.turn().await?;
        // Said several times at once, it is looked at by whoever has the first turn.
        let upload = store::find(&self.db, upload.id).await?.ok_or(MediaError::UploadNotFound)?;
        if upload.status != UploadStatus::Reserved {
            return Ok(Once { result: self.photo(upload), replayed: true });
        }
        let looked = match self.look_at(turn, &upload, size).await {
            Err(error @ MediaError::NotAsDeclared(_)) => {
                self.give_up(upload.id).await?;
                return Err(error);
            }
            looked => looked?,
        };
        let now = self.clock.now();
        // Its place isn't kept any more, and may be another's by now.
        let limits = if upload.expires_at <= now { Some(self.entitled.limits(upload.owner_id).await?) } else { None };
        let request = Sent::of(&upload, looked.sha256).request(upload.owner_id, key)?;
        match request.begin(&self.db, now).await {
            Ok(Begun::Now(attempt)) => self.accept(attempt, &upload, &looked, limits, now).await,
            Ok(Begun::Before(before)) => {
                self.give_up(upload.id).await?;
                self.as_it_is_now(before).await
            }
            Err(reused @ IdempotencyError::Reused) => {
                self.give_up(upload.id).await?;
                Err(reused.into())
            }
            // What came is good, and can be completed when the database answers again.
            Err(error) => Err(error.into()),
        }
    }

    async fn accept(
        &self,
        mut attempt: Attempt,
        upload: &Upload,
        looked: &Looked,
        limits: Option<billing::Limits>,
        now: Timestamp,
    ) -> Result<Once<Photo>, MediaError> {
        let (id, owner) = (upload.id, upload.owner_id);
        let status = if upload.purpose.is_shown() { UploadStatus::Processing } else { UploadStatus::Approved };
        let (width, height) = looked.sides.unzip();
        let arrived = store::Arrived { status, size: looked.size, sha256: looked.sha256, width, height };
        let tx = attempt.tx();
        // Two photos of a pet that come at once have places of their own.
        reserve::take_turns(tx, owner).await?;
        if let Some(limits) = limits {
            // Its bytes are counted as long as its row is there.
            reserve::require_room(tx, owner, upload.pet_id, 0, limits, now).await?;
        }
        if store::accept(tx, id, &arrived, now).await? && status == UploadStatus::Processing {
            jobs::enqueue(tx, now, Process::job(id)).await?;
        }
        // Deleted meanwhile, or completed by the same request twice.
        let upload = store::find_again(tx, id).await?.ok_or(MediaError::UploadNotFound)?;
        Ok(attempt.finish(id).await?.map(|_| self.photo(upload)))
    }

    async fn look_at(
        &self,
        turn: OwnedSemaphorePermit,
        upload: &Upload,
        size: Option<u64>,
    ) -> Result<Looked, MediaError> {
        let announced = upload.size.unsigned_abs();
        let size = size.unwrap_or(announced);
        let bytes = match self.objects.read(&self.original(upload)?, self.max_upload()).await {
            Ok(bytes) => bytes,
            Err(ObjectError::NotFound) => return Err(MediaError::NotUploaded),
            Err(ObjectError::TooLarge) => return Err(not_as_declared("The file is larger than was announced.")),
            Err(error) => return Err(error.into()),
        };
        if bytes.len() as u64 != size {
            let message = format!("The file has {} bytes; {size} were announced.", bytes.len());
            return Err(MediaError::NotAsDeclared(message));
        }
        let (declared, announced) = (upload.content_type, upload.sha256());
        in_worker(turn, move || {
            let sha256: [u8; 32] = Sha256::digest(&bytes).into();
            if announced.is_some_and(|announced| announced != sha256) {
                return Err(not_as_declared("The file has another checksum than was announced."));
            }
            let sides = look(&bytes, declared).map_err(MediaError::NotAsDeclared)?;
            Ok(Looked { size, sha256, sides })
        })
        .await?
    }

    pub(super) fn photo(&self, upload: Upload) -> Photo {
        Photo::of(upload, &self.links, self.clock.now())
    }
}

fn not_as_declared(message: &str) -> MediaError {
    MediaError::NotAsDeclared(message.to_owned())
}

/// Whether this is what it is said to be; of an image, how many pixels.
fn look(bytes: &[u8], declared: MediaType) -> Result<Option<(u32, u32)>, String> {
    match declared.format() {
        Some(format) => {
            let verified = verify(bytes, format, &Limits::default()).map_err(|refused: Refused| refused.to_string())?;
            Ok(Some((verified.width, verified.height)))
        }
        None if matches!(sniff(bytes), Sniffed::Pdf) && has_pdf_end(bytes) => Ok(None),
        None => Err("This is not a PDF document.".to_owned()),
    }
}

/// ISO 32000-1, annex H: readers look for the end in the last kilobyte.
fn has_pdf_end(bytes: &[u8]) -> bool {
    bytes[bytes.len().saturating_sub(1024)..].windows(5).any(|window| window == b"%%EOF")
}

impl MediaType {
    /// What an image of this type is decoded as.
    pub(super) fn format(self) -> Option<Format> {
        match self {
            Self::Jpeg => Some(Format::Jpeg),
            Self::Png => Some(Format::Png),
            Self::Webp => Some(Format::Webp),
            Self::Gif => Some(Format::Gif),
            Self::Pdf => None,
        }
    }
}

/// What the store says of a transfer, as those who made it understand it.
impl From<ObjectError> for MediaError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotFound => Self::PhotoNotFound,
            ObjectError::AlreadyThere => Self::AlreadyUploaded,
            ObjectError::Mismatch(_) | ObjectError::TooLarge => Self::NotAsDeclared(error.to_string()),
            ObjectError::Sender(_) => Self::Incomplete,
            ObjectError::Fault(fault) => Self::Fault(fault),
            error => Self::Fault(Fault::internal(error)),
        }
    }
}
