//! Whether the mail server is there and lets us in. No mail is sent.

use std::time::Duration;

use super::MailSettings;
use super::smtp::Smtp;

/// Connects as for a mail, with TLS and signing in, asks for nothing (`NOOP`), and leaves. Without a mail
/// server there is nothing to reach.
///
/// # Errors
/// For a person: why not. It has neither address nor password.
pub async fn reach(settings: &MailSettings, limit: Duration) -> Result<(), String> {
    let Some(server) = &settings.smtp else { return Ok(()) };
    let sender = settings.sender()?;
    let smtp = Smtp::new(server.clone(), settings, sender.domain())?;
    smtp.reach(limit).await.map_err(|error| error.to_string())
}
