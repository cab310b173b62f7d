//! How a setting's text becomes a value: units for durations and sizes, lists, addresses. A
//! parse error says what was expected and never repeats the text, which may be a secret.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{Environment, Synchronous};
use crate::auth::{RegisterMode, SecondFactorFor};
use crate::backup::{BackupMedia, ExternalTool};
use crate::media::ModerationPolicy;
use crate::media::objects::StoreKind;
use crate::secret::Secret;

/// A type that a setting can have.
pub trait Value: Sized {
    /// Reads the text of a setting.
    ///
    /// # Errors
    /// What was expected instead, to be shown behind "must be".
    fn parse(text: &str) -> Result<Self, String>;

    /// The text that gives this value, for templates.
    fn render(&self) -> String;
}

macro_rules! values_from_str {
    ($($type:ty: $expected:literal),+ $(,)?) => { $(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $expected.to_owned())
            }

            fn render(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

values_from_str! {
    bool: "true or false",
    u16: "a whole number from 0 to 65535",
    u32: "a whole number",
    BackupMedia: "inventory, full or none",
    ExternalTool: "pgbackrest, barman or litestream",
    IpAddr: "an IP address such as 127.0.0.1",
    ipnet::IpNet: "a network such as 10.0.0.0/8",
    Environment: "development or production",
    ModerationPolicy: "approve_all, hold_new_users, hold_all or hook",
    RegisterMode: "open or verify_first",
    SecondFactorFor: "nobody, admin or moderator",
    StoreKind: "folder or s3",
    Synchronous: "full or normal",
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn render(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn render(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }

    fn render(&self) -> String {
        "[redacted]".to_owned()
    }
}

/// With its unit: `500ms`, `10s`, `15m`, `30d`; at most ten years.
impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .ok()
            .filter(|duration| *duration <= Self::from_secs(10 * 365 * 86_400))
            .ok_or_else(|| "a duration with its unit, such as 500ms, 10s, 15m or 30d".to_owned())
    }

    fn render(&self) -> String {
        const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        match self.as_millis() {
            0 => "0s".to_owned(),
            ms => UNITS
                .iter()
                .find(|(_, size)| ms % size == 0)
                .map_or_else(|| format!("{ms}ms"), |(unit, size)| format!("{}{unit}", ms / size)),
        }
    }
}

/// Separated by commas.
impl<T: Value> Value for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(T::parse)
            .collect::<Result<_, _>>()
            .map_err(|expected| format!("a list, separated by commas, of which each is {expected}"))
    }

    fn render(&self) -> String {
        self.iter().map(T::render).collect::<Vec<_>>().join(",")
    }
}

/// A number of bytes, written `16KiB`, `10MiB` or without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl Value for ByteSize {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a number of bytes such as 512, 16KiB or 10MiB".to_owned();
        let (digits, factor) = match text.strip_suffix("KiB") {
            Some(digits) => (digits, 1 << 10),
            None => match text.strip_suffix("MiB") {
                Some(digits) => (digits, 1 << 20),
                None => (text, 1),
            },
        };
        let number: u64 = digits.trim().parse().map_err(|_| expected())?;
        number.checked_mul(factor).map(Self).ok_or_else(expected)
    }

    fn render(&self) -> String {
        match self.0 {
            n if n > 0 && n % (1 << 20) == 0 => format!("{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => format!("{}KiB", n >> 10),
            n => n.to_string(),
        }
    }
}

/// An `http` or `https` address without user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl(String);

impl WebUrl {
    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "an address such as https://app.example.org, without user, query or fragment".to_owned();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(expected)?;
        let host = rest.split('/').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '\\' | '"' | '<' | '>');
        if host.is_empty() || host.starts_with(':') || !rest.chars().all(plain) {
            return Err(expected());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for WebUrl {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn render(&self) -> String {
        self.0.clone()
    }
}

/// Which engine, and where.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A file, made when it isn't there.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database`, as libpq understands it.
    Postgres(Secret),
}

impl Value for DatabaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return parse_postgres(text);
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            Some(path) if path.contains(":memory:") || path.contains('?') => {
                Err("sqlite://path/to/file.db, without options; a database in memory would be lost at every restart"
                    .to_owned())
            }
            Some(path) if !path.is_empty() && !path.ends_with('/') => Ok(Self::Sqlite(PathBuf::from(path))),
            _ => Err("sqlite://path/to/file.db or postgres://user:password@host:5432/name".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            // User, password and options stay out; where it leads is what one wants to see.
            Self::Postgres(url) => {
                let rest = url.expose().split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or_default();
                format!("postgres://[redacted]@{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
        }
    }
}

/// What libpq and sqlx know. Others are refused here: sqlx would log them with their values, and
/// some of libpq's are passwords.
const POSTGRES_OPTIONS: [&str; 16] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-mode",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
    "username",
];

fn parse_postgres(text: &str) -> Result<DatabaseUrl, String> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let name = option.split('=').next().unwrap_or_default();
        if !POSTGRES_OPTIONS.contains(&name) && !name.starts_with("options[") {
            return Err(
                "postgres://user:password@host:5432/name without options that are not known, such as misspelt ones"
                    .to_owned(),
            );
        }
    }
    // A slash or an at sign in a password would end it: the rest of it would be told as a host or a name.
    let (_, place) = text.split_once("://").unwrap_or_default();
    let place = place.split('?').next().unwrap_or_default();
    let name = place.split_once('/').map_or("", |(_, name)| name);
    if name.contains(['/', '@', ':']) {
        return Err(
            "postgres://user:password@host:5432/name; special characters in the password are written as %2F or %40"
                .to_owned(),
        );
    }
    // The parser's own message may quote the address, and with it the password.
    sqlx::postgres::PgConnectOptions::from_str(text).map_err(|_| {
        "postgres://user:password@host:5432/name; special characters in the password are written as %40".to_owned()
    })?;
    Ok(DatabaseUrl::Postgres(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_and_survive_their_text() {
        for text in ["0", "16KiB", "10MiB", "1000"] {
            assert_eq!(ByteSize::parse(text).unwrap().render(), text);
        }
        for text in ["0s", "10s", "15m", "1500ms", "25h", "90d"] {
            assert_eq!(Duration::parse(text).unwrap().render(), text);
        }
        assert!(Duration::parse("10").is_err());
        assert!(Duration::parse("1001years").is_err());
        assert!(ByteSize::parse("-1").is_err());
        assert!(ByteSize::parse("99999999999999999MiB").is_err());
    }

    #[test]
    fn database_addresses_are_told_apart() {
        assert!(
            matches!(DatabaseUrl::parse("sqlite:///var/lib/p.db").unwrap(), DatabaseUrl::Sqlite(p) if p == *"/var/lib/p.db")
        );
        assert!(
            matches!(DatabaseUrl::parse("sqlite://data/p.db").unwrap(), DatabaseUrl::Sqlite(p) if p == *"data/p.db")
        );
        assert!(matches!(DatabaseUrl::parse("postgresql://u:p@h/d").unwrap(), DatabaseUrl::Postgres(_)));
        for wrong in [
            "",
            "postgres://u:p@h:99999/d",
            "postgres://u:p/q@h/d",
            "postgres://u:p@q/r@h:5432/d",
            "postgres://u@h/d?sslpassword=x",
            "mysql://h/d",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://data/",
            "data.db",
        ] {
            assert!(DatabaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_postgresql_password_is_never_rendered() {
        let url = DatabaseUrl::parse("postgres://me:hunter2@db/petspark").unwrap();
        assert!(!format!("{url:?}{}", url.render()).contains("hunter2"));
        assert_eq!(url.render(), "postgres://[redacted]@db/petspark");
    }

    #[test]
    fn web_addresses_have_a_scheme_and_a_host() {
        assert_eq!(WebUrl::parse("https://app.example.org/").unwrap().as_str(), "https://app.example.org");
        for wrong in ["app.example.org", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x y"] {
            assert!(WebUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
