//! A mail as it travels: headers, a text and an HTML part. What it says is decided elsewhere.

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::settings::Sender;
use super::template::Rendered;
use crate::clock::Timestamp;

/// Who, to whom, when, and the name that stays the same however often it is sent.
pub(super) struct Envelope<'a> {
    pub(super) from: &'a Sender,
    pub(super) to: &'a str,
    pub(super) id: &'a str,
    pub(super) at: Timestamp,
}

/// Builds it. `None` when the recipient's address is none that mail can go to.
pub(super) fn write(envelope: &Envelope<'_>, content: Rendered) -> Option<Message> {
    let to: Mailbox = Mailbox::new(None, envelope.to.parse().ok()?);
    Message::builder()
        .from(envelope.from.0.clone())
        .to(to)
        .subject(content.subject)
        .date(envelope.at.to_datetime().into())
        .message_id(Some(format!("<{}@{}>", envelope.id, envelope.from.domain())))
        // So that no out-of-office assistant answers (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(content.text, content.html))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value as _;

    fn built(to: &str, subject: &str) -> Option<String> {
        let from = Sender::parse("Pet Spark <no-reply@example.org>").unwrap();
        let at = Timestamp::from_micros(1_795_384_178_123_456);
        let content =
            Rendered { subject: subject.to_owned(), text: "Hello".to_owned(), html: "<p>Hello</p>".to_owned() };
        let message = write(&Envelope { from: &from, to, id: "1", at }, content)?;
        Some(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_letter_has_a_text_and_an_html_part_and_says_that_a_machine_wrote_it() {
        let letter = built("ada@example.org", "H\u{e9}llo").unwrap();
        for line in [
            "From: \"Pet Spark\" <no-reply@example.org>\r\n",
            "To: ada@example.org\r\n",
            "Message-ID: <1@example.org>\r\n",
            "Date: Sun, 22 Nov 2026 21:49:38 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(letter.contains(line), "{line}\n{letter}");
        }
        assert!(letter.contains("Subject: =?utf-8?b?"), "{letter}");
    }

    #[test]
    fn nobody_adds_headers_or_recipients() {
        let letter = built("ada@example.org", "Hello\r\nBcc: eve@example.org\r\n\r\nbody").unwrap();
        assert!(!letter.contains("\nBcc:"), "{letter}");
        for to in ["ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "a b@c.d", "ada"] {
            assert_eq!(built(to, "Hello"), None, "{to}");
        }
        assert!(built("j\u{fc}rgen@b\u{fc}cher.example", "Hello").is_some());
    }
}
