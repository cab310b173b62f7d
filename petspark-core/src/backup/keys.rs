//! Who can decrypt a backup: age keys (X25519). A server that makes backups needs the public one
//! only; the private one is where drills and restores are done.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::str::FromStr;

use age::secrecy::ExposeSecret as _;
use age::x25519::{Identity, Recipient};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::BackupError;
use crate::config::Value;
use crate::error::Fault;
use crate::private;
use crate::secret::Secret;

/// A public key: `age1...`.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipientKey(String);

/// A private key: `AGE-SECRET-KEY-1...`. Nothing shows it.
#[derive(Clone)]
pub struct IdentityKey(pub(super) Identity);

impl RecipientKey {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn recipient(&self) -> Result<Recipient, Fault> {
        self.0.parse().map_err(|problem: &str| Fault::internal(problem))
    }
}

impl FromStr for RecipientKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Recipient>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err("a public age key such as age1...; never the private one".to_owned()),
        }
    }
}

impl Value for RecipientKey {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn render(&self) -> String {
        self.0.clone()
    }
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Files of keys are short; what is longer is none.
const MAX_FILE: u64 = 64 << 10;

impl IdentityKey {
    /// Makes a new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// The key that goes with it, for the server.
    #[must_use]
    pub fn public(&self) -> RecipientKey {
        RecipientKey(self.0.to_public().to_string())
    }

    /// The text of a file with this key, as `age` itself reads and writes them.
    #[must_use]
    pub fn to_file(&self) -> Secret {
        Secret::new(format!("# public key: {}\n{}\n", self.public(), self.0.to_string().expose_secret()))
    }

    /// Writes that to a new file that only its owner can read.
    ///
    /// # Errors
    /// [`BackupError::Settings`] if there is such a file, or none can be made.
    pub fn write(&self, path: &Path) -> Result<(), BackupError> {
        let file = private::open(path, OpenOptions::new().write(true).create_new(true));
        let written = file.and_then(|mut file| {
            file.write_all(self.to_file().expose().as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| BackupError::Settings(format!("can't write the key: {error}")))
    }

    /// Reads the keys of a file: one a line, and lines that begin with `#`.
    ///
    /// # Errors
    /// [`BackupError::Settings`] if it can't be read, or holds anything else.
    pub fn read(path: &Path) -> Result<Vec<Self>, BackupError> {
        let problem = |what: String| BackupError::Settings(format!("{}: {what}", path.display()));
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| problem(error.to_string()))?;
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| problem(error.to_string()))?;
        let text = zeroize::Zeroizing::new(text);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(|line| line.parse::<Identity>().map(Self).map_err(|problem| problem.to_owned()));
        let keys: Result<Vec<_>, _> = keys.collect();
        match keys {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            Ok(_) => Err(problem("has no key".to_owned())),
            // The text may be half a key: it isn't told.
            Err(_) => Err(problem("has a line that is no private age key (AGE-SECRET-KEY-1...)".to_owned())),
        }
    }
}

/// A few bytes that whoever can decrypt the backup can decrypt: so a key is tried in a moment.
pub(super) fn make_canary(recipients: &[RecipientKey], text: &str) -> Result<String, Fault> {
    let mut sealed = Vec::new();
    let mut writer = encryptor(recipients)?.wrap_output(&mut sealed).map_err(Fault::internal)?;
    writer.write_all(text.as_bytes()).and_then(|()| writer.finish().map(drop)).map_err(Fault::internal)?;
    Ok(STANDARD.encode(sealed))
}

/// Whether one of the keys opens it.
pub(super) fn opens_canary(keys: &[IdentityKey], canary: &str, text: &str) -> bool {
    let Ok(sealed) = STANDARD.decode(canary) else { return false };
    let Ok(decryptor) = age::Decryptor::new_buffered(&sealed[..]) else { return false };
    let Ok(mut reader) = decryptor.decrypt(keys.iter().map(|key| &key.0 as &dyn age::Identity)) else { return false };
    let mut opened = String::new();
    reader.read_to_string(&mut opened).is_ok() && opened == text
}

pub(super) fn encryptor(recipients: &[RecipientKey]) -> Result<age::Encryptor, Fault> {
    let recipients: Vec<Recipient> = recipients.iter().map(RecipientKey::recipient).collect::<Result<_, _>>()?;
    age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
        .map_err(|error| Fault::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_never_its_debug_form() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("key"), IdentityKey::generate());
        key.write(&path).unwrap();
        let read = IdentityKey::read(&path).unwrap();
        assert_eq!(read[0].public(), key.public());
        assert_eq!(format!("{key:?}"), "[redacted]");
        assert!(key.write(&path).is_err(), "a key is never overwritten");
        std::fs::write(&path, "AGE-SECRET-KEY-1HALF\n").unwrap();
        assert!(!IdentityKey::read(&path).unwrap_err().to_string().contains("HALF"));
    }

    #[test]
    fn a_canary_opens_for_its_own_key_only() {
        let (ours, other) = (IdentityKey::generate(), IdentityKey::generate());
        let canary = make_canary(&[ours.public()], "text").unwrap();
        assert!(opens_canary(&[other.clone(), ours.clone()], &canary, "text"));
        assert!(!opens_canary(std::slice::from_ref(&other), &canary, "text"));
        assert!(!opens_canary(std::slice::from_ref(&ours), &canary, "another"));
        assert!("AGE-SECRET-KEY-1".parse::<RecipientKey>().is_err());
    }
}
