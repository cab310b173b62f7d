//! Access tokens: short-lived JWTs (RFC 7519) by the rules of RFC 8725 and RFC 9068. The
//! algorithm is pinned by the key, the type is checked, and the time is our clock's.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Fault;
use crate::id::{SessionId, UserId};
use crate::secret::Secret;

const ISSUER: &str = "petspark";
const AUDIENCE: &str = "petspark-api";
/// RFC 9068 section 2.1: keeps other kinds of tokens by the same key from being taken for these.
const TYPE: &str = "at+jwt";
/// Clocks of two servers may differ by this much.
const LEEWAY: i64 = 5;
/// Far more than a token of ours has.
const MAX_BYTES: usize = 8 * 1024;

/// What an access token says. Roles are not in it: they are looked up, so that they can't be stale.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    pub(super) sub: UserId,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
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
    Invalid,
}

pub(super) struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
    ttl: Duration,
}

impl AccessTokens {
    pub(super) fn new(secret: &Secret, ttl: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Checked below, by our clock and not by the library's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        Self {
            encoding: EncodingKey::from_secret(secret.expose().as_bytes()),
            decoding: DecodingKey::from_secret(secret.expose().as_bytes()),
            header,
            validation,
            ttl,
        }
    }

    /// Issues and verifies one token, once at start: the library compiles without a crypto
    /// provider, and would panic at the first sign-in instead.
    pub(super) fn self_test(&self, now: Timestamp) -> Result<(), Fault> {
        let (user, session) = (UserId::new(), SessionId::new());
        let works = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let token = self.issue(user, session, 0, 0, now)?;
            let claims = self.verify(&token, now).map_err(|why| Fault::internal(format!("{why:?}")))?;
            let forged = format!("{}x", token.split_at(token.len() - 1).0);
            Ok::<_, Fault>(claims.sub == user && (forged == token || self.verify(&forged, now).is_err()))
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
        user: UserId,
        session: SessionId,
        session_version: i64,
        generation: i64,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let iat = now.as_seconds();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            iat,
            nbf: iat,
            exp: now.after(self.ttl).as_seconds(),
            jti: uuid::Uuid::now_v7().simple().to_string(),
            sid: session,
            sv: session_version,
            generation,
        };
        encode(&self.header, &claims, &self.encoding).map_err(Fault::internal)
    }

    /// The claims of a token that we issued and that is valid now.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Rejected> {
        let claims = self.verify_expired_too(token, now)?;
        if now.as_seconds() >= claims.exp.saturating_add(LEEWAY) { Err(Rejected::Expired) } else { Ok(claims) }
    }

    /// The same for a token whose time may be over: enough to sign out with, and for nothing else.
    pub(super) fn verify_expired_too(&self, token: &str, now: Timestamp) -> Result<Claims, Rejected> {
        if token.len() > MAX_BYTES {
            return Err(Rejected::Invalid);
        }
        let data = decode::<Claims>(token, &self.decoding, &self.validation).map_err(|_| Rejected::Invalid)?;
        let latest = now.as_seconds().saturating_add(LEEWAY);
        let claims = data.claims;
        if data.header.typ.as_deref() != Some(TYPE) || claims.nbf > latest || claims.iat > latest || claims.exp < 0 {
            return Err(Rejected::Invalid);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;

    const SECRET: &str = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";

    fn tokens() -> AccessTokens {
        AccessTokens::new(&Secret::new(SECRET), Duration::from_secs(900))
    }

    fn now() -> Timestamp {
        Timestamp::from_micros(1_795_384_178_000_000)
    }

    fn issue() -> String {
        tokens().issue(UserId::new(), SessionId::new(), 0, 0, now()).unwrap()
    }

    fn sign(header: &str, claims: &serde_json::Value) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let message = format!("{}.{}", B64.encode(header), B64.encode(claims.to_string()));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", B64.encode(mac.finalize().into_bytes()))
    }

    fn claims() -> serde_json::Value {
        let iat = now().as_seconds();
        serde_json::json!({"iss": "petspark", "aud": "petspark-api", "sub": UserId::new(), "iat": iat, "nbf": iat,
            "exp": iat + 900, "jti": "x", "sid": SessionId::new(), "sv": 0, "gen": 0})
    }

    const GOOD_HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

    #[test]
    fn a_token_is_valid_until_its_time_is_over() {
        let token = issue();
        assert!(tokens().verify(&token, now()).is_ok());
        assert!(tokens().verify(&token, now().after(Duration::from_secs(904))).is_ok());
        assert_eq!(tokens().verify(&token, now().after(Duration::from_secs(905))).unwrap_err(), Rejected::Expired);
        assert!(tokens().verify_expired_too(&token, now().after(Duration::from_secs(9_000_000))).is_ok());
        assert_eq!(tokens().verify(&token, now().before(Duration::from_secs(60))).unwrap_err(), Rejected::Invalid);
    }

    #[test]
    fn a_changed_character_anywhere_makes_a_token_invalid() {
        let token = issue();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            // The last character of an unpadded base64 text has bits that mean nothing; a
            // decoder that is strict about them, as ours is, refuses those too.
            assert!(tokens().verify(&forged, now()).is_err(), "character {at}");
        }
    }

    #[test]
    fn only_our_algorithm_our_type_and_our_audience_count() {
        assert!(tokens().verify(&sign(GOOD_HEADER, &claims()), now()).is_ok());
        for header in [
            r#"{"alg":"none","typ":"at+jwt"}"#,
            r#"{"alg":"HS512","typ":"at+jwt"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256"}"#,
        ] {
            assert!(tokens().verify(&sign(header, &claims()), now()).is_err(), "{header}");
        }
        for (claim, value) in [
            ("aud", serde_json::json!("somebody-else")),
            ("aud", serde_json::json!(["somebody-else"])),
            ("iss", serde_json::json!("somebody-else")),
            ("exp", serde_json::json!("1795385078")),
            ("exp", serde_json::json!(-1)),
            ("sub", serde_json::json!("not-an-id")),
            ("iat", serde_json::json!(now().as_seconds() + 60)),
        ] {
            let mut changed = claims();
            changed[claim] = value;
            assert!(tokens().verify(&sign(GOOD_HEADER, &changed), now()).is_err(), "{changed}");
        }
        for claim in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "sv", "gen"] {
            let mut changed = claims();
            changed.as_object_mut().unwrap().remove(claim);
            assert!(tokens().verify(&sign(GOOD_HEADER, &changed), now()).is_err(), "without {claim}");
        }
    }

    #[test]
    fn what_is_no_token_at_all_is_invalid() {
        for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(9000), &format!("{}.", issue()), "ey.ey.ey"] {
            assert_eq!(tokens().verify(nonsense, now()).unwrap_err(), Rejected::Invalid);
        }
    }

    #[test]
    fn the_self_test_passes_with_the_crypto_provider_that_is_compiled_in() {
        tokens().self_test(now()).unwrap();
    }
}
