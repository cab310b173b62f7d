//! `/api/v1/pets/{id}/report` and `/api/v1/admin/moderation`: what people report, and what
//! moderators decide. Who may is decided in core.

use axum::extract::{Path, State};
use http::StatusCode;
use petspark_core::TaskId;
use petspark_core::moderation::ModerationError;

use super::pets::pet_id;
use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Idempotent, Json, Query, Signed, SignedNow};
use crate::wire::{Data, DecisionBody, List, Replayed, Report, ReportBody, TakenTask, Task, TaskQuery};

/// What is no id is the id of nothing.
fn task_id(text: &str) -> Result<TaskId, ApiError> {
    text.parse().map_err(|_| ModerationError::NotFound.into())
}

/// Report a pet to the moderators. Its owner isn't told by whom.
#[utoipa::path(post, path = "/pets/{id}/report", operation_id = "reportPet", tag = "pets",
    params(("id" = String, Path, format = "uuid"), Idempotent), request_body = ReportBody, responses(
    (status = 201, description = "The report", body = Data<Report>, headers(
        ("Idempotency-Replayed" = bool, description = "true when the key was used before: this is the first answer again"))),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "MOD_006: one's own pet", body = ErrorBody),
    (status = 404, description = "PET_001: no such pet, or none the caller may see", body = ErrorBody),
    (status = 409, description = "MOD_005: reported already, and not decided yet; IDEMPOTENCY_KEY_REUSED", body = ErrorBody),
    (status = 429, description = "RATE_LIMITED: 50 reports in 24 hours", body = ErrorBody),
))]
pub(super) async fn report(
    State(app): State<App>,
    Signed(caller): Signed,
    Path(id): Path<String>,
    Idempotent(key): Idempotent,
    Json(body): Json<ReportBody>,
) -> Result<(StatusCode, Replayed, Data<Report>), ApiError> {
    let moderation = app.petspark().moderation();
    let made = moderation.report_pet_once(&caller, pet_id(&id)?, body.into(), key.as_ref()).await?;
    Ok((StatusCode::CREATED, Replayed(made.replayed), Data { data: made.result.into() }))
}

/// What was reported, the oldest first.
#[utoipa::path(get, path = "/admin/moderation/tasks", operation_id = "listModerationTasks", tag = "admin", params(TaskQuery), responses(
    (status = 200, description = "A page of tasks", body = List<Task>),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
    (status = 403, description = "ADMIN_001: for moderators", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Query(query): Query<TaskQuery>,
) -> Result<List<Task>, ApiError> {
    let (filter, page) = query.check()?;
    Ok(List::of(app.petspark().moderation().list(&caller, filter, &page).await?, Task::from))
}

/// Take a task, to decide it. Taking it again gives the same again.
#[utoipa::path(post, path = "/admin/moderation/tasks/{id}/take", operation_id = "takeModerationTask", tag = "admin", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The task, and what people said", body = Data<TakenTask>),
    (status = 403, description = "ADMIN_001: for moderators; MOD_006: about one's own pet", body = ErrorBody),
    (status = 404, description = "MOD_001: no such task", body = ErrorBody),
    (status = 409, description = "MOD_002: taken by someone else; MOD_004: decided already", body = ErrorBody),
))]
pub(super) async fn take(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
) -> Result<Data<TakenTask>, ApiError> {
    let taken = app.petspark().moderation().take(&caller, task_id(&id)?).await?;
    Ok(Data { data: taken.into() })
}

/// Decide a task that one took: what is rejected is banned. The owner is told by mail.
#[utoipa::path(post, path = "/admin/moderation/tasks/{id}/decision", operation_id = "decideModerationTask", tag = "admin", params(("id" = String, Path, format = "uuid")), request_body = DecisionBody, responses(
    (status = 200, description = "The task as it is now", body = Data<Task>),
    (status = 400, description = "VALIDATION_FAILED", body = ErrorBody),
    (status = 403, description = "ADMIN_001: for moderators", body = ErrorBody),
    (status = 404, description = "MOD_001: no such task", body = ErrorBody),
    (status = 409, description = "MOD_002: taken by someone else; MOD_003: not taken; MOD_004: decided already", body = ErrorBody),
))]
pub(super) async fn decide(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
    Json(body): Json<DecisionBody>,
) -> Result<Data<Task>, ApiError> {
    let task = app.petspark().moderation().decide(&caller, task_id(&id)?, body.into()).await?;
    Ok(Data { data: task.into() })
}
