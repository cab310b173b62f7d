//! The client of the AWS SDK as we want it: on ring, with our time-outs and retries, and nothing
//! read from the surroundings but what the settings say.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::media::objects::S3Settings;

/// As often as every SDK of Amazon's tries by default.
const ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; somebody is waiting for this one.
const BACKOFF: Duration = Duration::from_millis(200);

/// Prepares everything and connects to nothing.
///
/// # Errors
/// For a person: what is wrong with `media.s3.ca`.
pub(super) fn new(settings: &S3Settings) -> Result<Client, String> {
    let (id, secret) = (settings.access_key_id.expose(), settings.secret_access_key.expose());
    let token = settings.session_token.as_ref().map(|token| token.expose().to_owned());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.attempt_timeout)
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.timeout);
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(settings)?)
        .region(Region::new(settings.region.clone()))
        .force_path_style(settings.path_style)
        .credentials_provider(Credentials::new(id, secret, token, None, "settings"))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF))
        // Who failed often isn't tried again for a while; unless it is said whom that is about, it is about every S3
        // server that this process talks to.
        .retry_partition(RetryPartition::new(format!("{:?} {}", settings.endpoint_url, settings.bucket)))
        .timeout_config(timeouts.build())
        // The time-outs above do that, also for those who read slowly themselves.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // We send SHA-256; other stores than Amazon's refuse the CRCs that the SDK would add.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    config.set_endpoint_url(settings.endpoint_url.as_ref().map(|url| url.as_str().to_owned()));
    Ok(Client::from_conf(config.build()))
}

fn http_client(settings: &S3Settings) -> Result<SharedHttpClient, String> {
    if settings.endpoint_url.as_ref().is_some_and(|url| url.as_str().starts_with("http://")) {
        return Ok(Builder::new().build_http());
    }
    let trusted = match &settings.ca {
        Some(path) => TrustStore::empty().with_pem_certificate(certificates(path)?),
        None => TrustStore::default(),
    };
    let context = TlsContext::builder().with_trust_store(trusted).build().map_err(|error| error.to_string())?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https())
}

/// The text of a PEM file of which every certificate can be used: the SDK would panic at others.
fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let told = |problem: String| format!("media.s3.ca: {}: {problem}", path.display());
    let pem = std::fs::read(path).map_err(|error| told(format!("can't be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|problem| told(format!("has a certificate that is no good: {problem}")))?;
    }
    if roots.is_empty() {
        return Err(told("has no certificate".to_owned()));
    }
    Ok(pem)
}
