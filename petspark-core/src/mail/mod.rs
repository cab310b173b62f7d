//! Mails: which there are, to whom they go, and that they go at least once. `send` puts a job
//! into the caller's transaction; the job finds address and link when it runs, so that neither
//! stands in the queue. When a mail is due is its sender's business.

mod folder;
mod letter;
mod old_mails;
mod outbox;
mod reach;
mod settings;
mod smtp;
mod store;
mod template;
mod test_mail;

pub(crate) use old_mails::OldMails;
pub use reach::reach;
pub use settings::{MailSettings, Sender, SmtpServer};
pub use template::Template;
pub use test_mail::{HandedOver, TestMailError};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::auth::derived_token::DerivedTokens;
use crate::clock::{Clock, Timestamp};
use crate::config::{Environment, Settings};
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::id::{OneTimeTokenId, UserId};
use crate::jobs::{self, NewJob};
use smtp::{Smtp, Undelivered};
use template::Templates;

/// The kind of the jobs that send mails.
const JOB: &str = "mail.send";

/// To whom a mail goes. An address is read when the mail is sent; if there is none any more, or
/// not the one that a link is bound to, the mail is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// A user, at the address they have by then.
    User(UserId),
    /// The address that a one-time token is bound to: the old one, when an address changes.
    BoundEmail(OneTimeTokenId),
    /// The address that a one-time token would move its user to.
    NewEmail(OneTimeTokenId),
}

/// A mail to be sent: its names and ids, never an address or a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mail {
    to: Recipient,
    template: Template,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<OneTimeTokenId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, String>,
}

impl Mail {
    /// `at` is when that happened which the mail is about.
    pub(crate) fn new(to: Recipient, template: Template, at: Timestamp) -> Self {
        Self { to, template, at, link: None, values: BTreeMap::new() }
    }

    /// With a link that carries this one-time token. Once the token is used or expired, the mail
    /// is not sent any more.
    pub(crate) fn link(self, token: OneTimeTokenId) -> Self {
        Self { link: Some(token), ..self }
    }

    /// With a value that only this mail has; see [`Template`]. Never a secret or an address, nor
    /// text that some user chose.
    pub(crate) fn value(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The same with a day and time as mails write it.
    pub(crate) fn time(self, name: &str, at: Timestamp) -> Self {
        self.value(name, in_words(at))
    }

    /// Whether it has what its text needs and nothing else; a defect if not.
    fn check(&self) -> Result<(), Fault> {
        let own = self.template.own_values();
        let stray = self
            .values
            .keys()
            .find(|name| !own.contains(&name.as_str()) || matches!(name.as_str(), "link" | "expires"));
        match stray {
            Some(name) => Err(Fault::internal(format!("the mail {} has no value {name}", self.template))),
            None if self.template.has_link() != self.link.is_some() => {
                Err(Fault::internal(format!("the mail {} has a link too few or too many", self.template)))
            }
            None => Ok(()),
        }
    }
}

/// Sends a mail if the transaction commits, soon after it.
///
/// # Errors
/// [`Fault`] when the database can't take it, or when the mail lacks what its text needs.
pub(crate) async fn send(tx: &mut Tx, mail: Mail) -> Result<(), Fault> {
    mail.check()?;
    let payload = serde_json::to_value(&mail).map_err(Fault::internal)?;
    jobs::enqueue(tx, mail.at, NewJob::new(JOB, payload)).await.map(drop)
}

/// Whether mails leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailHealth {
    /// They become files: no mail server is configured.
    Files,
    /// The mail server took the last one, or none was sent yet.
    Sending,
    /// The last one could not be handed over.
    Failing,
}

/// Sends mails; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    environment: Environment,
    links: Arc<DerivedTokens>,
    templates: Templates,
    sender: Sender,
    web_url: String,
    transport: Transport,
    failing: AtomicBool,
}

enum Transport {
    Smtp(Box<Smtp>),
    Folder(PathBuf),
}

impl Mailer {
    /// Reads the texts and prepares the transport; connects to nothing.
    ///
    /// # Errors
    /// For a person: which setting or file is wrong.
    pub(crate) fn open(
        db: Database,
        clock: Clock,
        settings: &Settings,
        links: Arc<DerivedTokens>,
    ) -> Result<Self, String> {
        let mail = &settings.mail;
        if let Some((key, problem)) = mail.problem(settings.environment, settings.public_web_url.as_ref()) {
            return Err(format!("{key} {problem}"));
        }
        let sender = mail.sender()?;
        let transport = match &mail.smtp {
            Some(server) => Transport::Smtp(Box::new(Smtp::new(server.clone(), mail, sender.domain())?)),
            None => {
                let folder = folder::of(&settings.data_dir);
                if settings.environment == Environment::Production {
                    tracing::warn!(folder = %folder.display(), "SMTP_URL is not set: mails become files");
                }
                Transport::Folder(folder)
            }
        };
        let web_url = settings.public_web_url.as_ref().map_or(DEVELOPMENT_WEB_URL, |url| url.as_str()).to_owned();
        Ok(Self(Arc::new(Inner {
            db,
            clock,
            environment: settings.environment,
            links,
            templates: Templates::load(mail.templates_dir.as_deref())?,
            sender,
            web_url,
            transport,
            failing: AtomicBool::new(false),
        })))
    }

    /// Whether mails leave, as far as is known; asks nobody.
    #[must_use]
    pub fn health(&self) -> MailHealth {
        match &self.0.transport {
            Transport::Folder(_) => MailHealth::Files,
            Transport::Smtp(_) if self.0.failing.load(Ordering::Relaxed) => MailHealth::Failing,
            Transport::Smtp(_) => MailHealth::Sending,
        }
    }
}

/// Where links lead when nobody said; production with a mail server must say.
const DEVELOPMENT_WEB_URL: &str = "http://localhost:3000";

/// `23 November 2026, 01:05 UTC`
fn in_words(at: Timestamp) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        time::macros::format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    at.to_datetime().format(FORMAT).unwrap_or_else(|_| at.to_string())
}
