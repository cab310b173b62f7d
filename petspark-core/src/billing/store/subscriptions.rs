//! The SQL of subscriptions, and of whose reading of an object is the newest. Decides nothing.

use sqlx::{query, query_as, query_scalar};

use crate::billing::access::Access;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader, on_writer};
use crate::error::Fault;
use crate::id::UserId;

/// Takes the next number for reading an object of Stripe's.
pub(in crate::billing) async fn take_turn(db: &Database, object: &str, now: Timestamp) -> Result<i64, Fault> {
    let mut turns: Vec<i64> = on_writer!(db, pool => query_scalar(
        "INSERT INTO billing_turns (object_id, taken, written, taken_at) VALUES ($1, 1, 0, $2) \
         ON CONFLICT (object_id) DO UPDATE SET taken = billing_turns.taken + 1, taken_at = excluded.taken_at \
         RETURNING taken"
    ).bind(object).bind(now).fetch_all(pool).await)?;
    turns.pop().ok_or_else(|| Fault::internal("a turn has no number"))
}

/// Takes the first number for an object that was just made, and writes under it; not if somebody reads it
/// already, who then knows more.
pub(in crate::billing) async fn first_turn(tx: &mut Tx, object: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_turns (object_id, taken, written, taken_at) VALUES ($1, 1, 1, $2) ON CONFLICT DO NOTHING"
    ).bind(object).bind(now).execute(conn).await?.rows_affected() > 0))
}

/// Whether nothing was written under a later number; then nothing will be under an earlier one any more.
pub(in crate::billing) async fn use_turn(tx: &mut Tx, object: &str, turn: i64) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query("UPDATE billing_turns SET written = $2 WHERE object_id = $1 AND written < $2")
        .bind(object).bind(turn).execute(conn).await?.rows_affected() > 0))
}

/// Forgets some of the numbers that were last taken before then, when nobody reads under them any more; says how
/// many.
pub(in crate::billing) async fn purge_turns(tx: &mut Tx, before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM billing_turns WHERE object_id IN (SELECT object_id FROM billing_turns WHERE taken_at < $1 \
             ORDER BY taken_at LIMIT 500)"
    ).bind(before).execute(conn).await?.rows_affected()))
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::billing) struct SubscriptionRow {
    pub(in crate::billing) id: String,
    pub(in crate::billing) customer_id: String,
    pub(in crate::billing) user_id: Option<UserId>,
    pub(in crate::billing) status: String,
    pub(in crate::billing) item_id: Option<String>,
    pub(in crate::billing) price_id: Option<String>,
    pub(in crate::billing) quantity: i64,
    pub(in crate::billing) period_start: Option<Timestamp>,
    pub(in crate::billing) period_end: Option<Timestamp>,
    pub(in crate::billing) trial_end: Option<Timestamp>,
    pub(in crate::billing) cancel_at: Option<Timestamp>,
    pub(in crate::billing) cancel_at_period_end: bool,
    pub(in crate::billing) canceled_at: Option<Timestamp>,
    pub(in crate::billing) ended_at: Option<Timestamp>,
    pub(in crate::billing) paused: Option<String>,
    pub(in crate::billing) failing_since: Option<Timestamp>,
    pub(in crate::billing) last_access: Access,
    /// Written by `mark_leaving` alone: Stripe knows nothing of it.
    pub(in crate::billing) ends_with_account: bool,
    pub(in crate::billing) created_at: Timestamp,
    pub(in crate::billing) synced_at: Timestamp,
}

macro_rules! select_subscription {
    ($rest:literal) => {
        concat!(
            "SELECT id, customer_id, user_id, status, item_id, price_id, quantity, period_start, period_end, trial_end, \
             cancel_at, cancel_at_period_end, canceled_at, ended_at, paused, failing_since, last_access, \
             ends_with_account, created_at, synced_at FROM billing_subscriptions ",
            $rest
        )
    };
}

pub(in crate::billing) async fn find_subscription(db: &Database, id: &str) -> Result<Option<SubscriptionRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_subscription!("WHERE id = $1")).bind(id).fetch_optional(pool).await)?)
}

/// Somebody's, the newest first.
pub(in crate::billing) async fn subscriptions_of(db: &Database, user: UserId) -> Result<Vec<SubscriptionRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_subscription!(
        "WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT 100"
    )).bind(user).fetch_all(pool).await)?)
}

/// All by their ids, those after one of them.
pub(in crate::billing) async fn subscriptions_after(
    db: &Database,
    after: &str,
    limit: i64,
) -> Result<Vec<SubscriptionRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_subscription!("WHERE id > $1 ORDER BY id LIMIT $2"))
        .bind(after).bind(limit).fetch_all(pool).await)?)
}

/// How many somebody ever had, and how many of these live.
pub(in crate::billing) async fn count_subscriptions_of(db: &Database, user: UserId) -> Result<(i64, i64), Fault> {
    Ok(on_reader!(db, pool => query_as(
        "SELECT count(*), CAST(coalesce(sum(CASE WHEN status IN ('canceled', 'incomplete_expired') THEN 0 ELSE 1 END), 0) \
             AS bigint) FROM billing_subscriptions WHERE user_id = $1"
    ).bind(user).fetch_one(pool).await)?)
}

/// Subscriptions of people who have an older one that isn't over either.
pub(in crate::billing) async fn second_subscriptions(db: &Database, limit: i64) -> Result<Vec<SubscriptionRow>, Fault> {
    Ok(on_reader!(db, pool => query_as(select_subscription!(
        "WHERE status NOT IN ('canceled', 'incomplete_expired') AND EXISTS (SELECT 1 FROM billing_subscriptions o \
             WHERE o.user_id = billing_subscriptions.user_id AND o.status NOT IN ('canceled', 'incomplete_expired') \
             AND (o.created_at, o.id) < (billing_subscriptions.created_at, billing_subscriptions.id)) \
         ORDER BY id LIMIT $1"
    )).bind(limit).fetch_all(pool).await)?)
}

/// Whether somebody has one that isn't over.
pub(in crate::billing) async fn has_live_subscription(tx: &mut Tx, user: UserId) -> Result<bool, Fault> {
    let live: Vec<String> = on!(tx, conn => query_scalar(
        "SELECT id FROM billing_subscriptions WHERE user_id = $1 AND status NOT IN ('canceled', 'incomplete_expired') \
         LIMIT 1"
    ).bind(user).fetch_all(conn).await)?;
    Ok(!live.is_empty())
}

/// Writes down that a subscription is to end because its person's account is, or isn't any more.
pub(in crate::billing) async fn mark_leaving(db: &Database, id: &str, leaving: bool) -> Result<(), Fault> {
    on_writer!(db, pool => query("UPDATE billing_subscriptions SET ends_with_account = $2 WHERE id = $1")
        .bind(id).bind(leaving).execute(pool).await.map(drop))?;
    Ok(())
}

/// People whose accounts are to be erased and whose subscriptions go on, and who came back and whose subscriptions
/// are to end.
pub(in crate::billing) async fn accounts_to_follow(
    db: &Database,
    after: UserId,
    limit: i64,
) -> Result<Vec<UserId>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT DISTINCT s.user_id FROM billing_subscriptions s JOIN users u ON u.id = s.user_id \
         WHERE s.status NOT IN ('canceled', 'incomplete_expired', 'incomplete') \
             AND (u.deleted_at IS NOT NULL AND NOT s.cancel_at_period_end \
                  OR u.deleted_at IS NULL AND s.ends_with_account) \
             AND s.user_id > $1 ORDER BY s.user_id LIMIT $2"
    ).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Those of a customer that aren't over.
pub(in crate::billing) async fn live_subscription_ids(db: &Database, customer: &str) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT id FROM billing_subscriptions WHERE customer_id = $1 AND status NOT IN ('canceled', 'incomplete_expired')"
    ).bind(customer).fetch_all(pool).await)?)
}

/// Stores a subscription as it is at Stripe. Since when it fails is since the earliest time that is known, as
/// long as it fails.
pub(in crate::billing) async fn put_subscription(tx: &mut Tx, row: &SubscriptionRow) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO billing_subscriptions (id, customer_id, user_id, status, item_id, price_id, quantity, period_start, \
             period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at, ended_at, paused, failing_since, \
             last_access, created_at, synced_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id, user_id = excluded.user_id, \
             status = excluded.status, item_id = excluded.item_id, price_id = excluded.price_id, \
             quantity = excluded.quantity, period_start = excluded.period_start, period_end = excluded.period_end, \
             trial_end = excluded.trial_end, cancel_at = excluded.cancel_at, \
             cancel_at_period_end = excluded.cancel_at_period_end, canceled_at = excluded.canceled_at, \
             ended_at = excluded.ended_at, paused = excluded.paused, \
             failing_since = CASE WHEN billing_subscriptions.failing_since < excluded.failing_since \
                 THEN billing_subscriptions.failing_since ELSE excluded.failing_since END, \
             last_access = excluded.last_access, synced_at = excluded.synced_at"
    )
        .bind(&row.id).bind(&row.customer_id).bind(row.user_id).bind(&row.status).bind(&row.item_id).bind(&row.price_id)
        .bind(row.quantity).bind(row.period_start).bind(row.period_end).bind(row.trial_end).bind(row.cancel_at)
        .bind(row.cancel_at_period_end).bind(row.canceled_at).bind(row.ended_at).bind(&row.paused)
        .bind(row.failing_since).bind(row.last_access).bind(row.created_at).bind(row.synced_at)
        .execute(conn).await.map(drop))?;
    Ok(())
}

/// Ends a subscription that Stripe knows nothing of any more; says whether it hadn't ended.
pub(in crate::billing) async fn end_subscription(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "UPDATE billing_subscriptions SET status = 'canceled', ended_at = $2, last_access = 'none', synced_at = $2 \
         WHERE id = $1 AND status NOT IN ('canceled', 'incomplete_expired')"
    ).bind(id).bind(now).execute(conn).await?.rows_affected() > 0))
}
