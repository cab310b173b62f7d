//! Jobs on the wire, for administrators.

use petspark_core::jobs::{JobInfo, JobState};
use petspark_core::{FieldErrors, JobId, PageRequest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{page_request, words};
use crate::error::ApiError;

/// A job that waits, runs, or has failed for good. One that is done is gone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    #[schema(value_type = String, format = "uuid")]
    id: JobId,
    #[schema(example = "mail.send")]
    kind: String,
    #[schema(value_type = words::JobState)]
    state: JobState,
    /// What to do, by ids.
    #[schema(value_type = Object)]
    payload: Value,
    /// Of what is due, the lowest goes first.
    priority: i32,
    /// When it is done at the earliest; of a running one, when its worker is given up.
    #[schema(value_type = String, format = "date-time")]
    due_at: Timestamp,
    /// How often it was begun.
    attempts: i32,
    max_attempts: i32,
    /// The name of its schedule, if it comes up again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    dead_at: Option<Timestamp>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<JobInfo> for Job {
    fn from(job: JobInfo) -> Self {
        Self {
            id: job.id,
            state: job.state(),
            kind: job.kind,
            payload: job.payload,
            priority: job.priority,
            due_at: job.due_at,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            schedule: job.schedule,
            last_error: job.last_error,
            dead_at: job.dead_at,
            created_at: job.created_at,
        }
    }
}

/// Which jobs to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobQuery {
    /// Only in this state.
    #[param(value_type = Option<words::JobState>)]
    state: Option<String>,
    /// Most jobs in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl JobQuery {
    pub(crate) fn check(self) -> Result<(Option<JobState>, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let state = self.state.and_then(|state| errors.check("state", state.parse()));
        let page = page_request(&mut errors, self.limit, self.cursor, None);
        errors.finish(Some((state, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}
