//! The lock that is held while migrating and copying, what is done under it, and giving back one
//! whose holder is gone. A crash gives it back by itself: the file's lock ends with the process, the
//! advisory lock with its connection.

mod holder;

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, query, query_as, query_scalar, raw_sql};

pub use holder::Holder;
use holder::Process;

use super::{Database, Engine, TxConnection, TxOn, connect};
use crate::clock::Timestamp;
use crate::error::Fault;

/// "pets" in ASCII: the first half of the advisory lock's key. The second is the schema, as one
/// database may hold several.
const ADVISORY_LOCK: i32 = 0x7065_7473;

/// Held while migrating.
pub(super) enum Lock {
    Sqlite(File),
    Postgres(Box<PgConnection>),
}

/// The lock in the hands of whoever writes under it.
pub(super) enum Locked<'a> {
    /// The file's lock is this process's, whichever connection writes.
    Sqlite,
    /// The connection that holds the lock.
    Postgres(&'a mut PgConnection),
}

impl Locked<'_> {
    /// Begins a transaction that can't outlive the lock: on PostgreSQL it is one of the connection that
    /// holds it. Whoever ends that connection ends both, and who loses it writes nothing any more beside the
    /// next holder.
    pub(super) async fn begin<'c>(&'c mut self, database: &Database) -> Result<TxOn<'c>, Fault> {
        match self {
            Self::Sqlite => database.begin().await,
            Self::Postgres(connection) => Ok(TxOn::over(TxConnection::Postgres(connection.begin().await?), database)),
        }
    }
}

/// Picks our lock in `pg_locks`: that of this database and schema.
macro_rules! is_ours {
    () => {
        "l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = $1 \
         AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295 \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    };
}

/// How long a server process may take to end, in milliseconds.
const TO_END_MS: i64 = 5_000;

/// Server process, name, address and time of a connection.
type ConnectionRow = (i32, Option<String>, Option<String>, Option<Timestamp>);

/// Why there is no lock.
pub(super) enum NotTaken {
    /// Somebody else has it.
    Held {
        waited: Duration,
        holder: Option<Holder>,
    },
    /// A lock taken here would belong to whoever the pooler lends the connection next.
    Pooled,
    Fault(Fault),
}

impl From<Fault> for NotTaken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<sqlx::Error> for NotTaken {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl Lock {
    pub(super) async fn take(database: &Database, now: Timestamp, patience: Duration) -> Result<Self, NotTaken> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(20);
        let mut lock = Self::prepare(database).await?;
        if let Self::Postgres(connection) = &mut lock {
            if is_pooled(database, connection).await? {
                lock.leave().await;
                return Err(NotTaken::Pooled);
            }
            attend(connection).await?;
        }
        loop {
            if lock.try_once().await? {
                lock.sign(now);
                return Ok(lock);
            }
            if started.elapsed() + pause > patience {
                // Who holds it is told if it can be; that it is held is certain.
                let holder = lock.holder().await.unwrap_or(None);
                lock.leave().await;
                return Err(NotTaken::Held { waited: started.elapsed(), holder });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Who holds it at the moment; the outer `None` is nobody.
    pub(super) async fn look(database: &Database) -> Result<Option<Holder>, Fault> {
        let mut lock = Self::prepare(database).await?;
        // By trying: what an SQLite lock file says may be of somebody long gone.
        if lock.try_once().await? {
            lock.release().await;
            return Ok(None);
        }
        let holder = lock.holder().await?.unwrap_or_default();
        lock.leave().await;
        Ok(Some(holder))
    }

    /// Ends the connection of a holder on PostgreSQL, if it still is the one that holds the lock, and waits
    /// until it has ended. On SQLite there is nothing to end: the lock of a process that is gone is gone.
    /// Says whether it has, and nothing of one who isn't the holder any more.
    pub(super) async fn end(tx: &mut TxOn<'_>, holder: &Holder) -> Result<Option<bool>, Fault> {
        let TxConnection::Postgres(tx) = &mut tx.connection else { return Ok(None) };
        raw_sql("SET LOCAL statement_timeout = 0").execute(&mut **tx).await?;
        // Found and ended by one statement: the number of a server process is soon somebody else's.
        Ok(query_scalar(concat!(
            "SELECT pg_terminate_backend(l.pid, $2) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
             WHERE l.pid = $3 AND a.application_name = $4 AND ",
            is_ours!()
        ))
        .bind(i64::from(ADVISORY_LOCK))
        .bind(TO_END_MS)
        .bind(holder.backend)
        .bind(&holder.process)
        .fetch_optional(&mut **tx)
        .await?)
    }

    /// What may be done as long as it is held.
    pub(super) fn locked(&mut self) -> Locked<'_> {
        match self {
            Self::Sqlite(_) => Locked::Sqlite,
            Self::Postgres(connection) => Locked::Postgres(connection),
        }
    }

    /// Gives it back.
    pub(super) async fn release(self) {
        if let Self::Sqlite(file) = &self {
            // Text of somebody who holds nothing would only mislead.
            let _ = file.set_len(0);
        }
        self.leave().await;
    }

    /// Leaves it to whoever has it.
    async fn leave(self) {
        match self {
            Self::Sqlite(file) => drop(file),
            // Closing the connection gives the lock back; if that fails, the server notices.
            Self::Postgres(connection) => drop(connection.close().await),
        }
    }

    async fn prepare(database: &Database) -> Result<Self, Fault> {
        Ok(match database.engine() {
            // Not the lock for opening: who opens the file while another process migrates should
            // get as far as waiting for this one, which has a limit.
            Engine::Sqlite(sqlite) => {
                Self::Sqlite(connect::lock_file(&sqlite.path, "migrate.lock").map_err(Fault::unavailable)?.0)
            }
            Engine::Postgres(postgres) => {
                let options = (*postgres.pool.connect_options()).clone().application_name(&Process::own_name());
                Self::Postgres(Box::new(PgConnection::connect_with(&options).await?))
            }
        })
    }

    /// Never blocks: `CREATE INDEX CONCURRENTLY` would wait for those who wait.
    async fn try_once(&mut self) -> Result<bool, Fault> {
        match self {
            Self::Sqlite(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                Err(std::fs::TryLockError::Error(error)) => Err(Fault::unavailable(error)),
            },
            Self::Postgres(connection) => {
                Ok(query_scalar("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))")
                    .bind(ADVISORY_LOCK)
                    .fetch_one(&mut **connection)
                    .await?)
            }
        }
    }

    /// Writes into the lock file who we are; PostgreSQL knows it by the connection.
    fn sign(&mut self, now: Timestamp) {
        if let Self::Sqlite(file) = self {
            let signature = format!("{}\n{}\n", Process::own_name(), now.as_micros());
            // The lock holds without it, too.
            let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(signature.as_bytes()));
        }
    }

    async fn holder(&mut self) -> Result<Option<Holder>, Fault> {
        match self {
            Self::Sqlite(file) => {
                let mut text = String::new();
                file.rewind().and_then(|()| file.read_to_string(&mut text)).map_err(Fault::unavailable)?;
                let mut lines = text.lines();
                Ok(lines.next().map(|process| Holder {
                    process: Some(process.to_owned()),
                    since: lines.next().and_then(|micros| micros.parse().ok()).map(Timestamp::from_micros),
                    ..Holder::default()
                }))
            }
            Self::Postgres(connection) => {
                let row: Option<ConnectionRow> = query_as(concat!(
                    "SELECT l.pid, nullif(a.application_name, ''), host(a.client_addr), a.backend_start \
                     FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE ",
                    is_ours!()
                ))
                .bind(i64::from(ADVISORY_LOCK))
                .fetch_optional(&mut **connection)
                .await?;
                Ok(row.map(|(backend, process, address, since)| Holder {
                    process,
                    backend: Some(backend),
                    address,
                    since,
                }))
            }
        }
    }
}

/// Has the server keep this connection however long it rests, and end what it runs soon after this
/// process is gone.
async fn attend(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql(
        "SELECT set_config(name, '0', false) FROM pg_settings \
         WHERE name IN ('idle_session_timeout', 'transaction_timeout')",
    )
    .execute(&mut *connection)
    .await?;
    // Else the server goes on to the end of a statement for one who was killed, and keeps the lock. On some
    // systems it can't tell, and refuses: then that is how it is.
    let _ = raw_sql("SET client_connection_check_interval = '2s'").execute(&mut *connection).await;
    // A machine that is gone says nothing: a minute, instead of the two hours that systems usually wait.
    let _ = raw_sql("SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3")
        .execute(connection)
        .await;
    Ok(())
}

/// Whether a pooler lends server connections by the transaction. Then two clients that are
/// connected at the same time can get one and the same server process, or one client two.
async fn is_pooled(database: &Database, connection: &mut PgConnection) -> Result<bool, Fault> {
    let Engine::Postgres(postgres) = database.engine() else { return Ok(false) };
    let first = backend(connection).await?;
    let mut other = PgConnection::connect_with(&postgres.pool.connect_options()).await?;
    query("BEGIN").persistent(false).execute(&mut other).await?;
    let others = backend(&mut other).await?;
    let second = backend(connection).await?;
    // It has read nothing but its own number.
    let _ = other.close().await;
    Ok(are_lent(first, others, second))
}

async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Without a prepared statement, which a pooler may not know.
    query_scalar("SELECT pg_backend_pid()").persistent(false).fetch_one(connection).await
}

/// The server process of one client before and after another one began a transaction on its own.
fn are_lent(first: i32, others: i32, second: i32) -> bool {
    first != second || others == first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_ones_own_stays_the_same_and_is_nobody_elses() {
        assert!(!are_lent(10, 11, 10));
        assert!(are_lent(10, 10, 11), "the pooler gave our server process to the other client");
        assert!(are_lent(10, 11, 12), "the pooler gave us another server process");
    }
}
