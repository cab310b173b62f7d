//! Public keys as RFC 7517 writes them.

use petspark_core::auth::SigningKey;
use serde::Serialize;
use utoipa::ToSchema;

/// A set of public keys. Not in `data`: this form is a standard's.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    keys: Vec<PublicKey>,
}

/// An Ed25519 public key.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKey {
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    purpose: &'static str,
    /// The `kid` in the header of a token.
    #[schema(example = "ed-3f9a1c0b5d7e2a44")]
    kid: String,
    /// The key itself, base64url.
    x: String,
}

impl From<Vec<SigningKey>> for KeySet {
    fn from(keys: Vec<SigningKey>) -> Self {
        let public = |key: SigningKey| PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            x: key.x(),
            kid: key.kid,
        };
        Self { keys: keys.into_iter().map(public).collect() }
    }
}
