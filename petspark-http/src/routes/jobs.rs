//! `/api/v1/admin/jobs`: the queue, for administrators.

use axum::extract::{Path, State};
use petspark_core::jobs::JobError;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Query, SignedNow};
use crate::wire::{Data, Job, JobQuery, List};

/// Jobs that wait, run, or have failed for good; those enqueued last first.
#[utoipa::path(get, path = "/admin/jobs", operation_id = "listJobs", tag = "admin", params(JobQuery), responses(
    (status = 200, description = "A page of jobs", body = List<Job>),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
    (status = 403, description = "ADMIN_001: for administrators", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Query(query): Query<JobQuery>,
) -> Result<List<Job>, ApiError> {
    let (state, page) = query.check()?;
    Ok(List::of(app.petspark().jobs().list(&caller, state, &page).await?, Job::from))
}

/// Have a job done now, with all its attempts, dead or not.
#[utoipa::path(post, path = "/admin/jobs/{id}/retry", operation_id = "retryJob", tag = "admin", params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, description = "The job as it is now", body = Data<Job>),
    (status = 403, description = "ADMIN_001: for administrators", body = ErrorBody),
    (status = 404, description = "JOB_001: no such job; one that is done is gone", body = ErrorBody),
    (status = 409, description = "JOB_002: it is running", body = ErrorBody),
))]
pub(super) async fn retry(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    Path(id): Path<String>,
) -> Result<Data<Job>, ApiError> {
    let id = id.parse().map_err(|_| JobError::NotFound)?;
    Ok(Data { data: app.petspark().jobs().retry(&caller, id).await?.into() })
}
