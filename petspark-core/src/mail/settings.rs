//! Which mail server, from whom, and how long to be patient with it. Whether the server answers
//! is not asked here.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;

use crate::config::{Environment, Loader, Setting, Value, WebUrl};
use crate::secret::Secret;

/// How mails leave.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// `SMTP_URL`; without it mails become files in the data folder.
    pub smtp: Option<SmtpServer>,
    /// Certificates, as PEM, to believe instead of the public ones.
    pub smtp_ca: Option<PathBuf>,
    /// `MAIL_FROM`: who mails come from.
    pub from: Option<Sender>,
    /// How long one mail may take, connecting included.
    pub timeout: Duration,
    /// Files in it replace the built-in texts.
    pub templates_dir: Option<PathBuf>,
}

impl MailSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        Self {
            smtp: from.find_secret(
                "mail.smtp_url",
                Some("SMTP_URL"),
                "Mail server: smtps://user:password@host:465 (TLS), or smtp://user:password@host:587 (STARTTLS, required; ?tls=none for one without, which loopback is by default). Without it mails become files in the folder mail of the data folder.",
            ),
            smtp_ca: from.find(
                "mail.smtp_ca",
                None,
                "PEM file of certificate authorities to believe about the mail server, instead of the public ones.",
            ),
            from: from.find(
                "mail.from",
                Some("MAIL_FROM"),
                "Who mails come from, for example PetSpark <no-reply@example.org>; the name is what mails call the product. Production needs it to send mails.",
            ),
            timeout: from.get(Setting {
                key: "mail.timeout",
                env: None,
                default: Duration::from_secs(30),
                about: "How long one mail may take, connecting included; it is tried again later.",
            }),
            templates_dir: from.find(
                "mail.templates_dir",
                None,
                "Folder of texts of your own, which replace the built-in ones: reset-password.subject, reset-password.txt, reset-password.html and so on.",
            ),
        }
    }

    /// What is missing for sending mails, as the setting and its problem. Development is forgiven.
    pub(crate) fn problem(
        &self,
        environment: Environment,
        web: Option<&WebUrl>,
    ) -> Option<(&'static str, &'static str)> {
        if self.smtp.is_none() || environment == Environment::Development {
            return None;
        }
        if web.is_none() {
            return Some(("public_web_url", "is missing, and links in mails need it; set PUBLIC_WEB_URL"));
        }
        self.from.is_none().then_some(("mail.from", "is missing, and mails need it; set MAIL_FROM"))
    }

    /// Who mails come from.
    pub(super) fn sender(&self) -> Result<Sender, String> {
        self.from.clone().map_or_else(|| Sender::parse("PetSpark <no-reply@localhost>"), Ok)
    }
}

/// A mail server and how to get in. Its `Debug` and its text have no password.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) login: Option<(String, Secret)>,
}

/// When a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// From the first byte.
    Tls,
    /// After `STARTTLS`; a server that hasn't it gets no mail.
    StartTls,
    /// Never.
    None,
}

const EXPECTED: &str = "smtps://user:password@host:465 or smtp://user:password@host:587, with ?tls=none for a server \
                        without TLS; special characters in user and password are written as %40";

impl Value for SmtpServer {
    fn parse(text: &str) -> Result<Self, String> {
        // No error quotes the text: it may hold a password.
        parse_smtp(text).ok_or_else(|| EXPECTED.to_owned()).and_then(|server| {
            if server.security == Security::None && server.login.is_some() && !is_loopback(&server.host) {
                return Err("without ?tls=none when it has a password, which would travel readable".to_owned());
            }
            Ok(server)
        })
    }

    fn render(&self) -> String {
        let scheme = if self.security == Security::Tls { "smtps" } else { "smtp" };
        let login = if self.login.is_some() { "[redacted]@" } else { "" };
        format!("{scheme}://{login}{}:{}", self.host, self.port)
    }
}

fn parse_smtp(text: &str) -> Option<SmtpServer> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?.trim_matches(['[', ']']).to_owned();
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return None;
    }
    let security = match (url.scheme(), url.query()) {
        ("smtps", None) => Security::Tls,
        ("smtp", None) if is_loopback(&host) => Security::None,
        ("smtp", None | Some("tls=required")) => Security::StartTls,
        ("smtp", Some("tls=none")) => Security::None,
        _ => return None,
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, Secret::new(decoded(password)?))),
        _ => return None,
    };
    let port = url.port().unwrap_or(if security == Security::Tls { 465 } else { 587 });
    Some(SmtpServer { host, port, security, login })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Who mails come from: an address, with a name or without.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender(pub(super) Mailbox);

impl Sender {
    /// The name, for mails to call the product by.
    pub(super) fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or("PetSpark")
    }

    pub(super) fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Value for Sender {
    fn parse(text: &str) -> Result<Self, String> {
        let mailbox: Mailbox =
            text.parse().map_err(|_| "an address such as PetSpark <no-reply@example.org>".to_owned())?;
        Ok(Self(mailbox))
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_has_tls_unless_it_is_here_or_said_not_to() {
        for (text, port, security) in [
            ("smtps://u:p@mail.example.org", 465, Security::Tls),
            ("smtp://u:p@mail.example.org", 587, Security::StartTls),
            ("smtp://mail.example.org:25?tls=required", 25, Security::StartTls),
            ("smtp://mailpit:1025?tls=none", 1025, Security::None),
            ("smtp://127.0.0.1:1025", 1025, Security::None),
            ("smtp://[::1]:1025/", 1025, Security::None),
            ("smtp://localhost:1025?tls=required", 1025, Security::StartTls),
        ] {
            let server = SmtpServer::parse(text).unwrap();
            assert_eq!((server.port, server.security), (port, security), "{text}");
        }
    }

    #[test]
    fn the_password_is_decoded_and_never_shown() {
        let server = SmtpServer::parse("smtps://me%40example.org:p%2Fhunter2@mail.example.org").unwrap();
        let (user, password) = server.login.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me@example.org", "p/hunter2"));
        assert!(!format!("{server:?}{}", server.render()).contains("hunter2"));
        for wrong in [
            "smtp://u:hunter2@mail.example.org?tls=none",
            "smtp://u:hunter2@mail.example.org?tls=opportunistic",
            "smtp://u:hunter2@h/path",
            "smtp://u:hunter2@h:99999",
            "http://u:hunter2@h",
            "smtp://:hunter2@h",
            "smtp://hunter2@h",
            "smtp://",
            "hunter2",
        ] {
            let refused = SmtpServer::parse(wrong).unwrap_err();
            assert!(!refused.contains("hunter2"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn a_sender_is_an_address_with_a_name_or_without() {
        let sender = Sender::parse("Pet Spark <no-reply@example.org>").unwrap();
        assert_eq!((sender.name(), sender.domain()), ("Pet Spark", "example.org"));
        assert_eq!(Sender::parse("a@example.org").unwrap().name(), "PetSpark");
        assert_eq!(Sender::parse("PetSpark <no-reply@localhost>").unwrap().domain(), "localhost");
        for wrong in ["", "PetSpark", "a@b@c", "a@example.org\r\nBcc: x@example.org"] {
            assert!(Sender::parse(wrong).is_err(), "{wrong}");
        }
    }
}
