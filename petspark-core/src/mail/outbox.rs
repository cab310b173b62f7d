//! What becomes of a mail in the queue: its address and link are looked up, its text is filled
//! in, and it is handed over. A mail that has become pointless is done without being sent.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;

use super::letter::Envelope;
use super::{JOB, Mail, Mailer, Recipient, Template, Transport, Undelivered, folder, in_words, letter, store};
use crate::auth::derived_token::TokenKind;
use crate::clock::Timestamp;
use crate::config::Environment;
use crate::error::Fault;
use crate::id::OneTimeTokenId;
use crate::jobs::{Handler, Job};

impl Handler for Mailer {
    fn kind(&self) -> &'static str {
        JOB
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mail: Mail = serde_json::from_value(job.payload.clone()).map_err(Fault::internal)?;
            self.deliver(&mail, &job.id.to_string()).await
        })
    }
}

/// A link as its mail shows it.
struct Link {
    url: String,
    expires_at: Timestamp,
}

impl Mailer {
    async fn deliver(&self, mail: &Mail, id: &str) -> Result<(), Fault> {
        let Some((to, link)) = self.address(mail).await? else {
            tracing::info!(mail = %mail.template, id, "not sent: its address or its link is gone");
            return Ok(());
        };
        let inner = &self.0;
        let mut values: BTreeMap<&str, String> =
            mail.values.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        values.insert("email", to.clone());
        values.insert("product", inner.sender.name().to_owned());
        values.insert("time", in_words(mail.at));
        values.insert("web_url", inner.web_url.clone());
        if let Some(link) = &link {
            values.insert("link", link.url.clone());
            values.insert("expires", in_words(link.expires_at));
        }
        let content = inner.templates.render(mail.template, &values)?;
        let envelope = Envelope { from: &inner.sender, to: &to, id, at: inner.clock.now() };
        let letter =
            letter::write(&envelope, content).ok_or_else(|| Fault::lasting("no mail can go to this address"))?;
        match &inner.transport {
            Transport::Smtp(smtp) => {
                let sent = smtp.send(&letter).await;
                inner.failing.store(matches!(sent, Err(Undelivered::NotNow(_))), Ordering::Relaxed);
                sent.map_err(|error| match error {
                    Undelivered::Refused(why) => Fault::lasting(why),
                    Undelivered::NotNow(why) => Fault::unavailable(why),
                })
            }
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), format!("{id}.{}.eml", mail.template));
                let written = tokio::task::spawn_blocking(move || folder::put(&folder, &name, &letter.formatted()));
                let path = written.await.map_err(Fault::internal)?.map_err(Fault::unavailable)?;
                // Only on a developer's own machine may a live link stand in a log.
                let link = link.filter(|_| inner.environment == Environment::Development).map(|link| link.url);
                tracing::info!(mail = %mail.template, file = %path.display(), link, "mail written to a file");
                Ok(())
            }
        }
    }

    /// Where it goes and with which link; `None` when there is nobody or nothing to send any more.
    async fn address(&self, mail: &Mail) -> Result<Option<(String, Option<Link>)>, Fault> {
        let db = &self.0.db;
        let (user, address) = match mail.to {
            Recipient::User(user) => (Some(user), store::address(db, user).await?),
            Recipient::BoundEmail(token) | Recipient::NewEmail(token) => match store::link(db, token).await? {
                Some(row) if mail.to == Recipient::NewEmail(token) => (Some(row.user_id), row.new_email),
                Some(row) => (Some(row.user_id), Some(row.bound_email)),
                None => (None, None),
            },
        };
        let (Some(user), Some(address)) = (user, address) else { return Ok(None) };
        let Some(token) = mail.link else { return Ok(Some((address, None))) };
        let Some(row) = store::link(db, token).await? else { return Ok(None) };
        let live = row.consumed_at.is_none() && row.expires_at > self.0.clock.now();
        // To a user: the address may have changed since the link was made for the one before.
        let theirs = match mail.to {
            Recipient::User(_) => row.bound_email == address && row.current_email == address,
            Recipient::BoundEmail(_) | Recipient::NewEmail(_) => true,
        };
        if !live || !theirs || row.user_id != user {
            return Ok(None);
        }
        Ok(Some((address, Some(Link { url: self.url(mail.template, token), expires_at: row.expires_at }))))
    }

    /// The token stands behind a `#`: browsers send that part to nobody, so no log of a server
    /// and no `Referer` has it.
    fn url(&self, template: Template, token: OneTimeTokenId) -> String {
        let page = match template {
            Template::VerifyEmail => "verify-email",
            Template::ConfirmEmailChange => "confirm-email-change",
            Template::EmailChanged => "undo-email-change",
            _ => "reset-password",
        };
        let token = self.0.links.issue(TokenKind::OneTime, token.as_bytes());
        format!("{}/{page}#token={}", self.0.web_url, token.expose())
    }
}
