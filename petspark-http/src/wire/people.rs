//! What people say of themselves, on the wire.

use petspark_core::people::{self, ProfileChange};
use petspark_core::pets::Patch;
use petspark_core::{Timestamp, UserId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sent;

/// What a person says of themselves.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    display_name: String,
    #[schema(required)]
    bio: Option<String>,
    #[schema(required)]
    location: Option<String>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl From<people::Profile> for Profile {
    fn from(profile: people::Profile) -> Self {
        Self {
            id: profile.id,
            display_name: profile.display_name,
            bio: profile.bio,
            location: profile.location,
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        }
    }
}

/// What to change of a profile. What is not sent stays as it is; null clears. What only the
/// server sets is taken and ignored, so that a profile can be sent back as it was read.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProfileBody {
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 80, example = "Ada")]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    bio: Option<Option<String>>,
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 100, example = "Lisbon, Portugal")]
    location: Option<Option<String>>,
    #[serde(rename = "id")]
    #[schema(read_only, required = false, value_type = String, format = "uuid")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "createdAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _created_at: Option<IgnoredAny>,
    #[serde(rename = "updatedAt")]
    #[schema(read_only, required = false, value_type = String, format = "date-time")]
    _updated_at: Option<IgnoredAny>,
}

impl From<ProfileBody> for ProfileChange {
    fn from(body: ProfileBody) -> Self {
        let patch = |sent: Option<Option<String>>| sent.map_or(Patch::Keep, Patch::from_option);
        Self { display_name: patch(body.display_name), bio: patch(body.bio), location: patch(body.location) }
    }
}

/// Confirms that it is the owner who deletes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeletionBody {
    #[schema(format = "password", max_length = 256)]
    pub(crate) password: String,
}

/// An account that was deleted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deletion {
    success: bool,
    /// When everything is erased for good; until then an operator can restore the account.
    #[schema(required, value_type = Option<String>, format = "date-time")]
    erase_at: Option<Timestamp>,
}

impl From<people::Deleted> for Deletion {
    fn from(deleted: people::Deleted) -> Self {
        Self { success: true, erase_at: deleted.erase_at }
    }
}
