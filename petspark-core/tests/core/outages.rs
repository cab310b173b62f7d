//! A database that is away, locked, full or comes back: clear words, no hang, nothing lost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use petspark_core::auth::{Client, NewAccount, Password, Registered};
use petspark_core::config::{DatabaseUrl, Settings, Value as _};
use petspark_core::database::{Database, OpenError};
use petspark_core::pets::{PetFields, PetFilter, Species};
use petspark_core::testing::{Engine, TestApp, settings};
use petspark_core::{Caller, Failure as _, Kind, Migrate, PageRequest, PetSpark};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A user of a PetSpark that was opened by settings of the test's own.
async fn register_ada(petspark: &PetSpark) -> Caller {
    let account = NewAccount {
        email: "ada@example.org".into(),
        password: Password::new(TestApp::PASSWORD),
        display_name: "Ada".into(),
    };
    let Registered::SignedIn(ada) = petspark.auth().register(account, Client::default()).await.unwrap() else {
        panic!()
    };
    petspark.auth().authenticate(ada.tokens.access.expose()).await.unwrap()
}

fn postgres(url: &str, patience: Duration) -> Settings {
    let mut settings = Settings::default();
    settings.database.url = DatabaseUrl::parse(url).unwrap();
    settings.database.connect_timeout = patience;
    settings
}

#[tokio::test]
async fn a_postgresql_that_is_away_is_named_without_its_password() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = postgres(&format!("postgres://ada:hunter2@{nobody}/petspark"), Duration::from_millis(300));
    let error = Database::open(&settings.database).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }));
    let text = format!("{error} {error:?}");
    assert!(
        text.contains(&format!("{nobody}/petspark")) && text.contains("refused") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn a_postgresql_that_accepts_and_says_nothing_does_not_hang_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings =
        postgres(&format!("postgres://ada@{}/petspark", listener.local_addr().unwrap()), Duration::from_millis(300));
    let started = Instant::now();
    assert!(matches!(Database::open(&settings.database).await, Err(OpenError::Unreachable { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_wrong_database_name_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Postgres, &folder).await;
    let DatabaseUrl::Postgres(url) = &settings.database.url else { panic!("not PostgreSQL") };
    settings.database.url = DatabaseUrl::parse(&url.expose().replace("/postgres?", "/nowhere?")).unwrap();
    let error = Database::open(&settings.database).await.unwrap_err();
    assert!(matches!(&error, OpenError::Refused { reason, .. } if reason.contains("nowhere")), "{error}");
}

/// A door in front of the test PostgreSQL that can be shut and opened.
struct Door {
    address: std::net::SocketAddr,
    behind: String,
    open: Option<JoinHandle<()>>,
    /// How often it fell silent: connections from before stay silent for ever.
    silences: std::sync::Arc<std::sync::atomic::AtomicU32>,
    silent: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Door {
    async fn in_front_of(url: &str) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
        let through = url.replace(&behind, &address.to_string());
        let mut door = Self { address, behind, open: None, silences: Default::default(), silent: Default::default() };
        door.open_on(listener);
        (door, through)
    }

    fn open_on(&mut self, listener: TcpListener) {
        let (behind, silences, silent) = (self.behind.clone(), self.silences.clone(), self.silent.clone());
        self.open = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&behind).await.unwrap();
                let (silences, silent) = (silences.clone(), silent.clone());
                let born = silences.load(Ordering::SeqCst);
                connections.spawn(async move {
                    // Looked at every millisecond: a door has no other way to hear of it.
                    let fell_silent = async {
                        let mut look = tokio::time::interval(Duration::from_millis(1));
                        while !silent.load(Ordering::SeqCst) && silences.load(Ordering::SeqCst) == born {
                            look.tick().await;
                        }
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = fell_silent => std::future::pending().await,
                    }
                });
            }
        }));
    }

    /// Passes nothing on any more, without a word to either side: a lost route, a fail-over.
    fn fall_silent(&self) {
        self.silences.fetch_add(1, Ordering::SeqCst);
        self.silent.store(true, Ordering::SeqCst);
    }

    /// New connections work; the old ones stay silent.
    fn speak_again(&self) {
        self.silent.store(false, Ordering::SeqCst);
    }

    /// Cuts every connection and refuses new ones.
    async fn shut(&mut self) {
        let task = self.open.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    async fn open_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.open_on(listener);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_vanishes_is_503_and_works_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Postgres, &folder).await;
    let DatabaseUrl::Postgres(url) = &settings.database.url else { panic!("not PostgreSQL") };
    let (mut door, through) = Door::in_front_of(url.expose()).await;
    settings.database.url = DatabaseUrl::parse(&through).unwrap();
    settings.database.acquire_timeout = Duration::from_millis(500);
    let petspark = PetSpark::open_with(settings, Migrate::Always, petspark_core::Clock::system()).await.unwrap();
    petspark.database().ping().await.unwrap();
    door.shut().await;
    for _ in 0..6 {
        let error = petspark.database().ping().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    }
    door.open_again().await;
    // Connections that died may have to be noticed first, one request each; no more than the pool has.
    let mut recovered = false;
    for _ in 0..5 {
        recovered = petspark.database().ping().await.is_ok();
        if recovered {
            break;
        }
    }
    assert!(recovered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_somebody_locks_is_503_for_writers_and_readable_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Sqlite, &folder).await;
    settings.database.busy_timeout = Duration::from_millis(200);
    let petspark = PetSpark::open(settings.clone()).await.unwrap();
    let ada = register_ada(&petspark).await;
    let crate::sql::Direct::Sqlite(mut other) = crate::sql::connect(&settings).await else { panic!("not SQLite") };
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let refused = petspark.pets().create(&ada, PetFields::new("Rex", Species::Dog)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused:?}");
    assert!(petspark.pets().list(&ada, PetFilter::default(), &PageRequest::default()).await.unwrap().items.is_empty());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    petspark.pets().create(&ada, PetFields::new("Rex", Species::Dog)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_503_and_what_was_acknowledged_stays() {
    let folder = tempfile::tempdir().unwrap();
    let petspark = PetSpark::open(settings(Engine::Sqlite, &folder).await).await.unwrap();
    let ada = register_ada(&petspark).await;
    petspark.database().limit_pages_for_tests(40).await;
    let mut acknowledged = 0;
    let bio = "x".repeat(1000);
    let refused = loop {
        let fields =
            PetFields { bio: petspark_core::pets::Patch::Set(bio.clone()), ..PetFields::new("Rex", Species::Dog) };
        match petspark.pets().create(&ada, fields).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the disk never got full");
    };
    assert_eq!(refused.kind(), Kind::Unavailable, "{refused:?}");
    let (told, place) = (petspark_core::chain(&refused), folder.path().display().to_string());
    assert!(told.contains("the disk") && told.contains(&place) && told.contains("(code: 13)"), "{told}");
    assert!(!refused.to_string().contains(&place), "a client is told nothing of our disks");
    assert_eq!(petspark.pets().count().await.unwrap(), acknowledged);
    petspark.database().limit_pages_for_tests(10_000).await;
    petspark.pets().create(&ada, PetFields::new("Rex", Species::Dog)).await.unwrap();
    assert_eq!(petspark.pets().count().await.unwrap(), acknowledged + 1);
}

#[tokio::test]
async fn a_process_that_was_stopped_while_opening_does_not_hang_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Sqlite, &folder).await;
    settings.database.connect_timeout = Duration::from_millis(100);
    let stopped = std::fs::File::create(folder.path().join("petspark.db.lock")).unwrap();
    stopped.lock().unwrap();
    let error = PetSpark::open(settings.clone()).await.err().unwrap();
    assert!(error.to_string().contains("petspark.db.lock"), "{error}");
    drop(stopped);
    PetSpark::open(settings).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let petspark = PetSpark::open(Settings::in_folder(&data)).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with("petspark.db-wal")), "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    petspark.close().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let error = PetSpark::open(Settings::in_folder(file.join("data"))).await.err().unwrap();
    assert!(error.to_string().contains("a-file"), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    let no_database = folder.path().join("no.db");
    std::fs::write(&no_database, "this is text and not a database, and long enough to have a header").unwrap();
    let mut settings = Settings::in_folder(folder.path());
    settings.database.url = DatabaseUrl::Sqlite(no_database);
    let error = PetSpark::open(settings).await.err().unwrap().to_string();
    assert!(error.contains("no.db") && error.contains("not a database"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_nobody_waits_for_any_more_open_no_connections_beyond_the_limit() {
    let app = TestApp::open(Engine::Sqlite).await;
    let seeds = app.petspark.seeds();
    let plan = petspark_core::seed::SeedPlan { users: 10, pets: 20_000, seed: 1, password: None };
    seeds.run(&petspark_core::Caller::operator("test"), plan, |_| std::ops::ControlFlow::Continue(())).await.unwrap();
    let ada = app.register("ada").await;
    // Of this test's own file: other tests have connections too, in the same process.
    let file = std::fs::canonicalize(app.folder()).unwrap().join("petspark.db");
    let connections = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        open.filter(|fd| fd.as_ref().is_ok_and(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path == file)))
            .count()
    };
    let before = connections();
    assert!(before >= 1, "the test sees no connection at all");
    for _ in 0..100 {
        // Begun, and given up at once.
        let filter = PetFilter { breed: Some("no such breed".to_owned()), ..PetFilter::default() };
        let page = PageRequest::default();
        let mut list = Box::pin(app.petspark.pets().list(&ada.caller, filter, &page));
        let _ = futures_util::poll!(list.as_mut());
    }
    let most = before + app.petspark.settings().database.max_connections as usize;
    assert!(connections() <= most, "{} connections, and {most} are allowed", connections());
    assert!(app.petspark.pets().list(&ada.caller, PetFilter::default(), &PageRequest::default()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_falls_silent_is_given_up_and_the_next_connection_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Engine::Postgres, &folder).await;
    let DatabaseUrl::Postgres(url) = &settings.database.url else { panic!("not PostgreSQL") };
    let (door, through) = Door::in_front_of(url.expose()).await;
    settings.database.url = DatabaseUrl::parse(&through).unwrap();
    settings.database.acquire_timeout = Duration::from_secs(8);
    let petspark = PetSpark::open_with(settings, Migrate::Always, petspark_core::Clock::system()).await.unwrap();
    petspark.database().ping().await.unwrap();
    door.fall_silent();
    // Until one really hangs: the door takes a moment to fall silent.
    while tokio::time::timeout(Duration::from_millis(200), petspark.database().ping()).await.is_ok() {}
    door.speak_again();
    let started = Instant::now();
    petspark.database().ping().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8));
    tokio::time::timeout(Duration::from_secs(20), petspark.close()).await.unwrap();
}
