//! Passwords: how they are hashed, verified and hashed anew. Which new ones are accepted is the
//! business of [`password_policy`](super::password_policy).
//!
//! Argon2id with m = 19456 KiB, t = 2, p = 1: the OWASP Password Storage Cheat Sheet's minimum,
//! and approved by ASVS 5.0 appendix C. Stronger foreign hashes verify and are left alone.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::hash_pool::{Busy, HashPool, Memory};
use super::stored_hash::StoredHash;
use crate::error::Fault;
use crate::secret::{Secret, random};

/// A password as it was typed: nothing is trimmed, cut or changed. Wiped from memory on drop.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Fewest characters.
    pub const MIN_CHARS: usize = 8;
    /// Most characters.
    pub const MAX_CHARS: usize = 256;
    /// Most bytes; a character takes up to four.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a password for signing in, whatever it looks like.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// A random password for somebody who is to be told it: 24 letters and digits, 120 bits, of
    /// which none is easily taken for another.
    ///
    /// # Errors
    /// [`Fault`] when the operating system has no randomness to give.
    pub fn generate() -> Result<Secret, Fault> {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let text: String = random::<24>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
        Ok(Secret::new(text))
    }

    /// Whether hashing this would only cost time: no account has such a password.
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.len() > Self::MAX_BYTES || self.chars() > Self::MAX_CHARS
    }

    /// Its length, in characters.
    pub(super) fn chars(&self) -> usize {
        self.0.chars().count()
    }

    /// As it is looked up among the common ones.
    pub(super) fn lower_case(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_lowercase())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password([redacted])")
    }
}

/// Whether a password was right, and whether its hash is older than today's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and here is its hash by today's parameters, to be stored.
    RightAndRehashed(String),
}

pub(super) const MEMORY_KIB: u32 = 19_456;
pub(super) const PASSES: u32 = 2;
pub(super) const LANES: u32 = 1;
const TAG_BYTES: usize = 32;

/// Hashes `password` as a PHC string with a new random salt.
pub(crate) async fn hash(pool: &HashPool, password: Password) -> Result<Result<String, Fault>, Busy> {
    pool.run(move |memory| hash_now(&password, memory)).await
}

/// Compares `password` with the stored hash, in the same time as with the hash of nobody's
/// password when there is none: an unknown user must cost what a wrong password costs.
pub(crate) async fn verify(
    pool: &HashPool,
    password: Password,
    stored: Option<String>,
) -> Result<Result<Verdict, Fault>, Busy> {
    pool.run(move |memory| verify_now(&password, stored.as_deref(), memory)).await
}

fn hash_now(password: &Password, memory: &mut Memory) -> Result<String, Fault> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(TAG_BYTES)).map_err(Fault::internal)?;
    let salt = random::<16>()?;
    let mut tag = [0; TAG_BYTES];
    fill(password, &salt, &mut tag, Algorithm::Argon2id, Version::V0x13, &params, memory)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(Fault::internal)?,
        salt: Some(Salt::new(&salt).map_err(Fault::internal)?),
        hash: Some(Output::new(&tag).map_err(Fault::internal)?),
    };
    Ok(hash.to_string())
}

fn verify_now(password: &Password, stored: Option<&str>, memory: &mut Memory) -> Result<Verdict, Fault> {
    let Some(stored) = stored else {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(TAG_BYTES)).map_err(Fault::internal)?;
        fill(
            password,
            b"nobody's own salt",
            &mut [0; TAG_BYTES],
            Algorithm::Argon2id,
            Version::V0x13,
            &params,
            memory,
        )?;
        return Ok(Verdict::Wrong);
    };
    let hash =
        StoredHash::parse(stored).map_err(|problem| Fault::internal(format!("a stored password hash {problem}")))?;
    if !hash.is_of(password, memory)? {
        return Ok(Verdict::Wrong);
    }
    if hash.is_outdated(password) {
        hash_now(password, memory).map(Verdict::RightAndRehashed)
    } else {
        Ok(Verdict::Right)
    }
}

pub(super) fn fill(
    password: &Password,
    salt: &[u8],
    tag: &mut [u8],
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    memory: &mut Memory,
) -> Result<(), Fault> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, tag, &mut memory[..blocks])
        .map_err(Fault::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_todays_parameters_and_verifies_only_its_password() {
        let memory = &mut Memory::new();
        let stored = hash_now(&Password::new("correct horse"), memory).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(verify_now(&Password::new("correct horse"), Some(&stored), memory).unwrap(), Verdict::Right);
        for wrong in ["Correct horse", "correct horse ", "correct hors", ""] {
            assert_eq!(verify_now(&Password::new(wrong), Some(&stored), memory).unwrap(), Verdict::Wrong);
        }
        assert_eq!(verify_now(&Password::new("correct horse"), None, memory).unwrap(), Verdict::Wrong);
    }

    #[test]
    fn a_weaker_hash_is_replaced_and_a_stronger_one_is_kept() {
        use argon2::PasswordHasher as _;
        let memory = &mut Memory::new();
        let with = |m, t, p| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(m, t, p, None).unwrap());
            argon2.hash_password_with_salt(b"correct horse", b"0123456789abcdef").unwrap().to_string()
        };
        let password = Password::new("correct horse");
        assert!(
            matches!(verify_now(&password, Some(&with(8192, 1, 1)), memory).unwrap(), Verdict::RightAndRehashed(new) if new.contains("m=19456"))
        );
        // The parameters of the backend before this one.
        assert_eq!(verify_now(&password, Some(&with(65_536, 3, 4)), memory).unwrap(), Verdict::Right);
        assert!(verify_now(&password, Some(&with(300 * 1024, 1, 1)), memory).is_err());
    }
}
