//! Secrets that have to be stored and read again, such as those of second factors: encrypted by
//! XChaCha20-Poly1305 under a key derived from a secret that the database doesn't know.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::keys::{DerivedKey, KEY_ID_LEN, SEALING, Secrets};
use crate::error::Fault;
use crate::secret::random;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const HEAD_LEN: usize = 1 + KEY_ID_LEN;

/// Newest key first: it seals, and all open.
pub(crate) struct Sealer(Vec<DerivedKey>);

impl Sealer {
    pub(super) fn new(secrets: &Secrets) -> Result<Self, Fault> {
        Ok(Self(secrets.derive(SEALING)?))
    }

    /// `plain` as it may be stored. It can be opened for the same `purpose` only: a text that
    /// names the row, so that what was sealed for one can't be put into another.
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.0.first().ok_or_else(|| Fault::internal("there is no secret to seal with"))?;
        let nonce = random::<NONCE_LEN>()?;
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        let sealed =
            cipher(key).encrypt(&XNonce::from(nonce), payload).map_err(|_| Fault::internal("sealing failed"))?;
        Ok([&[VERSION][..], &key.id, &nonce, &sealed].concat())
    }

    /// Whether one of the older keys sealed this: it should be sealed again before that key goes.
    pub(crate) fn is_outdated(&self, sealed: &[u8]) -> bool {
        self.0.first().is_none_or(|newest| sealed.get(1..HEAD_LEN) != Some(&newest.id[..]))
    }

    /// What was sealed, if it is unchanged and one of our keys sealed it.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (head, rest) = sealed.split_at_checked(HEAD_LEN)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        if head[0] != VERSION {
            return None;
        }
        let key = self.0.iter().find(|key| key.id == head[1..])?;
        let payload = Payload { msg: rest, aad: purpose.as_bytes() };
        cipher(key).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

fn cipher(key: &DerivedKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.key).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn sealer(secrets: &str) -> Sealer {
        Sealer::new(&Secrets::parse(&Secret::new(secrets))).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_under_any_secret_still_listed() {
        let sealed = sealer("old").seal("totp of ada", b"seed").unwrap();
        assert_eq!(&**sealer("new,old").open("totp of ada", &sealed).unwrap(), b"seed");
        assert!(sealer("new,old").open("totp of bob", &sealed).is_none());
        assert!(sealer("new").open("totp of ada", &sealed).is_none());
        assert!(sealer("new,old").is_outdated(&sealed) && !sealer("old").is_outdated(&sealed));
        assert!(!sealed.windows(4).any(|window| window == b"seed"));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer("old").open("totp of ada", &changed).is_none(), "byte {at}");
        }
        assert!(sealer("old").open("totp of ada", &[]).is_none());
    }
}
