//! The SQL of whose payments these are. Decides nothing.

use sqlx::{query, query_as};

use crate::billing::account::StripeAccount;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;

pub(in crate::billing) async fn kept_account(db: &Database) -> Result<Option<StripeAccount>, Fault> {
    Ok(on_reader!(db, pool => query_as("SELECT account_id, livemode FROM billing_account WHERE provider = 'stripe'")
        .fetch_optional(pool).await)?)
}

/// Writes down whose they are, unless that is known; says whether it wasn't.
pub(in crate::billing) async fn keep_account(
    tx: &mut Tx,
    account: &StripeAccount,
    by: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(on!(tx, conn => query(
        "INSERT INTO billing_account (provider, account_id, livemode, accepted_by, accepted_at) \
         VALUES ('stripe', $1, $2, $3, $4) ON CONFLICT DO NOTHING"
    ).bind(&account.id).bind(account.live).bind(by).bind(now).execute(conn).await?.rows_affected() > 0))
}

pub(in crate::billing) async fn accept_account(
    tx: &mut Tx,
    account: &StripeAccount,
    by: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO billing_account (provider, account_id, livemode, accepted_by, accepted_at) \
         VALUES ('stripe', $1, $2, $3, $4) ON CONFLICT (provider) DO UPDATE SET account_id = excluded.account_id, \
             livemode = excluded.livemode, accepted_by = excluded.accepted_by, accepted_at = excluded.accepted_at"
    ).bind(&account.id).bind(account.live).bind(by).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}
