//! What an API key is, and the token that another service holds. Making keys and asking with
//! them is in `api_keys.rs`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::permission::{Permission, Scopes};
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::error::{Fault, FieldErrors};
use crate::id::ApiKeyId;
use crate::secret::{Secret, random};

/// Begins every API key, so that people and secret scanners know one when they see it.
pub(super) const PREFIX: &str = "psk_";
const ID_LEN: usize = 16;
/// 256 bits, all of them random: nothing slower than SHA-256 is needed to store it.
const SECRET_LEN: usize = 32;

text_enum! {
    /// Whether an API key counts.
    pub enum ApiKeyState {
        /// Yes.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// Somebody ended it.
        Revoked = "revoked",
    }
}

/// An API key without its secret, which nobody but its holder has.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ApiKey {
    /// Which one; also the first part of the token.
    pub id: ApiKeyId,
    /// What it is for; no two that count have the same name.
    pub name: String,
    /// What it may do.
    #[sqlx(try_from = "String")]
    pub scopes: Scopes,
    /// Who made it, as the audit log names them.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before the last rotation counts, too.
    pub previous_expires_at: Option<Timestamp>,
    /// From when on it no longer counts.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it counts at this time.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ApiKeyState {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => ApiKeyState::Revoked,
            (None, Some(end)) if end <= now => ApiKeyState::Expired,
            _ => ApiKeyState::Active,
        }
    }
}

/// An API key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What it is for: 1 to 80 characters.
    pub name: String,
    /// What it may do: at least one, and only what [`Permission::is_scope`] allows.
    pub scopes: Vec<Permission>,
    /// How long it counts; for ever if nothing is said.
    pub expires_in: Option<Duration>,
}

impl NewApiKey {
    /// Longest name, in characters.
    pub const MAX_NAME: usize = 80;

    /// The name as it is stored, and the scopes.
    pub(super) fn check(&self) -> Result<(String, Scopes), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = crate::text::one_line(&self.name, Self::MAX_NAME);
        if name.is_none() {
            errors.add("name", "must have 1 to 80 characters in one line");
        }
        if self.scopes.is_empty() {
            errors.add("scopes", "must have at least one");
        }
        for scope in self.scopes.iter().filter(|scope| !scope.is_scope()) {
            errors.add("scopes", format!("{scope} can't be given to a key"));
        }
        if self.expires_in.is_some_and(|time| time.is_zero()) {
            errors.add("expiresIn", "must be more than nothing");
        }
        errors.finish(name.map(|name| (name, self.scopes.iter().copied().collect())))
    }
}

/// An API key with its secret: shown this once, and never again.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// Goes with every request as `Authorization: Bearer`.
    pub token: Secret,
}

pub(super) type Digest = [u8; 32];

/// A new secret for this key: the token for its holder and the digest to be stored.
pub(super) fn issue(id: ApiKeyId) -> Result<(Secret, Digest), Fault> {
    let secret = random::<SECRET_LEN>()?;
    let mut bytes = [0; ID_LEN + SECRET_LEN];
    bytes[..ID_LEN].copy_from_slice(id.as_bytes());
    bytes[ID_LEN..].copy_from_slice(&secret);
    Ok((Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))), Sha256::digest(secret).into()))
}

/// What a token says: which key, and a digest that is or isn't the stored one.
pub(super) fn parse(token: &str) -> Option<(ApiKeyId, Digest)> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let bytes: [u8; ID_LEN + SECRET_LEN] = bytes.try_into().ok()?;
    let (id, secret) = bytes.split_first_chunk::<ID_LEN>()?;
    Some((ApiKeyId::from_bytes(*id), Sha256::digest(secret).into()))
}

/// Takes the same time wherever they differ.
pub(super) fn same(one: &Digest, other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_issued_and_every_character_counts() {
        let id = ApiKeyId::new();
        let (token, digest) = issue(id).unwrap();
        let token = token.expose();
        assert_eq!(parse(token), Some((id, digest)));
        for at in 0..token.len() {
            let mut bytes = token.to_owned().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(parse(std::str::from_utf8(&bytes).unwrap()), Some((id, digest)), "character {at}");
        }
        for nonsense in ["", "psk_", "psk_AAAA", &format!("{token}A"), &token[4..]] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn two_keys_never_have_the_same_secret() {
        let id = ApiKeyId::new();
        assert_ne!(issue(id).unwrap().1, issue(id).unwrap().1);
    }
}
