//! Why an upload, or something that is asked of one, was refused.

use crate::auth::Denied;
use crate::error::{Fault, FieldErrors, failure};
use crate::idempotency::IdempotencyError;
use crate::page::invalid_page;
use crate::pets::PetError;

/// Why an upload, or something that is asked of one, was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Fields that can't be as they are.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// A photo of somebody else's pet, or of none.
    #[error("You can only upload photos of your own pets.")]
    NotYourPet,
    /// More bytes than an upload may have.
    #[error("Files can have at most {} bytes.", .most)]
    TooLarge {
        /// That many, `media.max_upload`.
        most: u64,
    },
    /// As many photos of a pet as there may be, or as many bytes of a person.
    #[error("{0}")]
    LimitReached(String),
    /// Nothing that the caller announced.
    #[error("There is no such upload.")]
    UploadNotFound,
    /// Nothing came at the URL that was given out, or not in time.
    #[error("Nothing was uploaded there.")]
    NotUploaded,
    /// Something came already: a URL is for one upload.
    #[error("Something was uploaded there already.")]
    AlreadyUploaded,
    /// What came isn't what was announced, or not an image that can be read.
    #[error("{0}")]
    NotAsDeclared(String),
    /// A URL that wasn't given out, or not for this, or not any more.
    #[error("This link is not valid, or not valid any more.")]
    BadLink,
    /// The sender stopped in the middle.
    #[error("The file did not arrive completely.")]
    Incomplete,
    /// No such photo, or none that the caller may know of.
    #[error("There is no such photo.")]
    PhotoNotFound,
    /// Somebody else's.
    #[error("This photo is not yours.")]
    NotYourPhoto,
    /// What is asked of the photos of a pet can't be done to the pet.
    #[error(transparent)]
    Pet(PetError),
    /// The key of the request can't be honoured.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// So much belongs to nothing that this may be the wrong database.
    #[error(
        "{leftovers} of {objects} objects belong to nothing that this database knows. Nothing was removed: if this is the \
         right database, and not an older one, say how many may go."
    )]
    TooManyLeftovers {
        /// Objects that belong to nothing.
        leftovers: u64,
        /// All that there are.
        objects: u64,
    },
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    MediaError,
    own {
        Invalid(fields) => (Kind::Invalid, "UPLOAD_001", fields: fields),
        Incomplete => (Kind::Invalid, "UPLOAD_001"),
        NotYourPet => (Kind::Forbidden, "UPLOAD_002"),
        UploadNotFound => (Kind::NotFound, "UPLOAD_003"),
        NotUploaded => (Kind::Conflict, "UPLOAD_004"),
        NotAsDeclared(_) => (Kind::Unprocessable, "UPLOAD_005"),
        LimitReached(_) => (Kind::Conflict, "UPLOAD_006"),
        BadLink => (Kind::Forbidden, "UPLOAD_007"),
        AlreadyUploaded => (Kind::Outdated, "UPLOAD_008"),
        TooLarge { .. } => (Kind::TooLarge, "PAYLOAD_TOO_LARGE"),
        TooManyLeftovers { .. } => (Kind::Conflict, "MEDIA_TOO_MANY_LEFTOVERS"),
        PhotoNotFound => (Kind::NotFound, "PHOTO_001"),
        NotYourPhoto => (Kind::Forbidden, "PHOTO_002"),
    },
    asks { Pet(error), Idempotency(error), Denied(denied), Fault(fault) }
}

impl MediaError {
    /// As a job tells it, which nobody asked for that could have been refused.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            refused => Fault::internal(refused),
        }
    }
}

invalid_page!(MediaError);

/// A pet that the caller may not see has no photos that they may see.
impl From<PetError> for MediaError {
    fn from(error: PetError) -> Self {
        match error {
            PetError::Denied(denied) => Self::Denied(denied),
            PetError::Fault(fault) => Self::Fault(fault),
            _ => Self::PhotoNotFound,
        }
    }
}
