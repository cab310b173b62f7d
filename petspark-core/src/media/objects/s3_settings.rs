//! Which bucket, how to get in, and how patient we are with it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Loader, Setting, Value, WebUrl};
use crate::secret::Secret;

/// A bucket and how to get in.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// `AWS_S3_BUCKET`.
    pub bucket: String,
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ENDPOINT_URL`, for S3-compatible servers; without it, Amazon's of the region.
    pub endpoint_url: Option<WebUrl>,
    /// Whether the bucket is the first part of the path instead of the host's name.
    pub path_style: bool,
    /// What every name in the bucket begins with: empty, or something that ends with a slash.
    pub prefix: String,
    /// Encryption by the server.
    pub encryption: Encryption,
    /// `AWS_CA_BUNDLE`: certificates, as PEM, to believe instead of the system's.
    pub ca: Option<PathBuf>,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Secret,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, with temporary credentials.
    pub session_token: Option<Secret>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one attempt may take, up to the answer's head; also every part of its body.
    pub attempt_timeout: Duration,
    /// How long all attempts may take together.
    pub timeout: Duration,
}

/// How the server encrypts what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    None,
    /// With keys of S3's own.
    Aes256,
    /// With a key of KMS: this one, or else the account's.
    Kms(Option<String>),
}

impl Value for Encryption {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "AES256" => Ok(Self::Aes256),
            "aws:kms" => Ok(Self::Kms(None)),
            _ => match text.strip_prefix("aws:kms/") {
                Some(key) if !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic()) => {
                    Ok(Self::Kms(Some(key.to_owned())))
                }
                _ => Err("none, AES256, aws:kms or aws:kms/KEY".to_owned()),
            },
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Aes256 => "AES256".to_owned(),
            Self::Kms(None) => "aws:kms".to_owned(),
            Self::Kms(Some(key)) => format!("aws:kms/{key}"),
        }
    }
}

/// What is said about the bucket, which need not be enough.
pub(super) struct Bucket {
    pub(super) name: Option<String>,
    region: Option<String>,
    endpoint_url: Option<WebUrl>,
    path_style: Option<bool>,
    prefix: Option<String>,
    encryption: Encryption,
    ca: Option<PathBuf>,
    access_key_id: Option<Secret>,
    secret_access_key: Option<Secret>,
    session_token: Option<Secret>,
    connect_timeout: Duration,
    attempt_timeout: Duration,
    timeout: Duration,
}

impl Bucket {
    pub(super) fn read(from: &mut Loader) -> Self {
        let name = from.find("media.s3.bucket", Some("AWS_S3_BUCKET"), "Bucket for uploads; see docs/SETUP.md.");
        let region = from.find(
            "media.s3.region",
            Some("AWS_REGION"),
            "Region of the bucket. Default: us-east-1 if AWS_ENDPOINT_URL is set; Amazon's S3 needs one.",
        );
        let endpoint_url = from.find(
            "media.s3.endpoint_url",
            Some("AWS_ENDPOINT_URL"),
            "An S3-compatible server instead of Amazon's.",
        );
        let access_key_id = from.secret(
            "media.s3.access_key_id",
            Some("AWS_ACCESS_KEY_ID"),
            "Who we are at S3. Roles and profiles are not looked up.",
        );
        let secret_access_key = from.secret(
            "media.s3.secret_access_key",
            Some("AWS_SECRET_ACCESS_KEY"),
            "The secret that goes with AWS_ACCESS_KEY_ID.",
        );
        let session_token = from.secret(
            "media.s3.session_token",
            Some("AWS_SESSION_TOKEN"),
            "The token of temporary credentials. Addresses for uploads end with them.",
        );
        let ca = from.find(
            "media.s3.ca",
            Some("AWS_CA_BUNDLE"),
            "PEM file of certificate authorities to believe about S3, instead of the system's.",
        );
        let path_style = from.find(
            "media.s3.path_style",
            None,
            "Whether the bucket is part of the path instead of the host's name: true or false. Default: true if AWS_ENDPOINT_URL is set.",
        );
        let prefix = from.find(
            "media.s3.prefix",
            None,
            "What every name in the bucket begins with, for example petspark/media.",
        );
        let encryption = from.get(Setting {
            key: "media.s3.encryption",
            env: None,
            default: Encryption::None,
            about: "How S3 encrypts uploads: none leaves it to the bucket; AES256, aws:kms, or aws:kms/KEY with a key of yours.",
        });
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let connect_timeout =
            get("media.s3.connect_timeout", Duration::from_secs(3), "How long connecting to S3 may take.");
        let attempt_timeout = get(
            "media.s3.attempt_timeout",
            Duration::from_secs(20),
            "How long S3 may take for one of three attempts, sending included, and then for each part of what it sends.",
        );
        let timeout = get("media.s3.timeout", Duration::from_secs(45), "How long all attempts may take together.");
        Self {
            name,
            region,
            endpoint_url,
            path_style,
            prefix,
            encryption,
            ca,
            access_key_id,
            secret_access_key,
            session_token,
            connect_timeout,
            attempt_timeout,
            timeout,
        }
    }

    /// The bucket, if enough is said to get in; that it isn't is a problem if it is `needed`.
    pub(super) fn complete(self, from: &mut Loader, needed: bool) -> Option<S3Settings> {
        from.require_positive(&[
            ("media.s3.connect_timeout", self.connect_timeout),
            ("media.s3.attempt_timeout", self.attempt_timeout),
            ("media.s3.timeout", self.timeout),
        ]);
        let prefix = clean_prefix(self.prefix.as_deref().unwrap_or_default());
        if prefix.is_none() {
            from.problem("media.s3.prefix", "must be made of letters, digits, - . _ and single slashes");
        }
        let region = self.region.or_else(|| self.endpoint_url.as_ref().map(|_| "us-east-1".to_owned()));
        for (key, missing, name) in [
            ("media.s3.bucket", self.name.is_none(), "AWS_S3_BUCKET"),
            ("media.s3.region", region.is_none(), "AWS_REGION"),
            ("media.s3.access_key_id", self.access_key_id.is_none(), "AWS_ACCESS_KEY_ID"),
            ("media.s3.secret_access_key", self.secret_access_key.is_none(), "AWS_SECRET_ACCESS_KEY"),
        ] {
            if missing && needed {
                from.problem(key, format!("is missing, and uploads go to S3; set {name}, or media.store to folder"));
            }
        }
        Some(S3Settings {
            bucket: self.name?,
            region: region?,
            path_style: self.path_style.unwrap_or(self.endpoint_url.is_some()),
            endpoint_url: self.endpoint_url,
            prefix: prefix?,
            encryption: self.encryption,
            ca: self.ca,
            access_key_id: self.access_key_id?,
            secret_access_key: self.secret_access_key?,
            session_token: self.session_token,
            connect_timeout: self.connect_timeout,
            attempt_timeout: self.attempt_timeout,
            timeout: self.timeout,
        })
    }
}

/// A prefix with a slash at its end and none at its beginning; empty as it is.
pub(crate) fn clean_prefix(text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !matches!(part, "" | "." | "..") && part.chars().all(known)
    };
    match text {
        "" => Some(String::new()),
        text if text.split('/').all(plain) => Some(format!("{text}/")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_with_a_slash_and_leads_nowhere_else() {
        for (text, prefix_) in [("", ""), ("/", ""), ("a", "a/"), ("/a/b.c/", "a/b.c/"), ("A_1-x", "A_1-x/")] {
            assert_eq!(clean_prefix(text).as_deref(), Some(prefix_), "{text}");
        }
        for wrong in ["..", "a/../b", "a//b", "a b", "a?b", "ä", "./a"] {
            assert_eq!(clean_prefix(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn encryption_survives_its_text() {
        for text in ["none", "AES256", "aws:kms", "aws:kms/arn:aws:kms:eu-central-1:1:key/2"] {
            assert_eq!(Encryption::parse(text).unwrap().render(), text);
        }
        for wrong in ["", "aes", "aws:kms/", "aws:kms/a b", "aws:kmsx"] {
            assert!(Encryption::parse(wrong).is_err(), "{wrong}");
        }
    }
}
