//! What a user is: roles, status, and what a valid e-mail address and display name are.

use std::fmt;

use crate::clock::Timestamp;
use crate::database::text_enum;
use crate::id::UserId;

text_enum! {
    /// What a user may do beyond their own things. Each role includes those before it.
    pub enum Role {
        /// Their own things.
        User = "user",
        /// Others' pets and photos: reports, hiding, banning.
        Moderator = "moderator",
        /// Everything, users and settings included.
        Admin = "admin",
    }
}

impl Role {
    /// This role and those it includes.
    pub fn and_below(self) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |role| *role <= self)
    }
}

text_enum! {
    /// Whether a user may sign in.
    pub enum UserStatus {
        /// Yes.
        Active = "active",
        /// Not for now.
        Suspended = "suspended",
        /// No more.
        Banned = "banned",
    }
}

/// A person with an account. Never holds the password's hash.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The address they sign in with, in lower case.
    pub email: String,
    /// When they proved that the address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// The name others see.
    pub display_name: String,
    /// Where their picture is kept; see [`Links::avatar`](crate::media::Links::avatar).
    pub avatar: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub status: UserStatus,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When they last signed in or renewed their session.
    pub last_seen_at: Option<Timestamp>,
}

/// An e-mail address as it is stored and compared: trimmed and in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Longest address, in bytes: the 256-byte path of RFC 5321 section 4.5.3.1.3 less its brackets.
    pub const MAX_BYTES: usize = 254;

    /// Accepts what could be an address; whether it is one, only a mail to it can tell.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be an e-mail address such as ada@example.org";
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err("must have at most 254 bytes");
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EXPECTED)?;
        let plain = |c: char| {
            !c.is_whitespace()
                && !c.is_control()
                && !matches!(c, '@' | '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\' | '[' | ']')
        };
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric()))
        };
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && local.chars().all(plain)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        if !local_ok || !domain.contains('.') || !domain.split('.').all(label) {
            return Err(EXPECTED);
        }
        Ok(Self(text.to_lowercase()))
    }

    /// An address from a generator whose addresses are known to be valid.
    pub(crate) fn invented(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that others see: 1 to 80 characters, trimmed, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Longest name, in characters.
    pub const MAX_CHARS: usize = 80;

    /// Trims and checks a name.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        crate::text::one_line(text, Self::MAX_CHARS).map(Self).ok_or("must have 1 to 80 characters in one line")
    }

    /// A name from a generator whose names are known to be valid.
    pub(crate) fn invented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_compared_without_case() {
        assert_eq!(Email::parse("  Ada.Lovelace@Example.ORG ").unwrap().as_str(), "ada.lovelace@example.org");
        assert_eq!(Email::parse("zoë+pets@bücher.example").unwrap().as_str(), "zoë+pets@bücher.example");
    }

    #[test]
    fn what_can_be_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "a b@example.org",
            "ada@-x.org",
            "ada@x..org",
            "a\n@x.org",
            ".a@x.org",
            "a@b@x.org",
            &long,
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_role_includes_those_below_it() {
        assert_eq!(Role::Moderator.and_below().collect::<Vec<_>>(), [Role::User, Role::Moderator]);
        assert!(Role::Admin > Role::Moderator);
    }
}
