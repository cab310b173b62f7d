//! Why something about moderation was refused.

use std::time::Duration;

use crate::auth::Denied;
use crate::error::{Fault, FieldErrors, failure};
use crate::idempotency::IdempotencyError;
use crate::page::invalid_page;
use crate::pets::PetError;

/// Why something about moderation was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModerationError {
    /// Fields that can't be as they are.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// No such task, or what it was about is gone.
    #[error("There is no such moderation task.")]
    NotFound,
    /// Somebody else is at it.
    #[error("Somebody else has taken this task.")]
    TakenByOther,
    /// Only who took a task decides it.
    #[error("Please take this task first.")]
    NotTaken,
    /// It is over.
    #[error("This task is decided already.")]
    Decided,
    /// Once is enough, until it is decided.
    #[error("You have reported this already; it will be looked at.")]
    AlreadyReported,
    /// See [`Moderation::MAX_REPORTS_PER_DAY`](super::Moderation::MAX_REPORTS_PER_DAY).
    #[error("You have reported very much today. Please try again later.")]
    TooMany {
        /// How long until it is allowed again.
        retry_after: Duration,
    },
    /// Nobody judges their own.
    #[error("This is your own pet.")]
    OwnPet,
    /// About the pet that is to be reported.
    #[error(transparent)]
    Pet(#[from] PetError),
    /// About the key that the request was sent with.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    ModerationError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        NotFound => (Kind::NotFound, "MOD_001"),
        TakenByOther => (Kind::Conflict, "MOD_002"),
        NotTaken => (Kind::Conflict, "MOD_003"),
        Decided => (Kind::Conflict, "MOD_004"),
        AlreadyReported => (Kind::Conflict, "MOD_005"),
        OwnPet => (Kind::Forbidden, "MOD_006"),
        TooMany { retry_after } => (Kind::RateLimited, "RATE_LIMITED", retry_after: *retry_after),
    },
    asks { Pet(error), Idempotency(error), Denied(denied), Fault(fault) }
}

invalid_page!(ModerationError);
