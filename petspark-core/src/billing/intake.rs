//! Stores events, those that come at once in one commit: a disk that has to be waited for is what an event costs.
//! What they mean is left to `processing.rs`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::event::Envelope;
use super::inbox::{self, EventStatus};
use super::{processing, store};
use crate::clock::Clock;
use crate::database::Database;
use crate::error::{Failure as _, Fault, Kind};
use crate::jobs;

/// Events in one commit at most: so many share its cost that more would gain nothing.
const AT_ONCE: usize = 64;

/// Takes events in; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub(super) struct Intake(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a task stores what waits.
    is_served: bool,
}

struct Waiting {
    event: Envelope,
    answer: oneshot::Sender<Result<bool, Arc<Fault>>>,
}

/// Whoever serves the queue. However that ends, nobody waits for it in vain.
struct Server {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Intake {
    pub(super) fn new(db: Database, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, clock, queue: Mutex::default() }))
    }

    /// Stores an event with the job that processes it; says whether it is a new one.
    pub(super) async fn take_in(&self, event: Envelope) -> Result<bool, Fault> {
        let (answer, answered) = oneshot::channel();
        let is_served = {
            let mut queue = self.0.queue();
            queue.waiting.push(Waiting { event, answer });
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            // A task of its own: whoever came first may be given up, and the others wait for the same commit.
            let server = Server { inner: self.0.clone(), has_ended: false };
            tokio::spawn(server.serve());
        }
        answered.await.map_err(Fault::internal)?.map_err(|fault| match fault.kind() {
            Kind::Unavailable => Fault::unavailable(fault),
            _ => Fault::internal(fault),
        })
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores events in one commit, sorted by id; says which are new.
    async fn store(&self, events: &[&Envelope]) -> Result<HashSet<String>, Fault> {
        let now = self.clock.now();
        let status = |event: &Envelope| match processing::EVENTS.contains(&event.kind.as_str()) {
            true => EventStatus::Pending,
            false => EventStatus::Ignored,
        };
        let rows: Vec<_> = events.iter().map(|event| (*event, status(event))).collect();
        let mut tx = self.db.begin().await?;
        let new: HashSet<_> = store::insert_events(&mut tx, &rows, now).await?.into_iter().collect();
        let pending = rows.iter().filter(|(_, status)| *status == EventStatus::Pending).map(|(event, _)| &event.id);
        let mut ids: Vec<_> = pending.filter(|id| new.contains(*id)).collect();
        // What came twice at once stands side by side, and is new once.
        ids.dedup();
        jobs::enqueue_all(&mut tx, now, ids.into_iter().map(|id| inbox::process(id))).await?;
        tx.commit().await?;
        Ok(new)
    }
}

impl Server {
    async fn serve(mut self) {
        while let Some(batch) = self.next() {
            self.store(batch).await;
        }
        self.has_ended = true;
    }

    async fn store(&self, mut batch: Vec<Waiting>) {
        // Two servers that store the same events wait for each other in one order.
        batch.sort_by(|a, b| a.event.id.cmp(&b.event.id));
        let events: Vec<_> = batch.iter().map(|waiting| &waiting.event).collect();
        // Whoever asked may be gone; the event is stored all the same.
        match self.inner.store(&events).await {
            Ok(mut new) => {
                for Waiting { event, answer } in batch {
                    let _ = answer.send(Ok(new.remove(&event.id)));
                }
            }
            // One that can't be stored must not keep out those that came with it.
            Err(fault) if batch.len() > 1 && fault.kind() != Kind::Unavailable => {
                for waiting in batch {
                    Box::pin(self.store(vec![waiting])).await;
                }
            }
            Err(fault) => {
                let fault = Arc::new(fault);
                for Waiting { answer, .. } in batch {
                    let _ = answer.send(Err(fault.clone()));
                }
            }
        }
    }

    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.inner.queue();
        let some = queue.waiting.len().min(AT_ONCE);
        queue.is_served = some > 0;
        queue.is_served.then(|| queue.waiting.drain(..some).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only a panic, or the end of the runtime.
        if !self.has_ended {
            *self.inner.queue() = Queue::default();
        }
    }
}
