//! Refresh tokens: a session, a generation and an HMAC over both. Nothing secret is stored, a
//! copy of the database forges nothing, and issuing the same generation again gives the same
//! token, so that parallel callers all get one successor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::Fault;
use crate::id::SessionId;

const PREFIX: &str = "psr_";
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
/// Version, key id, session, generation.
const BODY_LEN: usize = 1 + KEY_ID_LEN + 16 + 8;
const MAC_LEN: usize = 32;

/// What a refresh token with a valid HMAC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) session: SessionId,
    pub(super) generation: i64,
}

pub(super) struct RefreshTokens {
    mac: Hmac<Sha256>,
    key_id: [u8; KEY_ID_LEN],
}

impl RefreshTokens {
    pub(super) fn new(key: &Zeroizing<[u8; 32]>) -> Result<Self, Fault> {
        let mac = Hmac::new_from_slice(&**key).map_err(Fault::internal)?;
        let mut key_id = [0; KEY_ID_LEN];
        key_id.copy_from_slice(&Sha256::digest(**key)[..KEY_ID_LEN]);
        Ok(Self { mac, key_id })
    }

    pub(super) fn issue(&self, session: SessionId, generation: i64) -> String {
        let mut bytes = Vec::with_capacity(BODY_LEN + MAC_LEN);
        bytes.push(VERSION);
        bytes.extend(self.key_id);
        bytes.extend(session.as_bytes());
        bytes.extend(generation.to_be_bytes());
        let mut mac = self.mac.clone();
        mac.update(&bytes);
        bytes.extend(mac.finalize().into_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What the token says, if it is one of ours. Compared in constant time; garbage never gets
    /// as far as the database.
    pub(super) fn verify(&self, token: &str) -> Option<Presented> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let bytes: [u8; BODY_LEN + MAC_LEN] = bytes.try_into().ok()?;
        let (body, tag) = bytes.split_at(BODY_LEN);
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.verify_slice(tag).ok()?;
        let (head, rest) = body.split_at(1 + KEY_ID_LEN);
        let (session, generation) = rest.split_at(16);
        if head[0] != VERSION || head[1..] != self.key_id {
            return None;
        }
        Some(Presented {
            session: SessionId::from_bytes(session.try_into().ok()?),
            generation: i64::from_be_bytes(generation.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(key: u8) -> RefreshTokens {
        RefreshTokens::new(&Zeroizing::new([key; 32])).unwrap()
    }

    #[test]
    fn the_same_generation_is_always_the_same_token() {
        let session = SessionId::new();
        assert_eq!(tokens(1).issue(session, 3), tokens(1).issue(session, 3));
        assert_ne!(tokens(1).issue(session, 3), tokens(1).issue(session, 4));
        assert_eq!(tokens(1).verify(&tokens(1).issue(session, 3)), Some(Presented { session, generation: 3 }));
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
