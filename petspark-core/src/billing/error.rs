//! Why something about payments was refused.

use std::time::Duration;

use serde_json::json;

use super::remote::RemoteError;
use crate::auth::Denied;
use crate::error::{Fault, FieldErrors, failure};
use crate::idempotency::IdempotencyError;
use crate::page::invalid_page;

/// Why something about payments was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BillingError {
    /// There are no keys for Stripe, or this build can't speak to it.
    #[error("Payments are not available here.")]
    NotConfigured,
    /// Stripe can't be reached, or has trouble of its own.
    #[error("Payments are not available at the moment. Please try again later.")]
    Unavailable {
        /// For the log.
        cause: String,
    },
    /// The key is of another account than what is kept here, or of the other mode.
    #[error(
        "Payments are not available at the moment: the key for Stripe is of another account, or another mode, than the \
         payments that are kept here."
    )]
    OtherAccount {
        /// For the log: of which.
        cause: String,
    },
    /// Stripe doesn't know the key, or doesn't let it do this.
    #[error("Payments are not available at the moment: the key for Stripe doesn't allow this.")]
    KeyRefused {
        /// For the log and for operators: what Stripe said.
        cause: String,
    },
    /// No such subscription, payment, price, grant or event.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// Somebody else's.
    #[error("This {0} is not yours.")]
    NotYours(&'static str),
    /// Only administrators may.
    #[error("Only administrators may do this.")]
    NotAdmin,
    /// A price that isn't sold, or an amount that isn't its price.
    #[error("{0}")]
    BadPrice(String),
    /// A webhook that Stripe didn't sign, or not lately.
    #[error("This is not a signed webhook event.")]
    BadWebhook {
        /// For the log.
        cause: &'static str,
    },
    /// There is a subscription already.
    #[error("You have a subscription already; change that one.")]
    AlreadySubscribed,
    /// Stripe understood, and said no.
    #[error("The payment provider refused this{}.", .code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// Stripe's name for the reason, if it gave one.
        code: Option<String>,
        /// For the log.
        cause: String,
    },
    /// It can't be done as things stand.
    #[error("{0}")]
    Conflict(&'static str),
    /// Fields that can't be as they are.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// About the key that the request was sent with.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// Nobody is signed in, or the second factor lacks.
    #[error(transparent)]
    Denied(Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    BillingError,
    own {
        NotConfigured => (Kind::Unavailable, "PAY_000"),
        Unavailable { .. } => (Kind::Unavailable, "PAY_000", retry_after: Duration::from_secs(10)),
        OtherAccount { .. } => (Kind::Unavailable, "PAY_000"),
        KeyRefused { .. } => (Kind::Unavailable, "PAY_000"),
        NotFound(_) => (Kind::NotFound, "PAY_001"),
        NotYours(_) => (Kind::Forbidden, "PAY_002"),
        NotAdmin => (Kind::Forbidden, "PAY_003"),
        BadPrice(_) => (Kind::Invalid, "PAY_004"),
        BadWebhook { .. } => (Kind::Invalid, "PAY_005"),
        AlreadySubscribed => (Kind::Conflict, "PAY_006"),
        Refused { .. } => (Kind::Unprocessable, "PAY_007"),
        Conflict(_) => (Kind::Conflict, "PAY_008"),
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
    },
    asks { Idempotency(error), Denied(denied), Fault(fault) },
    {
        fn details(&self) -> Option<serde_json::Value> {
            match self {
                Self::Refused { code: Some(code), .. } => Some(json!({ "reason": code })),
                _ => None,
            }
        }

        fn for_operators(&self) -> Option<String> {
            match self {
                Self::KeyRefused { cause } => Some(format!(
                    "Stripe refuses STRIPE_SECRET_KEY (billing.stripe.secret_key), and `check` tells more: {cause}"
                )),
                // The command line has its own way with these.
                Self::Fault(_) => None,
                error => error.cause(),
            }
        }
    }
}

impl BillingError {
    /// What is to be logged and isn't said.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unavailable { cause }
            | Self::OtherAccount { cause }
            | Self::KeyRefused { cause }
            | Self::Refused { cause, .. } => Some(cause.clone()),
            Self::BadWebhook { cause } => Some((*cause).to_owned()),
            Self::Fault(fault) => Some(fault.chain()),
            _ => None,
        }
    }

    /// The same where a job meets it. What Stripe refuses, it will refuse again; and a key that it refuses isn't
    /// Stripe's being away, so that nobody waits for it to come back.
    pub(super) fn into_fault(self) -> Fault {
        let text = self.cause().map_or_else(|| self.to_string(), |cause| format!("{self} {cause}"));
        match self {
            Self::Fault(fault) => fault,
            Self::Unavailable { .. } | Self::OtherAccount { .. } => Fault::unavailable(text),
            Self::Refused { .. } => Fault::lasting(text),
            _ => Fault::internal(text),
        }
    }
}

/// Role `admin` is `PAY_003` here; what else may lack is said as everywhere.
impl From<Denied> for BillingError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => Self::NotAdmin,
            denied => Self::Denied(denied),
        }
    }
}

invalid_page!(BillingError);

impl From<RemoteError> for BillingError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unavailable(cause) | RemoteError::Spent(cause) => Self::Unavailable { cause },
            RemoteError::KeyRefused { message, .. } => Self::KeyRefused { cause: message },
            RemoteError::Refused { code, message, .. } => Self::Refused { code, cause: message },
            RemoteError::Undecodable(cause) => Self::Fault(Fault::lasting(cause)),
        }
    }
}
