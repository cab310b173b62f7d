//! Refresh tokens: a session, a generation and an HMAC over both. Nothing secret is stored, a
//! copy of the database forges nothing, and issuing the same generation again gives the same
//! token, so that parallel callers all get one successor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys::{DerivedKey, KEY_ID_LEN};
use super::signer::Signer;
use crate::error::Fault;
use crate::id::SessionId;

pub(super) const PREFIX: &str = "psr_";
const VERSION: u8 = 1;
/// Version, key id, session, generation.
const BODY_LEN: usize = 1 + KEY_ID_LEN + 16 + 8;
const MAC_LEN: usize = 32;

/// What a refresh token with a valid HMAC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) session: SessionId,
    pub(super) generation: i64,
}

pub(super) struct RefreshTokens(Signer);

impl RefreshTokens {
    pub(super) fn new(keys: &[DerivedKey]) -> Result<Self, Fault> {
        Signer::new(keys).map(Self)
    }

    pub(super) fn issue(&self, session: SessionId, generation: i64) -> String {
        let mut body = Vec::with_capacity(BODY_LEN + MAC_LEN);
        body.push(VERSION);
        body.extend(self.0.key_id());
        body.extend(session.as_bytes());
        body.extend(generation.to_be_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0.sign(body)))
    }

    /// What the token says, if it is one of ours. Compared in constant time; garbage never gets
    /// as far as the database.
    pub(super) fn verify(&self, token: &str) -> Option<Presented> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let bytes: [u8; BODY_LEN + MAC_LEN] = bytes.try_into().ok()?;
        let (head, rest) = bytes[..BODY_LEN].split_at(1 + KEY_ID_LEN);
        if head[0] != VERSION || !self.0.verify(head[1..].try_into().ok()?, &bytes) {
            return None;
        }
        let (session, generation) = rest.split_at(16);
        Some(Presented {
            session: SessionId::from_bytes(session.try_into().ok()?),
            generation: i64::from_be_bytes(generation.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn tokens(key: u8) -> RefreshTokens {
        RefreshTokens::new(&[DerivedKey::named(Zeroizing::new([key; 32]))]).unwrap()
    }

    #[test]
    fn the_same_generation_is_always_the_same_token() {
        let session = SessionId::new();
        assert_eq!(tokens(1).issue(session, 3), tokens(1).issue(session, 3));
        assert_ne!(tokens(1).issue(session, 3), tokens(1).issue(session, 4));
        assert_eq!(tokens(1).verify(&tokens(1).issue(session, 3)), Some(Presented { session, generation: 3 }));
    }

    #[test]
    fn a_token_by_an_older_secret_counts_and_the_newest_signs() {
        let keys =
            |keys: &[u8]| keys.iter().map(|key| DerivedKey::named(Zeroizing::new([*key; 32]))).collect::<Vec<_>>();
        let both = RefreshTokens::new(&keys(&[2, 1])).unwrap();
        let session = SessionId::new();
        assert!(both.verify(&tokens(1).issue(session, 0)).is_some());
        assert_eq!(both.issue(session, 0), tokens(2).issue(session, 0));
        assert_eq!(tokens(1).verify(&both.issue(session, 0)), None);
    }

    #[test]
    fn a_changed_or_foreign_token_is_nothing() {
        let token = tokens(1).issue(SessionId::new(), 0);
        assert_eq!(tokens(2).verify(&token), None);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens(1).verify(std::str::from_utf8(&bytes).unwrap()), None, "character {at}");
        }
        for nonsense in ["", "psr_", "psr_AAAA", "eyJ.a.b", &format!("{token}A")] {
            assert_eq!(tokens(1).verify(nonsense), None);
        }
    }
}
