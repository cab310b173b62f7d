//! News among those who share a database: announced in a transaction, heard when it commits, by
//! this process at once and by others soon. News says that something changed, not what: whoever
//! hears it looks. It may come twice, or for nothing; it never stays away for good.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Database, Engine, Tx, TxConnection};
use crate::error::Fault;

/// How often an SQLite file is looked at: it can't tell of other processes.
const LOOK: Duration = Duration::from_secs(1);
/// A PostgreSQL that said nothing for this long is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it may take to answer, and how long to wait before trying again when it doesn't.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

const CHANNEL: &str = "petspark";

impl Tx {
    /// Has everybody who listens for `topic` hear of it once this transaction is committed.
    pub(crate) async fn announce(&mut self, topic: &'static str) -> Result<(), Fault> {
        if let TxConnection::Postgres(tx) = &mut self.connection {
            // The schema is named because channels are the whole database's.
            sqlx::query("SELECT pg_notify($1, current_schema() || ':' || $2)")
                .bind(CHANNEL)
                .bind(topic)
                .execute(&mut **tx)
                .await?;
        }
        let news = self.database.0.news.clone();
        // Fails only when nobody listens.
        self.after_commit(move || drop(news.send(topic)));
        Ok(())
    }
}

impl Database {
    /// Calls `hear` whenever `topic` was announced from now on, or may have been. The work of
    /// listening is done by polling the future, which never ends.
    pub(crate) fn listen<F: Fn() + Send + Sync>(
        &self,
        topic: &'static str,
        hear: F,
    ) -> impl Future<Output = Infallible> + Send + use<F> {
        let database = self.clone();
        let here = self.0.news.subscribe();
        async move {
            let elsewhere = async {
                match database.engine() {
                    Engine::Sqlite(_) => loop {
                        tokio::time::sleep(LOOK).await;
                        hear();
                    },
                    Engine::Postgres(postgres) => listen_on(&postgres.pool, topic, &hear).await,
                }
            };
            tokio::select! {
                never = listen_here(here, topic, &hear) => never,
                never = elsewhere => never,
            }
        }
    }
}

async fn listen_here(mut news: Receiver<&'static str>, topic: &str, hear: &(impl Fn() + Sync)) -> Infallible {
    loop {
        match news.recv().await {
            Ok(other) if other != topic => {}
            Ok(_) | Err(RecvError::Lagged(_)) => hear(),
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// On a connection of its own: one from the pool would be missing there.
async fn listen_on(pool: &PgPool, topic: &str, hear: &(impl Fn() + Sync)) -> Infallible {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    loop {
        match listen_once(&own, topic, hear).await {
            Ok(never) => match never {},
            Err(error) => tracing::warn!(%error, "can't listen to PostgreSQL for news; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
        hear();
    }
}

async fn listen_once(pool: &PgPool, topic: &str, hear: &(impl Fn() + Sync)) -> sqlx::Result<Infallible> {
    let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    let start = async {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        let schema: String = sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut listener).await?;
        Ok::<_, sqlx::Error>((listener, format!("{schema}:{topic}")))
    };
    let (mut listener, ours) = tokio::time::timeout(PATIENCE, start).await.map_err(silent)??;
    // What was announced before we listened.
    hear();
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(news))) if news.payload() == ours => hear(),
            Ok(Ok(Some(_))) => {}
            // The connection was lost, and something with it.
            Ok(Ok(None)) => hear(),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let question = sqlx::query("SELECT 1").execute(&mut listener);
                tokio::time::timeout(PATIENCE, question).await.map_err(silent)??;
            }
        }
    }
}
