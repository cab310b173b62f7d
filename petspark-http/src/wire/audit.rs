//! The audit log on the wire, for administrators.

use petspark_core::audit::{AuditFilter, Entry};
use petspark_core::{AuditId, FieldErrors, PageRequest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{page_request, words};
use crate::error::ApiError;

/// Something that happened, as it was written down.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntry {
    #[schema(value_type = String, format = "uuid")]
    id: AuditId,
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// Who did it: a user, an API key, `cli:<os-user>@<host>`, `system` or `anonymous`.
    #[schema(example = "user:01980000-0000-7000-8000-000000000000")]
    actor: String,
    /// What was done.
    #[schema(value_type = words::AuditAction)]
    action: String,
    /// On what or whom.
    subject: Option<String>,
    /// Whether it worked.
    succeeded: bool,
    /// Why.
    reason: Option<String>,
    /// From which address.
    ip: Option<String>,
    /// What the request is called in the server's log.
    request_id: Option<String>,
    /// More, depending on the action.
    #[schema(value_type = Object)]
    details: Value,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            succeeded: entry.succeeded,
            reason: entry.reason,
            ip: entry.ip,
            request_id: entry.request_id,
            details: entry.details,
        }
    }
}

/// How the log is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A page as JSON.
    Page,
    /// Everything as JSON lines.
    Lines,
}

/// Which entries to list.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only what this actor did, as entries name them; a bare id is a user's.
    actor: Option<String>,
    /// Only this.
    #[param(value_type = Option<words::AuditAction>)]
    action: Option<String>,
    /// Only what was done to this, as entries name it; a bare id is a user's.
    subject: Option<String>,
    /// Not before this time.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Before this time.
    #[param(format = "date-time")]
    to: Option<String>,
    /// `ndjson`: all entries, the oldest first, a JSON object a line; without limit and cursor.
    /// The same as `Accept: application/x-ndjson`.
    #[param(example = "ndjson")]
    format: Option<String>,
    /// Most entries in the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

impl AuditQuery {
    /// `accepts_lines` is what the Accept header says.
    pub(crate) fn check(self, accepts_lines: bool) -> Result<(AuditFilter, Shape, PageRequest), ApiError> {
        let mut errors = FieldErrors::default();
        let time = |errors: &mut FieldErrors, field, text: Option<String>| {
            let problem = || "must be a time such as 2026-11-23T12:00:00Z";
            let parse = |text: String| serde_json::from_value::<Timestamp>(Value::String(text)).map_err(|_| problem());
            text.and_then(|text| errors.check(field, parse(text)))
        };
        let filter = AuditFilter {
            actor: self.actor,
            action: self.action.and_then(|action| errors.check("action", action.parse())),
            subject: self.subject,
            from: time(&mut errors, "from", self.from),
            to: time(&mut errors, "to", self.to),
        };
        let shape = match self.format.as_deref() {
            Some("ndjson") => Shape::Lines,
            Some("json") => Shape::Page,
            None if accepts_lines => Shape::Lines,
            None => Shape::Page,
            Some(_) => {
                errors.add("format", "must be json or ndjson");
                Shape::Page
            }
        };
        if shape == Shape::Lines {
            for (field, _) in [("limit", &self.limit), ("cursor", &self.cursor)].iter().filter(|(_, f)| f.is_some()) {
                errors.add(field, "can't be combined with ndjson, which is everything");
            }
        }
        let page = page_request(&mut errors, self.limit, self.cursor, None);
        errors.finish(Some((filter, shape, page))).map_err(|fields| ApiError::invalid_fields(&fields))
    }
}
