//! Sessions on the wire.

use petspark_core::auth::{ClientKind, SessionInfo};
use petspark_core::{SessionId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::words;

/// One sign-in on one device that is still good.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveSession {
    #[schema(value_type = String, format = "uuid")]
    id: SessionId,
    /// Whether this very request belongs to it.
    current: bool,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When its tokens were last renewed.
    #[schema(value_type = String, format = "date-time")]
    last_seen_at: Timestamp,
    /// When it ends, unless it is renewed before.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
    /// Whether a second factor was given in it.
    second_factor: bool,
    #[schema(required, value_type = Option<words::ClientKind>)]
    client: Option<ClientKind>,
    /// What the device called itself by `X-PetSpark-Device`.
    #[schema(required)]
    device_name: Option<String>,
    #[schema(required)]
    user_agent: Option<String>,
    /// Where it began.
    #[schema(required)]
    ip: Option<String>,
}

impl LiveSession {
    pub(crate) fn of(session: SessionInfo, current: Option<SessionId>) -> Self {
        Self {
            current: current == Some(session.id),
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.idle_expires_at.min(session.absolute_expires_at),
            second_factor: session.second_factor_at.is_some(),
            client: session.client,
            device_name: session.device_name,
            user_agent: session.user_agent,
            ip: session.ip,
        }
    }
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ended {
    success: bool,
    #[schema(example = 2)]
    ended: u64,
}

impl Ended {
    pub(crate) fn of(ended: u64) -> Self {
        Self { success: true, ended }
    }
}
