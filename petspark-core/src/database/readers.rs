//! Connections for single SELECTs, on either engine. sqlx's own pool asks every connection that
//! comes back whether it is sound, which doubles the cost of a read that takes microseconds, and
//! waits for the answer without limit, which after a network partition is for ever. Here a
//! connection comes back only after a statement that ran to its end; any other is closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// What the two engines do differently when a connection is opened, used and given up.
pub(crate) trait ReadConnection: Connection<Options: Clone> + Sized + Send + 'static {
    /// Stops a statement from outside; shared by the connection and whoever borrows it.
    type Limit: Clone + Send + Sync;

    fn open(options: &Self::Options) -> impl Future<Output = sqlx::Result<(Self, Self::Limit)>> + Send;

    /// A statement begins that may take this long.
    fn start_clock(limit: &Self::Limit, patience: Duration);

    /// Nobody waits for the statement any more.
    fn give_up(limit: &Self::Limit);
}

/// SQLite has no time-outs of its own: it is asked every few thousand steps whether to go on.
#[derive(Clone)]
pub(crate) struct Deadline {
    opened: Instant,
    /// Milliseconds after `opened`.
    at: Arc<AtomicU64>,
}

/// Steps of SQLite's virtual machine between two looks at the clock: some microseconds.
const STEPS: i32 = 10_000;

impl ReadConnection for SqliteConnection {
    type Limit = Deadline;

    async fn open(options: &SqliteConnectOptions) -> sqlx::Result<(Self, Deadline)> {
        let mut connection = options.connect().await?;
        let deadline = Deadline { opened: Instant::now(), at: Arc::new(AtomicU64::new(u64::MAX)) };
        let watched = deadline.clone();
        connection.lock_handle().await?.set_progress_handler(STEPS, move || {
            let now = u64::try_from(watched.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            now < watched.at.load(Ordering::Relaxed)
        });
        Ok((connection, deadline))
    }

    fn start_clock(limit: &Deadline, patience: Duration) {
        let at = limit.opened.elapsed().saturating_add(patience).as_millis();
        limit.at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn give_up(limit: &Deadline) {
        limit.at.store(0, Ordering::Relaxed);
    }
}

/// PostgreSQL ends statements by `statement_timeout`, and notices a closed connection.
impl ReadConnection for PgConnection {
    type Limit = ();

    async fn open(options: &Self::Options) -> sqlx::Result<(Self, ())> {
        Ok((options.connect().await?, ()))
    }

    fn start_clock(_: &(), _: Duration) {}

    fn give_up(_: &()) {}
}

/// How long things may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Waiting for a free connection, and opening one.
    pub(super) acquire: Duration,
    /// One statement.
    pub(super) statement: Duration,
    /// Lying unused; `None` for ever.
    pub(super) idle: Option<Duration>,
    /// From opening; `None` for ever.
    pub(super) lifetime: Option<Duration>,
}

pub(crate) struct Readers<C: ReadConnection> {
    options: C::Options,
    limits: Limits,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle<C>>>,
}

struct Idle<C: ReadConnection> {
    connection: C,
    limit: C::Limit,
    opened: Instant,
    since: Instant,
}

/// A connection on loan.
pub(crate) struct Reader<'a, C: ReadConnection> {
    loan: Option<(C, OwnedSemaphorePermit)>,
    limit: C::Limit,
    opened: Instant,
    readers: &'a Readers<C>,
}

impl<C: ReadConnection> Readers<C> {
    /// At most `max` connections, opened when they are first needed.
    pub(super) fn new(options: C::Options, max: u32, limits: Limits) -> Self {
        Self { options, limits, places: Arc::new(Semaphore::new(max as usize)), idle: Mutex::default() }
    }

    pub(crate) async fn borrow(&self) -> sqlx::Result<Reader<'_, C>> {
        let Limits { acquire, statement, .. } = self.limits;
        let place = match tokio::time::timeout(acquire, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let (connection, limit, opened) = match self.find_idle().await {
            Some(idle) => (idle.connection, idle.limit, idle.opened),
            None => return self.open(place).await,
        };
        C::start_clock(&limit, statement);
        Ok(Reader { loan: Some((connection, place)), limit, opened, readers: self })
    }

    /// Opens a connection in a task of its own: whoever gives up meanwhile leaves it to be closed
    /// there, and only then is its place free. Else those who come and go would open one each.
    async fn open(&self, place: OwnedSemaphorePermit) -> sqlx::Result<Reader<'_, C>> {
        let (tell, told) = oneshot::channel();
        let (options, acquire) = (self.options.clone(), self.limits.acquire);
        tokio::spawn(async move {
            let opened = tokio::time::timeout(acquire, C::open(&options)).await;
            if let Err((Ok(Ok((unwanted, _))), place)) = tell.send((opened, place)) {
                let _ = tokio::time::timeout(Duration::from_secs(1), unwanted.close()).await;
                drop(place);
            }
        });
        let (opened, place) = told.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        let (connection, limit) = opened.map_err(|_| sqlx::Error::PoolTimedOut)??;
        C::start_clock(&limit, self.limits.statement);
        Ok(Reader { loan: Some((connection, place)), limit, opened: Instant::now(), readers: self })
    }

    /// The connection used last, if it is still good. One that lay unused for a second may have
    /// lost its server, so it is asked; none is asked on the way of a busy server.
    async fn find_idle(&self) -> Option<Idle<C>> {
        loop {
            let mut idle = self.lock().pop()?;
            let unused = idle.since.elapsed();
            let expired = self.limits.idle.is_some_and(|limit| unused > limit)
                || self.limits.lifetime.is_some_and(|limit| idle.opened.elapsed() > limit);
            if expired {
                continue;
            }
            if unused < Duration::from_secs(1) || self.limits.idle.is_none() {
                return Some(idle);
            }
            if ping(&mut idle.connection).await.is_ok() {
                return Some(idle);
            }
        }
    }

    /// Lets nobody in any more, and closes what is not on loan.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.lock());
        for Idle { connection, .. } in idle {
            // Reading leaves nothing to be written at the end.
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a connection whether it is sound, and waits a second for the answer.
pub(super) async fn ping(connection: &mut impl Connection) -> sqlx::Result<()> {
    let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(Duration::from_secs(1), connection.ping()).await.map_err(silent)?
}

impl<C: ReadConnection> Reader<'_, C> {
    /// # Errors
    /// None while it is on loan, which is as long as it lives.
    pub(crate) fn connection(&mut self) -> sqlx::Result<&mut C> {
        self.loan.as_mut().map(|(connection, _)| connection).ok_or(sqlx::Error::PoolClosed)
    }

    /// The statement ran to its end: the next may have the connection.
    pub(crate) fn give_back(mut self) {
        if let Some((connection, place)) = self.loan.take() {
            let idle = Idle { connection, limit: self.limit.clone(), opened: self.opened, since: Instant::now() };
            if !self.readers.places.is_closed() {
                self.readers.lock().push(idle);
            }
            drop(place);
        }
    }
}

/// Given up in the middle of a statement, or after an error. The place stays taken until the
/// connection is really gone: or else those who come and go would open one after the other.
impl<C: ReadConnection> Drop for Reader<'_, C> {
    fn drop(&mut self) {
        let Some((connection, place)) = self.loan.take() else { return };
        C::give_up(&self.limit);
        // Without a runtime the process is ending, and takes the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(Duration::from_secs(5), connection.close()).await;
                drop(place);
            });
        }
    }
}
