//! Blocked users on the wire.

use petspark_core::people;
use petspark_core::{Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

/// Somebody whom the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blocked {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    display_name: String,
    #[schema(value_type = String, format = "date-time")]
    blocked_at: Timestamp,
}

impl From<people::Blocked> for Blocked {
    fn from(blocked: people::Blocked) -> Self {
        Self { id: blocked.id, display_name: blocked.display_name, blocked_at: blocked.created_at }
    }
}
