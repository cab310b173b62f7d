//! Why an operation on a pet was refused.

use std::time::Duration;

use crate::auth::Denied;
use crate::error::{Failure, Fault, FieldErrors, Kind};
use crate::idempotency::IdempotencyError;
use crate::page::InvalidPage;

/// Why an operation on a pet was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PetError {
    /// Fields that can't be as they are.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// No such pet, or none that the caller may know of.
    #[error("There is no such pet.")]
    NotFound,
    /// Somebody else's.
    #[error("This pet is not yours.")]
    NotOwner,
    /// A moderator's decision, which the owner can't undo.
    #[error("This pet was banned by a moderator.")]
    Banned,
    /// As many as the owner's plan has.
    #[error("You can have at most {most} pets.")]
    LimitReached {
        /// How many that is.
        most: u32,
    },
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It isn't what the change was meant for any more.
    #[error("This pet was changed since you looked at it.")]
    Outdated,
    /// It is being changed by several at once, again and again.
    #[error("This pet is being changed by somebody else at the moment. Please try again.")]
    Contended,
    /// The key of the request can't be honoured.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure for PetError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound => Kind::NotFound,
            Self::NotOwner | Self::Banned => Kind::Forbidden,
            Self::Denied(denied) => denied.kind(),
            Self::Outdated => Kind::Outdated,
            Self::Contended | Self::LimitReached { .. } => Kind::Conflict,
            Self::Idempotency(error) => error.kind(),
            Self::Fault(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::NotFound => "PET_001",
            Self::NotOwner => "PET_002",
            Self::Banned => "PET_003",
            Self::Denied(denied) => denied.code(),
            Self::Outdated => "PRECONDITION_FAILED",
            Self::Contended => "PET_004",
            Self::LimitReached { .. } => "PET_005",
            Self::Idempotency(error) => error.code(),
            Self::Fault(fault) => fault.code(),
        }
    }

    fn fields(&self) -> Option<&FieldErrors> {
        match self {
            Self::Invalid(fields) => Some(fields),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Idempotency(error) => error.retry_after(),
            Self::Fault(fault) => fault.retry_after(),
            _ => None,
        }
    }
}

impl From<InvalidPage> for PetError {
    fn from(error: InvalidPage) -> Self {
        Self::Invalid(FieldErrors::one(error.field(), error.to_string()))
    }
}
