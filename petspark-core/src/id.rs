//! Typed identifiers. Each is a UUIDv7 (RFC 9562), so that new rows land at the end of an index.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was given is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id: expected a UUID such as 01980000-0000-7000-8000-000000000000")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id that sorts after those made before it on this machine.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "an id out of nowhere is a bug, not a default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// An id that nobody can guess: 122 random bits (UUIDv4).
            ///
            /// # Errors
            /// [`Fault`](crate::Fault) when the system has no randomness to give.
            #[allow(dead_code, reason = "few kinds of ids have to be unguessable")]
            pub(crate) fn random() -> Result<Self, crate::Fault> {
                Ok(Self(uuid::Builder::from_random_bytes(crate::secret::random()?).into_uuid()))
            }

            /// The id as sixteen bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that these sixteen bytes are.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // Only the hyphenated form: one id, one spelling.
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+ };
}

ids! {
    /// Names a user.
    UserId,
    /// Names a session: one sign-in on one device, with its line of refresh tokens.
    SessionId,
    /// Names a pet.
    PetId,
    /// Names a job.
    JobId,
    /// Names a row of the audit log.
    AuditId,
    /// Names a one-time token, such as the one behind a link in a mail.
    OneTimeTokenId,
    /// Names an authenticator app of a user.
    FactorId,
    /// Names an API key.
    ApiKeyId,
    /// Names an upload: a photo or a document.
    UploadId,
    /// Names a plan that somebody bought once or was given.
    GrantId,
    /// Names something that we asked Stripe to do.
    OperationId,
    /// Names a moderation task.
    TaskId,
    /// Names what a moderation task is about: for a pet, it is the pet's id.
    SubjectId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = PetId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().replace('-', "").parse::<PetId>(), Err(InvalidId));
        assert_eq!(format!("{{{id}}}").parse::<PetId>(), Err(InvalidId));
        assert_eq!("".parse::<PetId>(), Err(InvalidId));
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<_> = (0..1000).map(|_| UserId::new()).collect();
        assert!(ids.is_sorted());
    }
}
