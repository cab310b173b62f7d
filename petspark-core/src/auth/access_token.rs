//! Access tokens: short-lived JWTs (RFC 7519) by the rules of RFC 8725 and RFC 9068. The
//! algorithm is pinned by the key, the type is checked, and the time is our clock's. Which keys
//! there are is known to [`super::signing_keys`]; whether the session lives, to the sessions.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{decode, decode_header, encode};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::signing_keys::{KeyRing, Verifier};
use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::{SessionId, UserId};

pub(super) const ISSUER: &str = "petspark";
pub(super) const AUDIENCE: &str = "petspark-api";
/// RFC 9068 section 2.1: keeps other kinds of tokens by the same key from being taken for these.
pub(super) const TYPE: &str = "at+jwt";
/// Clocks of two servers may differ by this much.
pub(super) const LEEWAY: i64 = 5;
/// Far more than a token of ours has.
pub(super) const MAX_BYTES: usize = 8 * 1024;

/// What stands in an access token. Roles don't: they are looked up, so that they can't be stale.
#[derive(Serialize, Deserialize)]
struct Body {
    iss: String,
    aud: String,
    jti: String,
    #[serde(flatten)]
    claims: Claims,
}

/// What a request needs to know of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: UserId,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// The session that the token belongs to.
    pub(super) sid: SessionId,
    /// The user's session version: counting it up ends all their sessions.
    pub(super) sv: i64,
    /// The generation of the session's refresh token that was issued together with this token.
    #[serde(rename = "gen")]
    pub(super) generation: i64,
}

/// Why a token doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    Expired,
    /// The only reason that may pass: another server may have made a key.
    UnknownKey,
    Invalid,
}

pub(super) struct AccessTokens {
    ttl: Duration,
    seen: Cache<[u8; 32], Seen>,
}

/// A token whose signature was right, under its digest. A signature costs as much as the rest
/// of a request; a digest doesn't. Everything else is checked every time.
#[derive(Clone)]
struct Seen {
    kid: Arc<str>,
    claims: Claims,
}

/// Tokens remembered at most; about 15 MB. Only those that we signed get in.
const CAPACITY: u64 = 50_000;

impl AccessTokens {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, seen: Cache::builder().max_capacity(CAPACITY).time_to_live(ttl).build() }
    }

    /// Issues and verifies one token, once at start: the library compiles without a crypto
    /// provider, and would panic at the first sign-in instead.
    pub(super) fn self_test(&self, ring: &KeyRing, now: Timestamp) -> Result<(), Fault> {
        let (user, session) = (UserId::new(), SessionId::new());
        let works = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let token = self.issue(ring, user, session, 0, 0, now)?;
            let claims = verify(ring, &token).map_err(|why| Fault::internal(format!("{why:?}")))?.claims;
            let forged = format!("{}x", token.split_at(token.len() - 1).0);
            Ok::<_, Fault>(claims.sub == user && (forged == token || verify(ring, &forged).is_err()))
        }));
        match works {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Fault::internal("token self-test: a forged token was accepted")),
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(Fault::internal("token self-test: signing panicked")),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    pub(super) fn issue(
        &self,
        ring: &KeyRing,
        user: UserId,
        session: SessionId,
        session_version: i64,
        generation: i64,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let iat = now.as_seconds();
        let body = Body {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: uuid::Uuid::now_v7().simple().to_string(),
            claims: Claims {
                sub: user,
                iat,
                nbf: iat,
                exp: now.after(self.ttl).as_seconds(),
                sid: session,
                sv: session_version,
                generation,
            },
        };
        let (header, key) = ring.signer()?;
        encode(header, &body, key).map_err(Fault::internal)
    }

    /// The claims of a token that we issued and that is valid now.
    pub(super) async fn verify(&self, ring: &KeyRing, token: &str, now: Timestamp) -> Result<Claims, Rejected> {
        if token.len() > MAX_BYTES {
            return Err(Rejected::Invalid);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(seen) = self.seen.get(&digest).await {
            // A key that was retired takes its tokens with it.
            ring.verifier(&seen.kid).ok_or(Rejected::UnknownKey)?;
            return seen.claims.at(now);
        }
        let seen = verify(ring, token)?;
        let claims = seen.claims;
        self.seen.insert(digest, seen).await;
        claims.at(now)
    }

    /// The same for a token whose time may be over: enough to sign out with, and for nothing else.
    pub(super) fn verify_expired_too(&self, ring: &KeyRing, token: &str, now: Timestamp) -> Result<Claims, Rejected> {
        let claims = verify(ring, token)?.claims;
        match claims.at(now) {
            Ok(_) | Err(Rejected::Expired) => Ok(claims),
            Err(why) => Err(why),
        }
    }

    /// For benches: every token is new again.
    #[cfg(feature = "testing")]
    pub(super) fn forget(&self) {
        self.seen.invalidate_all();
    }
}

impl Claims {
    /// These claims, if they hold now.
    fn at(self, now: Timestamp) -> Result<Self, Rejected> {
        let latest = now.as_seconds().saturating_add(LEEWAY);
        if self.nbf > latest || self.iat > latest || self.exp < 0 {
            Err(Rejected::Invalid)
        } else if now.as_seconds() >= self.exp.saturating_add(LEEWAY) {
            Err(Rejected::Expired)
        } else {
            Ok(self)
        }
    }
}

/// What a token of ours says, whenever it is valid.
fn verify(ring: &KeyRing, token: &str) -> Result<Seen, Rejected> {
    if token.len() > MAX_BYTES {
        return Err(Rejected::Invalid);
    }
    let header = decode_header(token).map_err(|_| Rejected::Invalid)?;
    // Ours bring no keys along, and nobody else's are asked for (RFC 8725 section 3.10).
    let brings_a_key = header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
    if header.typ.as_deref() != Some(TYPE) || brings_a_key {
        return Err(Rejected::Invalid);
    }
    let kid = header.kid.ok_or(Rejected::Invalid)?;
    let Verifier { kid, key, validation } = ring.verifier(&kid).ok_or(Rejected::UnknownKey)?;
    let body = decode::<Body>(token, key, validation).map_err(|_| Rejected::Invalid)?.claims;
    Ok(Seen { kid: kid.clone(), claims: body.claims })
}

#[cfg(test)]
mod tests;
