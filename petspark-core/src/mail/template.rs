//! The texts of mails: built in, or replaced by files in a folder. Which values they may use is
//! fixed for each, and checked before the first mail. No mail has text that its reader's
//! counterpart chose, such as a display name: that would make us a relay for whoever registers
//! a stranger's address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::database::text_enum;
use crate::error::Fault;

/// Declares the mails, each with its name and the values that only it has.
macro_rules! templates {
    ($($(#[$doc:meta])* $variant:ident = $name:literal [$($value:literal),*]),+ $(,)?) => {
        text_enum! {
            /// A mail that PetSpark sends.
            pub enum Template { $($(#[$doc])* $variant = $name),+ }
        }

        impl Template {
            /// What this mail can say beyond what every mail can.
            pub(super) fn own_values(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($value),*]),+ }
            }
        }

        const BUILT_IN: &[(&str, &str)] = &[
            ("layout.txt", include_str!("templates/layout.txt")),
            ("layout.html", include_str!("templates/layout.html")),
            $(
                (concat!($name, ".subject"), include_str!(concat!("templates/", $name, ".subject"))),
                (concat!($name, ".txt"), include_str!(concat!("templates/", $name, ".txt"))),
                (concat!($name, ".html"), include_str!(concat!("templates/", $name, ".html"))),
            )+
        ];
    };
}

templates! {
    /// To somebody new, to prove their address.
    VerifyEmail = "verify-email" ["link", "expires"],
    /// To the owner of an address that somebody wanted to register, or to move to.
    AlreadyRegistered = "already-registered" [],
    /// To somebody who forgot their password.
    ResetPassword = "reset-password" ["link", "expires"],
    /// To somebody for whom an operator made an account without a password.
    Invite = "invite" ["link", "expires"],
    /// Notice of a changed password.
    PasswordChanged = "password-changed" [],
    /// To the address that somebody wants to move to.
    ConfirmEmailChange = "confirm-email-change" ["link", "expires"],
    /// To the address before, with a way back.
    EmailChanged = "email-changed" ["link", "expires"],
    /// Notice of a second factor.
    SecondFactorAdded = "second-factor-added" [],
    /// Notice that it is gone.
    SecondFactorRemoved = "second-factor-removed" [],
    /// Notice that a recovery code stood in for it.
    RecoveryCodeUsed = "recovery-code-used" [],
    /// Notice that a session was ended because its old token came back.
    SessionRevoked = "session-revoked" [],
    /// Notice that the account will be erased on the day `erase_at`.
    AccountDeletionScheduled = "account-deletion-scheduled" ["erase_at"],
    /// The last one.
    AccountDeleted = "account-deleted" [],
    /// Notice of a suspension, with what moderators said: `reason`, and `until` when; both may be left out.
    AccountSuspended = "account-suspended" ["reason", "until"],
    /// To the owner of a pet that was reported and stays, with its `species` and when it was `added`.
    PetApproved = "pet-approved" ["species", "added"],
    /// The same for one that was banned.
    PetBanned = "pet-banned" ["species", "added"],
    /// To the owner of a photo that a moderator looked at, and that is shown now, with when it was `added`.
    PhotoApproved = "photo-approved" ["added"],
    /// The same for one that isn't shown.
    PhotoRejected = "photo-rejected" ["added"],
    /// To somebody whose payment failed: their plan goes on `until` then, if it does.
    PaymentFailed = "payment-failed" ["until"],
    /// To somebody whose bank wants them to confirm a payment.
    PaymentActionRequired = "payment-action-required" [],
    /// To somebody whose trial ends, on the day `trial_end`.
    TrialEnding = "trial-ending" ["trial_end"],
    /// From an operator who wants to see whether mails arrive.
    Test = "test" [],
}

/// What every mail can say: the recipient's address, the product's name, when it happened, and
/// where the product is.
const COMMON_VALUES: [&str; 4] = ["email", "product", "time", "web_url"];
const KINDS: [&str; 3] = ["subject", "txt", "html"];

impl Template {
    /// Whether it has a link with a token.
    pub(super) fn has_link(self) -> bool {
        self.own_values().contains(&"link")
    }
}

/// A mail's three texts.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// All texts, parsed.
pub(super) struct Templates(Environment<'static>);

impl Templates {
    /// The built-in texts, with those in `folder` instead where there are some.
    ///
    /// # Errors
    /// For a person: which file, and what is wrong with it.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(
            |name| {
                if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
            },
        );
        for (name, source) in BUILT_IN {
            environment.add_template(name, source).map_err(|error| told(Path::new(name), &error))?;
        }
        let mut templates = Self(environment);
        if let Some(folder) = folder {
            templates.replace(folder)?;
        }
        Ok(templates)
    }

    /// A mail's texts with `values` in their places; those that aren't given are empty.
    pub(super) fn render(&self, template: Template, values: &BTreeMap<&str, String>) -> Result<Rendered, Fault> {
        let text =
            |kind| self.fill(&format!("{template}.{kind}"), values).map_err(|error| Fault::internal(error.to_string()));
        Ok(Rendered {
            // A header has one line, whatever the file has.
            subject: text("subject")?.split_whitespace().collect::<Vec<_>>().join(" "),
            text: text("txt")?,
            html: text("html")?,
        })
    }

    fn fill(&self, name: &str, values: &BTreeMap<&str, String>) -> Result<String, minijinja::Error> {
        // The layouts ask for a link whether there is one or not.
        let mut all = BTreeMap::from([("link", Value::from(""))]);
        let known = name.rsplit_once('.').and_then(|(stem, _)| stem.parse::<Template>().ok());
        let names = COMMON_VALUES.iter().chain(known.map_or(&[][..], Template::own_values));
        all.extend(names.map(|name| (*name, Value::from(""))));
        let as_is = !name.ends_with(".html");
        all.extend(values.iter().map(|(name, value)| (*name, if as_is { Value::from(value) } else { escaped(value) })));
        self.0.get_template(name)?.render(Value::from(all))
    }

    fn replace(&mut self, folder: &Path) -> Result<(), String> {
        let unreadable = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        let mut replaced: Vec<(String, PathBuf)> = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, error))?.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !KINDS.contains(&extension) {
                continue;
            }
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if !BUILT_IN.iter().any(|(known, _)| *known == name) {
                let known: Vec<_> = Template::ALL.iter().map(|template| template.as_str()).collect();
                return Err(format!("{}: is no mail of ours; those are {}", path.display(), known.join(", ")));
            }
            let source = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            self.0.add_template_owned(name.clone(), source).map_err(|error| told(&path, &error))?;
            replaced.push((name, path));
        }
        for (name, path) in &replaced {
            self.check(name, path)?;
        }
        // What a replaced layout does to a text that isn't replaced shows only when it is filled.
        if !replaced.is_empty() {
            for (name, _) in BUILT_IN {
                let path = replaced.iter().find(|(other, _)| other == name).map_or(folder, |(_, path)| path);
                self.fill(name, &BTreeMap::new()).map_err(|error| told(path, &error))?;
            }
        }
        Ok(())
    }

    /// Whether a replaced text asks only for what there is, on every branch.
    fn check(&self, name: &str, path: &Path) -> Result<(), String> {
        let known = name.rsplit_once('.').and_then(|(stem, _)| stem.parse::<Template>().ok());
        let own = known.map_or(&["link"][..], Template::own_values);
        let mut allowed: Vec<_> = COMMON_VALUES.iter().chain(own).copied().collect();
        allowed.sort_unstable();
        let text = self.0.get_template(name).map_err(|error| told(path, &error))?;
        let mut asked: Vec<_> = text.undeclared_variables(false).into_iter().collect();
        asked.sort_unstable();
        match asked.iter().find(|value| !allowed.contains(&value.as_str()) && *value != "super") {
            Some(unknown) => Err(format!(
                "{}: there is no {{{{ {unknown} }}}} in this mail; there are {}",
                path.display(),
                allowed.join(", ")
            )),
            None => Ok(()),
        }
    }
}

/// For HTML. minijinja's own escaping, which still guards what is made up inside a text, turns
/// every `/` of a link into `&#x2f;`.
fn escaped(value: &str) -> Value {
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Value::from_safe_string(escaped.replace('"', "&quot;").replace('\'', "&#39;"))
}

fn told(path: &Path, error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    format!("{}{line}: {detail}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything(template: Template) -> BTreeMap<&'static str, String> {
        let names = COMMON_VALUES.iter().chain(template.own_values());
        names.map(|name| (*name, format!("<{name}>"))).collect()
    }

    #[test]
    fn every_mail_says_what_it_is_given_in_text_and_in_html() {
        let templates = Templates::load(None).unwrap();
        for template in Template::ALL {
            for (name, _) in BUILT_IN {
                templates.check(name, Path::new(name)).unwrap();
            }
            let mail = templates.render(*template, &everything(*template)).unwrap();
            assert!(
                !mail.subject.is_empty() && !mail.subject.contains(['\n', '<']) || mail.subject.contains("<product>")
            );
            for value in template.own_values().iter().chain(&["product", "email", "web_url"]) {
                assert!(mail.text.contains(&format!("<{value}>")), "{template}.txt: {value}\n{}", mail.text);
                assert!(mail.html.contains(&format!("&lt;{value}&gt;")), "{template}.html: {value}\n{}", mail.html);
            }
            assert!(!mail.html.contains("<img") && !mail.html.contains("<email>"), "{template}");
        }
    }

    #[test]
    fn what_is_not_given_is_left_out() {
        let templates = Templates::load(None).unwrap();
        let mail =
            templates.render(Template::AccountSuspended, &BTreeMap::from([("time", "noon".to_owned())])).unwrap();
        assert!(mail.text.contains("suspended on noon.\n"), "{}", mail.text);
        assert!(!mail.html.contains("<a "), "{}", mail.html);
    }

    #[test]
    fn files_in_a_folder_replace_the_texts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("invite.subject"), "Come to\r\nBcc: {{ product }}\n").unwrap();
        std::fs::write(folder.path().join("layout.txt"), "HELLO {% block content %}{% endblock %}").unwrap();
        std::fs::write(folder.path().join("README.md"), "{{ nonsense").unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        let mail = templates.render(Template::Invite, &everything(Template::Invite)).unwrap();
        assert_eq!(mail.subject, "Come to Bcc: <product>");
        assert!(mail.text.starts_with("HELLO ") && mail.text.contains("<link>"));
        assert!(mail.html.contains("&lt;link&gt;"));
    }

    #[test]
    fn a_wrong_file_is_named_with_what_is_wrong() {
        for (file, text, complaint) in [
            (
                "invite.txt",
                "Hello {% if false %}{{ lnik }}{% endif %}",
                "there is no {{ lnik }} in this mail; there are email, expires, link, product, time, web_url",
            ),
            ("password-changed.txt", "{{ link }}", "there is no {{ link }}"),
            ("invite.html", "Hello\n{{ link", "invite.html, line 2: "),
            ("invite.html", "{% extends 'nothing.html' %}", "nothing.html"),
            ("layout.html", "{{ reason }}", "layout.html: there is no {{ reason }}"),
            ("invitation.txt", "Hello", "invitation.txt: is no mail of ours; those are verify-email, "),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            let refused = Templates::load(Some(folder.path())).err().unwrap();
            assert!(refused.contains(file) && refused.contains(complaint), "{refused}");
        }
        assert!(Templates::load(Some(Path::new("/nowhere"))).err().unwrap().starts_with("/nowhere: "));
    }
}
