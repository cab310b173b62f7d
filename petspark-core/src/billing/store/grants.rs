//! The SQL of grants, and the one statement that says what somebody has. Decides nothing.

use sqlx::{query, query_as};

use crate::billing::entitled::Fact;
use crate::billing::grants::Grant;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;
use crate::id::{GrantId, UserId};

/// Everything that may let a user have a plan.
pub(in crate::billing) async fn facts(db: &Database, user: UserId) -> Result<Vec<Fact>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT 'subscription' AS source, coalesce(pr.plan, pd.plan) AS plan, pr.lookup_key, s.status, s.period_end, \
                s.cancel_at, s.cancel_at_period_end, s.ended_at, s.paused, s.failing_since, s.last_access, \
                NULL AS ends_at \
         FROM billing_subscriptions s LEFT JOIN billing_prices pr ON pr.id = s.price_id \
         LEFT JOIN billing_products pd ON pd.id = pr.product_id \
         WHERE s.user_id = $1 AND s.status NOT IN ('canceled', 'incomplete_expired') \
         UNION ALL \
         SELECT g.source, g.plan, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, g.ends_at \
         FROM billing_grants g WHERE g.user_id = $1 AND g.revoked_at IS NULL"
    ).bind(user).fetch_all(pool).await)?)
}

pub(in crate::billing) async fn insert_grant(tx: &mut Tx, grant: &Grant) -> Result<(), sqlx::Error> {
    on!(tx, conn => query(
        "INSERT INTO billing_grants (id, user_id, source, plan, reason, payment_id, granted_by, ends_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
        .bind(grant.id).bind(grant.user_id).bind(grant.source).bind(&grant.plan).bind(&grant.reason)
        .bind(&grant.payment_id).bind(&grant.granted_by).bind(grant.ends_at).bind(grant.created_at)
        .execute(conn).await.map(drop))
}

/// What a payment bought, once.
pub(in crate::billing) async fn insert_purchase(
    tx: &mut Tx,
    id: GrantId,
    user: UserId,
    payment: &str,
    plan: &str,
    ends_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_grants (id, user_id, source, plan, payment_id, granted_by, ends_at, created_at) \
         VALUES ($1, $2, 'purchase', $3, $4, 'system', $5, $6) ON CONFLICT DO NOTHING"
    ).bind(id).bind(user).bind(plan).bind(payment).bind(ends_at).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Takes back what a payment bought, as its money went back; says whether there was something.
pub(in crate::billing) async fn revoke_purchase(tx: &mut Tx, payment: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_grants SET revoked_at = $2, paid_back = TRUE WHERE payment_id = $1 AND revoked_at IS NULL"
    ).bind(payment).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Gives what a payment bought once more, if it was taken back for the money and by nobody else; says whether it was.
pub(in crate::billing) async fn return_purchase(tx: &mut Tx, payment: &str) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_grants SET revoked_at = NULL, paid_back = FALSE WHERE payment_id = $1 AND paid_back"
    ).bind(payment).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::billing) async fn revoke_grant(tx: &mut Tx, id: GrantId, now: Timestamp) -> Result<Option<Grant>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE billing_grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL \
         RETURNING id, user_id, source, plan, reason, payment_id, granted_by, ends_at, revoked_at, created_at"
    ).bind(id).bind(now).fetch_all(conn).await)?
    .pop())
}

pub(in crate::billing) async fn grants_of(db: &Database, user: UserId) -> Result<Vec<Grant>, Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT id, user_id, source, plan, reason, payment_id, granted_by, ends_at, revoked_at, created_at \
         FROM billing_grants WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 500"
    ).bind(user).fetch_all(pool).await)?)
}
