//! The keys that sign access tokens: making, promoting and retiring them, and what others may
//! know of them. A key is published before it signs, and verifies for a while after it was
//! replaced, so that no server and no token is caught out by a rotation. What a token says is not
//! known here.

mod change;
mod ring;

pub use change::{KeyProblem, KeyStep, KeysChanged};
pub(super) use ring::{KeyRing, Verifier};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys::Secrets;
use super::sealed::Sealer;
use super::store::KeyRow;
use super::{Auth, AuthError, Permission, store};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::error::Fault;

text_enum! {
    /// Where a signing key stands in its life.
    pub enum KeyState {
        /// Published, so that everybody knows it by the time it signs.
        Next = "next",
        /// Signs.
        Active = "active",
        /// Was replaced; the tokens it signed are still valid.
        VerifyOnly = "verify-only",
        /// Is history: nothing that it signed counts.
        Retired = "retired",
    }
}

/// How long others may keep the published keys without asking again.
pub const PUBLISHED_FOR: Duration = Duration::from_secs(600);

/// What a key verifies for beyond the life of a token: clocks differ, and another server may
/// sign with it for a moment after it was replaced.
const MARGIN: Duration = Duration::from_secs(60);

/// A signing key, without its private part.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its name in the header of a token.
    pub kid: String,
    /// Where it stands in its life.
    pub state: KeyState,
    /// The Ed25519 public key (RFC 8032), 32 bytes.
    pub public_key: Vec<u8>,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When another took over.
    pub replaced_at: Option<Timestamp>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

impl SigningKey {
    fn of(row: &KeyRow) -> Self {
        Self {
            kid: row.kid.clone(),
            state: row.state,
            public_key: row.public_key.clone(),
            created_at: row.created_at,
            activated_at: row.activated_at,
            replaced_at: row.replaced_at,
            retired_at: row.retired_at,
        }
    }

    /// The public key as the `x` of a JSON Web Key (RFC 8037).
    #[must_use]
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.public_key)
    }
}

/// The picture of the keys that this server has, and how old it is.
pub(super) struct SigningKeys {
    secrets: Vec<ring::HmacKey>,
    sealer: Arc<Sealer>,
    overlap: Duration,
    seen: RwLock<Option<Seen>>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    refreshing: AtomicBool,
}

#[derive(Clone)]
struct Seen {
    at: Timestamp,
    ring: Arc<KeyRing>,
}

/// From this age on the picture is taken anew while it still serves.
const AGEING: Duration = Duration::from_secs(1);
/// From this age on it serves no more.
const STALE: Duration = Duration::from_secs(2);

impl SigningKeys {
    pub(super) fn new(secrets: &Secrets, sealer: Arc<Sealer>, access_ttl: Duration) -> Result<Self, Fault> {
        Ok(Self {
            secrets: ring::hmac_keys(secrets)?,
            sealer,
            overlap: access_ttl + MARGIN,
            seen: RwLock::new(None),
            looking: tokio::sync::Mutex::new(()),
            refreshing: AtomicBool::new(false),
        })
    }

    /// The ring of these keys, without asking the database.
    pub(super) fn ring_of(&self, rows: &[KeyRow], now: Timestamp) -> Result<KeyRing, Fault> {
        KeyRing::new(&self.secrets, rows, &self.sealer, now, self.overlap)
    }

    /// The picture, if it is younger than `age`. One of the future is none: the clock was set back.
    fn seen(&self, now: Timestamp, age: Duration) -> Option<Arc<KeyRing>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().filter(|seen| seen.at <= now && now.since(seen.at) < age).map(|seen| seen.ring.clone())
    }

    fn set(&self, seen: Option<Seen>) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

impl Auth {
    /// Every signing key there ever was, newest first. None is there while `JWT_SECRET` signs.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub async fn list_keys(&self, caller: &Caller) -> Result<Vec<SigningKey>, AuthError> {
        caller.require(Permission::ManageSigningKeys)?;
        Ok(store::list_signing_keys(&self.0.db).await?.iter().map(SigningKey::of).collect())
    }

    /// The keys by which anybody may verify our access tokens, those included that will sign
    /// soon. May be kept for [`PUBLISHED_FOR`]. None while `JWT_SECRET` signs.
    ///
    /// # Errors
    /// [`AuthError::Fault`] when it isn't known which those are.
    pub async fn public_keys(&self) -> Result<Vec<SigningKey>, AuthError> {
        Ok(self.key_ring().await?.published().to_vec())
    }

    /// The keys as they were at most two seconds ago. Most callers get them without waiting.
    pub(super) async fn key_ring(&self) -> Result<Arc<KeyRing>, Fault> {
        let keys = &self.0.keys;
        let now = self.0.clock.now();
        if let Some(ring) = keys.seen(now, AGEING) {
            return Ok(ring);
        }
        let Some(ring) = keys.seen(now, STALE) else { return self.newer_key_ring(STALE).await };
        if !keys.refreshing.swap(true, Ordering::AcqRel) {
            let auth = self.clone();
            tokio::spawn(async move {
                if let Err(fault) = auth.newer_key_ring(AGEING).await {
                    tracing::warn!(cause = fault.chain(), "can't look at the signing keys");
                }
                auth.0.keys.refreshing.store(false, Ordering::Release);
            });
        }
        Ok(ring)
    }

    /// The keys, looked up unless somebody did within the last second: for a token whose key is
    /// unknown. So made-up names cost one query a second.
    pub(super) async fn key_ring_with_news(&self) -> Result<Arc<KeyRing>, Fault> {
        self.newer_key_ring(AGEING).await
    }

    async fn newer_key_ring(&self, age: Duration) -> Result<Arc<KeyRing>, Fault> {
        let keys = &self.0.keys;
        let _turn = keys.looking.lock().await;
        match keys.seen(self.0.clock.now(), age) {
            // Somebody else looked while we waited.
            Some(ring) => Ok(ring),
            None => self.look_at_keys().await,
        }
    }

    /// After a change of our own. A look that began before it must not come after: hence the turn.
    async fn keys_changed(&self) {
        let _turn = self.0.keys.looking.lock().await;
        if let Err(fault) = self.look_at_keys().await {
            tracing::warn!(cause = fault.chain(), "can't look at the signing keys");
            self.0.keys.set(None);
        }
    }

    async fn look_at_keys(&self) -> Result<Arc<KeyRing>, Fault> {
        let keys = &self.0.keys;
        let at = self.0.clock.now();
        let rows = store::live_signing_keys(&self.0.db).await?;
        let ring = Arc::new(keys.ring_of(&rows, at)?);
        keys.set(Some(Seen { at, ring: ring.clone() }));
        Ok(ring)
    }
}

/// A ring for tests of tokens, with the private key in hand.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::secret::Secret;

    pub(in crate::auth) struct TestRing {
        pub(in crate::auth) ring: KeyRing,
        pub(in crate::auth) private: ed25519_dalek::SigningKey,
        pub(in crate::auth) kid: String,
    }

    /// With `secrets`, and one Ed25519 key in `state`.
    pub(in crate::auth) fn ring(secrets: &str, state: KeyState, now: Timestamp) -> TestRing {
        let secrets = Secrets::parse(&Secret::new(secrets));
        let sealer = Arc::new(Sealer::new(&secrets).unwrap());
        let keys = SigningKeys::new(&secrets, sealer.clone(), Duration::from_secs(900)).unwrap();
        let new = ring::NewKey::make(&sealer).unwrap();
        let row = KeyRow {
            kid: new.kid.clone(),
            state,
            public_key: new.public.to_vec(),
            private_key: Some(new.sealed),
            created_at: now,
            activated_at: Some(now),
            replaced_at: None,
            retired_at: None,
        };
        let private = ring::open(&row, &sealer).unwrap();
        TestRing { ring: keys.ring_of(&[row], now).unwrap(), private, kid: new.kid }
    }
}
