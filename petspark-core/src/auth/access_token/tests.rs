//! What counts as an access token, by secret and by Ed25519 key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use super::*;
use crate::auth::signing_keys::KeyState;
use crate::auth::signing_keys::testing::{TestRing, ring};

const SECRET: &str = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_384_178_000_000)
}

/// A way of signing: the ring that verifies it, the name of its key, and by hand what the
/// library would do.
struct Signing {
    alg: &'static str,
    kid: String,
    test: TestRing,
}

/// One by secret, one by Ed25519 key.
fn both() -> [Signing; 2] {
    let by_secret = ring(SECRET, KeyState::Next, now());
    let token = AccessTokens::new(Duration::from_secs(900))
        .issue(&by_secret.ring, UserId::new(), SessionId::new(), 0, 0, now())
        .unwrap();
    let kid = decode_header(&token).unwrap().kid.unwrap();
    let by_key = ring(SECRET, KeyState::Active, now());
    [Signing { alg: "HS256", kid, test: by_secret }, Signing { alg: "EdDSA", kid: by_key.kid.clone(), test: by_key }]
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Signing {
    fn header(&self) -> Value {
        json!({"alg": self.alg, "typ": "at+jwt", "kid": self.kid})
    }

    /// Signed with the right key, whatever the header says.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_by(header, claims, |message| match self.alg {
            "HS256" => hmac(SECRET.as_bytes(), message),
            _ => self.test.private.sign(message.as_bytes()).to_vec(),
        })
    }

    fn sign_by(&self, header: &Value, claims: &Value, by: impl Fn(&str) -> Vec<u8>) -> String {
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        format!("{message}.{}", B64.encode(by(&message)))
    }

    fn issue(&self) -> String {
        tokens().issue(&self.test.ring, UserId::new(), SessionId::new(), 0, 0, now()).unwrap()
    }

    async fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        self.verify_at(token, now()).await
    }

    async fn verify_at(&self, token: &str, at: Timestamp) -> Result<Claims, Rejected> {
        tokens().verify(&self.test.ring, token, at).await
    }
}

fn tokens() -> AccessTokens {
    AccessTokens::new(Duration::from_secs(900))
}

fn claims() -> Value {
    let iat = now().as_seconds();
    json!({"iss": "petspark", "aud": "petspark-api", "sub": UserId::new(), "iat": iat, "nbf": iat,
        "exp": iat + 900, "jti": "x", "sid": SessionId::new(), "sv": 0, "gen": 0})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

#[tokio::test]
async fn a_token_is_valid_until_its_time_is_over_whether_it_was_seen_before_or_not() {
    for by in both() {
        let (token, tokens) = (by.issue(), tokens());
        for at in [0, 904, 905, 904, 0] {
            let expected = if at < 905 { Ok(()) } else { Err(Rejected::Expired) };
            let at = now().after(Duration::from_secs(at));
            assert_eq!(by.verify_at(&token, at).await.map(drop), expected, "{}", by.alg);
            assert_eq!(tokens.verify(&by.test.ring, &token, at).await.map(drop), expected, "{}", by.alg);
        }
        let before = now().before(Duration::from_secs(60));
        assert_eq!(tokens.verify(&by.test.ring, &token, before).await.unwrap_err(), Rejected::Invalid);
        let much_later = now().after(Duration::from_secs(9_000_000));
        assert!(tokens.verify_expired_too(&by.test.ring, &token, much_later).is_ok());
        assert!(tokens.verify_expired_too(&by.test.ring, &token, before).is_err());
    }
}

#[tokio::test]
async fn a_seen_token_is_forgotten_with_its_key() {
    for by in both() {
        let (token, tokens) = (by.issue(), tokens());
        assert!(tokens.verify(&by.test.ring, &token, now()).await.is_ok());
        let other = ring(&SECRET.replace('4', "5"), KeyState::Active, now());
        assert_eq!(tokens.verify(&other.ring, &token, now()).await.unwrap_err(), Rejected::UnknownKey);
    }
}

#[tokio::test]
async fn asvs_9_1_1_a_changed_byte_anywhere_makes_a_token_invalid() {
    for by in both() {
        let (token, tokens) = (by.issue(), tokens());
        assert!(tokens.verify(&by.test.ring, &token, now()).await.is_ok());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            // The last character of an unpadded base64 text has bits that mean nothing; a
            // decoder that is strict about them, as ours is, refuses those too.
            assert!(tokens.verify(&by.test.ring, &forged, now()).await.is_err(), "{} character {at}", by.alg);
        }
    }
}

#[tokio::test]
async fn asvs_9_1_2_only_the_algorithm_of_the_key_counts() {
    for by in both() {
        assert!(by.verify(&by.sign(&by.header(), &claims())).await.is_ok());
        for alg in
            ["none", "None", "nOnE", "HS512", "RS256", "ES256", if by.alg == "HS256" { "EdDSA" } else { "HS256" }]
        {
            let header = with(by.header(), "alg", alg.into());
            assert_eq!(by.verify(&by.sign(&header, &claims())).await.unwrap_err(), Rejected::Invalid, "{alg}");
            let unsigned = by.sign_by(&header, &claims(), |_| Vec::new());
            assert_eq!(by.verify(&unsigned).await.unwrap_err(), Rejected::Invalid, "{alg}");
        }
    }
    // The classic: the public key as the secret of an HMAC.
    let [by_secret, by_key] = both();
    let public = by_key.test.private.verifying_key().to_bytes();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", B64.encode(public));
    for key in [&public[..], pem.as_bytes(), B64.encode(public).as_bytes()] {
        for header in [by_key.header(), with(by_key.header(), "alg", "HS256".into()), by_secret.header()] {
            let forged = by_key.sign_by(&header, &claims(), |message| hmac(key, message));
            assert!(by_key.verify(&forged).await.is_err(), "{header}");
        }
    }
}

#[tokio::test]
async fn asvs_9_1_3_a_token_brings_no_key_along_and_its_kid_is_only_a_name() {
    for by in both() {
        let stranger = ring(SECRET, KeyState::Next, now()).private;
        let x = B64.encode(stranger.verifying_key().to_bytes());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig"});
        for (name, value) in [
            ("jku", json!("http://127.0.0.1:9/jwks.json")),
            ("x5u", json!("http://127.0.0.1:9/cert.pem")),
            ("x5c", json!(["MIIB"])),
            ("jwk", jwk),
        ] {
            let header = with(by.header(), name, value);
            assert!(by.verify(&by.sign(&header, &claims())).await.is_err(), "{header}");
            let forged = by.sign_by(&header, &claims(), |message| stranger.sign(message.as_bytes()).to_vec());
            assert!(by.verify(&forged).await.is_err(), "{header}");
        }
        for kid in ["", "../x", "../../etc/passwd", "' OR 1=1 --", "\0", &"x".repeat(2000)] {
            let header = with(by.header(), "kid", kid.into());
            assert_eq!(by.verify(&by.sign(&header, &claims())).await.unwrap_err(), Rejected::UnknownKey, "{kid}");
        }
        for kid in [Value::Null, json!(1), json!([by.kid])] {
            assert!(by.verify(&by.sign(&with(by.header(), "kid", kid), &claims())).await.is_err());
        }
    }
}

#[tokio::test]
async fn asvs_9_2_1_times_are_checked_and_have_to_be_numbers() {
    let iat = now().as_seconds();
    for by in both() {
        for (claim, value) in [
            ("exp", json!(iat - 6)),
            ("exp", json!((iat + 900).to_string())),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("exp", Value::Null),
            ("nbf", json!(iat + 60)),
            ("nbf", json!((iat - 60).to_string())),
            ("iat", json!(iat + 60)),
        ] {
            let changed = with(claims(), claim, value);
            assert!(by.verify(&by.sign(&by.header(), &changed)).await.is_err(), "{changed}");
        }
    }
}

#[tokio::test]
async fn asvs_9_2_2_another_type_of_token_is_no_access_token() {
    for by in both() {
        for typ in [json!("JWT"), json!("jwt"), json!("AT+JWT"), json!("mfa+jwt"), json!(""), Value::Null] {
            let header = with(by.header(), "typ", typ);
            assert_eq!(by.verify(&by.sign(&header, &claims())).await.unwrap_err(), Rejected::Invalid, "{header}");
        }
        let mut untyped = by.header();
        untyped.as_object_mut().unwrap().remove("typ");
        assert!(by.verify(&by.sign(&untyped, &claims())).await.is_err());
    }
}

#[tokio::test]
async fn asvs_9_2_3_and_9_2_4_only_our_audience_counts() {
    for by in both() {
        for audience in [
            json!("somebody-else"),
            json!("petspark-admin"),
            json!(["somebody-else"]),
            json!([]),
            json!(""),
            Value::Null,
        ] {
            let changed = with(claims(), "aud", audience);
            assert!(by.verify(&by.sign(&by.header(), &changed)).await.is_err(), "{changed}");
        }
        for issuer in [json!("somebody-else"), json!("")] {
            assert!(by.verify(&by.sign(&by.header(), &with(claims(), "iss", issuer))).await.is_err());
        }
        assert!(by.verify(&by.sign(&by.header(), &with(claims(), "sub", json!("not-an-id")))).await.is_err());
        for claim in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "sv", "gen"] {
            let mut changed = claims();
            changed.as_object_mut().unwrap().remove(claim);
            assert!(by.verify(&by.sign(&by.header(), &changed)).await.is_err(), "without {claim}");
        }
    }
}

#[tokio::test]
async fn what_is_no_token_at_all_is_invalid() {
    for by in both() {
        for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(9000), &format!("{}.", by.issue()), "ey.ey.ey"] {
            assert_eq!(by.verify(nonsense).await.unwrap_err(), Rejected::Invalid);
        }
    }
}

#[test]
fn the_self_test_passes_with_the_crypto_provider_that_is_compiled_in() {
    for by in both() {
        tokens().self_test(&by.test.ring, now()).unwrap();
    }
}

#[tokio::test]
async fn every_listed_secret_verifies_and_the_first_one_signs() {
    let (old, new) = (SECRET, SECRET.replace('4', "5"));
    let only_old = ring(old, KeyState::Next, now()).ring;
    let both = ring(&format!("{new},{old}"), KeyState::Next, now()).ring;
    let only_new = ring(&new, KeyState::Next, now()).ring;
    let issue = |ring| tokens().issue(ring, UserId::new(), SessionId::new(), 0, 0, now()).unwrap();
    assert!(tokens().verify(&both, &issue(&only_old), now()).await.is_ok());
    assert!(tokens().verify(&only_new, &issue(&both), now()).await.is_ok());
    assert_eq!(tokens().verify(&only_new, &issue(&only_old), now()).await.unwrap_err(), Rejected::UnknownKey);
}
