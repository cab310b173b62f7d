//! The lock that is held while migrating and copying, who holds it, and giving back one whose
//! holder is gone. A crash gives it back by itself: the file's lock ends with the process, the
//! advisory lock with its connection.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, query, query_as, query_scalar};

use super::{Database, Engine, connect};
use crate::clock::Timestamp;
use crate::error::Fault;

/// "pets" in ASCII: the first half of the advisory lock's key. The second is the schema, as one
/// database may hold several.
const ADVISORY_LOCK: i32 = 0x7065_7473;

/// What is known of whoever holds the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// The process, as it calls itself: `petspark 4711/4026531836@db1` is process 4711 of the
    /// process namespace 4026531836 on host db1.
    pub process: Option<String>,
    /// On PostgreSQL the number of its server process, for `pg_terminate_backend`.
    pub backend: Option<i32>,
    /// On PostgreSQL the address it connected from.
    pub address: Option<String>,
    /// When it took the lock, or connected in order to.
    pub since: Option<Timestamp>,
}

impl Holder {
    /// Whether it was a process of this very machine and namespace that is there no more. Of
    /// anything else nothing can be proven from here.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Some(me) = Process::this() else { return false };
        let process = self.process.as_deref().and_then(Process::parse);
        process.is_some_and(|it| it.namespace == me.namespace && it.host == me.host && !it.is_alive())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process.as_deref().and_then(Process::parse) {
            Some(process) => write!(f, "process {} on {}", process.pid, process.host)?,
            None => write!(f, "{}", self.process.as_deref().unwrap_or("a program that doesn't say its name"))?,
        }
        if let Some(address) = &self.address {
            write!(f, ", connected from {address}")?;
        }
        if let Some(backend) = self.backend {
            write!(f, ", server process {backend}")?;
        }
        match self.since {
            Some(since) => write!(f, ", since {since}"),
            None => Ok(()),
        }
    }
}

/// A process so that another one can tell whether it is still there.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    namespace: String,
    host: String,
}

impl Process {
    /// This one; `None` where the operating system has no `/proc`, and nothing could be proven.
    fn this() -> Option<Self> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        let namespace = namespace.to_str()?.trim_start_matches("pid:[").trim_end_matches(']').to_owned();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned();
        Some(Self { pid: std::process::id(), namespace, host })
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.strip_prefix("petspark ")?.split_once('/')?;
        let (namespace, host) = rest.split_once('@')?;
        Some(Self { pid: pid.parse().ok()?, namespace: namespace.to_owned(), host: host.to_owned() })
    }

    fn is_alive(&self) -> bool {
        std::path::Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

/// PostgreSQL cuts an `application_name` to 63 bytes; a host name that is cut proves nothing.
fn name_of_this_process() -> String {
    match Process::this() {
        Some(Process { pid, namespace, host }) => format!("petspark {pid}/{namespace}@{host}"),
        None => format!("petspark {}/?@?", std::process::id()),
    }
}

/// Held while migrating.
pub(super) enum Lock {
    Sqlite(File),
    Postgres(Box<PgConnection>),
}

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
        if let Self::Postgres(connection) = &mut lock
            && is_pooled(database, connection).await?
        {
            lock.leave().await;
            return Err(NotTaken::Pooled);
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

    /// Ends the connection of a holder on PostgreSQL. On SQLite there is nothing to end: the
    /// lock of a process that is gone is gone.
    pub(super) async fn end(database: &Database, holder: &Holder) -> Result<bool, Fault> {
        match (database.engine(), holder.backend) {
            (Engine::Postgres(postgres), Some(backend)) => {
                Ok(query_scalar("SELECT pg_terminate_backend($1)").bind(backend).fetch_one(&postgres.pool).await?)
            }
            _ => Ok(false),
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
                let options = (*postgres.pool.connect_options()).clone().application_name(&name_of_this_process());
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
            let signature = format!("{}\n{}\n", name_of_this_process(), now.as_micros());
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
                let row: Option<ConnectionRow> = query_as(
                    "SELECT l.pid, nullif(a.application_name, ''), host(a.client_addr), a.backend_start \
                     FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
                     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = $1 \
                        AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295 \
                        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
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

    #[test]
    fn only_a_process_that_could_be_seen_here_is_known_to_be_gone() {
        let me = Process::this().unwrap();
        let holder = |process: String| Holder { process: Some(process), ..Holder::default() };
        let Process { pid, namespace, host } = &me;
        assert!(!holder(name_of_this_process()).is_gone());
        // No process has a number above 2^22 on Linux.
        assert!(holder(format!("petspark 4194305/{namespace}@{host}")).is_gone());
        assert!(!holder(format!("petspark 4194305/{namespace}@elsewhere")).is_gone());
        assert!(!holder(format!("petspark 4194305/1@{host}")).is_gone());
        assert!(!holder("psql".to_owned()).is_gone());
        assert!(!Holder::default().is_gone());
        assert_eq!(holder(name_of_this_process()).to_string(), format!("process {pid} on {host}"));
    }
}
