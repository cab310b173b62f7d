//! Whether Stripe sent this: its signature over the very bytes that came
//! (<https://docs.stripe.com/webhooks#verify-manually>).

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How far Stripe's clock and ours may be apart, and how long what was signed may be under way.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Signatures that are looked at: Stripe sends one for each secret that counts.
const MAX_SIGNATURES: usize = 8;

/// Knows the secrets that count.
pub(super) struct Verifier(Vec<Hmac<Sha256>>);

impl Verifier {
    /// `secrets` are separated by commas. Empty ones would let everybody in, and count for nothing.
    pub(super) fn new(secrets: &Secret) -> Self {
        let secrets = secrets.expose().split(',').map(str::trim).filter(|secret| !secret.is_empty());
        Self(secrets.filter_map(|secret| Hmac::new_from_slice(secret.as_bytes()).ok()).collect())
    }

    /// Checks the header `Stripe-Signature` of a body.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub(super) fn check(&self, body: &[u8], header: &str, now: Timestamp) -> Result<(), &'static str> {
        let (mut signed_at, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", seconds)) => signed_at = Some(seconds),
                Some(("v1", signature)) if signatures.len() < MAX_SIGNATURES => signatures.extend(unhex(signature)),
                _ => {}
            }
        }
        let signed_at = signed_at.ok_or("there is no time in the signature")?;
        let seconds: i64 = signed_at.parse().map_err(|_| "the time in the signature is none")?;
        let at = Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        if now.since(at) > TOLERANCE {
            return Err("the signature is too old");
        }
        if at.since(now) > TOLERANCE {
            return Err("the signature is from the future");
        }
        let mut right = Choice::from(0);
        for secret in &self.0 {
            let mut mac = secret.clone();
            mac.update(signed_at.as_bytes());
            mac.update(b".");
            mac.update(body);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            for signature in &signatures {
                right |= expected.ct_eq(signature);
            }
        }
        if bool::from(right) { Ok(()) } else { Err("no signature is right") }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hex;

    const NOW: i64 = 1_790_000_000;

    fn now() -> Timestamp {
        Timestamp::from_micros(NOW * 1_000_000)
    }

    fn sign(secret: &str, at: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{at}.").as_bytes());
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }

    #[test]
    fn a_signature_that_others_made_is_right() {
        // By Python's `hmac`.
        let signature = "b1f5ca382298d9c3e8c972b39ecd5724ce7aec3d0b9e7be67f7dcba22d884872";
        let verifier = Verifier::new(&Secret::new("whsec_test_secret"));
        let header = format!("t={NOW},v1={signature}");
        assert_eq!(verifier.check(br#"{"id":"evt_test"}"#, &header, now()), Ok(()));
    }

    #[test]
    fn any_of_several_secrets_and_signatures_will_do() {
        let verifier = Verifier::new(&Secret::new("whsec_new, whsec_old"));
        let body = b"{}";
        for secret in ["whsec_new", "whsec_old"] {
            let right = sign(secret, NOW, body);
            for header in [
                format!("t={NOW},v1={right}"),
                format!("t={NOW},v1={},v1={right},v0=00", "0".repeat(64)),
                format!("v1={right}, t={NOW}"),
            ] {
                assert_eq!(verifier.check(body, &header, now()), Ok(()), "{header}");
            }
        }
    }

    #[test]
    fn what_stripe_did_not_sign_is_refused() {
        let verifier = Verifier::new(&Secret::new("whsec_new"));
        let (body, right) = (b"{\"a\":1}", sign("whsec_new", NOW, b"{\"a\":1}"));
        assert!(verifier.check(b"{\"a\":2}", &format!("t={NOW},v1={right}"), now()).is_err());
        for (header, at) in [
            (String::new(), NOW),
            ("t=,v1=".to_owned(), NOW),
            (format!("v1={right}"), NOW),
            (format!("t={NOW}"), NOW),
            (format!("t={NOW},v0={right}"), NOW),
            (format!("t={},v1={right}", NOW + 1), NOW),
            (format!("t={NOW},v1={}", &right[..62]), NOW),
            (format!("t={NOW},v1={}", sign("", NOW, body)), NOW),
            (format!("t={NOW},v1={}", sign("whsec_other", NOW, body)), NOW),
            (format!("t={NOW},v1={right}"), NOW + 301),
            (format!("t={NOW},v1={right}"), NOW - 301),
            (format!("t={},v1={right}", i64::MIN), NOW),
        ] {
            let at = Timestamp::from_micros(at * 1_000_000);
            assert!(verifier.check(body, &header, at).is_err(), "{header}");
        }
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        for secrets in ["", " , "] {
            let verifier = Verifier::new(&Secret::new(secrets));
            let header = format!("t={NOW},v1={}", sign("", NOW, b"{}"));
            assert!(verifier.check(b"{}", &header, now()).is_err());
        }
    }
}
