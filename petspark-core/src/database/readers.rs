//! Read-only SQLite connections for single SELECTs. sqlx's own pool sends every connection that
//! comes back through its thread once more, to see whether it is sound; for a read that takes a
//! few microseconds this doubled the cost. Here a connection comes back only after a body that
//! ran to its end, and is closed otherwise, so there is nothing to see to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct SqliteReaders {
    options: SqliteConnectOptions,
    patience: Duration,
    places: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

/// A connection on loan.
pub(crate) struct Reader<'a> {
    connection: SqliteConnection,
    readers: &'a SqliteReaders,
    _place: SemaphorePermit<'a>,
}

impl SqliteReaders {
    /// At most `max` connections, opened when they are first needed; who finds none free waits
    /// for `patience`.
    pub(super) fn new(options: SqliteConnectOptions, max: u32, patience: Duration) -> Self {
        Self { options, patience, places: Semaphore::new(max as usize), idle: Mutex::default() }
    }

    pub(crate) async fn borrow(&self) -> sqlx::Result<Reader<'_>> {
        let place = match tokio::time::timeout(self.patience, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let idle = self.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Reader { connection, readers: self, _place: place })
    }

    /// Lets nobody in any more, and closes what is not on loan.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            // Reading leaves nothing to be written at the end.
            let _ = sqlx::Connection::close(connection).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader<'_> {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// The statement ran to its end: the next may have the connection. Without this call, as
    /// when a request is given up in the middle, dropping closes it.
    pub(crate) fn give_back(self) {
        if !self.readers.places.is_closed() {
            self.readers.lock().push(self.connection);
        }
    }
}
