//! Secrets that can't be printed by accident, and the rule for when one is too weak to sign with.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A secret text. `Debug` and serialization show only that there is one; memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`; nothing is checked or trimmed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// A new one of 256 random bits, in 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Fault`](crate::Fault) when the system has no randomness to give.
    pub fn generate() -> Result<Self, crate::Fault> {
        let bytes = Zeroizing::new(random::<32>()?);
        Ok(Self::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// The secret itself. Every call is a place to look at when secrets leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Why this secret is too weak to sign tokens with, if it is.
    ///
    /// At least 32 bytes (256 bits, RFC 7518 section 3.2), at least ten different ones, not a
    /// repeated pattern, and none of the words that placeholders are made of. Shannon entropy
    /// is not the rule: the classic `your-super-secret-jwt-key-change-in-production` has plenty.
    #[must_use]
    pub fn weakness(&self) -> Option<Weakness> {
        const PLACEHOLDER_WORDS: [&str; 10] = [
            "secret",
            "change",
            "password",
            "example",
            "default",
            "petspark",
            "production",
            "123456",
            "abcdef",
            "qwerty",
        ];
        let bytes = self.expose().as_bytes();
        if bytes.len() < 32 {
            return Some(Weakness::Short(bytes.len()));
        }
        if bytes.iter().collect::<BTreeSet<_>>().len() < 10 {
            return Some(Weakness::FewDistinctBytes);
        }
        let period = (1..bytes.len()).find(|&p| (p..bytes.len()).all(|i| bytes[i] == bytes[i - p]));
        if period.is_some_and(|p| p <= bytes.len() / 2) {
            return Some(Weakness::Repeats);
        }
        let plain: String =
            self.expose().to_lowercase().chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).collect();
        PLACEHOLDER_WORDS.into_iter().find(|word| plain.contains(word)).map(Weakness::Placeholder)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a secret must not sign tokens. Says nothing of the secret beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Weakness {
    /// Fewer than 32 bytes.
    #[error("is {0} bytes long, and at least 32 are needed")]
    Short(usize),
    /// Fewer than ten different bytes.
    #[error("has fewer than 10 different characters")]
    FewDistinctBytes,
    /// The same pattern over and over.
    #[error("repeats one pattern")]
    Repeats,
    /// Contains a word that marks it as somebody's placeholder.
    #[error("contains \"{0}\", as placeholders do")]
    Placeholder(&'static str),
}

/// Fills a new array from the operating system's random generator.
///
/// # Errors
/// [`Fault`](crate::Fault) when the system has no randomness to give; nothing may go on then.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], crate::Fault> {
    let mut bytes = [0; N];
    #[allow(clippy::disallowed_methods, reason = "the one door to the system's random generator")]
    getrandom::fill(&mut bytes).map_err(crate::Fault::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_from_tutorials_are_weak() {
        for weak in [
            "short",
            "your-super-secret-jwt-key-change-in-production",
            "01234567890123456789012345678901",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "My.Pass_word-is.very.long.and.nobody.guesses.it",
            "8fK2mQ9xL4vB7nZ18fK2mQ9xL4vB7nZ1",
        ] {
            assert!(Secret::new(weak).weakness().is_some(), "{weak}");
        }
    }

    #[test]
    fn a_random_secret_is_strong_and_never_shown() {
        let secret = Secret::new("4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2");
        assert_eq!(secret.weakness(), None);
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }
}
