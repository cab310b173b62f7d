//! Time-based one-time passwords (RFC 6238) as every authenticator app speaks them: SHA-1, six
//! digits, thirty seconds. Computes and compares; that a code counts only once is up to who
//! stores the step.

use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Algorithm, Builder};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::Fault;
use crate::secret::{Secret, random};

/// Bytes of a secret: the 160 bits that RFC 4226 section 4 recommends.
const SECRET_BYTES: usize = 20;
/// Seconds a code stands for.
const STEP: u64 = 30;
/// How far the clock of a phone may be off, in steps, either way (RFC 6238 section 5.2).
const SKEW: u64 = 1;

/// What an authenticator app needs in order to make codes. Shown once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The secret in base 32, for typing.
    pub secret: Secret,
    /// The same as an `otpauth://` address, which apps open.
    pub uri: Secret,
    /// The address as a QR code: an SVG image, for cameras.
    pub qr_svg: Secret,
}

/// A new random secret.
pub(super) fn new_secret() -> Result<Zeroizing<Vec<u8>>, Fault> {
    let bytes = Zeroizing::new(random::<SECRET_BYTES>()?);
    Ok(Zeroizing::new(bytes.to_vec()))
}

/// How to tell an authenticator app of `secret`: it will list the codes as `issuer: account`.
pub(super) fn enrolment(secret: &[u8], issuer: &str, account: &str) -> Result<Enrolment, Fault> {
    let totp = builder(secret).with_issuer(Some(issuer)).with_account_name(account).build().map_err(Fault::internal)?;
    let uri = totp.to_url().map_err(Fault::internal)?;
    let code = QrCode::new(&uri).map_err(Fault::internal)?;
    Ok(Enrolment {
        qr_svg: Secret::new(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build()),
        secret: Secret::new(totp.secret().to_base32()),
        uri: Secret::new(uri),
    })
}

/// The step that `code` stands for, if it is near `now`. Two neighbouring steps may have the same
/// code; then it is the later one, so that storing it uses up both.
pub(super) fn matching_step(secret: &[u8], code: &str, now: Timestamp) -> Result<Option<i64>, Fault> {
    let totp = builder(secret).build().map_err(Fault::internal)?;
    Ok(latest_step(current_step(now), |step| totp.check(code, step * STEP).is_some()))
}

/// Of the steps that count at `current`, the last that matches. All are tried, whatever the
/// outcome, so that the time it takes tells nothing.
fn latest_step(current: u64, matches: impl Fn(u64) -> bool) -> Option<i64> {
    (current.saturating_sub(SKEW)..=current + SKEW)
        .filter(|step| matches(*step))
        .last()
        .and_then(|step| i64::try_from(step).ok())
}

fn current_step(now: Timestamp) -> u64 {
    u64::try_from(now.as_seconds()).unwrap_or(0) / STEP
}

/// Without the crate's own skew: it stops at the first step that matches.
fn builder(secret: &[u8]) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(0)
        .with_step_duration(STEP)
        .with_secret(secret.to_vec())
}

/// The code that an authenticator app would show at `now`.
#[cfg(feature = "testing")]
pub(crate) fn code_at(secret: &Secret, now: Timestamp) -> Result<String, Fault> {
    let secret =
        totp_rs::Secret::try_from_base32(secret.expose()).map_err(|error| Fault::internal(error.to_string()))?;
    let totp = builder(secret.as_bytes()).build().map_err(Fault::internal)?;
    Ok(totp.generate(current_step(now) * STEP).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, of whose eight digits ours are the last six.
    const VECTORS: [(i64, &str); 5] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];
    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in VECTORS {
            assert_eq!(matching_step(RFC_SECRET, code, at(seconds)).unwrap(), Some(seconds / 30));
        }
    }

    #[test]
    fn asvs_6_5_5_a_code_counts_one_step_early_or_late_and_no_further() {
        let code = "005924";
        let step = 1_234_567_890 / 30;
        for (offset, expected) in [(-2, None), (-1, Some(step)), (0, Some(step)), (1, Some(step)), (2, None)] {
            let now = at(step * 30 + offset * 30 + 29);
            assert_eq!(matching_step(RFC_SECRET, code, now).unwrap(), expected, "{offset}");
        }
    }

    #[test]
    fn of_neighbouring_steps_with_the_same_code_the_last_counts_as_used() {
        assert_eq!(latest_step(100, |step| step == 99 || step == 101), Some(101));
        assert_eq!(latest_step(100, |step| step == 99 || step == 100), Some(100));
        assert_eq!(latest_step(100, |step| step == 98 || step == 102), None);
        assert_eq!(latest_step(0, |step| step == 0), Some(0));
    }

    #[test]
    fn what_is_not_six_digits_is_no_code() {
        for code in ["", "28708", "2870822", "+87082", "287 082", "٢٨٧٠٨٢", "28708\0", "abcdef"] {
            assert_eq!(matching_step(RFC_SECRET, code, at(59)).unwrap(), None, "{code:?}");
        }
    }

    #[test]
    fn an_app_learns_the_secret_by_its_address() {
        let secret = new_secret().unwrap();
        assert_eq!(secret.len() * 8, 160);
        let enrolment = enrolment(&secret, "Pet Spark", "ada@example.org").unwrap();
        let typed = enrolment.secret.expose();
        assert_eq!(
            enrolment.uri.expose(),
            format!("otpauth://totp/Pet%20Spark:ada%40example.org?secret={typed}&issuer=Pet%20Spark")
        );
        assert!(enrolment.qr_svg.expose().contains("<svg"));
        let code = code_at(&enrolment.secret, at(1000)).unwrap();
        assert_eq!(matching_step(&secret, &code, at(1000)).unwrap(), Some(33));
    }
}
