//! All SQL of throttles. Decides nothing.
//!
//! Rows are locked in the order of [`Bucket`], whoever writes them: of two attempts at the same
//! moment one waits for the other, and never each for the other.

use sqlx::{QueryBuilder, query, query_scalar};

use super::limits::Bucket;
use crate::clock::Timestamp;
use crate::database::{Database, Tx, on, on_reader};
use crate::error::Fault;

/// Length of a subject, in bytes.
pub(super) const SUBJECT_LEN: usize = 16;

/// Which row. Empty: nobody in particular, and anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) bucket: Bucket,
    pub(super) subject: Vec<u8>,
    pub(super) ip: String,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) bucket: Bucket,
    pub(super) subject: Vec<u8>,
    pub(super) ip: String,
    pub(super) count: i64,
    pub(super) ends_at: Timestamp,
    pub(super) last_at: Timestamp,
    /// `last_at` before the latest count.
    pub(super) previous_at: Timestamp,
}

/// The rows that there are of `keys`.
pub(super) async fn find(db: &Database, keys: &[Key]) -> Result<Vec<Row>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT bucket, subject, ip, count, ends_at, last_at, previous_at FROM throttles WHERE ",
        );
        let mut any = sql.separated(" OR ");
        for key in keys {
            any.push("(bucket = ").push_bind_unseparated(key.bucket)
                .push_unseparated(" AND subject = ").push_bind_unseparated(key.subject.clone())
                .push_unseparated(" AND ip = ").push_bind_unseparated(key.ip.clone()).push_unseparated(")");
        }
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// Counts one more in each row, in a new window that ends as given where the old one is over.
/// One statement, so that of attempts at the same moment each sees those before it.
pub(super) async fn count(tx: &mut Tx, rows: &[(Key, Timestamp)], now: Timestamp) -> Result<Vec<Row>, Fault> {
    Ok(on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO throttles (bucket, subject, ip, count, ends_at, last_at, previous_at) ",
        );
        sql.push_values(rows, |mut row, (key, ends_at)| {
            row.push_bind(key.bucket).push_bind(key.subject.clone()).push_bind(key.ip.clone())
                .push("1").push_bind(*ends_at).push_bind(now).push_bind(now);
        });
        sql.push(
            " ON CONFLICT (bucket, subject, ip) DO UPDATE SET \
                 count = CASE WHEN throttles.ends_at > excluded.last_at THEN throttles.count + 1 ELSE 1 END, \
                 ends_at = CASE WHEN throttles.ends_at > excluded.last_at THEN throttles.ends_at ELSE excluded.ends_at END, \
                 previous_at = throttles.last_at, last_at = excluded.last_at \
             RETURNING bucket, subject, ip, count, ends_at, last_at, previous_at",
        );
        sql.build_query_as().fetch_all(conn).await?
    }))
}

/// Takes one count back from each row, or, if they are forgiven, all of them from a pair. An upsert
/// although the rows are there: it locks them in the order given, and an UPDATE in whichever it likes.
pub(super) async fn give_back(tx: &mut Tx, keys: &[Key], forgiven: bool, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => {
        let mut sql = QueryBuilder::new(
            "INSERT INTO throttles (bucket, subject, ip, count, ends_at, last_at, previous_at) ",
        );
        sql.push_values(keys, |mut row, key| {
            row.push_bind(key.bucket).push_bind(key.subject.clone()).push_bind(key.ip.clone())
                .push("0").push_bind(now).push_bind(now).push_bind(now);
        });
        sql.push(" ON CONFLICT (bucket, subject, ip) DO UPDATE SET count = CASE WHEN throttles.count < 1 OR ")
            .push_bind(forgiven)
            .push(" AND throttles.bucket = 'pair' THEN 0 ELSE throttles.count - 1 END");
        sql.build().execute(conn).await.map(drop)
    })?;
    Ok(())
}

/// Blocks an address if at least `accounts` were tried from it in vain after `since`.
pub(super) async fn block_sprayer(
    tx: &mut Tx,
    ip: &str,
    accounts: u32,
    since: Timestamp,
    now: Timestamp,
    ends_at: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query(
        "INSERT INTO throttles (bucket, subject, ip, count, ends_at, last_at, previous_at) \
         SELECT 'spray', $1, $2, tried, $3, $4, $4 FROM \
             (SELECT count(*) AS tried FROM throttles \
              WHERE ip = $2 AND bucket = 'pair' AND count > 0 AND last_at > $5) AS pairs \
         WHERE tried >= $6 \
         ON CONFLICT (bucket, subject, ip) DO UPDATE SET \
             count = excluded.count, ends_at = excluded.ends_at, last_at = excluded.last_at"
    )
        .bind(&b""[..]).bind(ip).bind(ends_at).bind(now).bind(since).bind(i64::from(accounts))
        .execute(conn).await.map(drop))?;
    Ok(())
}

/// The addresses from which this account's owner signed in, in sessions that have not been ended
/// as somebody else's.
pub(super) async fn own_ips(db: &Database, email: &str, now: Timestamp) -> Result<Vec<String>, Fault> {
    Ok(on_reader!(db, pool => query_scalar(
        "SELECT DISTINCT s.ip FROM users u JOIN sessions s ON s.user_id = u.id \
         WHERE u.email = $1 AND u.deleted_at IS NULL AND s.ip IS NOT NULL AND s.absolute_expires_at > $2 \
           AND (s.revoke_reason IS NULL OR s.revoke_reason = 'logout')"
    ).bind(email).bind(now).fetch_all(pool).await)?)
}

/// What is being counted now, longest first.
pub(super) async fn list(db: &Database, subject: Option<&[u8]>, now: Timestamp) -> Result<Vec<Row>, Fault> {
    Ok(on_reader!(db, pool => {
        let mut sql = QueryBuilder::new(
            "SELECT bucket, subject, ip, count, ends_at, last_at, previous_at FROM throttles \
             WHERE count > 0 AND ends_at > ",
        );
        sql.push_bind(now);
        if let Some(subject) = subject {
            sql.push(" AND subject = ").push_bind(subject.to_vec());
        }
        sql.push(" ORDER BY ends_at DESC, bucket, ip, subject");
        sql.build_query_as().fetch_all(pool).await?
    }))
}

/// Forgets what was counted about somebody.
pub(super) async fn clear_subject(tx: &mut Tx, subject: &[u8]) -> Result<u64, Fault> {
    let mut cleared = 0;
    for bucket in Bucket::ALL {
        cleared += on!(tx, conn => query("DELETE FROM throttles WHERE subject = $1 AND bucket = $2")
            .bind(subject).bind(*bucket).execute(conn).await?.rows_affected());
    }
    Ok(cleared)
}

/// Forgets what was counted about an address.
pub(super) async fn clear_ip(tx: &mut Tx, ip: &str) -> Result<u64, Fault> {
    let mut cleared = 0;
    for bucket in Bucket::ALL {
        cleared += on!(tx, conn => query("DELETE FROM throttles WHERE ip = $1 AND bucket = $2")
            .bind(ip).bind(*bucket).execute(conn).await?.rows_affected());
    }
    Ok(cleared)
}

/// Every address that something was counted about.
pub(super) async fn ips(tx: &mut Tx) -> Result<Vec<String>, Fault> {
    Ok(on!(tx, conn => query_scalar("SELECT DISTINCT ip FROM throttles WHERE ip <> '' ORDER BY ip")
        .fetch_all(conn).await)?)
}

/// Forgets everything.
pub(super) async fn clear_all(tx: &mut Tx) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query("DELETE FROM throttles").execute(conn).await?.rows_affected()))
}

/// Deletes some rows that ended before that, and says how many those were.
pub(super) async fn purge(tx: &mut Tx, ended_before: Timestamp) -> Result<u64, Fault> {
    Ok(on!(tx, conn => query(
        "DELETE FROM throttles WHERE (bucket, subject, ip) IN \
             (SELECT bucket, subject, ip FROM throttles WHERE ends_at < $1 ORDER BY bucket, subject, ip LIMIT 500)"
    ).bind(ended_before).execute(conn).await?.rows_affected()))
}
