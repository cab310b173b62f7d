//! What the server can be told: where to listen, whom to trust, how patient to be.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use petspark_core::config::{Environment, Loader, Setting, Value};

use crate::cookie::CookieSettings;
use crate::rate_limit::RateLimitSettings;

/// Everything `petspark-http` can be told.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0 picks a free one.
    pub port: u16,
    /// `CORS_ORIGIN`: browsers on these origins may call.
    pub cors_origins: Vec<Origin>,
    /// `TRUSTED_PROXIES`: only from these is `X-Forwarded-For` believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client may take for a request's head.
    pub header_read_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keep_alive_timeout: Duration,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// How long a request may take that sends a file.
    pub upload_timeout: Duration,
    /// How long requests in flight may take at the end.
    pub shutdown_timeout: Duration,
    /// Connections at the same time; more wait in the system's queue.
    pub max_connections: u32,
    /// Whether to serve `/docs` and `/api/openapi.json`.
    pub docs: bool,
    /// How many requests one address may make.
    pub rate_limit: RateLimitSettings,
    /// How browsers get their refresh tokens.
    pub cookie: CookieSettings,
    /// What `/api/version` tells.
    pub build: BuildInfo,
}

/// Which build this is.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The release.
    pub version: Cow<'static, str>,
    /// The commit it was made of.
    pub commit: Cow<'static, str>,
    /// The compiler.
    pub rust_version: Cow<'static, str>,
}

impl Default for BuildInfo {
    fn default() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into(), commit: "unknown".into(), rust_version: "unknown".into() }
    }
}

/// A web origin (RFC 6454): scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    /// As it stands in an `Origin` header.
    #[must_use]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0
    }

    fn is_https(&self) -> bool {
        self.0.as_bytes().starts_with(b"https://")
    }
}

impl Value for Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            "an origin such as https://app.example.org: scheme, host and port, nothing else, and no wildcard";
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | ':' | '[' | ']');
        match (host, HeaderValue::from_str(text)) {
            (Some(host), Ok(value)) if !host.is_empty() && host.chars().all(plain) => Ok(Self(value)),
            _ => Err(expected.to_owned()),
        }
    }

    fn render(&self) -> String {
        self.0.to_str().unwrap_or_default().to_owned()
    }
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl HttpSettings {
    /// Declares and reads every setting of this crate.
    #[must_use]
    pub fn read(from: &mut Loader) -> Self {
        let settings = Self::declare(from);
        settings.check(from);
        settings
    }

    fn declare(from: &mut Loader) -> Self {
        let host = from.get(Setting {
            key: "http.host",
            env: Some("HOST"),
            default: IpAddr::V4(Ipv4Addr::LOCALHOST),
            about: "Address to listen on; 0.0.0.0 for every interface.",
        });
        let port = from.get(Setting {
            key: "http.port",
            env: Some("PORT"),
            default: 3000,
            about: "Port to listen on; 0 picks a free one.",
        });
        let cors_origins = from.get(Setting {
            key: "http.cors_origins",
            env: Some("CORS_ORIGIN"),
            default: Vec::new(),
            about: "Origins whose browsers may call, separated by commas, for example https://app.example.org.",
        });
        let trusted_proxies = from.get(Setting {
            key: "http.trusted_proxies",
            env: Some("TRUSTED_PROXIES"),
            default: Vec::new(),
            about: "Networks of your proxies, separated by commas, for example 10.0.0.0/8. X-Forwarded-For is believed from these only.",
        });
        let mut time = |key, default, about| from.get(Setting { key, env: None, default, about });
        let header_read_timeout =
            time("http.header_read_timeout", seconds(10), "How long a client may take for a request's head.");
        let keep_alive_timeout = time(
            "http.keep_alive_timeout",
            seconds(75),
            "How long a connection may be idle between two requests; longer than your proxy's.",
        );
        let request_timeout =
            time("http.request_timeout", seconds(30), "How long a request may take, its body included.");
        let upload_timeout =
            time("http.upload_timeout", seconds(120), "How long a request may take that sends a file.");
        let shutdown_timeout =
            time("http.shutdown_timeout", seconds(25), "How long requests in flight may take after SIGTERM.");
        let max_connections = from.get(Setting {
            key: "http.max_connections",
            env: None,
            default: 10_000,
            about: "Connections at the same time; more wait in the system's queue.",
        });
        let docs = from.get(Setting {
            key: "http.docs",
            env: None,
            default: true,
            about: "Whether to serve /docs and /api/openapi.json.",
        });
        Self {
            host,
            port,
            cors_origins,
            trusted_proxies,
            header_read_timeout,
            keep_alive_timeout,
            request_timeout,
            upload_timeout,
            shutdown_timeout,
            max_connections,
            docs,
            rate_limit: RateLimitSettings::read(from),
            cookie: CookieSettings::read(from),
            build: BuildInfo::default(),
        }
    }

    /// Rules about more than one setting.
    fn check(&self, from: &mut Loader) {
        if from.environment() == Environment::Production && !self.cors_origins.iter().all(Origin::is_https) {
            from.problem("http.cors_origins", "must be https origins in production");
        }
        if self.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            from.problem(
                "http.trusted_proxies",
                "must not be the whole internet: anybody could then claim any address",
            );
        }
        from.require_positive(&[
            ("http.header_read_timeout", self.header_read_timeout),
            ("http.keep_alive_timeout", self.keep_alive_timeout),
            ("http.request_timeout", self.request_timeout),
            ("http.upload_timeout", self.upload_timeout),
        ]);
        if self.max_connections == 0 {
            from.problem("http.max_connections", "must be at least 1");
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self::declare(&mut Loader::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use petspark_core::config::Sources;

    #[test]
    fn an_origin_is_scheme_host_and_port_only() {
        for right in ["https://app.example.org", "http://localhost:5173", "https://[::1]:8443"] {
            assert_eq!(Origin::parse(right).unwrap().render(), right);
        }
        for wrong in [
            "*",
            "null",
            "https://*.example.org",
            "https://app.example.org/",
            "app.example.org",
            "https://",
            "https://A.org",
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// What production says to these environment variables.
    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        let all = [&[("PETSPARK_ENV", "production")], variables].concat();
        let environment = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut loader = Loader::new(Sources { environment, ..Sources::default() });
        let _ = HttpSettings::read(&mut loader);
        loader.finish().err().map_or_else(Vec::new, |problems| problems.0.into_iter().map(|p| p.key).collect())
    }

    #[test]
    fn production_takes_https_origins_or_none_and_keeps_its_limits() {
        assert!(problems(&[]).is_empty(), "no browsers, no origins");
        assert!(problems(&[("CORS_ORIGIN", "https://app.example.org,https://www.example.org")]).is_empty());
        for origins in ["*", "http://app.example.org", "https://app.example.org,http://app.example.org", "null"] {
            assert_eq!(problems(&[("CORS_ORIGIN", origins)]), ["http.cors_origins"], "{origins}");
        }
        assert_eq!(problems(&[("TRUSTED_PROXIES", "0.0.0.0/0")]), ["http.trusted_proxies"]);
        let off = ("PETSPARK__RATE_LIMIT__ENABLED", "false");
        assert_eq!(problems(&[off]), ["rate_limit.enabled"]);
        assert!(problems(&[off, ("PETSPARK__RATE_LIMIT__BY_PROXY", "true")]).is_empty());
        assert_eq!(problems(&[("PETSPARK__RATE_LIMIT__AUTH", "many")]), ["rate_limit.auth"]);
        assert_eq!(problems(&[("PETSPARK__AUTH__COOKIE__SAME_SITE", "lax")]), ["auth.cookie.same_site"]);
    }
}
