//! Second factors on the wire.

use petspark_core::{Secret, Timestamp, auth};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::TokenPair;

/// The second step of signing in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SecondFactor {
    /// `details.mfaToken` of the answer to the password.
    #[schema(max_length = 256)]
    pub(crate) mfa_token: String,
    /// Six digits of the authenticator app, or a recovery code.
    #[schema(max_length = 64, example = "492039")]
    pub(crate) code: String,
}

/// A code of the authenticator app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    #[schema(max_length = 64, example = "492039")]
    pub(crate) code: String,
}

/// A code, where a session that gave one lately needs none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionalCode {
    /// Six digits of the authenticator app, or a recovery code.
    #[schema(max_length = 64, example = "492039")]
    pub(crate) code: Option<String>,
}

/// One of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpBody {
    #[schema(format = "password", max_length = 256)]
    pub(crate) password: Option<String>,
    /// Six digits of the authenticator app, or a recovery code.
    #[schema(max_length = 64, example = "492039")]
    pub(crate) code: Option<String>,
}

/// What the caller has besides their password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Factors {
    /// Whether they have an authenticator app.
    totp: bool,
    /// Since when.
    #[schema(required, value_type = Option<String>, format = "date-time")]
    totp_since: Option<Timestamp>,
    /// Recovery codes not yet used.
    #[schema(example = 10)]
    recovery_codes_left: u32,
}

impl From<auth::Factors> for Factors {
    fn from(factors: auth::Factors) -> Self {
        Self {
            totp: factors.totp_since.is_some(),
            totp_since: factors.totp_since,
            recovery_codes_left: factors.recovery_codes_left,
        }
    }
}

/// What an authenticator app needs. It counts once a code of it was confirmed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TotpEnrolment {
    /// In base 32, for typing.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// An `otpauth://` address, for apps on the same device.
    otpauth_uri: String,
    /// The same as a QR code: an SVG image.
    qr_svg: String,
}

impl From<auth::Enrolment> for TotpEnrolment {
    fn from(enrolment: auth::Enrolment) -> Self {
        Self {
            secret: enrolment.secret.expose().to_owned(),
            otpauth_uri: enrolment.uri.expose().to_owned(),
            qr_svg: enrolment.qr_svg.expose().to_owned(),
        }
    }
}

/// Ten codes, each of which gets in once without the authenticator app. Shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryCodes {
    #[schema(min_items = 10, max_items = 10, example = json!(["8g2k-04mf-q7rs-1vwx-yz9a-bcde"]))]
    recovery_codes: Vec<String>,
}

impl RecoveryCodes {
    pub(crate) fn of(codes: &[Secret]) -> Self {
        Self { recovery_codes: codes.iter().map(|code| code.expose().to_owned()).collect() }
    }
}

/// A second factor that counts from now on, and the session's new tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolled {
    #[serde(flatten)]
    pub(crate) codes: RecoveryCodes,
    #[serde(flatten)]
    pub(crate) tokens: TokenPair,
}
