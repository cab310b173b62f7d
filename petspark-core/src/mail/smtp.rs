//! Hands mails to a mail server: TLS, signing in, one idle connection kept for the next mail,
//! and an end to patience. lettre's own pool is not used: it has no time limit for an answer,
//! and a send that is given up half-way would leave its connection to the next one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;

use super::settings::{MailSettings, Security, SmtpServer};
use crate::error::chain;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why a mail was not taken. The texts have neither addresses nor passwords.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undelivered {
    /// The server will never take it.
    #[error("{0}")]
    Refused(String),
    /// It may take it later.
    #[error("{0}")]
    NotNow(String),
}

/// A mail server.
pub(super) struct Smtp {
    server: SmtpServer,
    tls: Option<TlsParameters>,
    hello: ClientId,
    timeout: Duration,
    idle: Mutex<Option<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    /// Prepares everything and connects to nothing.
    ///
    /// # Errors
    /// For a person: what is wrong with `mail.smtp_ca`.
    pub(super) fn new(server: SmtpServer, settings: &MailSettings, domain: &str) -> Result<Self, String> {
        let tls = (server.security != Security::None).then(|| tls(&server.host, settings)).transpose()?;
        Ok(Self {
            server,
            tls,
            hello: ClientId::Domain(domain.to_owned()),
            timeout: settings.timeout,
            idle: Mutex::default(),
        })
    }

    /// Sends one mail, or says why not.
    pub(super) async fn send(&self, message: &Message) -> Result<(), Undelivered> {
        match tokio::time::timeout(self.timeout, self.attempt(message)).await {
            Ok(result) => result,
            // The connection, whatever its state, is dropped with the attempt.
            Err(_) => Err(Undelivered::NotNow(format!("the mail server took more than {:?}", self.timeout))),
        }
    }

    /// Connects, asks for nothing, and leaves.
    pub(super) async fn reach(&self, limit: Duration) -> Result<(), Undelivered> {
        let reached = async {
            let mut connection = self.connect().await?;
            let answers = connection.test_connected().await;
            // What it says to a good-bye changes nothing.
            let _ = connection.quit().await;
            if answers {
                Ok(())
            } else {
                Err(Undelivered::NotNow("the mail server let us in and fell silent".to_owned()))
            }
        };
        match tokio::time::timeout(limit, reached).await {
            Ok(result) => result,
            Err(_) => Err(Undelivered::NotNow(format!("the mail server took more than {limit:?}"))),
        }
    }

    async fn attempt(&self, message: &Message) -> Result<(), Undelivered> {
        let mut connection = match self.idle().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.send(message.envelope(), &message.formatted()).await.map_err(|error| refused_or_not_now(&error))?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, Instant::now()));
        Ok(())
    }

    /// The kept connection, if it still lives.
    async fn idle(&self) -> Option<AsyncSmtpConnection> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (mut connection, _) = kept.filter(|(_, since)| since.elapsed() < IDLE)?;
        connection.test_connected().await.then_some(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Undelivered> {
        let SmtpServer { host, port, security, login } = &self.server;
        let not_now = |error: Error| Undelivered::NotNow(format!("no connection to the mail server: {}", told(&error)));
        let from_the_start = self.tls.clone().filter(|_| *security == Security::Tls);
        let address = (host.as_str(), *port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &self.hello, from_the_start, None);
        let mut connection = connecting.await.map_err(not_now)?;
        if let (Security::StartTls, Some(tls)) = (security, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await.map_err(not_now)?;
        }
        if let Some((user, password)) = login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            // A wrong password is the operator's to mend; no mail is lost over it.
            connection
                .auth(DEFAULT_MECHANISMS, &credentials)
                .await
                .map_err(|error| Undelivered::NotNow(format!("the mail server doesn't let us in: {}", told(&error))))?;
        }
        Ok(connection)
    }
}

fn tls(host: &str, settings: &MailSettings) -> Result<TlsParameters, String> {
    let mut parameters = TlsParametersBuilder::new(host.to_owned());
    if let Some(path) = &settings.smtp_ca {
        let wrong = |what: String| format!("mail.smtp_ca: {}: {what}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let authority = Certificate::from_pem(&pem).map_err(|_| wrong("is no PEM file of certificates".to_owned()))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    parameters.build_rustls().map_err(|error| format!("TLS to the mail server: {}", chain(&error)))
}

/// A server's "no" is final, except where it says that we must sign in first.
fn refused_or_not_now(error: &Error) -> Undelivered {
    let text = format!("the mail server didn't take it: {}", told(error));
    let must_sign_in = error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538));
    // A client's error here: the address can't be expressed to this server.
    let never = (error.is_permanent() && !must_sign_in) || error.is_client();
    if never { Undelivered::Refused(text) } else { Undelivered::NotNow(text) }
}

/// The code and no more of what a server said: its text may quote the address.
fn told(error: &Error) -> String {
    match error.status() {
        Some(code) => code.to_string(),
        None if error.is_response() => "its answer is not SMTP".to_owned(),
        None => chain(error),
    }
}
