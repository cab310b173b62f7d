//! What a client says of a file before it sends it, and how that is checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::MediaError;
use crate::database::text_enum;
use crate::error::FieldErrors;
use crate::id::PetId;
use crate::text::one_line;

text_enum! {
    /// What an upload is for.
    pub enum Purpose {
        /// A photo of a pet.
        PetPhoto = "pet-photo",
        /// The picture of a person.
        ProfileAvatar = "profile-avatar",
        /// A document, which nobody but its owner sees.
        Document = "document",
    }
}

text_enum! {
    /// What can be uploaded.
    pub enum MediaType {
        /// JPEG.
        Jpeg = "image/jpeg",
        /// PNG; of an animated one, its first frame.
        Png = "image/png",
        /// WebP; of an animated one, its first frame.
        Webp = "image/webp",
        /// GIF; its first frame.
        Gif = "image/gif",
        /// PDF, for documents only.
        Pdf = "application/pdf",
    }
}

impl MediaType {
    /// How names of such files end, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Pdf => "pdf",
        }
    }

    fn may_be(self, purpose: Purpose) -> bool {
        (self == Self::Pdf) == (purpose == Purpose::Document)
    }
}

/// A file that somebody wants to upload, as they announce it.
#[derive(Clone, Debug, Default)]
pub struct NewUpload {
    /// What it is called on their device: 1 to 255 characters.
    pub file_name: String,
    /// In bytes.
    pub file_size: u64,
    /// A [`MediaType`].
    pub file_type: String,
    /// A [`Purpose`].
    pub upload_type: String,
    /// The pet on the photo; needed for a photo of a pet, and for nothing else.
    pub pet_id: Option<String>,
    /// Its SHA-256 in hexadecimal digits or base64, so that nothing else can be sent.
    pub checksum_sha256: Option<String>,
}

/// The same, when nothing is wrong with it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Announced {
    pub(super) file_name: String,
    pub(super) size: u64,
    pub(super) media_type: MediaType,
    pub(super) purpose: Purpose,
    pub(super) pet: Option<PetId>,
    pub(super) sha256: Option<[u8; 32]>,
}

const MAX_FILE_NAME: usize = 255;

impl NewUpload {
    /// # Errors
    /// [`MediaError::TooLarge`], [`MediaError::Invalid`].
    pub(super) fn check(&self, most: u64) -> Result<Announced, MediaError> {
        let mut errors = FieldErrors::default();
        let file_name = file_name(&self.file_name).ok_or("must have 1 to 255 characters in one line");
        let file_name = errors.check("fileName", file_name);
        let media_type = errors.check("fileType", media_type(&self.file_type));
        let purpose = errors.check("uploadType", self.upload_type.parse::<Purpose>());
        if let Some((media_type, purpose)) = media_type.zip(purpose)
            && !media_type.may_be(purpose)
        {
            errors.add(
                "fileType",
                if purpose == Purpose::Document { "must be application/pdf" } else { "must be an image" },
            );
        }
        let pet = match (&self.pet_id, purpose) {
            (Some(id), Some(Purpose::PetPhoto)) => errors.check("petId", id.parse()).map(Some),
            (None, Some(Purpose::PetPhoto)) => {
                errors.add("petId", "is required for a photo of a pet");
                None
            }
            (Some(_), Some(_)) => {
                errors.add("petId", "is for photos of pets only");
                None
            }
            _ => Some(None),
        };
        let sha256 = match &self.checksum_sha256 {
            Some(text) => errors.check("checksumSha256", sha256(text)).map(Some),
            None => Some(None),
        };
        if self.file_size == 0 {
            errors.add("fileSize", "must be at least 1 byte");
        }
        if self.file_size > most {
            return Err(MediaError::TooLarge { most });
        }
        let known = file_name.zip(media_type).zip(purpose).zip(pet).zip(sha256);
        let ((((file_name, media_type), purpose), pet), sha256) = errors.finish(known).map_err(MediaError::Invalid)?;
        Ok(Announced { file_name, size: self.file_size, media_type, purpose, pet, sha256 })
    }
}

/// The last part of a path as browsers and phones send it, if it can be a name.
fn file_name(text: &str) -> Option<String> {
    let name = text.rsplit(['/', '\\']).next().unwrap_or(text);
    one_line(name, MAX_FILE_NAME)
}

fn media_type(text: &str) -> Result<MediaType, String> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "image/jpg" => Ok(MediaType::Jpeg),
        "image/heic" | "image/heif" | "image/heic-sequence" | "image/heif-sequence" => Err(HEIC.to_owned()),
        _ => text.parse(),
    }
}

/// What to do about photos that only some devices can read.
pub(super) const HEIC: &str = "HEIC photos can't be taken; save the photo as JPEG (on an iPhone: Settings, \
                               Camera, Formats, Most Compatible) and upload that";

/// 32 bytes in hexadecimal digits or in base64, which have different lengths.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], &'static str> {
    const PROBLEM: &str = "must be a SHA-256 in 64 hexadecimal digits or in base64";
    let bytes = if text.len() == 64 {
        let digits = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        (0..64).step_by(2).map(digits).collect::<Option<Vec<_>>>().ok_or(PROBLEM)?
    } else {
        STANDARD.decode(text).map_err(|_| PROBLEM)?
    };
    bytes.try_into().map_err(|_| PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo() -> NewUpload {
        NewUpload {
            file_name: "rex.jpg".into(),
            file_size: 1000,
            file_type: "image/jpeg".into(),
            upload_type: "pet-photo".into(),
            pet_id: Some(PetId::new().to_string()),
            checksum_sha256: None,
        }
    }

    #[test]
    fn what_is_announced_is_checked_field_by_field() {
        type Change = fn(&mut NewUpload);
        let cases: [(&str, Change); 12] = [
            ("fileName", |new| new.file_name = "\n".into()),
            ("fileName", |new| new.file_name = "x".repeat(256)),
            ("fileType", |new| new.file_type = "image/svg+xml".into()),
            ("fileType", |new| new.file_type = "image/heic".into()),
            ("fileType", |new| new.file_type = "application/pdf".into()),
            ("uploadType", |new| new.upload_type = "photo".into()),
            ("petId", |new| new.pet_id = None),
            ("petId", |new| new.pet_id = Some("../x".into())),
            ("petId", |new| new.upload_type = "profile-avatar".into()),
            ("fileSize", |new| new.file_size = 0),
            ("checksumSha256", |new| new.checksum_sha256 = Some("zz".repeat(32))),
            ("checksumSha256", |new| new.checksum_sha256 = Some("AAAA".into())),
        ];
        assert!(photo().check(1000).is_ok());
        for (field, change) in cases {
            let mut new = photo();
            change(&mut new);
            let Err(MediaError::Invalid(errors)) = new.check(1000) else { panic!("{field} of {new:?}") };
            assert_eq!(errors.iter().map(|(field, _)| field).collect::<Vec<_>>(), [field], "{new:?}");
        }
        assert!(matches!(photo().check(999), Err(MediaError::TooLarge { most: 999 })));
    }

    #[test]
    fn names_lose_their_folders_and_checksums_come_in_two_spellings() {
        let name = |text: &str| NewUpload { file_name: text.into(), ..photo() }.check(1000).unwrap().file_name;
        assert_eq!((name("C:\\fakepath\\rex.jpg"), name("../../rex.jpg")), ("rex.jpg".into(), "rex.jpg".into()));
        assert_eq!(sha256(&"0a".repeat(32)), Ok([10; 32]));
        assert_eq!(sha256(&STANDARD.encode([10; 32])), Ok([10; 32]));
    }
}
