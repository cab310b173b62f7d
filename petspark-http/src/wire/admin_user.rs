//! Users on the wire as administrators see and change them.

use petspark_core::auth::{self, StatusChange, UserChange, UserFilter};
use petspark_core::media::Links;
use petspark_core::{FieldErrors, PageRequest, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::User;
use super::{page_request, words};
use crate::error::ApiError;

/// Which users to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// How the e-mail address or the name begins; case doesn't matter.
    #[param(max_length = 254)]
    q: Option<String>,
    #[param(value_type = Option<words::Role>)]
    role: Option<String>,
    #[param(value_type = Option<words::UserStatus>)]
    status: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    cursor: Option<String>,
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
    offset: Option<String>,
}

impl UserQuery {
    pub(crate) fn check(self) -> Result<(UserFilter, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let role = self.role.and_then(|text| errors.check("role", text.parse()));
        let status = self.status.and_then(|text| errors.check("status", text.parse()));
        let page = page_request(&mut errors, self.limit, self.cursor, self.offset);
        let filter = UserFilter { q: self.q, role, status, ..UserFilter::default() };
        errors.finish(Some((filter, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}

/// What to change of a user; what is missing stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct UserPatch {
    #[schema(value_type = Option<words::Role>)]
    role: Option<auth::Role>,
    #[schema(value_type = Option<words::UserStatus>)]
    status: Option<auth::UserStatus>,
    /// Why; needed to suspend and to ban.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// When a suspension ends by itself.
    #[schema(value_type = Option<String>, format = "date-time", max_length = 40)]
    until: Option<Timestamp>,
}

impl UserPatch {
    pub(crate) fn check(self) -> Result<UserChange, ApiError> {
        let Some(status) = self.status else {
            let mut errors = FieldErrors::default();
            for (name, given) in [("reason", self.reason.is_some()), ("until", self.until.is_some())] {
                if given {
                    errors.add(name, "goes with a status");
                }
            }
            let change = UserChange { role: self.role, ..UserChange::default() };
            return errors.finish(Some(change)).map_err(|fields| ApiError::invalid_fields(&fields));
        };
        let status = StatusChange { status, reason: self.reason, until: self.until };
        Ok(UserChange { role: self.role, role_reason: None, status: Some(status) })
    }
}

/// A user and what administrators want to know of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserDetails {
    #[serde(flatten)]
    user: User,
    /// Why they are suspended or banned.
    #[schema(required)]
    status_reason: Option<String>,
    /// When the suspension ends by itself.
    #[schema(required, value_type = Option<String>, format = "date-time")]
    suspended_until: Option<Timestamp>,
    /// Whether they sign in with a second factor.
    second_factor: bool,
    /// How many sessions could be used now.
    sessions: u64,
    #[schema(required, value_type = Option<String>, format = "date-time")]
    last_login_at: Option<Timestamp>,
}

impl UserDetails {
    pub(crate) fn of(details: auth::UserDetails, links: &Links) -> Self {
        Self {
            user: User::of(details.user, links),
            status_reason: details.status_reason,
            suspended_until: details.suspended_until,
            second_factor: details.second_factor,
            sessions: details.sessions,
            last_login_at: details.last_login_at,
        }
    }
}
