//! The queue: each job is done at least once, whoever dies; and once only when nobody does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use petspark_core::jobs::{Handler, Job, JobError, JobState, NewJob};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Clock, Fault, JobId, Migrate, PageRequest, PetSpark};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

const SOON: Duration = Duration::from_secs(20);

/// What a test's handler does with a job.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Nothing,
    /// Tells that it has begun, and goes on when it may.
    Waits,
    Fails,
    Hopelessly,
    Panics,
}

#[derive(Clone)]
struct Work {
    does: Arc<Mutex<Does>>,
    begun: mpsc::UnboundedSender<Value>,
    gate: Arc<Semaphore>,
    done: Arc<Mutex<Vec<Value>>>,
    every: Option<Duration>,
}

impl Work {
    fn new(does: Does) -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (begun, beginnings) = mpsc::unbounded_channel();
        let (does, gate) = (Arc::new(Mutex::new(does)), Arc::new(Semaphore::new(0)));
        (Self { does, begun, gate, done: Arc::default(), every: None }, beginnings)
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn done(&self) -> Vec<Value> {
        self.done.lock().unwrap().clone()
    }
}

impl Handler for Work {
    fn kind(&self) -> &'static str {
        "test.work"
    }

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let does = *self.does.lock().unwrap();
            let _ = self.begun.send(job.payload.clone());
            match does {
                Does::Nothing => {}
                Does::Waits => self.gate.acquire().await.unwrap().forget(),
                Does::Fails => return Err(Fault::unavailable("no room at <ada@example.org>")),
                Does::Hopelessly => return Err(Fault::lasting("refused for good")),
                Does::Panics => panic!("as told"),
            }
            self.done.lock().unwrap().push(job.payload.clone());
            Ok(())
        })
    }

    fn every(&self) -> Option<Duration> {
        self.every
    }
}

/// A worker of a server, until it is told to stop.
struct Worker {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    fn start(petspark: &PetSpark) -> Self {
        let (stop, stopped) = oneshot::channel();
        let jobs = petspark.jobs().clone();
        let task = tokio::spawn(async move { jobs.run_worker(async { drop(stopped.await) }).await });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.unwrap()
}

async fn enqueue(petspark: &PetSpark, payload: Value) -> JobId {
    petspark.jobs().enqueue(NewJob::new("test.work", payload)).await.unwrap()
}

async fn states(petspark: &PetSpark) -> Vec<JobState> {
    let page = petspark.jobs().list(&operator(), None, &PageRequest::default()).await.unwrap();
    page.items.iter().filter(|job| job.kind == "test.work").map(petspark_core::jobs::JobInfo::state).collect()
}

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

/// Another server with settings of its own.
async fn another(app: &TestApp, change: impl FnOnce(&mut petspark_core::config::Settings)) -> PetSpark {
    let mut settings = app.petspark.settings().clone();
    change(&mut settings);
    PetSpark::open_with(settings, Migrate::Never, app.clock.clone()).await.unwrap()
}

on_both! {
    async fn two_hundred_jobs_for_four_workers_are_each_done_once(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Nothing);
        let mut workers = Vec::new();
        let mut servers = Vec::new();
        for _ in 0..4 {
            let server = app.another().await;
            server.jobs().handle(work.clone());
            workers.push(Worker::start(&server));
            servers.push(server);
        }
        for n in 0..200 {
            enqueue(&app.petspark, json!(n)).await;
        }
        let mut times = BTreeMap::new();
        for _ in 0..200 {
            let payload = tokio::time::timeout(Duration::from_secs(60), begun.recv()).await.unwrap().unwrap();
            *times.entry(payload.as_u64().unwrap()).or_insert(0) += 1;
        }
        for worker in workers {
            worker.stop().await;
        }
        assert!(begun.try_recv().is_err(), "a job was done twice");
        assert_eq!((times.len(), times.values().max()), (200, Some(&1)));
        assert!(states(&app.petspark).await.is_empty());
    }

    async fn an_idle_worker_hears_of_a_job_that_another_process_enqueues(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Nothing);
        app.petspark.jobs().handle(work);
        let worker = Worker::start(&app.petspark);
        let other = app.another().await;
        for n in 0..3 {
            enqueue(&other, json!(n)).await;
            assert_eq!(soon(begun.recv()).await, Some(json!(n)));
        }
        worker.stop().await;
    }

    async fn a_job_that_fails_comes_back_later_and_is_kept_when_it_has_failed_too_often(app: TestApp) {
        let (work, _begun) = Work::new(Does::Fails);
        app.petspark.jobs().handle(work.clone());
        let job = NewJob::new("test.work", json!("x")).max_attempts(3);
        let id = app.petspark.jobs().enqueue(job).await.unwrap();
        for attempt in 1..=3 {
            assert_eq!(app.petspark.jobs().run_due().await.unwrap().len(), 1, "attempt {attempt}");
            assert!(app.petspark.jobs().run_due().await.unwrap().is_empty(), "at once again");
            app.clock.advance(Duration::from_secs(3600));
        }
        assert!(app.petspark.jobs().run_due().await.unwrap().is_empty());
        let dead = app.petspark.jobs().get(&operator(), id).await.unwrap();
        assert_eq!((dead.state(), dead.attempts), (JobState::Dead, 3));
        assert_eq!(dead.last_error.as_deref(), Some("no room at [address]"));

        work.now(Does::Nothing);
        assert_eq!(app.petspark.jobs().preview_retry_all_dead(&operator()).await.unwrap(), 1);
        assert_eq!(states(&app.petspark).await, [JobState::Dead]);
        assert_eq!(app.petspark.jobs().retry_all_dead(&operator()).await.unwrap(), 1);
        app.run_jobs().await;
        assert_eq!(work.done(), [json!("x")]);
    }

    async fn a_job_that_fails_hopelessly_is_not_tried_again(app: TestApp) {
        let (work, _begun) = Work::new(Does::Hopelessly);
        app.petspark.jobs().handle(work);
        enqueue(&app.petspark, Value::Null).await;
        assert_eq!(app.petspark.jobs().run_due().await.unwrap().len(), 1);
        assert_eq!(states(&app.petspark).await, [JobState::Dead]);
    }

    async fn a_panic_is_a_failure_like_others(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Panics);
        app.petspark.jobs().handle(work.clone());
        let worker = Worker::start(&app.petspark);
        enqueue(&app.petspark, json!(1)).await;
        assert_eq!(soon(begun.recv()).await, Some(json!(1)));
        work.now(Does::Nothing);
        enqueue(&app.petspark, json!(2)).await;
        assert_eq!(soon(begun.recv()).await, Some(json!(2)));
        worker.stop().await;
        assert_eq!(states(&app.petspark).await, [JobState::Queued]);
    }

    async fn what_is_urgent_goes_first_and_what_is_for_later_waits(app: TestApp) {
        let (work, _begun) = Work::new(Does::Nothing);
        app.petspark.jobs().handle(work.clone());
        let jobs = app.petspark.jobs();
        jobs.enqueue(NewJob::new("test.work", json!("later")).after(Duration::from_secs(60))).await.unwrap();
        jobs.enqueue(NewJob::new("test.work", json!("whenever")).priority(10)).await.unwrap();
        jobs.enqueue(NewJob::new("test.work", json!("normal"))).await.unwrap();
        jobs.enqueue(NewJob::new("test.work", json!("urgent")).priority(-10)).await.unwrap();
        app.run_jobs().await;
        assert_eq!(work.done(), [json!("urgent"), json!("normal"), json!("whenever")]);
        app.clock.advance(Duration::from_secs(60));
        app.run_jobs().await;
        assert_eq!(work.done().len(), 4);
    }

    async fn a_schedule_comes_up_once_for_all_servers(app: TestApp) {
        let (mut work, _begun) = Work::new(Does::Nothing);
        work.every = Some(Duration::from_secs(3600));
        let servers = [app.another().await, app.another().await, app.another().await];
        for server in &servers {
            server.jobs().handle(work.clone());
        }
        for round in 1..=3 {
            let [a, b, c] = &servers;
            let (a, b, c) = tokio::join!(a.jobs().run_due(), b.jobs().run_due(), c.jobs().run_due());
            assert!([a, b, c].into_iter().all(|faults| faults.unwrap().is_empty()));
            assert_eq!(work.done().len(), round);
            app.clock.advance(Duration::from_secs(3600));
        }
        // It fails for good, and is there again the next time.
        work.now(Does::Hopelessly);
        assert_eq!(servers[0].jobs().run_due().await.unwrap().len(), 1);
        assert_eq!(states(&app.petspark).await, [JobState::Queued]);
        let page = app.petspark.jobs().list(&operator(), None, &PageRequest::default()).await.unwrap();
        let id = page.items.iter().find(|job| job.kind == "test.work").unwrap().id;
        assert!(matches!(app.petspark.jobs().drop(&operator(), id).await, Err(JobError::Scheduled)));
        work.now(Does::Nothing);
        app.clock.advance(Duration::from_secs(3600));
        assert!(servers[1].jobs().run_due().await.unwrap().is_empty());
        assert_eq!(work.done().len(), 4);
    }

    async fn a_worker_that_is_told_to_stop_finishes_what_it_has_begun_and_begins_nothing_more(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        let server = another(&app, |settings| settings.jobs.workers = 1).await;
        server.jobs().handle(work.clone());
        let worker = Worker::start(&server);
        enqueue(&app.petspark, json!("first")).await;
        enqueue(&app.petspark, json!("second")).await;
        assert_eq!(soon(begun.recv()).await, Some(json!("first")));
        worker.stop.send(()).unwrap();
        assert!(!worker.task.is_finished());
        work.gate.add_permits(2);
        soon(worker.task).await.unwrap();
        assert_eq!(work.done(), [json!("first")]);
        assert_eq!(states(&app.petspark).await, [JobState::Queued]);
    }

    async fn a_job_that_does_not_end_in_time_is_left_to_others_as_if_it_had_not_been_begun(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        let server = another(&app, |settings| settings.jobs.drain_timeout = Duration::ZERO).await;
        server.jobs().handle(work.clone());
        let worker = Worker::start(&server);
        let id = enqueue(&app.petspark, json!("x")).await;
        soon(begun.recv()).await;
        assert!(matches!(app.petspark.jobs().retry(&operator(), id).await, Err(JobError::Running)));
        assert!(matches!(app.petspark.jobs().drop(&operator(), id).await, Err(JobError::Running)));
        worker.stop().await;
        let job = app.petspark.jobs().get(&operator(), id).await.unwrap();
        assert_eq!((job.state(), job.attempts), (JobState::Queued, 0));
        work.now(Does::Nothing);
        app.petspark.jobs().handle(work.clone());
        app.run_jobs().await;
        assert_eq!(work.done(), [json!("x")]);
    }

    async fn a_job_whose_worker_vanishes_is_done_by_another_when_the_lease_ends(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        app.petspark.jobs().handle(work.clone());
        enqueue(&app.petspark, json!("x")).await;
        let worker = Worker::start(&app.petspark);
        soon(begun.recv()).await;
        worker.task.abort();
        assert!(worker.task.await.unwrap_err().is_cancelled());
        work.now(Does::Nothing);
        let other = app.another().await;
        other.jobs().handle(work.clone());
        assert!(other.jobs().run_due().await.unwrap().is_empty());
        assert!(work.done().is_empty(), "taken before the lease ended");
        app.clock.advance(app.petspark.settings().jobs.lease);
        assert!(other.jobs().run_due().await.unwrap().is_empty());
        assert_eq!(work.done(), [json!("x")]);
    }

    async fn a_job_that_kills_every_worker_is_given_up(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        app.petspark.jobs().handle(work.clone());
        let job = NewJob::new("test.work", json!("poison")).max_attempts(2);
        let id = app.petspark.jobs().enqueue(job).await.unwrap();
        for _ in 0..2 {
            // Dropped in the middle of the job, as a process that dies would leave it.
            tokio::select! {
                ended = app.petspark.jobs().run_due() => panic!("{ended:?}"),
                _ = soon(begun.recv()) => {}
            }
            app.clock.advance(app.petspark.settings().jobs.lease);
        }
        assert_eq!(app.petspark.jobs().run_due().await.unwrap().len(), 1);
        assert!(begun.try_recv().is_err(), "begun a third time");
        let job = app.petspark.jobs().get(&operator(), id).await.unwrap();
        assert_eq!((job.state(), job.last_error.as_deref()), (JobState::Dead, Some("every worker that began it died")));
    }

    async fn a_long_job_stays_with_the_worker_that_does_it(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        let mut settings = app.petspark.settings().clone();
        settings.jobs.lease = Duration::from_millis(300);
        let server = PetSpark::open_with(settings.clone(), Migrate::Never, Clock::system()).await.unwrap();
        server.jobs().handle(work.clone());
        // Long due by the system's clock.
        let id = enqueue(&server, json!("x")).await;
        let worker = Worker::start(&server);
        soon(begun.recv()).await;
        let first = server.jobs().get(&operator(), id).await.unwrap().due_at;
        soon(async { while server.jobs().get(&operator(), id).await.unwrap().due_at < first.after(settings.jobs.lease) {} }).await;
        let other = PetSpark::open_with(settings, Migrate::Never, Clock::system()).await.unwrap();
        other.jobs().handle(work.clone());
        assert!(other.jobs().run_due().await.unwrap().is_empty());
        work.gate.add_permits(1);
        worker.stop().await;
        assert!(begun.try_recv().is_err(), "begun twice");
        assert_eq!(work.done(), [json!("x")]);
    }

    async fn a_worker_that_lost_its_lease_decides_nothing_about_the_job_any_more(app: TestApp) {
        let (work, mut begun) = Work::new(Does::Waits);
        app.petspark.jobs().handle(work.clone());
        let id = enqueue(&app.petspark, json!("x")).await;
        let slow = Worker::start(&app.petspark);
        soon(begun.recv()).await;
        app.clock.advance(app.petspark.settings().jobs.lease);
        let other = app.another().await;
        other.jobs().handle(work.clone());
        let second = Worker::start(&other);
        soon(begun.recv()).await;
        // One goes on, and it may be either: the job is there as long as the second is at it.
        work.gate.add_permits(1);
        soon(async { while work.done().is_empty() { tokio::task::yield_now().await } }).await;
        work.gate.add_permits(1);
        slow.stop().await;
        second.stop().await;
        assert!(matches!(app.petspark.jobs().get(&operator(), id).await, Err(JobError::NotFound)));
        assert_eq!(work.done().len(), 2);
    }

    async fn who_has_been_dead_for_a_month_is_removed(app: TestApp) {
        let (work, _begun) = Work::new(Does::Hopelessly);
        let jobs = app.petspark.jobs();
        jobs.handle(work);
        enqueue(&app.petspark, json!("old")).await;
        assert_eq!(jobs.run_due().await.unwrap().len(), 1);
        let day = Duration::from_secs(86_400);
        app.clock.advance(15 * day);
        enqueue(&app.petspark, json!("young")).await;
        assert_eq!(jobs.run_due().await.unwrap().len(), 1);
        assert_eq!(jobs.count_long_dead(&operator()).await.unwrap(), 0);
        app.clock.advance(16 * day);
        assert_eq!(jobs.count_long_dead(&operator()).await.unwrap(), 1);
        app.run_jobs().await;
        assert_eq!(jobs.count_long_dead(&operator()).await.unwrap(), 0, "the daily job did it");
        let left = jobs.list(&operator(), Some(JobState::Dead), &PageRequest::default()).await.unwrap().items;
        assert_eq!(left.iter().map(|job| &job.payload).collect::<Vec<_>>(), [&json!("young")]);
        app.clock.advance(16 * day);
        assert_eq!(jobs.remove_dead(&operator()).await.unwrap(), 1);
        assert_eq!(jobs.remove_dead(&operator()).await.unwrap(), 0);
    }

    async fn only_administrators_see_and_change_the_queue(app: TestApp) {
        let ada = app.register("ada").await;
        let id = enqueue(&app.petspark, json!("x")).await;
        let jobs = app.petspark.jobs();
        let page = PageRequest::default();
        assert!(matches!(jobs.list(&ada.caller, None, &page).await, Err(JobError::Denied(_))));
        assert!(matches!(jobs.get(&ada.caller, id).await, Err(JobError::Denied(_))));
        assert!(matches!(jobs.retry(&ada.caller, id).await, Err(JobError::Denied(_))));
        assert!(matches!(jobs.retry_all_dead(&ada.caller).await, Err(JobError::Denied(_))));
        assert!(matches!(jobs.drop(&ada.caller, id).await, Err(JobError::Denied(_))));
        assert!(matches!(jobs.get(&operator(), JobId::new()).await, Err(JobError::NotFound)));
        jobs.preview_drop(&operator(), id).await.unwrap();
        jobs.drop(&operator(), id).await.unwrap();
        assert!(matches!(jobs.drop(&operator(), id).await, Err(JobError::NotFound)));
    }

    async fn pages_of_jobs_are_of_one_state_and_miss_nothing(app: TestApp) {
        let mut enqueued = Vec::new();
        for n in 0..5 {
            enqueued.insert(0, enqueue(&app.petspark, json!(n)).await);
        }
        let jobs = app.petspark.jobs();
        let mut page = PageRequest::first(2).unwrap();
        let mut listed = Vec::new();
        loop {
            let found = jobs.list(&operator(), Some(JobState::Queued), &page).await.unwrap();
            listed.extend(found.items.iter().map(|job| job.id));
            let Some(next) = found.next_cursor else { break };
            page = PageRequest::first(2).unwrap().after(next);
        }
        assert_eq!(listed, enqueued);
        assert!(jobs.list(&operator(), Some(JobState::Dead), &PageRequest::default()).await.unwrap().items.is_empty());
        assert!(matches!(jobs.list(&operator(), None, &page).await, Err(JobError::Invalid(_))));
    }

    async fn work_that_nobody_does_is_noticed(app: TestApp) {
        app.petspark.jobs().check().await.unwrap();
        enqueue(&app.petspark, json!("x")).await;
        app.petspark.jobs().check().await.unwrap();
        app.clock.advance(Duration::from_secs(301));
        app.petspark.jobs().check().await.unwrap_err();
    }

    async fn the_job_of_a_killed_process_is_done_by_another(app: TestApp) {
        let settings = app.petspark.settings();
        enqueue(&app.petspark, json!("x")).await;
        let url = match &settings.database.url {
            petspark_core::config::DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            petspark_core::config::DatabaseUrl::Postgres(url) => url.expose().to_owned(),
        };
        let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "jobs::a_process_to_be_killed"])
            .env(VICTIM_FOLDER, app.folder()).env(VICTIM_DATABASE, url)
            .stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null())
            .kill_on_drop(true).spawn().unwrap();
        let running = async { while states(&app.petspark).await != [JobState::Running] {} };
        soon(running).await;
        // SIGKILL: it has no chance to give anything back.
        victim.kill().await.unwrap();
        let (work, _begun) = Work::new(Does::Nothing);
        app.petspark.jobs().handle(work.clone());
        assert_eq!(states(&app.petspark).await, [JobState::Running]);
        app.clock.advance(Duration::from_secs(10 * 365 * 86_400));
        app.run_jobs().await;
        assert_eq!(work.done(), [json!("x")]);
    }
}

const VICTIM_FOLDER: &str = "PETSPARK_TEST_VICTIM_FOLDER";
const VICTIM_DATABASE: &str = "PETSPARK_TEST_VICTIM_DATABASE";

/// Not a test: what [`the_job_of_a_killed_process_is_done_by_another`] starts and kills.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
#[allow(clippy::disallowed_methods, reason = "how that test tells where the database is")]
async fn a_process_to_be_killed() {
    use petspark_core::config::Value as _;
    let Some(folder) = std::env::var_os(VICTIM_FOLDER) else { return };
    let mut settings = petspark_core::config::Settings::in_folder(folder);
    let url = std::env::var(VICTIM_DATABASE).unwrap();
    settings.database.url = petspark_core::config::DatabaseUrl::parse(&url).unwrap();
    let petspark = PetSpark::open_with(settings, Migrate::Never, Clock::system()).await.unwrap();
    let (work, _begun) = Work::new(Does::Waits);
    petspark.jobs().handle(work);
    petspark.jobs().run_worker(std::future::pending()).await;
}
