//! Does jobs as they come due: so many at a time, each under a lease that is renewed while it
//! runs, until told to stop. A worker that dies keeps nothing: its leases end, and others go on.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::{Handler, Job, Jobs, TOPIC, store};
use crate::clock::Timestamp;
use crate::error::Fault;

/// An idle worker looks this often, whether or not it heard of anything: clocks may jump.
const LOOK: Duration = Duration::from_secs(30);
/// How long to wait for a database that is away before asking again.
const PAUSE: Duration = Duration::from_secs(5);
/// The first retry comes after about this long, each further one after twice that, up to the most.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(3600);

/// How a job ended.
enum Ending {
    Done,
    Failed(Fault),
    /// Stopped in the middle, to be done by somebody else.
    Released,
    /// The lease is somebody else's by now, and so is what becomes of the job.
    Lost,
}

impl Jobs {
    /// Does jobs as they come due, `jobs.workers` at a time, until `shutdown`. Then no more are
    /// begun; those begun have `jobs.drain_timeout` to end, and are left to others after that.
    /// Register handlers before. Dropping the future stops at once, which loses nothing: what
    /// was begun comes up again when its lease ends.
    pub async fn run_worker(&self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopped) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let woken = wake.clone();
        let mut news = pin!(self.0.db.listen(TOPIC, move || woken.notify_one()));
        let mut shutdown = pin!(shutdown);
        let mut running = JoinSet::new();
        loop {
            let pause = self.turn(&mut running, &stopped).await;
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = running.join_next() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                never = &mut news => match never {},
            }
        }
        tracing::info!(running = running.len(), "no more jobs are begun");
        let all_done = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.0.settings.drain_timeout, all_done).await.is_err() {
            tracing::warn!(running = running.len(), "time is over; jobs are left to others");
            // Fails only if none is left.
            let _ = stop.send(true);
            let released = async { while running.join_next().await.is_some() {} };
            // What can't be given back in this time comes up again when its lease ends.
            let _ = tokio::time::timeout(self.0.patience, released).await;
        }
        self.0.heart.stop();
    }

    /// Begins what is due, as far as there is room; says how long nothing will be.
    async fn turn(&self, running: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) -> Duration {
        self.0.heart.beat();
        let room = (self.0.settings.workers.max(1) as usize).saturating_sub(running.len());
        if room == 0 {
            return LOOK;
        }
        match self.claim(room).await {
            Ok((jobs, pause)) => {
                for job in jobs {
                    let (queue, stopped) = (self.clone(), stopped.clone());
                    running.spawn(async move { drop(queue.perform(&job, stopped).await) });
                }
                pause
            }
            Err(fault) => {
                tracing::warn!(cause = fault.chain(), "can't read the job queue; trying again");
                PAUSE
            }
        }
    }

    /// Takes what is due, at most `room`; and says how long until more is.
    async fn claim(&self, room: usize) -> Result<(Vec<Job>, Duration), Fault> {
        self.within(self.plan()).await?;
        let (kinds, now) = (self.kinds(), self.0.clock.now());
        if kinds.is_empty() {
            return Ok((Vec::new(), LOOK));
        }
        // Only looking, as long as there is nothing to do: on SQLite, taking blocks other writers.
        let jobs = match self.within(store::next_due(&self.0.db, &kinds)).await? {
            Some(at) if at <= now => {
                let lease_end = now.after(self.0.settings.lease);
                self.within(store::claim(&self.0.db, &kinds, now, lease_end, room)).await?
            }
            Some(at) => return Ok((Vec::new(), at.since(now).min(LOOK))),
            None => return Ok((Vec::new(), LOOK)),
        };
        // There may be more; unless others were quicker, and are still at it.
        let pause = if jobs.is_empty() { Duration::from_secs(1) } else { Duration::ZERO };
        Ok((jobs, pause))
    }

    /// Does what is due now, one after the other, until nothing is: for tests, and for programs
    /// that have no worker. A job that fails comes again later; its fault is among those given back.
    ///
    /// # Errors
    /// [`Fault`] when the queue itself can't be read or written.
    pub async fn run_due(&self) -> Result<Vec<Fault>, Fault> {
        let (_never, stopped) = watch::channel(false);
        let mut faults = Vec::new();
        loop {
            let Some(job) = self.claim(1).await?.0.pop() else { return Ok(faults) };
            faults.extend(self.perform(&job, stopped.clone()).await?);
        }
    }

    /// Does a job and writes down how it ended; gives back its fault, if that was how.
    async fn perform(&self, job: &Job, mut stopped: watch::Receiver<bool>) -> Result<Option<Fault>, Fault> {
        let handler = self.handler(&job.kind);
        let mut lease_end = job.due_at;
        let ending = tokio::select! {
            result = attempt(handler.as_deref(), job) => match result {
                Ok(()) => Ending::Done,
                Err(fault) => Ending::Failed(fault),
            },
            () = self.renew(job, &mut lease_end) => Ending::Lost,
            () = told(&mut stopped) => Ending::Released,
        };
        let written = self.settle(job, lease_end, handler.as_deref(), &ending).await;
        if let Err(fault) = &written {
            tracing::error!(job = %job.id, kind = job.kind, cause = fault.chain(), "how a job ended can't be written down; it will be done again");
        }
        written?;
        Ok(match ending {
            Ending::Failed(fault) => Some(fault),
            _ => None,
        })
    }

    /// Prolongs the lease for as long as it is ours; ends when it no longer is.
    async fn renew(&self, job: &Job, lease_end: &mut Timestamp) {
        let (lease, clock) = (self.0.settings.lease, &self.0.clock);
        loop {
            tokio::time::sleep(lease / 3).await;
            let next = clock.now().after(lease);
            match self.within(store::move_lease(&self.0.db, job.id, *lease_end, next)).await {
                Ok(true) => *lease_end = next,
                Ok(false) => break,
                // The next try may do better, if there is time for one.
                Err(_) if clock.now().after(lease / 3) < *lease_end => {}
                Err(_) => break,
            }
        }
        tracing::warn!(job = %job.id, kind = job.kind, "a job's lease was lost; it is left to others");
    }

    async fn settle(
        &self,
        job: &Job,
        lease_end: Timestamp,
        handler: Option<&dyn Handler>,
        ending: &Ending,
    ) -> Result<(), Fault> {
        let (db, now) = (&self.0.db, self.0.clock.now());
        let again = handler.and_then(Handler::every).filter(|_| job.schedule.is_some()).map(|every| now.after(every));
        let fault = match ending {
            Ending::Lost => return Ok(()),
            Ending::Released => return self.within(store::release(db, job.id, lease_end, now)).await,
            Ending::Done => {
                // Worth more than one try: it would be done a second time.
                for _ in 0..3 {
                    if self.within(store::finish(db, job.id, lease_end, again)).await.is_ok() {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                return self.within(store::finish(db, job.id, lease_end, again)).await;
            }
            Ending::Failed(fault) => fault,
        };
        let error = kept(&fault.chain());
        let hopeless = fault.is_lasting() || job.attempts >= job.max_attempts;
        let (id, kind, attempts) = (job.id, &job.kind, job.attempts);
        match (hopeless, again) {
            (false, _) => tracing::warn!(job = %id, kind, attempts, error, "a job failed; it will be tried again"),
            (true, Some(_)) => tracing::error!(job = %id, kind, attempts, error, "a job failed until its next time"),
            (true, None) => tracing::error!(job = %id, kind, attempts, error, "a job failed for good"),
        }
        let next = match again {
            Some(again) if hopeless => store::Next::Anew(again),
            _ if hopeless => store::Next::Never(now),
            _ => store::Next::Retry(now.after(back_off(attempts)?)),
        };
        self.within(store::fail(db, job.id, lease_end, &error, next)).await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let silent = |_| Fault::unavailable("the database is silent");
        tokio::time::timeout(self.0.patience, work).await.map_err(silent)?
    }
}

/// Waits until the worker is told to stop. If it is gone without a word, so is this in a moment.
async fn told(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One attempt. A panic and running out of time are failures like others.
async fn attempt(handler: Option<&dyn Handler>, job: &Job) -> Result<(), Fault> {
    let Some(handler) = handler else {
        return Err(Fault::internal(format!("nobody does jobs of the kind {}", job.kind)));
    };
    if job.attempts > job.max_attempts {
        return Err(Fault::internal("every worker that began it died"));
    }
    let work = AssertUnwindSafe(async { handler.run(job).await }).catch_unwind();
    match tokio::time::timeout(handler.limit(), work).await {
        Ok(Ok(result)) => result,
        // What it says may be anything; the log has it, by the panic hook.
        Ok(Err(_)) => Err(Fault::internal("its handler panicked")),
        Err(_) => Err(Fault::internal("it took longer than its handler allows")),
    }
}

/// Twice as long each time, and half of it by chance: what failed together shall not come back
/// together.
fn back_off(attempts: i32) -> Result<Duration, Fault> {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let full = FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY);
    let chance = f64::from(u16::from_be_bytes(crate::secret::random()?)) / f64::from(u16::MAX);
    Ok(full.mul_f64(0.5 + chance / 2.0))
}

/// Longest error that is kept, in characters.
const MAX_ERROR: usize = 500;

/// The text of an error as the database may have it: what looks like an e-mail address is out,
/// because erasing a person must not depend on what some server answered about them.
fn kept(error: &str) -> String {
    let words = error.split_whitespace().map(|word| if word.contains('@') { "[address]" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_error_is_not_kept() {
        assert_eq!(kept("550 <ada@example.org>: no such user"), "550 [address] no such user");
        assert_eq!(kept(&"x".repeat(1000)).len(), MAX_ERROR);
    }

    #[test]
    fn pauses_grow_to_an_hour_and_differ() {
        for (attempts, full) in [(1, 10), (2, 20), (5, 160), (12, 3600), (i32::MAX, 3600)] {
            let pause = back_off(attempts).unwrap();
            assert!(
                (Duration::from_secs(full) / 2..=Duration::from_secs(full)).contains(&pause),
                "{attempts}: {pause:?}"
            );
        }
    }
}
