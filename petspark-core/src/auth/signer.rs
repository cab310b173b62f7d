//! HMAC-SHA256 by a few keys: the first signs, all verify, and the signed text names its key.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keys::{DerivedKey, KEY_ID_LEN};
use crate::error::Fault;
use crate::secret;

/// Newest key first. Never empty.
pub(crate) struct Signer {
    newest: Key,
    older: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_LEN],
    mac: Hmac<Sha256>,
}

pub(crate) const MAC_LEN: usize = 32;

impl Signer {
    pub(super) fn new(keys: &[DerivedKey]) -> Result<Self, Fault> {
        let mut keys = keys.iter().map(|derived| {
            Ok(Key { id: derived.id, mac: Hmac::new_from_slice(&*derived.key).map_err(Fault::internal)? })
        });
        let newest = keys.next().ok_or_else(|| Fault::internal("there is no secret to sign with"))??;
        Ok(Self { newest, older: keys.collect::<Result<_, Fault>>()? })
    }

    /// One by a key that nobody else has, and nobody has later.
    pub(crate) fn random() -> Result<Self, Fault> {
        Self::new(&[DerivedKey::named(Zeroizing::new(secret::random()?))])
    }

    /// The name of the key that signs: it belongs into what is signed.
    pub(crate) fn key_id(&self) -> [u8; KEY_ID_LEN] {
        self.newest.id
    }

    /// `body` with its MAC behind it.
    pub(crate) fn sign(&self, mut body: Vec<u8>) -> Vec<u8> {
        let mut mac = self.newest.mac.clone();
        mac.update(&body);
        body.extend(mac.finalize().into_bytes());
        body
    }

    /// Whether `signed` ends with the MAC of what stands before it, by the key of that name.
    /// Compared in constant time.
    pub(crate) fn verify(&self, key_id: [u8; KEY_ID_LEN], signed: &[u8]) -> bool {
        let Some((body, tag)) = signed.split_last_chunk::<MAC_LEN>() else { return false };
        let Some(key) = std::iter::once(&self.newest).chain(&self.older).find(|key| key.id == key_id) else {
            return false;
        };
        let mut mac = key.mac.clone();
        mac.update(body);
        mac.verify_slice(tag).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(key: [u8; 32]) -> Self {
        Self::new(&[DerivedKey::named(Zeroizing::new(key))]).unwrap()
    }
}
