//! Accounts on the wire.

use petspark_core::auth;
use petspark_core::media::Links;
use petspark_core::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words;

/// Somebody who wants an account. A missing field counts as an empty one, so that all that is
/// wrong is told at once.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Registration {
    #[schema(required, format = "email", max_length = 254, example = "ada@example.org")]
    pub(crate) email: String,
    #[schema(required, format = "password", min_length = 8, max_length = 256, example = "correct horse battery")]
    pub(crate) password: String,
    #[schema(required, min_length = 1, max_length = 80, example = "Ada")]
    pub(crate) display_name: String,
}

/// A mail says how a registration goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationSent {
    #[schema(example = "verification_sent")]
    status: &'static str,
}

impl Default for VerificationSent {
    fn default() -> Self {
        Self { status: "verification_sent" }
    }
}

/// Somebody who has one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(format = "email", max_length = 254, example = "ada@example.org")]
    pub(crate) email: String,
    #[schema(format = "password", max_length = 256, example = "correct horse battery")]
    pub(crate) password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RefreshBody {
    #[schema(max_length = 256)]
    pub(crate) refresh_token: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LogoutBody {
    #[schema(max_length = 256)]
    pub(crate) refresh_token: Option<String>,
}

/// A person with an account, as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    email: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    email_verified: bool,
    /// The user's role and those it includes.
    #[schema(value_type = Vec<words::Role>, example = json!(["user"]))]
    roles: Vec<auth::Role>,
    #[schema(value_type = words::UserStatus)]
    status: auth::UserStatus,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
    #[schema(required, value_type = Option<String>, format = "date-time")]
    last_seen_at: Option<Timestamp>,
}

impl User {
    pub(crate) fn of(user: auth::User, links: &Links) -> Self {
        Self {
            avatar_url: user.avatar.as_deref().map(|avatar| links.avatar(avatar)),
            id: user.id,
            email_verified: user.email_verified_at.is_some(),
            email: user.email,
            display_name: user.display_name,
            roles: user.role.and_below().collect(),
            status: user.status,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_seen_at: user.last_seen_at,
        }
    }
}

/// What signs the next requests.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenPair {
    /// Goes with every request as `Authorization: Bearer`.
    access_token: String,
    /// Gets the next pair; using it invalidates it. Browsers get it as a cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Seconds that the access token is valid.
    #[schema(example = 900)]
    expires_in: u64,
}

impl TokenPair {
    /// The refresh token is left out unless it goes `with_refresh`.
    pub(crate) fn of(tokens: &auth::Tokens, with_refresh: bool) -> Self {
        Self {
            access_token: tokens.access.expose().to_owned(),
            refresh_token: with_refresh.then(|| tokens.refresh.expose().to_owned()),
            expires_in: tokens.access_ttl.as_secs(),
        }
    }
}

/// A user and the session they just began.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    user: User,
    #[serde(flatten)]
    tokens: TokenPair,
}

impl Session {
    pub(crate) fn of(signed_in: auth::SignedIn, with_refresh: bool, links: &Links) -> Self {
        Self { tokens: TokenPair::of(&signed_in.tokens, with_refresh), user: User::of(signed_in.user, links) }
    }
}
