//! A mail that an operator sends to see whether mails arrive: at once, not by the queue, so that
//! what the mail server says is heard.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Mailer, Template, Undelivered, in_words};
use crate::audit::{self, Action, Event};
use crate::auth::{Denied, Email, Permission};
use crate::caller::Caller;
use crate::error::{Fault, FieldErrors, failure};
use crate::id::JobId;

/// Where a mail went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandedOver {
    /// The mail server took it.
    Server,
    /// Into this file: there is no mail server.
    File(PathBuf),
}

/// Why a test mail did not go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestMailError {
    /// The address is none.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The mail server was not reached, or did not take it; why.
    #[error("The mail was not sent: {0}.")]
    NotSent(String),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    TestMailError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
        NotSent(_) => (Kind::Unavailable, "MAIL_001"),
    },
    asks { Denied(denied), Fault(fault) }
}

impl Mailer {
    /// Sends a mail without a link, and says where it went. The audit log has that it was tried and
    /// what came of it, not to whom.
    ///
    /// # Errors
    /// [`TestMailError::NotSent`], [`TestMailError::Invalid`]; [`TestMailError::Denied`] unless an
    /// administrator asks.
    pub async fn send_test(&self, caller: &Caller, to: &str) -> Result<HandedOver, TestMailError> {
        // Of whose scope no API key has a part: nobody else's program is to send mails at will.
        caller.require(Permission::ManageStaff)?;
        let to = Email::parse(to).map_err(|problem| TestMailError::Invalid(FieldErrors::one("to", problem)))?;
        let (inner, now) = (&self.0, self.0.clock.now());
        let values = BTreeMap::from([
            ("email", to.as_str().to_owned()),
            ("product", inner.sender.name().to_owned()),
            ("time", in_words(now)),
            ("web_url", inner.web_url.clone()),
        ]);
        let sent = self.hand_over(Template::Test, to.as_str(), &JobId::new().to_string(), &values).await;
        let event = Event::new(Action::TestMailSent);
        let event = match &sent {
            Ok(_) => event,
            Err(why) => event.failed().reason(why.to_string()),
        };
        audit::record_now(&inner.db, now, caller, event).await?;
        sent.map_err(|error| match error {
            Undelivered::Refused(why) | Undelivered::NotNow(why) => TestMailError::NotSent(why),
        })
    }
}
