//! Completing an upload: looking at what really came. What isn't what was announced is removed at once.

use petspark_images::{Format, Limits, Refused, Sniffed, sniff, verify};
use sha2::{Digest, Sha256};

use super::links::Links;
use super::objects::ObjectError;
use super::photo::{Photo, Upload, UploadStatus};
use super::processing::Process;
use super::{Media, MediaError, MediaType, in_worker, store};
use crate::caller::Caller;
use crate::error::{Fault, FieldErrors};
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
            return Ok(self.photo(upload));
        }
        self.complete_received(upload, None).await
    }

    /// The same for one that is known. `size` is what it has, if that wasn't announced.
    pub(super) async fn complete_received(&self, upload: Upload, size: Option<u64>) -> Result<Photo, MediaError> {
        let looked = match self.look_at(&upload, size).await {
            Ok(looked) => looked,
            Err(error @ MediaError::NotAsDeclared(_)) => {
                self.give_up(upload.id).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let status = if upload.purpose.is_shown() { UploadStatus::Processing } else { UploadStatus::Approved };
        let (width, height) = looked.sides.unzip();
        let arrived = store::Arrived { status, size: looked.size, sha256: looked.sha256, width, height };
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // Two photos of a pet that come at once have places of their own.
        super::reserve::take_turns(&mut tx, upload.owner_id).await?;
        if store::accept(&mut tx, upload.id, &arrived, now).await? && status == UploadStatus::Processing {
            jobs::enqueue(&mut tx, now, Process::job(upload.id)).await?;
        }
        // Deleted meanwhile, or completed by the same request twice.
        let upload = store::find_again(&mut tx, upload.id).await?.ok_or(MediaError::UploadNotFound)?;
        tx.commit().await?;
        Ok(self.photo(upload))
    }

    async fn look_at(&self, upload: &Upload, size: Option<u64>) -> Result<Looked, MediaError> {
        let announced = upload.size.unsigned_abs();
        let size = size.unwrap_or(announced);
        let turn = self.turn().await?;
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
