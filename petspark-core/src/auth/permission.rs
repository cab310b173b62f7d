//! Who may do what: one table for users by their role and for API keys by their scopes. Services
//! ask [`Caller::require`](crate::Caller) for a permission; whose own thing something is, they
//! look at themselves.

use std::fmt;

use super::user::Role;
use crate::database::text_enum;
use crate::error::failure;

text_enum! {
    /// Something that not everybody may do. The word is also the name of the scope that lets an
    /// API key do it, if there is one.
    pub enum Permission {
        /// Look at the pets that everybody may see.
        ReadPets = "pets:read",
        /// Other people's pets: see hidden ones, change, ban, delete.
        ManagePets = "pets:write",
        /// Look at what was reported, take it, and decide on it.
        Moderate = "moderation:write",
        /// Look at accounts.
        ReadUsers = "users:read",
        /// Make, suspend and ban accounts, and end their sessions.
        ManageUsers = "users:write",
        /// Make moderators and administrators, manage their accounts, and do what could give hold
        /// of anybody's account: another address, a new password's link, no second factor.
        ManageStaff = "staff:write",
        /// Look at the audit log.
        ReadAudit = "audit:read",
        /// Look at the queue of jobs.
        ReadJobs = "jobs:read",
        /// Retry and drop jobs.
        ManageJobs = "jobs:write",
        /// Look at what people bought, and at the events of the payment provider.
        ReadBilling = "billing:read",
        /// Give and take plans, refund, and look after payments.
        ManageBilling = "billing:write",
        /// Look at how many there are of everything.
        ReadDashboard = "dashboard:read",
        /// End the sessions of many users at once, or of anybody.
        ManageSessions = "sessions:write",
        /// Look at, make, promote and retire signing keys, and take tokens apart.
        ManageSigningKeys = "keys:write",
        /// Make, rotate and revoke API keys.
        ManageApiKeys = "apikeys:write",
    }
}

impl Permission {
    /// The least role that may do this.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::ReadPets => Role::User,
            Self::ManagePets | Self::Moderate => Role::Moderator,
            Self::ReadUsers
            | Self::ManageUsers
            | Self::ManageStaff
            | Self::ReadAudit
            | Self::ReadJobs
            | Self::ManageJobs
            | Self::ReadBilling
            | Self::ManageBilling
            | Self::ReadDashboard
            | Self::ManageSessions
            | Self::ManageSigningKeys
            | Self::ManageApiKeys => Role::Admin,
        }
    }

    /// Whether an API key can have this as a scope. Nothing by which it could touch staff or make
    /// itself more powerful, by another key or by an administrator of its own.
    #[must_use]
    pub const fn is_scope(self) -> bool {
        !matches!(self, Self::ManageStaff | Self::ManageSessions | Self::ManageSigningKeys | Self::ManageApiKeys)
    }

    /// Every permission that an API key can have.
    pub fn scopes() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|permission| permission.is_scope())
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What an API key may do. Holds only what can be a scope.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Whether the key may do this.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether the key may do nothing.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::scopes().filter(move |scope| self.contains(*scope))
    }
}

/// Reads what [`Display`](fmt::Display) wrote. A word that this build doesn't know allows nothing.
impl From<String> for Scopes {
    fn from(text: String) -> Self {
        text.split(' ').filter_map(|word| word.parse::<Permission>().ok()).collect()
    }
}

impl FromIterator<Permission> for Scopes {
    /// What can't be a scope is left out.
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let scopes = permissions.into_iter().filter(|permission| permission.is_scope());
        Self(scopes.fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// The scopes' names with a space between them, as OAuth writes them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Permission::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

/// Why a caller may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Nobody is signed in.
    #[error("Please sign in.")]
    Unauthenticated,
    /// Neither role nor scope allows it.
    #[error("You are not allowed to do this.")]
    Forbidden,
    /// The role allows it, once a second factor is set up.
    #[error("This needs a second factor on your account; please set one up, and sign in with it.")]
    SecondFactorRequired,
}

failure! {
    Denied,
    own {
        Unauthenticated => (Kind::Unauthenticated, "AUTH_006"),
        Forbidden => (Kind::Forbidden, "ADMIN_001"),
        SecondFactorRequired => (Kind::Forbidden, "AUTH_014"),
    },
    asks {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_were_written() {
        let scopes: Scopes = [Permission::ManageUsers, Permission::ReadPets].into_iter().collect();
        assert_eq!(scopes.to_string(), "pets:read users:write");
        assert_eq!(Scopes::from(scopes.to_string()), scopes);
        assert_eq!(Scopes::from("pets:read pets:eat".to_owned()).to_string(), "pets:read");
        assert!(Scopes::from(String::new()).is_empty());
    }

    #[test]
    fn a_key_can_not_be_given_what_would_make_it_more_powerful() {
        let all: Scopes = Permission::ALL.iter().copied().collect();
        for permission in Permission::ALL {
            assert_eq!(all.contains(*permission), permission.is_scope(), "{permission}");
        }
        assert!(!Scopes::from("staff:write apikeys:write".to_owned()).contains(Permission::ManageStaff));
    }
}
