//! Why an operation on a pet was refused.

use crate::auth::Denied;
use crate::error::{Fault, FieldErrors, failure};
use crate::idempotency::IdempotencyError;
use crate::page::invalid_page;

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

failure! {
    PetError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        NotFound => (Kind::NotFound, "PET_001"),
        NotOwner => (Kind::Forbidden, "PET_002"),
        Banned => (Kind::Forbidden, "PET_003"),
        Outdated => (Kind::Outdated, "PRECONDITION_FAILED"),
        Contended => (Kind::Conflict, "PET_004"),
        LimitReached { .. } => (Kind::Conflict, "PET_005"),
    },
    asks { Denied(denied), Idempotency(error), Fault(fault) }
}

invalid_page!(PetError);
