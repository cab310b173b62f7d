//! The keys that sign and verify access tokens, as a server holds them: the secrets of
//! `JWT_SECRET`, and the Ed25519 keys of the database. An algorithm belongs to a key and is never
//! a token's to choose. How long this picture is believed is decided in the parent module.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{KeyState, SigningKey};
use crate::auth::access_token::{AUDIENCE, ISSUER, TYPE};
use crate::auth::keys::{DerivedKey, Secrets};
use crate::auth::sealed::Sealer;
use crate::auth::store::KeyRow;
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::secret::{Secret, random};
use crate::text::hex;

/// A secret that signs by HS256, and its name in a token's header.
pub(super) struct HmacKey {
    kid: Arc<str>,
    secret: Secret,
}

/// The secrets as keys, in their order. Their names are derived: they are the same on every
/// server, and say nothing of the secrets.
pub(super) fn hmac_keys(secrets: &Secrets) -> Result<Vec<HmacKey>, Fault> {
    let names = secrets.derive("petspark access token key id v1")?;
    let key = |(secret, name): (&Secret, DerivedKey)| HmacKey {
        kid: format!("hs-{}", hex(&name.id)).into(),
        secret: secret.clone(),
    };
    Ok(secrets.iter().zip(names).map(key).collect())
}

/// A new Ed25519 key: its name, its public part, and its private part sealed.
pub(super) struct NewKey {
    pub(super) kid: String,
    pub(super) public: [u8; 32],
    pub(super) sealed: Vec<u8>,
}

impl NewKey {
    pub(super) fn make(sealer: &Sealer) -> Result<Self, Fault> {
        let seed = Zeroizing::new(random::<32>()?);
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let kid = kid_of(&public);
        Ok(Self { sealed: seal(&kid, &seed, sealer)?, kid, public })
    }
}

/// A private part as it is stored.
pub(super) fn seal(kid: &str, seed: &[u8; 32], sealer: &Sealer) -> Result<Vec<u8>, Fault> {
    sealer.seal(&purpose(kid), seed)
}

/// What a private part is sealed for.
fn purpose(kid: &str) -> String {
    format!("signing key {kid}")
}

/// The name of a public key: the start of its digest, so that a key can't have two.
fn kid_of(public: &[u8]) -> String {
    format!("ed-{}", hex(&Sha256::digest(public)[..8]))
}

/// What tokens are signed with.
struct Signing {
    header: Header,
    key: EncodingKey,
}

/// What a token of one key is verified with.
pub(in crate::auth) struct Verifier {
    pub(in crate::auth) kid: Arc<str>,
    pub(in crate::auth) key: DecodingKey,
    /// Pins the algorithm.
    pub(in crate::auth) validation: Validation,
}

/// All keys at one moment.
pub(in crate::auth) struct KeyRing {
    /// Or why nothing can be signed.
    signing: Result<Signing, String>,
    verifiers: HashMap<Arc<str>, Verifier>,
    published: Vec<SigningKey>,
}

impl KeyRing {
    /// The ring of these secrets, the first of which signs, and of these keys, the active one of
    /// which signs instead. Secrets verify for an `overlap` after a key took over.
    pub(super) fn new(
        secrets: &[HmacKey],
        rows: &[KeyRow],
        sealer: &Sealer,
        now: Timestamp,
        overlap: Duration,
    ) -> Result<Self, Fault> {
        let mut ring = Self {
            signing: Err("there is no key to sign with".to_owned()),
            verifiers: HashMap::new(),
            published: Vec::new(),
        };
        let active = rows.iter().find(|row| row.state == KeyState::Active);
        let replaced_at = active.map(|key| key.activated_at.unwrap_or(key.created_at));
        if replaced_at.is_none_or(|at| now < at.after(overlap)) {
            for HmacKey { kid, secret } in secrets {
                ring.verify_with(kid, Algorithm::HS256, DecodingKey::from_secret(secret.expose().as_bytes()));
            }
        }
        if let (None, Some(HmacKey { kid, secret })) = (active, secrets.first()) {
            ring.sign_with(kid, Algorithm::HS256, EncodingKey::from_secret(secret.expose().as_bytes()));
        }
        for row in rows.iter().filter(|row| row.state != KeyState::Retired) {
            ring.add(row, sealer)?;
        }
        Ok(ring)
    }

    /// Adds a stored key, if its private part is ours: who can only write to the database can't
    /// add a key to verify with.
    fn add(&mut self, row: &KeyRow, sealer: &Sealer) -> Result<(), Fault> {
        let Some(key) = open(row, sealer) else {
            let kid = &row.kid;
            let why = format!(
                "signing key {kid} can't be opened with the secrets that are set, and doesn't count; \
                 set the secret that it was made with, or retire it"
            );
            tracing::error!(kid, "{why}");
            if row.state == KeyState::Active {
                self.signing = Err(why);
            }
            return Ok(());
        };
        let kid: Arc<str> = row.kid.as_str().into();
        self.published.push(SigningKey::of(row));
        self.verify_with(&kid, Algorithm::EdDSA, DecodingKey::from_ed_der(key.verifying_key().as_bytes()));
        if row.state == KeyState::Active {
            let der = key.to_pkcs8_der().map_err(|error| Fault::internal(error.to_string()))?;
            self.sign_with(&kid, Algorithm::EdDSA, EncodingKey::from_ed_der(der.as_bytes()));
        }
        Ok(())
    }

    fn sign_with(&mut self, kid: &Arc<str>, algorithm: Algorithm, key: EncodingKey) {
        let mut header = Header::new(algorithm);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(kid.to_string());
        self.signing = Ok(Signing { header, key });
    }

    fn verify_with(&mut self, kid: &Arc<str>, algorithm: Algorithm, key: DecodingKey) {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Checked by our clock and not by the library's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        self.verifiers.insert(kid.clone(), Verifier { kid: kid.clone(), key, validation });
    }

    /// What tokens are signed with.
    ///
    /// # Errors
    /// A [`Fault`] that says what to do, when the active key can't be used.
    pub(in crate::auth) fn signer(&self) -> Result<(&Header, &EncodingKey), Fault> {
        match &self.signing {
            Ok(signing) => Ok((&signing.header, &signing.key)),
            Err(why) => Err(Fault::internal(why.clone())),
        }
    }

    /// The keys that others may know.
    pub(super) fn published(&self) -> &[SigningKey] {
        &self.published
    }

    /// The key of this name; the name is only that, and never looked at otherwise.
    pub(in crate::auth) fn verifier(&self, kid: &str) -> Option<&Verifier> {
        self.verifiers.get(kid)
    }
}

/// The private key of a row, if it belongs to the public one and to the name.
pub(super) fn open(row: &KeyRow, sealer: &Sealer) -> Option<ed25519_dalek::SigningKey> {
    let seed = sealer.open(&purpose(&row.kid), row.private_key.as_deref()?)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&Zeroizing::new(<[u8; 32]>::try_from(&**seed).ok()?));
    let public = key.verifying_key().to_bytes();
    (public[..] == row.public_key && kid_of(&public) == row.kid).then_some(key)
}
