//! What can be set about second factors.

use crate::auth::Role;
use crate::config::{Environment, Loader, Setting};
use crate::database::text_enum;

text_enum! {
    /// Who must have a second factor to use their role.
    pub enum SecondFactorFor {
        /// Nobody.
        Nobody = "nobody",
        /// Administrators.
        Admin = "admin",
        /// Moderators and administrators.
        Moderator = "moderator",
    }
}

impl SecondFactorFor {
    /// Whether `role` counts only in a session with a second factor.
    pub(crate) fn includes(self, role: Role) -> bool {
        match self {
            Self::Nobody => false,
            Self::Admin => role >= Role::Admin,
            Self::Moderator => role >= Role::Moderator,
        }
    }
}

/// Second factors.
#[derive(Clone, Debug)]
pub struct SecondFactorSettings {
    /// The name under which an authenticator app lists the codes.
    pub issuer: String,
    /// Who must have one to use their role.
    pub required_for: SecondFactorFor,
}

impl SecondFactorSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let issuer: String = from.get(Setting {
            key: "auth.totp_issuer",
            env: None,
            default: "PetSpark".to_owned(),
            about: "The name under which authenticator apps list the codes: 1 to 64 characters, no colon.",
        });
        if issuer.trim().is_empty() || issuer.chars().count() > 64 || issuer.contains(':') {
            from.problem("auth.totp_issuer", "must have 1 to 64 characters and no colon");
        }
        let default = match from.environment() {
            Environment::Development => SecondFactorFor::Nobody,
            Environment::Production => SecondFactorFor::Moderator,
        };
        let required_for = from.get(Setting {
            key: "auth.require_second_factor_for",
            env: None,
            default,
            about: "Who must have a second factor to use their role: nobody, admin, or moderator (and admin). Default: moderator in production, nobody in development.",
        });
        Self { issuer, required_for }
    }
}
