//! What is sent to get back into an account, and to change its password and address.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whom a link is for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AddressBody {
    #[schema(format = "email", max_length = 254, example = "ada@example.org")]
    pub(crate) email: String,
}

/// The token of a link, from behind its `#token=`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TokenBody {
    #[schema(max_length = 256)]
    pub(crate) token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResetBody {
    #[schema(max_length = 256)]
    pub(crate) token: String,
    #[schema(format = "password", min_length = 8, max_length = 256, example = "correct horse battery")]
    pub(crate) new_password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PasswordBody {
    #[schema(format = "password", max_length = 256)]
    pub(crate) current_password: String,
    #[schema(format = "password", min_length = 8, max_length = 256, example = "correct horse battery")]
    pub(crate) new_password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EmailBody {
    #[schema(format = "email", max_length = 254, example = "ada@example.org")]
    pub(crate) new_email: String,
    #[schema(format = "password", max_length = 256)]
    pub(crate) password: String,
}

/// What was asked for is under way, or there was nothing to do: the answer doesn't tell which.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[schema(example = "accepted")]
    status: &'static str,
}

impl Accepted {
    pub(crate) const YES: Self = Self { status: "accepted" };
}
