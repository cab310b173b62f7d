//! The keys that sign tokens, derived from a few secrets, and where a secret comes from on a
//! first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::config::AuthSettings;
use crate::error::Fault;
use crate::private;
use crate::secret::{Secret, random};
use crate::text::hex;

/// The file in the data folder that keeps the secret made on first start.
const FILE_NAME: &str = "jwt-secret";

/// What keys that seal are derived for.
pub(super) const SEALING: &str = "petspark sealed v1";

/// How much of a key's digest names it.
pub(crate) const KEY_ID_LEN: usize = 4;

/// The secrets that everything is signed with: the first signs, all verify. So a new one can be
/// put in front, and the old one stay until nothing signed by it is valid any more.
pub(crate) struct Secrets(Vec<Secret>);

/// A key for one purpose, and its name.
pub(super) struct DerivedKey {
    pub(super) id: [u8; KEY_ID_LEN],
    pub(super) key: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// The secrets in `text`, separated by commas or line ends, newest first.
    pub(crate) fn parse(text: &Secret) -> Self {
        let parts = text.expose().split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        Self(parts.map(Secret::new).collect())
    }

    /// All of them, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// A key of every secret for one purpose, newest first. Derived (RFC 5869), so that a key for
    /// one kind of token is worthless for another kind.
    pub(super) fn derive(&self, purpose: &str) -> Result<Vec<DerivedKey>, Fault> {
        self.0.iter().map(|secret| DerivedKey::new(secret, purpose)).collect()
    }
}

impl DerivedKey {
    fn new(secret: &Secret, purpose: &str) -> Result<Self, Fault> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret.expose().as_bytes())
            .expand(purpose.as_bytes(), &mut *key)
            .map_err(|error| Fault::internal(error.to_string()))?;
        Ok(Self::named(key))
    }

    pub(super) fn named(key: Zeroizing<[u8; 32]>) -> Self {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&Sha256::digest(*key)[..KEY_ID_LEN]);
        Self { id, key }
    }
}

/// The secrets that tokens are signed with.
pub(super) fn signing_secrets(settings: &AuthSettings, data_dir: &Path) -> Result<Secrets, Fault> {
    Ok(match &settings.jwt_secret {
        Some(secrets) => Secrets::parse(secrets),
        None => Secrets::parse(&stored_secret(data_dir).map_err(Fault::unavailable)?),
    })
}

/// The secrets by which what is sealed can be opened; the first seals. Those of `auth.encryption_key` come
/// first, and after them those that sealed before there was one.
pub(super) fn sealing_secrets(settings: &AuthSettings, signing: &Secrets) -> Secrets {
    let mut secrets = settings.encryption_key.as_ref().map_or_else(Vec::new, |keys| Secrets::parse(keys).0);
    secrets.extend(signing.iter().cloned());
    Secrets(secrets)
}

/// Names of the keys that open what is sealed in the database, the one that seals first: digests, which tell
/// nothing of them. No secret is made for that: a new one opens nothing.
pub(crate) fn sealing_key_names(settings: &AuthSettings, data_dir: &Path) -> Result<Vec<String>, Fault> {
    let path = data_dir.join(FILE_NAME);
    let is_there = settings.jwt_secret.is_some() || path.try_exists().map_err(Fault::unavailable)?;
    let signing = if is_there { signing_secrets(settings, data_dir)? } else { Secrets(Vec::new()) };
    let secrets = sealing_secrets(settings, &signing);
    Ok(secrets.derive(SEALING)?.iter().map(|key| sealing_key_name(&key.id)).collect())
}

/// By this a backup says which keys it needs.
pub(super) fn sealing_key_name(id: &[u8]) -> String {
    format!("sealing:{}", hex(id))
}

/// The secret that development keeps in `data_dir`.
pub(crate) fn stored_jwt_secret(data_dir: &Path) -> Result<Secret, Fault> {
    stored_secret(data_dir).map_err(Fault::unavailable)
}

/// Reads the secret in `data_dir`, after making one if there is none. Of several processes that
/// start at the same moment one makes it, and all read the same. A crash leaves either none or a
/// whole one.
pub(super) fn stored_secret(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join(FILE_NAME);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.map_err(|error| private::told(&path, &error)),
    }
    make(data_dir, &path)?;
    read(&path).map_err(|error| private::told(&path, &error))
}

/// Whether the secret is there and no good, which no waiting mends.
pub(crate) fn is_damaged(fault: &Fault) -> bool {
    fault.cause::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

fn read(path: &Path) -> io::Result<Secret> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    let secret = Secret::new(text.trim());
    match secret.weakness() {
        Some(weakness) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the secret in this file {weakness}; put back what it was: with another one everybody is signed out, \
                 and second factors and signing keys can't be read"
            ),
        )),
        None => Ok(secret),
    }
}

fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    private::create_folder(data_dir)?;
    let bytes = Zeroizing::new(random::<32>().map_err(io::Error::other)?);
    let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let draft = data_dir.join(format!("{FILE_NAME}.{}", uuid::Uuid::now_v7()));
    let written = private::open(&draft, OpenOptions::new().write(true).create_new(true)).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    // A link, unlike a rename, fails when somebody else was quicker: theirs is as good.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|error| private::told(path, &error)),
    });
    fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_together_share_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..10).map(|_| scope.spawn(|| stored_secret(folder.path()).unwrap().expose().to_owned())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0] && secret.len() == 64));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        stored_secret(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn asking_which_secrets_are_there_makes_none() {
        let folder = tempfile::tempdir().unwrap();
        let settings = crate::config::Settings::in_folder(folder.path().to_owned()).auth;
        assert_eq!(sealing_key_names(&settings, folder.path()).unwrap(), Vec::<String>::new());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        stored_secret(folder.path()).unwrap();
        assert_eq!(sealing_key_names(&settings, folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_secret_is_an_error_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "short").unwrap();
        assert!(stored_secret(folder.path()).unwrap_err().to_string().contains("put back what it was"));
        assert_eq!(fs::read_to_string(folder.path().join(FILE_NAME)).unwrap(), "short");
    }
}
