//! The cookie that holds a browser's refresh token: its name, its attributes, and finding it in a
//! request. Who gets one, and when it counts, is the [transport](crate::transport)'s business.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use petspark_core::config::{Environment, Loader, Setting, Value};

/// What can be told about the refresh token's way to browsers.
#[derive(Clone, Copy, Debug)]
pub struct CookieSettings {
    /// From which pages browsers send the cookie along.
    pub same_site: SameSite,
    /// Whether browsers get the refresh token in the body as well.
    pub body_copy: bool,
}

/// From which pages a browser sends a cookie along (RFC 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Only from pages of the same site as the server.
    Strict,
    /// From any page; each top-level site has a cookie of its own (`Partitioned`).
    None,
}

impl Value for SameSite {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Self::Strict),
            "none" => Ok(Self::None),
            _ => Err("strict or none".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Strict => "strict".to_owned(),
            Self::None => "none".to_owned(),
        }
    }
}

impl CookieSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let same_site = from.get(Setting {
            key: "auth.cookie.same_site",
            env: None,
            default: SameSite::Strict,
            about: "strict, or none where the web app is on another site than this server: then the cookie is also Partitioned.",
        });
        let body_copy = from.get(Setting {
            key: "auth.cookie.body_copy",
            env: None,
            default: false,
            about: "Whether browsers get the refresh token in the body as well as in the cookie. For old web clients: a script on the page can read it there.",
        });
        Self { same_site, body_copy }
    }
}

/// The refresh cookie as this server sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshCookie {
    name: &'static str,
    attributes: &'static str,
}

/// Browsers keep a cookie of this prefix to the host that set it, to https and to `Path=/`
/// (RFC 6265bis section 4.1.3.2): no other host of the domain can plant one.
const NAME: &str = "__Host-petspark_rt";
/// Safari drops `Secure` cookies of plain http also on localhost.
const NAME_WITHOUT_TLS: &str = "petspark_rt";

impl RefreshCookie {
    /// Only a development server that nobody else can reach does without `Secure`; and without it
    /// no browser takes `SameSite=None`.
    pub(crate) fn of(settings: CookieSettings, environment: Environment, loopback: bool) -> Self {
        let (name, attributes) = match settings.same_site {
            SameSite::None => (NAME, "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"),
            SameSite::Strict if environment == Environment::Development && loopback => {
                (NAME_WITHOUT_TLS, "; Path=/; HttpOnly; SameSite=Strict")
            }
            SameSite::Strict => (NAME, "; Path=/; Secure; HttpOnly; SameSite=Strict"),
        };
        Self { name, attributes }
    }

    /// The token in a request's `Cookie` headers; an empty one is none.
    pub(crate) fn find<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// The `Set-Cookie` that gives `token` to a browser, for `ttl`.
    pub(crate) fn set(&self, token: &str, ttl: Duration) -> Option<HeaderValue> {
        self.header(token, ttl.as_secs())
    }

    /// The `Set-Cookie` that takes it back. The same attributes: a browser ignores one without.
    pub(crate) fn clear(&self) -> Option<HeaderValue> {
        self.header("", 0)
    }

    /// Always some: tokens are base64url.
    fn header(&self, value: &str, max_age: u64) -> Option<HeaderValue> {
        let Self { name, attributes } = self;
        let mut header = HeaderValue::from_str(&format!("{name}={value}{attributes}; Max-Age={max_age}")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(same_site: SameSite, environment: Environment, loopback: bool) -> String {
        let cookie = RefreshCookie::of(CookieSettings { same_site, body_copy: false }, environment, loopback);
        cookie.set("psr_x", Duration::from_secs(60)).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn asvs_3_3_1_to_3_3_3_only_a_loopback_development_server_does_without_secure() {
        use Environment::{Development, Production};
        let strict = "__Host-petspark_rt=psr_x; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60";
        assert_eq!(cookie(SameSite::Strict, Production, false), strict);
        assert_eq!(cookie(SameSite::Strict, Production, true), strict);
        assert_eq!(cookie(SameSite::Strict, Development, false), strict);
        let plain = "petspark_rt=psr_x; Path=/; HttpOnly; SameSite=Strict; Max-Age=60";
        assert_eq!(cookie(SameSite::Strict, Development, true), plain);
        let none = "__Host-petspark_rt=psr_x; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=60";
        assert_eq!(cookie(SameSite::None, Production, false), none);
        assert_eq!(cookie(SameSite::None, Development, true), none);
    }

    #[test]
    fn the_cookie_is_found_by_its_exact_name_in_any_line() {
        let settings = CookieSettings { same_site: SameSite::Strict, body_copy: false };
        let cookie = RefreshCookie::of(settings, Environment::Production, false);
        let find = |lines: &[&str]| {
            let headers: HeaderMap =
                lines.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap())).collect();
            cookie.find(&headers).map(str::to_owned)
        };
        assert_eq!(find(&["a=b; __Host-petspark_rt=t; c=d"]).as_deref(), Some("t"));
        assert_eq!(find(&["a=b", "__Host-petspark_rt=t"]).as_deref(), Some("t"));
        for other in ["petspark_rt=t", "x__Host-petspark_rt=t", "__host-petspark_rt=t", "__Host-petspark_rt=", "a"] {
            assert_eq!(find(&[other]), None, "{other}");
        }
    }
}
