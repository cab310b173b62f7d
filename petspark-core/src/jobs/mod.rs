//! Work to be done later and at least once: enqueued in the transaction that wants it done,
//! done by whichever server gets to it. What a job does is its handler's business, and a handler
//! may run twice for one job.

mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::clock::{Clock, Timestamp};
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::id::JobId;

/// A job to be enqueued.
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    kind: &'static str,
    payload: Value,
    after: Duration,
}

impl NewJob {
    /// `payload` says what to do, by ids: never an address, a name or a secret.
    pub(crate) fn new(kind: &'static str, payload: Value) -> Self {
        Self { kind, payload, after: Duration::ZERO }
    }

    /// Not before that much time has passed.
    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// Enqueues a job in the caller's transaction: it is there if and only if that commits.
pub(crate) async fn enqueue(tx: &mut Tx, now: Timestamp, job: NewJob) -> Result<JobId, Fault> {
    let id = JobId::new();
    store::insert(tx, id, &job, now).await?;
    Ok(id)
}

/// A job that is being done.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Job {
    /// Which one: the same in every attempt.
    pub id: JobId,
    /// What kind of work.
    pub kind: String,
    /// What to do.
    #[sqlx(json)]
    pub payload: Value,
    /// How often it was begun, this time included.
    pub attempts: i32,
    /// How often it may be begun.
    pub max_attempts: i32,
}

/// Does the jobs of one kind.
pub trait Handler: Send + Sync + 'static {
    /// Which kind.
    fn kind(&self) -> &'static str;

    /// Does one, at least once. An error means: again later.
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>>;

    /// How often such a job comes up by itself, if it does.
    fn every(&self) -> Option<Duration> {
        None
    }
}

/// The queue; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    handlers: Mutex<Vec<Arc<dyn Handler>>>,
}

impl Jobs {
    pub(crate) fn open(db: Database, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, clock, handlers: Mutex::default() }))
    }

    /// Has jobs of this handler's kind done by it.
    pub fn handle(&self, handler: impl Handler) {
        self.0.handlers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(handler));
    }

    /// Does what is due now, one after the other, until nothing is due. A job that fails comes
    /// again later, and its fault is among those given back.
    ///
    /// # Errors
    /// [`Fault`] when the queue itself can't be read or written.
    pub async fn run_due(&self) -> Result<Vec<Fault>, Fault> {
        let mut faults = Vec::new();
        while let Some(job) = store::claim(&self.0.db, self.0.clock.now()).await? {
            let handler = self.handler(&job.kind);
            let done = match &handler {
                Some(handler) => handler.run(&job).await,
                None => Err(Fault::internal(format!("nobody does jobs of the kind {}", job.kind))),
            };
            match done {
                Ok(()) => store::finish(&self.0.db, job.id).await?,
                Err(fault) => {
                    store::fail(&self.0.db, &job, &fault.chain(), fault.is_lasting(), self.0.clock.now()).await?;
                    faults.push(fault);
                }
            }
        }
        Ok(faults)
    }

    fn handler(&self, kind: &str) -> Option<Arc<dyn Handler>> {
        let handlers = self.0.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.iter().find(|handler| handler.kind() == kind).cloned()
    }
}
