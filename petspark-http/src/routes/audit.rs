//! `/api/v1/admin/audit-logs`: who did what, for administrators.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use petspark_core::Fault;
use petspark_core::audit::Entry;

use crate::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Query, SignedNow};
use crate::wire::{AuditEntry, AuditQuery, List, Shape};

const NDJSON: &str = "application/x-ndjson";

/// The audit log: a page, the newest entry first, or with `format=ndjson` all of it as JSON
/// lines, the oldest first.
#[utoipa::path(get, path = "/admin/audit-logs", operation_id = "listAuditLogs", tag = "admin", params(AuditQuery), responses(
    (status = 200, description = "A page of entries, or all as lines", content(
        (List<AuditEntry> = "application/json"),
        (String = "application/x-ndjson"),
    )),
    (status = 400, description = "VALIDATION_FAILED: a filter or the cursor", body = ErrorBody),
    (status = 403, description = "ADMIN_001: for administrators", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    SignedNow(caller): SignedNow,
    headers: HeaderMap,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (filter, shape, page) = query.check(accept.split([',', ';']).any(|kind| kind.trim() == NDJSON))?;
    let audit = app.petspark().audit();
    if shape == Shape::Page {
        return Ok(List::of(audit.list(&caller, filter, &page).await?, AuditEntry::from).into_response());
    }
    // A fault in the middle cuts the answer off, which is how a client knows that it isn't whole.
    let batches = audit.export(&caller, filter)?.inspect_err(|fault| {
        tracing::error!(cause = fault.chain(), "an export of the audit log was cut off");
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NDJSON)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(batches.map(|batch| batch.and_then(lines)))).into_response())
}

fn lines(batch: Vec<Entry>) -> Result<Bytes, Fault> {
    let mut text = Vec::new();
    for entry in batch {
        serde_json::to_writer(&mut text, &AuditEntry::from(entry)).map_err(Fault::internal)?;
        text.push(b'\n');
    }
    Ok(text.into())
}
