//! All SQL of the audit log. Decides nothing.

use serde_json::Value;
use sqlx::query;
use sqlx::types::Json;

use super::Event;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::{Tx, on};
use crate::error::Fault;
use crate::id::AuditId;

pub(super) async fn insert(tx: &mut Tx, now: Timestamp, caller: &Caller, event: &Event) -> Result<(), Fault> {
    let origin = caller.origin();
    on!(tx, conn => query(
        "INSERT INTO audit_log (id, at, actor, action, subject, succeeded, reason, ip, request_id, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
        .bind(AuditId::new()).bind(now).bind(caller.to_string()).bind(event.action)
        .bind(event.subject.map(|subject| subject.to_string())).bind(event.succeeded)
        .bind(event.reason.as_deref()).bind(origin.ip.map(|ip| ip.to_string())).bind(origin.request_id.as_deref())
        .bind(Json(Value::Object(event.details.clone())))
        .execute(conn).await.map(drop))?;
    Ok(())
}
