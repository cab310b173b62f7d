//! The names of what is written down, by the OWASP Logging Vocabulary Cheat Sheet where it has one.

use crate::database::text_enum;

text_enum! {
    /// What was done, or tried.
    pub enum Action {
        /// Somebody signed in.
        LoginSuccess = "authn_login_success",
        /// A sign-in was refused.
        LoginFail = "authn_login_fail",
        /// Somebody signed out.
        Logout = "authn_logout",
        /// A refresh token was used a second time; its session was ended.
        TokenReuse = "authn_token_reuse",
        /// A refresh token was used a second time where that is no theft.
        TokenReuseGrace = "authn_token_reuse_grace",
        /// One session or more were ended.
        SessionRevoked = "session_revoked",
        /// An account was made.
        UserCreated = "user_created",
        /// A user was given another role.
        RoleChanged = "authz_change",
    }
}
