//! A few threads that hash passwords and nothing else, each with its own 19 MiB. Argon2 on the
//! async threads would stall every other request; without a bound it would exhaust memory.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Block;
use tokio::sync::oneshot;

/// The pool has more to do than it can do in time; try again in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at the moment")]
pub(crate) struct Busy;

/// Work waits at most this long for a thread. Longer than that, the client has given up.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Work that may wait, for each thread.
const QUEUE_PER_THREAD: usize = 16;
/// A thread without work for this long gives its memory back.
const IDLE: Duration = Duration::from_secs(30);

/// The memory that a thread keeps between hashes; asking the system for it anew costs 10 %.
pub(crate) type Memory = Vec<Block>;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

pub(crate) struct HashPool {
    shared: Arc<Shared>,
    capacity: usize,
    /// How many hashes were begun: tests compare it, where a stopwatch would be a matter of luck.
    #[cfg(feature = "testing")]
    begun: std::sync::atomic::AtomicU64,
}

struct Shared {
    queue: Mutex<Queue>,
    work_or_end: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl HashPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: u32) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), work_or_end: Condvar::new() });
        let pool = Self {
            shared: shared.clone(),
            capacity: threads as usize * QUEUE_PER_THREAD,
            #[cfg(feature = "testing")]
            begun: std::sync::atomic::AtomicU64::new(0),
        };
        for n in 0..threads {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("petspark-hash-{n}")).spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// Whether work that comes now would be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.lock().jobs.len() >= self.capacity
    }

    /// How many hashes were begun.
    #[cfg(feature = "testing")]
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Runs `job` on one of the threads. If nobody waits for the result any more when its turn
    /// comes, it isn't run.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, result) = oneshot::channel();
        let enqueued = Instant::now();
        {
            let mut queue = self.shared.lock();
            if queue.jobs.len() >= self.capacity {
                return Err(Busy);
            }
            #[cfg(feature = "testing")]
            self.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            queue.jobs.push_back(Box::new(move |memory| {
                // Dropping `reply` unanswered tells the waiter that it took too long.
                if !reply.is_closed() && enqueued.elapsed() < MAX_WAIT {
                    let _ = reply.send(job(memory));
                }
            }));
        }
        self.shared.work_or_end.notify_one();
        result.await.map_err(|_| Busy)
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work_or_end.notify_all();
    }
}

impl Shared {
    /// A thread that panicked in a job did so without the lock: the queue is sound.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, and `None` when the pool is gone. Gives up `memory` while there is nothing to do.
    fn next(&self, memory: &mut Memory) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = if memory.is_empty() {
                self.work_or_end.wait(queue).unwrap_or_else(PoisonError::into_inner)
            } else {
                let (queue, wait) = self.work_or_end.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
                if wait.timed_out() {
                    *memory = Memory::new();
                }
                queue
            };
        }
    }
}

fn work(shared: &Shared) {
    // Requests go first: on Linux the nice value belongs to the thread. If the system refuses,
    // hashing is merely less polite.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
    let mut memory = Memory::new();
    while let Some(job) = shared.next(&mut memory) {
        // A job that panics is that caller's failure: its reply is dropped, the thread goes on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut memory)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_queue_cannot_hold_is_refused_at_once_and_the_rest_is_done() {
        let pool = HashPool::start(1).unwrap();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let blocked = pool.run(move |_| gate.recv());
        let mut waiting = vec![Box::pin(blocked) as std::pin::Pin<Box<dyn Future<Output = _>>>];
        // The gate's job may or may not have left the queue, so one more or less fits.
        let mut refused = 0;
        for _ in 0..QUEUE_PER_THREAD + 2 {
            let mut job = Box::pin(pool.run(|_| Ok::<(), std::sync::mpsc::RecvError>(())));
            match futures_util::poll!(waiting[0].as_mut()) {
                std::task::Poll::Pending => {}
                std::task::Poll::Ready(_) => panic!("the gate is closed"),
            }
            match futures_util::poll!(job.as_mut()) {
                std::task::Poll::Ready(Err(Busy)) => refused += 1,
                std::task::Poll::Ready(Ok(_)) => panic!("the thread is blocked"),
                std::task::Poll::Pending => waiting.push(job),
            }
        }
        assert!(refused >= 1);
        open.send(()).unwrap();
        for job in waiting {
            job.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let pool = HashPool::start(1).unwrap();
        let result = pool.run(|_| -> () { std::panic::resume_unwind(Box::new("a defect")) }).await;
        assert_eq!(result, Err(Busy));
        assert_eq!(pool.run(|_| 7).await, Ok(7));
    }
}
