//! `/api/v1/auth/sessions`: where somebody is signed in, and ending that.

use axum::extract::{Path, State};
use petspark_core::SessionId;
use petspark_core::auth::AuthError;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Signed;
use crate::wire::{Data, Ended, LiveSession, Success};

/// The caller's own sessions, the one used last first.
#[utoipa::path(get, path = "/auth/sessions", operation_id = "listSessions", tag = "auth", responses(
    (status = 200, description = "Live sessions", body = Data<Vec<LiveSession>>),
))]
pub(super) async fn list(State(app): State<App>, Signed(caller): Signed) -> Result<Data<Vec<LiveSession>>, ApiError> {
    let user = caller.user_id().ok_or(AuthError::Unauthenticated)?;
    let sessions = app.petspark().auth().list_sessions(&caller, user).await?;
    Ok(Data { data: sessions.into_iter().map(|session| LiveSession::of(session, caller.session_id())).collect() })
}

/// End one of the caller's own sessions.
#[utoipa::path(delete, path = "/auth/sessions/{id}", operation_id = "endSession", tag = "auth",
    params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "It has ended", body = Data<Success>),
    (status = 404, description = "AUTH_015: over already, or not theirs", body = ErrorBody),
))]
pub(super) async fn end(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Result<Success, ApiError> {
    let id: SessionId = id.parse().map_err(|_| AuthError::SessionNotFound)?;
    app.petspark().auth().revoke_own_session(&caller, id).await?;
    Ok(Success::YES)
}

/// End all of the caller's sessions but the present one.
#[utoipa::path(delete, path = "/auth/sessions", operation_id = "endOtherSessions", tag = "auth", responses(
    (status = 200, description = "They have ended", body = Data<Ended>),
))]
pub(super) async fn end_others(State(app): State<App>, Signed(caller): Signed) -> Result<Data<Ended>, ApiError> {
    let ended = app.petspark().auth().revoke_other_sessions(&caller).await?;
    Ok(Data { data: Ended::of(ended) })
}
