//! Work to be done later and at least once: enqueued in the transaction that wants it done, done
//! by whichever server gets to it, tried again when it fails, and kept for a person to look at
//! when it keeps failing. What a job does is its handler's business, and a handler may run twice
//! for one job.
//!
//! Handlers of an embedder's own are registered before the worker is started:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use petspark_core::jobs::{Handler, Job, NewJob};
//! use petspark_core::{Fault, PetSpark, config::Settings};
//!
//! struct Greet;
//!
//! impl Handler for Greet {
//!     fn kind(&self) -> &'static str {
//!         "clinic.greet"
//!     }
//!
//!     fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
//!         Box::pin(async move {
//!             println!("Hello, {}!", job.payload["pet"]);
//!             Ok(())
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("petspark-doc-jobs-{}", std::process::id()));
//! let petspark = PetSpark::open(Settings::in_folder(&folder)).await?;
//! petspark.jobs().handle(Greet);
//! petspark.jobs().enqueue(NewJob::new("clinic.greet", serde_json::json!({ "pet": "Rex" }))).await?;
//! // In a server: tokio::spawn(async move { petspark.jobs().run_worker(shutdown).await });
//! assert!(petspark.jobs().run_due().await?.is_empty());
//! # petspark.close().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

mod admin;
mod cleaning;
mod settings;
mod store;
mod worker;

pub use admin::{JobError, JobInfo, JobState};
pub(crate) use cleaning::RemoveDead;
pub use settings::JobSettings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::database::{Database, Tx};
use crate::error::Fault;
use crate::id::JobId;
use crate::page::Cursors;

/// What is announced when there is something new to do.
const TOPIC: &str = "jobs";
/// Jobs in one statement at most: engines limit how many parameters one has.
const IN_ONE_STATEMENT: usize = 500;

/// A job to be enqueued.
#[derive(Clone, Debug)]
pub struct NewJob {
    kind: &'static str,
    payload: Value,
    after: Duration,
    priority: i32,
    max_attempts: i32,
}

impl NewJob {
    /// `payload` says what to do, by ids: never an address, a name or a secret.
    #[must_use]
    pub fn new(kind: &'static str, payload: Value) -> Self {
        // With the pauses between them, twelve attempts take some hours.
        Self { kind, payload, after: Duration::ZERO, priority: 0, max_attempts: 12 }
    }

    /// Not before that much time has passed.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Of what is due, the lowest number goes first; 0 when nothing is said.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    /// Begun at most so often, at least once; 12 times when nothing is said.
    #[must_use]
    pub fn max_attempts(self, max_attempts: u16) -> Self {
        Self { max_attempts: i32::from(max_attempts.max(1)), ..self }
    }
}

/// Enqueues a job in the caller's transaction: it is there if and only if that commits.
pub(crate) async fn enqueue(tx: &mut Tx, now: Timestamp, job: NewJob) -> Result<JobId, Fault> {
    let id = JobId::new();
    store::insert(tx, &[(id, job)], now).await?;
    tx.announce(TOPIC).await?;
    Ok(id)
}

/// Enqueues several like that, as few statements as they need.
pub(crate) async fn enqueue_all(tx: &mut Tx, now: Timestamp, jobs: impl Iterator<Item = NewJob>) -> Result<(), Fault> {
    let jobs: Vec<_> = jobs.map(|job| (JobId::new(), job)).collect();
    for some in jobs.chunks(IN_ONE_STATEMENT) {
        store::insert(tx, some, now).await?;
    }
    if !jobs.is_empty() {
        tx.announce(TOPIC).await?;
    }
    Ok(())
}

/// Makes a scheduled job due now instead of at its next time. Says whether it could: not while it is
/// being done, or before its schedule began.
pub(crate) async fn bring_forward(tx: &mut Tx, schedule: &'static str, now: Timestamp) -> Result<bool, Fault> {
    let could = store::bring_forward(tx, schedule, now).await?;
    tx.announce(TOPIC).await?;
    Ok(could)
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
    priority: i32,
    /// The end of the lease.
    due_at: Timestamp,
    schedule: Option<String>,
}

/// Does the jobs of one kind.
pub trait Handler: Send + Sync + 'static {
    /// Which kind.
    fn kind(&self) -> &'static str;

    /// Does one, at least once: what it did before it failed or its server died is still done.
    /// An error means again later, unless it is [`Fault::lasting`]. Its text is kept, so it must not
    /// hold secrets; what looks like an e-mail address is taken out.
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>>;

    /// How often such a job comes up by itself, if it does: once for all servers together, the
    /// first time at once.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// How long one may take; then it counts as failed.
    fn limit(&self) -> Duration {
        Duration::from_secs(300)
    }
}

/// The queue; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    cursors: Cursors,
    settings: JobSettings,
    /// How long a statement of the queue's own may take.
    patience: Duration,
    handlers: Mutex<Handlers>,
    heart: Heart,
}

#[derive(Default)]
struct Handlers {
    all: Vec<Arc<dyn Handler>>,
    /// How many of them were looked at for schedules.
    planned: usize,
}

impl Jobs {
    pub(crate) fn open(db: Database, clock: Clock, cursors: Cursors, settings: &Settings) -> Self {
        // Somewhat more than the database itself allows: its limits don't help when it is silent.
        let database = &settings.database;
        let patience = database.acquire_timeout + database.statement_timeout + Duration::from_secs(1);
        let settings = settings.jobs.clone();
        Self(Arc::new(Inner {
            db,
            clock,
            cursors,
            settings,
            patience,
            handlers: Mutex::default(),
            heart: Heart::default(),
        }))
    }

    /// Has jobs of this handler's kind done by it. Of two for one kind, the first does them.
    pub fn handle(&self, handler: impl Handler) {
        self.handlers().all.push(Arc::new(handler));
    }

    /// Enqueues a job that belongs to no other change.
    ///
    /// # Errors
    /// [`Fault`] when it can't be stored.
    pub async fn enqueue(&self, job: NewJob) -> Result<JobId, Fault> {
        let mut tx = self.0.db.begin().await?;
        let id = enqueue(&mut tx, self.0.clock.now(), job).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Sees to it that there is a job for every schedule.
    async fn plan(&self) -> Result<(), Fault> {
        let (new, known): (Vec<_>, usize) = {
            let handlers = self.handlers();
            (handlers.all[handlers.planned..].to_vec(), handlers.all.len())
        };
        for handler in new.iter().filter(|handler| handler.every().is_some()) {
            let job = NewJob::new(handler.kind(), Value::Null);
            store::insert_schedule(&self.0.db, JobId::new(), &job, self.0.clock.now()).await?;
        }
        self.handlers().planned = known;
        Ok(())
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.handlers().all.iter().map(|handler| handler.kind()).collect()
    }

    fn handler(&self, kind: &str) -> Option<Arc<dyn Handler>> {
        self.handlers().all.iter().find(|handler| handler.kind() == kind).cloned()
    }

    fn handlers(&self) -> MutexGuard<'_, Handlers> {
        self.0.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the worker of this process last went round; `None` if there is none.
#[derive(Default)]
struct Heart(Mutex<Option<Instant>>);

impl Heart {
    fn beat(&self) {
        self.set(Some(Instant::now()));
    }

    fn stop(&self) {
        self.set(None);
    }

    fn silent_for(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|last| last.elapsed())
    }

    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}
