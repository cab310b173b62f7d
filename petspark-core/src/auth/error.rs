//! What can go wrong with an account, as its caller needs to know it.

use std::time::Duration;

use super::hash_pool::Busy;
use crate::error::{Failure, Fault, FieldErrors, Kind};

/// Why an account operation was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Fields that can't be as they are.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// No such user, or not their password: which of the two is nobody's business.
    #[error("E-mail or password is wrong.")]
    WrongCredentials,
    /// Somebody has an account with this address.
    #[error("There is already an account with this e-mail address.")]
    EmailTaken,
    /// A refresh without a refresh token.
    #[error("A refresh token is needed.")]
    RefreshMissing,
    /// Not a refresh token of ours, or its session was ended.
    #[error("The refresh token is not valid. Please sign in again.")]
    RefreshInvalid,
    /// The session's time is over.
    #[error("The session has expired. Please sign in again.")]
    RefreshExpired,
    /// A refresh token was used a second time: somebody has a copy, so the session was ended.
    #[error("This refresh token was used before, so its session was ended. Please sign in again.")]
    RefreshReused,
    /// No access token, or one that doesn't count (any more).
    #[error("Please sign in.")]
    Unauthenticated,
    /// No such user.
    #[error("There is no such user.")]
    UserNotFound,
    /// The right password, but the account is suspended or banned.
    #[error("This account is suspended.")]
    Suspended,
    /// Needs a role that the caller doesn't have.
    #[error("You are not allowed to do this.")]
    Forbidden,
    /// Would leave nobody who can administer.
    #[error("This is the last active administrator; make somebody else one first.")]
    LastAdmin,
    /// More passwords to check than the machine can.
    #[error("The service is busy. Please try again in a moment.")]
    Busy,
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure for AuthError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::WrongCredentials
            | Self::RefreshMissing
            | Self::RefreshInvalid
            | Self::RefreshExpired
            | Self::RefreshReused
            | Self::Unauthenticated => Kind::Unauthenticated,
            Self::Suspended | Self::Forbidden => Kind::Forbidden,
            Self::UserNotFound => Kind::NotFound,
            Self::EmailTaken | Self::LastAdmin => Kind::Conflict,
            Self::Busy => Kind::Unavailable,
            Self::Fault(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::WrongCredentials => "AUTH_001",
            Self::EmailTaken => "AUTH_002",
            Self::RefreshMissing => "AUTH_003",
            Self::RefreshInvalid => "AUTH_004",
            Self::RefreshExpired => "AUTH_005",
            Self::Unauthenticated => "AUTH_006",
            Self::UserNotFound => "AUTH_007",
            Self::RefreshReused => "AUTH_008",
            Self::Suspended => "AUTH_012",
            Self::Forbidden => "ADMIN_001",
            Self::LastAdmin => "ADMIN_002",
            Self::Busy => "UNAVAILABLE",
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
            Self::Busy => Some(Duration::from_secs(1)),
            Self::Fault(fault) => fault.retry_after(),
            _ => None,
        }
    }
}

impl From<Busy> for AuthError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<crate::page::InvalidPage> for AuthError {
    fn from(error: crate::page::InvalidPage) -> Self {
        Self::Invalid(FieldErrors::one(error.field(), error.to_string()))
    }
}
