//! The SQL of archives: every row that is about one person. Decides nothing.

use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{QueryBuilder, query_as};

use crate::database::{Database, on_reader};
use crate::error::Fault;
use crate::id::UserId;
use crate::people::archive::{
    ArchivedAccount, ArchivedBlock, ArchivedCustomer, ArchivedDecision, ArchivedEvent, ArchivedFactor,
    ArchivedFavorite, ArchivedIdempotencyKey, ArchivedKey, ArchivedLink, ArchivedOperation, ArchivedPayment,
    ArchivedPlan, ArchivedProfile, ArchivedReport, ArchivedSession, ArchivedSubscription, ArchivedUpload,
};

#[derive(sqlx::FromRow)]
pub(in crate::people) struct Person {
    #[sqlx(flatten)]
    pub(in crate::people) account: ArchivedAccount,
    #[sqlx(flatten)]
    pub(in crate::people) profile: ArchivedProfile,
    pub(in crate::people) preferences: Option<Json<Map<String, Value>>>,
}

pub(in crate::people) async fn archived_person(db: &Database, user: UserId) -> Result<Option<Person>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, email, email_verified_at, password_hash IS NOT NULL AS has_password, password_changed_at, role, \
                status, status_reason, suspended_until, created_at, updated_at, last_seen_at, deleted_at, erase_at, \
                display_name, bio, location, preferences \
         FROM users WHERE id = $1"
    ).bind(user).fetch_optional(pool).await)?)
}

pub(in crate::people) async fn archived_sessions(db: &Database, user: UserId) -> Result<Vec<ArchivedSession>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, created_at, rotated_at, authenticated_at, second_factor_at, idle_expires_at, \
                absolute_expires_at, revoked_at, revoke_reason, client, device_name, user_agent, ip \
         FROM sessions WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_factors(db: &Database, user: UserId) -> Result<Vec<ArchivedFactor>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT 'totp' AS kind, created_at, confirmed_at, NULL AS used_at FROM totp_factors WHERE user_id = $1 \
         UNION ALL \
         SELECT 'recovery_code', created_at, NULL, used_at FROM recovery_codes WHERE user_id = $1"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_links(db: &Database, user: UserId) -> Result<Vec<ArchivedLink>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT purpose, bound_email, new_email, created_at, expires_at, consumed_at \
         FROM one_time_tokens WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_uploads(db: &Database, user: UserId) -> Result<Vec<ArchivedUpload>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, pet_id, purpose, status, reason, file_name, content_type, size, width, height, created_at \
         FROM uploads WHERE owner_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_idempotency_keys(
    db: &Database,
    user: UserId,
) -> Result<Vec<ArchivedIdempotencyKey>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT key, operation, result, created_at FROM idempotency_keys \
         WHERE user_id = $1 AND result IS NOT NULL ORDER BY created_at, key"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_favorites(db: &Database, user: UserId) -> Result<Vec<ArchivedFavorite>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT pet_id, created_at FROM favorites WHERE user_id = $1 ORDER BY created_at, pet_id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_blocks(db: &Database, user: UserId) -> Result<Vec<ArchivedBlock>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT blocked_id, created_at FROM blocks WHERE blocker_id = $1 ORDER BY created_at, blocked_id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_reports(db: &Database, user: UserId) -> Result<Vec<ArchivedReport>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT t.subject_kind, t.subject_id, r.reason, r.note, r.created_at \
         FROM reports r JOIN moderation_tasks t ON t.id = r.task_id WHERE r.reporter_id = $1 ORDER BY r.created_at"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_decisions(db: &Database, user: UserId) -> Result<Vec<ArchivedDecision>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT t.subject_kind, t.subject_id, t.decision, t.reason, t.decided_at \
         FROM moderation_tasks t JOIN pets p ON p.id = t.pet_id \
         WHERE p.owner_id = $1 AND t.status = 'decided' ORDER BY t.decided_at"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_customers(db: &Database, user: UserId) -> Result<Vec<ArchivedCustomer>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT stripe_id, created_at, deleted_at FROM billing_customers WHERE user_id = $1 ORDER BY created_at"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_subscriptions(
    db: &Database,
    user: UserId,
) -> Result<Vec<ArchivedSubscription>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, status, price_id, quantity, period_end, trial_end, cancel_at, ended_at, created_at \
         FROM billing_subscriptions WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_payments(db: &Database, user: UserId) -> Result<Vec<ArchivedPayment>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, price_id, quantity, amount, currency, status, refunded, created_at \
         FROM billing_payments WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_plans(db: &Database, user: UserId) -> Result<Vec<ArchivedPlan>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT source, plan, reason, payment_id, ends_at, revoked_at, created_at \
         FROM billing_grants WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_operations(
    db: &Database,
    user: UserId,
) -> Result<Vec<ArchivedOperation>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT kind, state, stripe_id, created_at FROM billing_operations WHERE user_id = $1 ORDER BY created_at, id"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::people) async fn archived_keys(db: &Database, actor: &str) -> Result<Vec<ArchivedKey>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, name, scopes, created_at, expires_at, revoked_at FROM api_keys WHERE created_by = $1 \
         ORDER BY created_at, id"
    ).bind(actor).fetch_all(pool).await)?)
}

/// Parameters that one statement takes at most are some 32,000 on either engine.
const SUBJECTS: usize = 500;

/// What `actor` did, and what was done to one of `subjects`.
pub(in crate::people) async fn archived_events(
    db: &Database,
    actor: &str,
    subjects: &[String],
) -> Result<Vec<ArchivedEvent>, Fault> {
    let mut events: Vec<ArchivedEvent> = Vec::new();
    for (n, subjects) in subjects.chunks(SUBJECTS).enumerate() {
        let part: Vec<ArchivedEvent> = on_reader!(db, pool => {
            let mut sql = QueryBuilder::new("SELECT id, at, CASE WHEN actor = ");
            sql.push_bind(actor.to_owned());
            sql.push(
                " THEN 'you' WHEN actor = 'anonymous' THEN 'nobody' ELSE 'staff' END AS \"by\", \
                 action, succeeded, reason, details, CASE WHEN actor = 'anonymous' OR actor = ",
            );
            sql.push_bind(actor.to_owned()).push(" THEN ip END AS ip FROM audit_log WHERE subject IN (");
            let mut list = sql.separated(", ");
            for subject in subjects {
                list.push_bind(subject.clone());
            }
            sql.push(")");
            // Once only, however many chunks there are.
            if n == 0 {
                sql.push(" OR actor = ").push_bind(actor.to_owned());
            }
            sql.build_query_as().fetch_all(pool).await?
        });
        events.extend(part);
    }
    events.sort_by_key(|event| (event.at, event.id));
    events.dedup_by_key(|event| event.id);
    Ok(events)
}
