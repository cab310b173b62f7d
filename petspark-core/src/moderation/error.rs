//! Why something about moderation was refused.

use std::time::Duration;

use crate::auth::Denied;
use crate::error::{Failure, Fault, FieldErrors, Kind};
use crate::idempotency::IdempotencyError;
use crate::page::InvalidPage;
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

impl Failure for ModerationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound => Kind::NotFound,
            Self::TakenByOther | Self::NotTaken | Self::Decided | Self::AlreadyReported => Kind::Conflict,
            Self::OwnPet => Kind::Forbidden,
            Self::TooMany { .. } => Kind::RateLimited,
            Self::Pet(error) => error.kind(),
            Self::Idempotency(error) => error.kind(),
            Self::Denied(denied) => denied.kind(),
            Self::Fault(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::NotFound => "MOD_001",
            Self::TakenByOther => "MOD_002",
            Self::NotTaken => "MOD_003",
            Self::Decided => "MOD_004",
            Self::AlreadyReported => "MOD_005",
            Self::OwnPet => "MOD_006",
            Self::TooMany { .. } => "RATE_LIMITED",
            Self::Pet(error) => error.code(),
            Self::Idempotency(error) => error.code(),
            Self::Denied(denied) => denied.code(),
            Self::Fault(fault) => fault.code(),
        }
    }

    fn fields(&self) -> Option<&FieldErrors> {
        match self {
            Self::Invalid(fields) => Some(fields),
            Self::Pet(error) => error.fields(),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { retry_after } => Some(*retry_after),
            Self::Pet(error) => error.retry_after(),
            Self::Idempotency(error) => error.retry_after(),
            Self::Fault(fault) => fault.retry_after(),
            _ => None,
        }
    }
}

impl From<InvalidPage> for ModerationError {
    fn from(error: InvalidPage) -> Self {
        Self::Invalid(FieldErrors::one(error.field(), error.to_string()))
    }
}
