//! What becomes of a mail in the queue: its address and link are looked up, its text is filled
//! in, and it is handed over. A mail that has become pointless is done without being sent.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;

use super::letter::Envelope;
use super::{
    HandedOver, JOB, Mail, Mailer, Recipient, Template, Transport, Undelivered, folder, in_words, letter, store,
};
use crate::auth::derived_token::TokenKind;
use crate::clock::Timestamp;
use crate::config::Environment;
use crate::error::Fault;
use crate::id::OneTimeTokenId;
use crate::jobs::{Handler, Job};
use crate::secret::Secret;

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
        let handed_over = self.hand_over(mail.template, &to, id, &values).await.map_err(|error| match error {
            Undelivered::Refused(why) => Fault::lasting(why),
            Undelivered::NotNow(why) => Fault::unavailable(why),
        })?;
        if let HandedOver::File(path) = handed_over {
            // Only on a developer's own machine may a live link stand in a log.
            let link = link.filter(|_| inner.environment == Environment::Development).map(|link| link.url);
            tracing::info!(mail = %mail.template, file = %path.display(), link, "mail written to a file");
        }
        Ok(())
    }

    /// Fills a mail in and gives it to the mail server, or writes it to a file.
    pub(super) async fn hand_over(
        &self,
        template: Template,
        to: &str,
        id: &str,
        values: &BTreeMap<&str, String>,
    ) -> Result<HandedOver, Undelivered> {
        let inner = &self.0;
        let broken = |why: String| Undelivered::NotNow(why);
        let content = inner.templates.render(template, values).map_err(|fault| broken(fault.chain()))?;
        let envelope = Envelope { from: &inner.sender, to, id, at: inner.clock.now() };
        let letter = letter::write(&envelope, content)
            .ok_or_else(|| Undelivered::Refused("no mail can go to this address".to_owned()))?;
        match &inner.transport {
            Transport::Smtp(smtp) => {
                let sent = smtp.send(&letter).await;
                inner.failing.store(matches!(sent, Err(Undelivered::NotNow(_))), Ordering::Relaxed);
                sent.map(|()| HandedOver::Server)
            }
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), format!("{id}.{template}.eml"));
                let written = tokio::task::spawn_blocking(move || folder::put(&folder, &name, &letter.formatted()));
                let written = written.await.map_err(|error| broken(error.to_string()))?;
                written.map(HandedOver::File).map_err(|error| broken(error.to_string()))
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

    fn url(&self, template: Template, token: OneTimeTokenId) -> String {
        self.link(template, &self.0.links.issue(TokenKind::OneTime, token.as_bytes())).expose().to_owned()
    }

    /// The link that this mail would have for a one-time token: for an operator who passes it on
    /// instead. The token stands behind a `#`: browsers send that part to nobody, so no log of a
    /// server and no `Referer` has it.
    #[must_use]
    pub fn link(&self, template: Template, token: &Secret) -> Secret {
        let page = match template {
            Template::VerifyEmail => "verify-email",
            Template::ConfirmEmailChange => "confirm-email-change",
            Template::EmailChanged => "undo-email-change",
            _ => "reset-password",
        };
        Secret::new(format!("{}/{page}#token={}", self.0.web_url, token.expose()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::query;

    use super::*;
    use crate::database::on;
    use crate::id::UserId;
    use crate::mail::send;
    use crate::on_both;
    use crate::testing::TestApp;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A row as recovery makes one, good for an hour.
    async fn token(app: &TestApp, user: UserId, bound: &str, new: Option<&str>) -> OneTimeTokenId {
        let (id, now) = (OneTimeTokenId::random().unwrap(), app.clock.now());
        let mut tx = app.petspark.database().begin().await.unwrap();
        let sql = "INSERT INTO one_time_tokens (id, user_id, purpose, bound_email, new_email, created_at, expires_at) \
                   VALUES ($1, $2, 'undo_email_change', $3, $4, $5, $6)";
        on!(&mut tx, conn => query(sql).bind(id).bind(user).bind(bound).bind(new).bind(now).bind(now.after(HOUR))
            .execute(conn).await.map(drop))
        .unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// What was sent but for the first mail to a new user.
    async fn sent(app: &TestApp) -> Vec<Template> {
        app.mails().await.iter().map(|mail| mail.template).filter(|sent| *sent != Template::VerifyEmail).collect()
    }

    async fn enqueue(app: &TestApp, mail: Mail) {
        let mut tx = app.petspark.database().begin().await.unwrap();
        send(&mut tx, mail).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn change(app: &TestApp, sql: &'static str) {
        let mut tx = app.petspark.database().begin().await.unwrap();
        on!(&mut tx, conn => query(sql).bind(app.clock.now()).execute(conn).await.map(drop)).unwrap();
        tx.commit().await.unwrap();
    }

    on_both! {
        async fn a_link_goes_to_the_address_that_it_is_bound_to_and_only_a_mail_has_its_token(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let id = token(&app, ada.id, "old@example.org", Some("new@example.org")).await;
            enqueue(&app, Mail::new(Recipient::BoundEmail(id), Template::EmailChanged, now).link(id)).await;
            enqueue(&app, Mail::new(Recipient::NewEmail(id), Template::ConfirmEmailChange, now).link(id)).await;
            let old = app.mail("old@example.org", Template::EmailChanged).await;
            let new = app.mail("new@example.org", Template::ConfirmEmailChange).await;
            assert!(old.link().unwrap().starts_with("http://localhost:3000/undo-email-change#token="), "{}", old.text);
            assert!(new.link().unwrap().starts_with("http://localhost:3000/confirm-email-change#token="), "{}", new.text);
            assert!(old.html.contains(old.link().unwrap()), "{}", old.html);
            assert!(old.text.contains("until 22 November 2026, 22:49 UTC"), "{}", old.text);
            let genuine = app.petspark.auth().link_tokens().verify(TokenKind::OneTime, old.token().expose());
            assert_eq!(genuine, Some(*id.as_bytes()));
        }

        async fn a_link_for_an_address_before_is_not_sent_to_the_one_after(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let id = token(&app, ada.id, "ada@example.org", None).await;
            enqueue(&app, Mail::new(Recipient::User(ada.id), Template::ResetPassword, now).link(id)).await;
            change(&app, "UPDATE users SET email = 'eve@example.org', updated_at = $1").await;
            assert!(sent(&app).await.is_empty());
        }

        async fn a_link_of_somebody_else_is_sent_to_nobody(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let bob = app.register("bob").await;
            let id = token(&app, bob.id, "ada@example.org", None).await;
            enqueue(&app, Mail::new(Recipient::User(ada.id), Template::ResetPassword, now).link(id)).await;
            assert!(sent(&app).await.is_empty());
        }

        async fn a_link_that_is_used_or_expired_is_not_sent(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let used = token(&app, ada.id, "ada@example.org", None).await;
            change(&app, "UPDATE one_time_tokens SET consumed_at = $1").await;
            let expired = token(&app, ada.id, "ada@example.org", None).await;
            for id in [used, expired, OneTimeTokenId::random().unwrap()] {
                enqueue(&app, Mail::new(Recipient::User(ada.id), Template::ResetPassword, now).link(id)).await;
            }
            app.clock.advance(HOUR);
            assert!(sent(&app).await.is_empty());
        }

        async fn what_is_in_the_queue_has_no_address_and_no_token(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let id = token(&app, ada.id, "ada@example.org", None).await;
            let mail = Mail::new(Recipient::BoundEmail(id), Template::ResetPassword, now).link(id);
            let payload = serde_json::to_string(&mail).unwrap();
            enqueue(&app, mail).await;
            let sent = app.mail("ada@example.org", Template::ResetPassword).await;
            assert!(!payload.contains('@') && !payload.contains(sent.token().expose()), "{payload}");
        }

        async fn a_mail_without_what_its_text_needs_is_a_defect(app: TestApp) {
            let (ada, now) = (app.register("ada").await, app.clock.now());
            let to = Recipient::User(ada.id);
            let mut tx = app.petspark.database().begin().await.unwrap();
            for mail in [
                Mail::new(to, Template::ResetPassword, now),
                Mail::new(to, Template::PasswordChanged, now).link(OneTimeTokenId::random().unwrap()),
                Mail::new(to, Template::PasswordChanged, now).value("reason", "none"),
                Mail::new(to, Template::Invite, now).link(OneTimeTokenId::random().unwrap()).value("link", "http://evil"),
            ] {
                assert!(send(&mut tx, mail).await.is_err());
            }
            send(&mut tx, Mail::new(to, Template::AccountSuspended, now).value("reason", "spam").time("until", now)).await.unwrap();
        }
    }
}
