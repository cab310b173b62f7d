//! What can go wrong with an account, as its caller needs to know it.

use std::time::Duration;

use super::hash_pool::Busy;
use super::permission::Denied;
use super::signing_keys::KeyProblem;
use crate::error::{Fault, FieldErrors, failure};
use crate::secret::Secret;

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
    /// The right password, but the address was never proven, and this server asks for that.
    #[error("Please confirm your e-mail address first: follow the link that was sent to it.")]
    NotVerified,
    /// The right password, and now the second factor is wanted.
    #[error("Please enter the code of your second factor.")]
    SecondFactorNeeded {
        /// Goes with the code; see `details.mfaToken`.
        mfa_token: Secret,
    },
    /// The link was used, has expired, or was never ours.
    #[error("This link is no longer valid. Please ask for a new one.")]
    OneTimeTokenInvalid,
    /// Too long since signing in for something this sensitive.
    #[error("Please sign in again to do this.")]
    StepUpRequired,
    /// The caller's role needs a second factor, and there is none in this session.
    #[error("Your role needs a second factor. Please set one up, or sign in with it.")]
    SecondFactorRequired,
    /// The password that was given to confirm a change is not the caller's.
    #[error("The current password is wrong.")]
    WrongPassword,
    /// A code that isn't the one now expected, or was used before.
    #[error("This code is wrong, or was used before.")]
    WrongCode,
    /// The user has a second factor already.
    #[error("There is a second factor already; remove it first.")]
    SecondFactorExists,
    /// The user has no second factor, or none that waits to be confirmed.
    #[error("There is no second factor here; set one up first.")]
    NoSecondFactor,
    /// No such session, or none of the caller's.
    #[error("There is no such session.")]
    SessionNotFound,
    /// What was given isn't a token that this installation made.
    #[error("This is no token of this installation's: neither an access nor a refresh token, nor an API key.")]
    NoToken,
    /// No such API key.
    #[error("There is no such API key.")]
    ApiKeyNotFound,
    /// An API key that counts has this name.
    #[error("There is already an API key with this name.")]
    ApiKeyNameTaken,
    /// No such signing key.
    #[error("There is no such key.")]
    KeyNotFound,
    /// A step of a signing key's life that can't be taken now.
    #[error(transparent)]
    Key(#[from] KeyProblem),
    /// Tried too often.
    #[error("Too many attempts. Please try again later.")]
    TooMany {
        /// When it makes sense to try again.
        retry_after: Duration,
    },
    /// Needs a role that the caller doesn't have.
    #[error("You are not allowed to do this.")]
    Forbidden,
    /// It isn't what the change was meant for any more.
    #[error("This was changed since you looked at it.")]
    Outdated,
    /// Would leave nobody who can administer.
    #[error("This is the last active administrator; make somebody else one first.")]
    LastAdmin,
    /// The first administrator can be made only once.
    #[error("There is an active administrator already.")]
    AdminExists,
    /// More passwords to check than the machine can.
    #[error("The service is busy. Please try again in a moment.")]
    Busy,
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AuthError {
    /// Whole seconds is all that HTTP can say, and too early would be refused again.
    pub(super) fn too_many(wait: Duration) -> Self {
        Self::TooMany { retry_after: Duration::from_secs(wait.as_micros().div_ceil(1_000_000) as u64) }
    }
}

failure! {
    AuthError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        WrongCredentials => (Kind::Unauthenticated, "AUTH_001"),
        EmailTaken => (Kind::Conflict, "AUTH_002"),
        RefreshMissing => (Kind::Unauthenticated, "AUTH_003"),
        RefreshInvalid => (Kind::Unauthenticated, "AUTH_004"),
        RefreshExpired => (Kind::Unauthenticated, "AUTH_005"),
        Unauthenticated => (Kind::Unauthenticated, "AUTH_006"),
        UserNotFound => (Kind::NotFound, "AUTH_007"),
        RefreshReused => (Kind::Unauthenticated, "AUTH_008"),
        OneTimeTokenInvalid => (Kind::Invalid, "AUTH_009"),
        SecondFactorNeeded { .. } => (Kind::Unauthenticated, "AUTH_010"),
        NotVerified => (Kind::Forbidden, "AUTH_011"),
        Suspended => (Kind::Forbidden, "AUTH_012"),
        StepUpRequired => (Kind::Forbidden, "AUTH_013"),
        SecondFactorRequired => (Kind::Forbidden, "AUTH_014"),
        SessionNotFound => (Kind::NotFound, "AUTH_015"),
        ApiKeyNotFound => (Kind::NotFound, "AUTH_016"),
        ApiKeyNameTaken => (Kind::Conflict, "ADMIN_003"),
        WrongPassword => (Kind::Forbidden, "AUTH_017"),
        WrongCode => (Kind::Invalid, "AUTH_018"),
        KeyNotFound => (Kind::NotFound, "AUTH_019"),
        Key(KeyProblem::ShortOverlap(_)) => (Kind::Invalid, "AUTH_020"),
        Key(_) => (Kind::Conflict, "AUTH_020"),
        SecondFactorExists => (Kind::Conflict, "AUTH_021"),
        NoSecondFactor => (Kind::Conflict, "AUTH_022"),
        NoToken => (Kind::Invalid, "AUTH_023"),
        TooMany { retry_after } => (Kind::RateLimited, "RATE_LIMITED", retry_after: *retry_after),
        Forbidden => (Kind::Forbidden, "ADMIN_001"),
        Outdated => (Kind::Outdated, "PRECONDITION_FAILED"),
        LastAdmin => (Kind::Conflict, "ADMIN_002"),
        AdminExists => (Kind::Conflict, "ADMIN_004"),
        Busy => (Kind::Unavailable, "UNAVAILABLE", retry_after: Duration::from_secs(1)),
    },
    asks { Fault(fault) },
    {
        fn details(&self) -> Option<serde_json::Value> {
            match self {
                Self::SecondFactorNeeded { mfa_token } => Some(serde_json::json!({ "mfaToken": mfa_token.expose() })),
                _ => None,
            }
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

impl From<Denied> for AuthError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => Self::Unauthenticated,
            Denied::Forbidden => Self::Forbidden,
            Denied::SecondFactorRequired => Self::SecondFactorRequired,
        }
    }
}
