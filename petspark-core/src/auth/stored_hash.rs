//! Hashes of passwords as they are stored, ours and those that were imported: reading them,
//! comparing with them, and how much work that may be. Two kinds: Argon2 as a PHC string, and
//! bcrypt, which is only ever read. Hashing anew is `password`'s business.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Params, Version};
use subtle::ConstantTimeEq;

use super::hash_pool::Memory;
use super::password::{LANES, MEMORY_KIB, PASSES, Password, fill};
use crate::error::Fault;

/// Comparing takes its cost from the stored text, so it has bounds: 256 MiB of memory, and about
/// a second of one core.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 16;
/// Memory times passes.
const MAX_WORK_KIB: u64 = 1024 * 1024;
/// Of bcrypt's cost, each step doubles the time.
const MAX_BCRYPT_COST: u32 = 14;
/// bcrypt looks at no more of a password than this.
const BCRYPT_BYTES: usize = 72;
const MIN_TAG_BYTES: usize = 16;

/// A stored hash that can be compared with.
pub(super) enum StoredHash<'a> {
    Argon2 { algorithm: Algorithm, version: Version, params: Params, salt: Salt, tag: Output },
    Bcrypt(&'a str),
}

impl<'a> StoredHash<'a> {
    /// # Errors
    /// What is wrong with it, for a person; nothing of the hash itself.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.starts_with("$2") {
            return parse_bcrypt(text);
        }
        let hash = PasswordHash::new(text).map_err(|_| "is neither an Argon2 PHC string nor a bcrypt hash")?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| "is of an unknown algorithm")?;
        let version =
            hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(|_| "is of an unknown version")?;
        let params = Params::try_from(&hash).map_err(|_| "has parameters that Argon2 doesn't take")?;
        let (Some(salt), Some(tag)) = (hash.salt, hash.hash) else { return Err("has no salt or no tag") };
        if tag.len() < MIN_TAG_BYTES {
            return Err("has a tag of less than 16 bytes");
        }
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        let too_much = params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || work > MAX_WORK_KIB;
        if too_much || params.p_cost() > MAX_LANES {
            return Err("asks for more memory or time than is sane");
        }
        Ok(Self::Argon2 { algorithm, version, params, salt, tag })
    }

    /// Whether it is of this password, as far as it can tell.
    pub(super) fn is_of(&self, password: &Password, memory: &mut Memory) -> Result<bool, Fault> {
        match self {
            Self::Argon2 { algorithm, version, params, salt, tag } => {
                let mut computed = vec![0; tag.len()];
                fill(password, salt.as_ref(), &mut computed, *algorithm, *version, params, memory)?;
                Ok(computed.ct_eq(tag.as_bytes()).into())
            }
            Self::Bcrypt(text) => bcrypt::verify(password.as_bytes(), text).map_err(Fault::internal),
        }
    }

    /// Whether a hash of today's parameters should take its place, now that `password` is known
    /// to be right. Of a long password bcrypt proves the beginning only: what follows may be a
    /// slip of the finger, and must not become the new password.
    pub(super) fn is_outdated(&self, password: &Password) -> bool {
        match self {
            Self::Argon2 { algorithm, version, params, .. } => {
                *algorithm != Algorithm::Argon2id
                    || *version != Version::V0x13
                    || params.m_cost() < MEMORY_KIB
                    || params.t_cost() < PASSES
                    || params.p_cost() < LANES
            }
            Self::Bcrypt(_) => password.as_bytes().len() <= BCRYPT_BYTES,
        }
    }
}

fn parse_bcrypt(text: &str) -> Result<StoredHash<'_>, &'static str> {
    const WRONG: &str = "is no bcrypt hash such as $2b$12$ and 53 characters";
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)).ok_or(WRONG)?;
    let (cost, rest) = rest.split_once('$').ok_or(WRONG)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(is_base64) {
        return Err(WRONG);
    }
    match cost.parse() {
        Ok(4..=MAX_BCRYPT_COST) => Ok(StoredHash::Bcrypt(text)),
        Ok(_) => Err("has a cost that isn't from 4 to 14"),
        Err(_) => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcrypt_of_every_origin_is_compared_as_bcrypt_does() {
        let memory = &mut Memory::new();
        let stored = bcrypt::hash("correct horse", 4).unwrap();
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let stored = stored.replacen("$2b$", prefix, 1);
            let hash = StoredHash::parse(&stored).unwrap();
            assert!(hash.is_of(&Password::new("correct horse"), memory).unwrap());
            assert!(!hash.is_of(&Password::new("correct horsE"), memory).unwrap());
            assert!(hash.is_outdated(&Password::new("correct horse")));
        }
        let long = bcrypt::hash("x".repeat(80), 4).unwrap();
        let hash = StoredHash::parse(&long).unwrap();
        assert!(hash.is_of(&Password::new("x".repeat(79)), memory).unwrap(), "so it is with bcrypt");
        assert!(!hash.is_outdated(&Password::new("x".repeat(79))), "the 79 would become the password");
    }

    #[test]
    fn what_is_no_hash_or_takes_too_long_is_refused() {
        let tag = "c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (m, t, p) in [(262_145, 1, 1), (65_536, 11, 1), (262_144, 5, 1), (65_536, 3, 17)] {
            assert!(StoredHash::parse(&format!("$argon2id$v=19$m={m},t={t},p={p}${tag}")).is_err(), "{m} {t} {p}");
        }
        assert!(StoredHash::parse(&format!("$argon2id$v=19$m=65536,t=3,p=4${tag}")).is_ok());
        let letters = "a".repeat(53);
        for wrong in [
            "",
            "correct horse",
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "$1$salt$aaaaaaaaaaaaaaaaaaaaaa",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
            "$argon2id$v=19$m=65536,t=3,p=4",
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$AAAAAAAA",
            &format!("$2b$03${letters}"),
            &format!("$2b$15${letters}"),
            &format!("$2b$4${letters}"),
            &format!("$2x$10${letters}"),
            &format!("$2b$10${}", "ä".repeat(26) + "a"),
        ] {
            assert!(StoredHash::parse(wrong).is_err(), "{wrong}");
        }
    }
}
