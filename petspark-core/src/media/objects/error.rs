//! Why something couldn't be done with an object. No text tells a key, an address or a secret.

use std::fmt;
use std::io;

use crate::error::{Fault, failure};

/// Why something couldn't be done with an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// No such object.
    #[error("There is no such object.")]
    NotFound,
    /// A key is used once, and this one was.
    #[error("There is an object of this name already.")]
    AlreadyThere,
    /// The bytes aren't those that were announced.
    #[error("What was sent isn't what was announced: the {0} differs.")]
    Mismatch(Difference),
    /// More bytes than allowed.
    #[error("This is larger than allowed.")]
    TooLarge,
    /// A range that lies outside of the object, or is empty.
    #[error("The object has no such range.")]
    OutOfRange,
    /// Whoever sent the bytes broke off.
    #[error("The upload broke off.")]
    Sender(#[source] io::Error),
    /// The store is away, full, or refuses us; or a defect.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What differs from the announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The number of bytes.
    Size,
    /// The SHA-256.
    Sha256,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "size",
            Self::Sha256 => "checksum",
        })
    }
}

impl ObjectError {
    /// The disk, or something else underneath, doesn't do what it should.
    pub(super) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(Fault::unavailable(source))
    }
}

failure! {
    ObjectError,
    own {
        NotFound => (Kind::NotFound, "OBJECT_NOT_FOUND"),
        AlreadyThere => (Kind::Conflict, "OBJECT_EXISTS"),
        Mismatch(_) => (Kind::Invalid, "OBJECT_MISMATCH"),
        TooLarge => (Kind::Invalid, "OBJECT_TOO_LARGE"),
        OutOfRange => (Kind::Invalid, "OBJECT_RANGE"),
        Sender(_) => (Kind::Invalid, "OBJECT_INCOMPLETE"),
    },
    asks { Fault(fault) }
}
