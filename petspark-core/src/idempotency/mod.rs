//! Creating things once: a client that doesn't know whether its request got through sends it again
//! under the same key, and gets the first one's result. The key is stored by the transaction that
//! creates, so it is there if and only if the thing is, and no crash leaves anything half done. What
//! is created, and what may be, is for the service that asks.

mod purge;
mod request;
mod store;

pub(crate) use purge::Purge;
pub(crate) use request::{Attempt, Begun, Request, is_known};

use std::fmt;
use std::time::Duration;

use crate::clock::DAY;
use crate::error::{Fault, failure};

/// How long a key and its result are kept; then the key is free again. As long as Stripe keeps theirs
/// (<https://docs.stripe.com/api/idempotent_requests>).
pub(crate) const KEPT_FOR: Duration = DAY;

/// What a client calls one intention to create something: the same in every attempt at it, and
/// never used for another. It belongs to the user who sends it, so those of others don't matter.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Most characters of a key.
    pub const MAX_LEN: usize = 255;

    /// Takes the key as it is, quotes included: in the form of
    /// draft-ietf-httpapi-idempotency-key-header they belong to it, elsewhere nobody sends any.
    ///
    /// # Errors
    /// [`InvalidKey`] unless it has 1 to [`IdempotencyKey::MAX_LEN`] characters of printable ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if text.is_empty() || text.len() > Self::MAX_LEN || !is_printable {
            return Err(InvalidKey);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not the key itself: clients make keys of whatever they have at hand.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({} characters)", self.0.len())
    }
}

/// What was given is no [`IdempotencyKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {} characters of printable ASCII", IdempotencyKey::MAX_LEN)]
pub struct InvalidKey;

/// What a request to create something has led to, now or when it was first sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once<T> {
    /// What was created, as it was at that time.
    pub result: T,
    /// Whether that was an earlier request with the same key; then this one did nothing.
    pub replayed: bool,
}

impl<T> Once<T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Once<U> {
        Once { result: f(self.result), replayed: self.replayed }
    }
}

/// Why a request with a key was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyError {
    /// The key stands for something else: another body, or another operation.
    #[error("This Idempotency-Key was used for another request in the last 24 hours.")]
    Reused,
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    IdempotencyError,
    own {
        Reused => (Kind::Conflict, "IDEMPOTENCY_KEY_REUSED"),
    },
    asks { Fault(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_characters_of_printable_ascii() {
        for key in ["x", "8e03978e-40d5-43e8-bc93-6894a57f9324", "\"quoted\"", "a b", &"~".repeat(255)] {
            assert_eq!(IdempotencyKey::parse(key).unwrap().as_str(), key);
        }
        for wrong in ["", "a\tb", "a\nb", "\u{7f}", "schlüssel", "🔑", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(wrong), Err(InvalidKey), "{wrong:?}");
        }
    }
}
