//! The mails of a test, read back from the files that the embedded default writes.

use base64::Engine as _;

use super::TestApp;
use crate::id::UserId;
use crate::mail::{self, Mail, Recipient, Template};
use crate::secret::Secret;

/// A mail that was sent.
#[derive(Clone, Debug)]
pub struct TestMail {
    /// Which one.
    pub template: Template,
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// The whole of it, as written.
    pub raw: String,
}

impl TestMail {
    /// The address that its link leads to, if it has a link.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        self.text.split_whitespace().find(|word| word.starts_with("http") && word.contains("#token="))
    }

    /// The one-time token in its link.
    ///
    /// # Panics
    /// When it has no link.
    #[must_use]
    pub fn token(&self) -> Secret {
        let link = self.link().expect("a mail with a link");
        Secret::new(link.split_once("#token=").expect("a token").1)
    }
}

impl TestApp {
    /// Does every job that is due, and gives all mails since the beginning of the test, oldest first.
    pub async fn mails(&self) -> Vec<TestMail> {
        self.run_jobs().await;
        let Ok(entries) = std::fs::read_dir(self.folder().join("mail")) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        // Jobs' ids sort by time.
        files.sort();
        files.iter().map(|path| read(path)).collect()
    }

    /// The last such mail to this address.
    ///
    /// # Panics
    /// When there is none.
    pub async fn mail(&self, to: &str, template: Template) -> TestMail {
        let mails = self.mails().await;
        let found = mails.iter().rfind(|mail| mail.to == to && mail.template == template);
        found
            .unwrap_or_else(|| {
                panic!(
                    "no {template} to {to} among {:?}",
                    mails.iter().map(|mail| (mail.template, &mail.to)).collect::<Vec<_>>()
                )
            })
            .clone()
    }

    /// Puts a mail without a link into the queue.
    pub async fn enqueue_mail(&self, to: UserId, template: Template) {
        let mut tx = self.petspark.database().begin().await.expect("a transaction");
        let mail = Mail::new(Recipient::User(to), template, self.clock.now());
        mail::send(&mut tx, mail).await.expect("a mail in the queue");
        tx.commit().await.expect("a commit");
    }
}

fn read(path: &std::path::Path) -> TestMail {
    let raw = std::fs::read_to_string(path).expect("a mail");
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let template = name.split('.').nth(1).and_then(|name| name.parse().ok()).expect("ID.TEMPLATE.eml");
    let (head, _) = raw.split_once("\r\n\r\n").expect("a header");
    let boundary = header(head, "Content-Type").split('"').nth(1).map(|text| format!("\r\n--{text}")).expect("parts");
    let part = |kind: &str| {
        let parts = raw.split(boundary.as_str());
        let part =
            parts.map(|part| part.split_once("\r\n\r\n")).find_map(|part| part.filter(|(head, _)| head.contains(kind)));
        let (head, body) = part.expect("both parts");
        decode(header(head, "Content-Transfer-Encoding").as_str(), body)
    };
    TestMail {
        template,
        to: header(head, "To"),
        subject: header(head, "Subject"),
        text: part("text/plain"),
        html: part("text/html"),
        raw: raw.clone(),
    }
}

fn header(head: &str, name: &str) -> String {
    let head = head.replace("\r\n ", " ");
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in\n{head}"))
}

fn decode(encoding: &str, body: &str) -> String {
    let bytes = match encoding {
        "7bit" => return body.to_owned(),
        "base64" => {
            let text: String = body.split_whitespace().collect();
            base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
        }
        "quoted-printable" => quoted_printable(&body.replace("=\r\n", "")),
        other => panic!("a part is {other}"),
    };
    String::from_utf8(bytes).expect("UTF-8")
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, quoted)) = rest.split_once('=') {
        bytes.extend(plain.as_bytes());
        bytes.push(u8::from_str_radix(&quoted[..2], 16).expect("quoted-printable"));
        rest = &quoted[2..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}
