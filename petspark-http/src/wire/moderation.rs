//! Reports and moderation tasks on the wire.

use std::collections::BTreeMap;

use petspark_core::moderation::{
    self, Decision, NewDecision, NewReport, ReportReason, SubjectKind, TaskFilter, TaskStatus,
};
use petspark_core::{FieldErrors, PageRequest, SubjectId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{page_request, words};
use crate::error::ApiError;

/// What somebody has to say about a pet.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReportBody {
    #[schema(value_type = words::ReportReason)]
    reason: String,
    /// For the moderator. Needed when the reason is `other`.
    #[schema(max_length = 1000)]
    note: Option<String>,
}

impl From<ReportBody> for NewReport {
    fn from(body: ReportBody) -> Self {
        Self { reason: body.reason, note: body.note }
    }
}

/// What somebody said. Who it was isn't told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    #[schema(value_type = words::ReportReason)]
    reason: ReportReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

impl From<moderation::Report> for Report {
    fn from(report: moderation::Report) -> Self {
        Self { reason: report.reason, note: report.note, created_at: report.created_at }
    }
}

/// Something that people reported, and what was decided on it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    #[schema(value_type = String, format = "uuid")]
    id: TaskId,
    subject: Subject,
    #[schema(value_type = words::TaskStatus)]
    status: TaskStatus,
    /// How many people reported it.
    reports: u64,
    /// How many of them for which reason.
    #[schema(value_type = Object, example = json!({"spam": 2}))]
    reasons: BTreeMap<ReportReason, u64>,
    /// When it was first reported.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last reported.
    #[schema(value_type = String, format = "date-time")]
    reported_at: Timestamp,
    /// Who took it last, and decided it if it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "user:01980000-0000-7000-8000-000000000000")]
    taken_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    taken_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Decision>)]
    decision: Option<Decision>,
    /// Why, in the moderator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    decided_at: Option<Timestamp>,
}

/// What a task is about.
#[derive(Debug, Serialize, ToSchema)]
struct Subject {
    #[schema(value_type = words::SubjectKind)]
    kind: SubjectKind,
    #[schema(value_type = String, format = "uuid")]
    id: SubjectId,
}

impl From<moderation::Task> for Task {
    fn from(task: moderation::Task) -> Self {
        Self {
            id: task.id,
            subject: Subject { kind: task.subject_kind, id: task.subject_id },
            status: task.status,
            reports: task.reports(),
            reasons: task.reasons,
            created_at: task.created_at,
            reported_at: task.reported_at,
            taken_by: task.taken_by,
            taken_at: task.taken_at,
            decision: task.decision,
            reason: task.reason,
            decided_at: task.decided_at,
        }
    }
}

/// A task as who took it sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TakenTask {
    #[serde(flatten)]
    task: Task,
    /// What people said, the last first; the last 50, if there is more.
    last_reports: Vec<Report>,
}

impl From<moderation::Taken> for TakenTask {
    fn from(taken: moderation::Taken) -> Self {
        Self { task: taken.task.into(), last_reports: taken.reports.into_iter().map(Report::from).collect() }
    }
}

/// What becomes of the thing. Both fields are needed; that they are there is checked after who asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DecisionBody {
    #[serde(default)]
    #[schema(required, value_type = words::Decision)]
    decision: String,
    /// Why, for the record and for colleagues, in one line. The owner isn't told.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 500)]
    reason: String,
}

impl From<DecisionBody> for NewDecision {
    fn from(body: DecisionBody) -> Self {
        Self { decision: body.decision, reason: body.reason }
    }
}

/// Which tasks to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// Only with this status. Without it, all that aren't decided.
    #[param(value_type = Option<words::TaskStatus>)]
    status: Option<String>,
    /// Most tasks in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl TaskQuery {
    pub(crate) fn check(self) -> Result<(TaskFilter, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let status = self.status.and_then(|status| errors.check("status", status.parse()));
        let page = page_request(&mut errors, self.limit, self.cursor, None);
        errors.finish(Some((TaskFilter { status }, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}
