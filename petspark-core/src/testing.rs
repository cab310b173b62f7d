//! For tests of this workspace and of plug-ins: a PetSpark on a database of its own, with a
//! clock that the test moves. Feature `testing`; never part of a release build.
//!
//! PostgreSQL is found by `PETSPARK_TEST_POSTGRES_URL`, which `scripts/test` sets. Without it
//! the PostgreSQL half of a test fails: an engine that isn't tested isn't supported.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that can't be set up must fail"
)]

mod mails;
mod photos;
#[cfg(feature = "testing-s3")]
mod s3;
#[cfg(feature = "testing-stripe")]
pub mod stripe;

use tempfile::TempDir;

use crate::auth::{Client, NewAccount, Password, Registered, SignedIn};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::config::{DatabaseUrl, Settings};
use crate::id::UserId;
use crate::petspark::{Migrate, PetSpark};
use crate::secret::Secret;

pub use crate::on_both;
pub use mails::TestMail;
pub use photos::{jpeg, sha256};
#[cfg(feature = "testing-s3")]
pub use s3::TestS3;
#[cfg(feature = "testing-stripe")]
pub use stripe::TestStripe;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file in a temporary folder.
    Sqlite,
    /// A schema of its own in the PostgreSQL that `PETSPARK_TEST_POSTGRES_URL` names.
    Postgres,
}

/// A PetSpark for one test. Its folder is gone when this is dropped.
pub struct TestApp {
    /// The opened library.
    pub petspark: PetSpark,
    /// Its clock, standing still until moved.
    pub clock: Clock,
    folder: TempDir,
}

impl TestApp {
    /// Opens a PetSpark on a new, migrated database.
    pub async fn open(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(engine, &folder).await;
        let clock = Clock::manual(Timestamp::from_micros(1_795_384_178_123_456));
        let petspark = PetSpark::open_with(settings, Migrate::Always, clock.clone()).await.expect("a test database");
        Self { petspark, clock, folder }
    }

    /// A second PetSpark on the same database, as another server or the operator's tool would be.
    pub async fn another(&self) -> PetSpark {
        self.another_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn another_with(&self, change: impl FnOnce(&mut Settings)) -> PetSpark {
        let mut settings = self.petspark.settings().clone();
        change(&mut settings);
        PetSpark::open_with(settings, Migrate::Never, self.clock.clone()).await.expect("the same database again")
    }

    /// Does every job that is due. One that fails fails the test.
    pub async fn run_jobs(&self) {
        let faults = self.petspark.jobs().run_due().await.expect("the queue");
        assert!(faults.is_empty(), "jobs failed: {:?}", faults.iter().map(crate::Fault::chain).collect::<Vec<_>>());
    }

    /// The folder of this test.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Registers `{name}@example.org` with the password [`TestApp::PASSWORD`].
    pub async fn register(&self, name: &str) -> TestUser {
        let account = NewAccount {
            email: format!("{name}@example.org"),
            password: Password::new(Self::PASSWORD),
            display_name: name.to_owned(),
        };
        let registered = self.petspark.auth().register(account, Client::default()).await.expect("a new user");
        let Registered::SignedIn(signed_in) = registered else { panic!("this test's settings want a mail first") };
        let caller = self.petspark.auth().authenticate(signed_in.tokens.access.expose()).await.expect("their token");
        TestUser { id: signed_in.user.id, signed_in: *signed_in, caller }
    }

    /// Signs `{name}@example.org` in once more.
    pub async fn sign_in(&self, name: &str) -> TestUser {
        let (email, password) = (format!("{name}@example.org"), Password::new(Self::PASSWORD));
        let signed_in = self.petspark.auth().login(&email, password, Client::default()).await.expect("a user");
        let caller = self.petspark.auth().authenticate(signed_in.tokens.access.expose()).await.expect("their token");
        TestUser { id: signed_in.user.id, signed_in, caller }
    }

    /// Every test user's password.
    pub const PASSWORD: &'static str = "correct horse battery";
}

/// A user of a test.
pub struct TestUser {
    /// Who.
    pub id: UserId,
    /// Their first session.
    pub signed_in: SignedIn,
    /// They, as the one who asks.
    pub caller: Caller,
}

/// The code that an authenticator app with this secret would show at `now`.
#[must_use]
pub fn totp_code(secret: &Secret, now: Timestamp) -> String {
    crate::auth::code_at(secret, now).expect("a secret in base 32")
}

/// Settings for a database of one's own, empty, in `folder` or in a new schema.
pub async fn settings(engine: Engine, folder: &TempDir) -> Settings {
    let mut settings = Settings::in_folder(folder.path());
    // Two: tests of one binary run side by side, and PostgreSQL has 100 connections for all.
    settings.database.max_connections = 4;
    settings.auth.hash_concurrency = 2;
    // Whoever a test registers comes from one address, and races are run with more than three.
    settings.auth.throttle.requests_per_ip.count = 10_000;
    settings.auth.throttle.requests_per_email.count = 10_000;
    // The minute in which renewals are counted never ends while the clock stands still.
    settings.auth.refresh_per_minute = 0;
    if engine == Engine::Postgres {
        settings.database.url = DatabaseUrl::Postgres(Secret::new(new_postgres_schema().await));
    }
    settings
}

/// The address of a new, empty schema.
pub async fn new_postgres_schema() -> String {
    #[allow(clippy::disallowed_methods, reason = "how scripts/test tells where its PostgreSQL is")]
    let url = std::env::var("PETSPARK_TEST_POSTGRES_URL")
        .expect("PETSPARK_TEST_POSTGRES_URL is not set; run the tests by scripts/test, or see CONTRIBUTING.md");
    let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.expect("the test PostgreSQL");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
        .execute(&mut connection)
        .await
        .expect("a new schema");
    sqlx::Connection::close(connection).await.expect("a clean good-bye");
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-csearch_path%3D{schema}")
}

/// Declares tests that run on both engines, as `name::sqlite` and `name::postgres`: with an app, or with the engine
/// alone for those that open, migrate or tamper by themselves.
///
/// ```text
/// on_both! {
///     async fn a_pet_has_an_owner(app: TestApp) { /* ... */ }
/// }
/// on_both! {
///     async fn a_new_database_is_migrated(engine: Engine) { /* ... */ }
/// }
/// ```
#[macro_export]
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($app:ident: TestApp) $body:block)+) => { $(
        $crate::on_both! { @of $name, [$(#[$attribute])*], $app: $crate::testing::TestApp, $body,
            engine => $crate::testing::TestApp::open(engine).await }
    )+ };
    ($($(#[$attribute:meta])* async fn $name:ident($engine:ident: Engine) $body:block)+) => { $(
        $crate::on_both! { @of $name, [$(#[$attribute])*], $engine: $crate::testing::Engine, $body, engine => engine }
    )+ };
    (@of $name:ident, [$($attribute:tt)*], $argument:ident: $kind:ty, $body:block, $on:ident => $given:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $($attribute)*
            async fn test($argument: $kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let $on = $crate::testing::Engine::Sqlite;
                test($given).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let $on = $crate::testing::Engine::Postgres;
                test($given).await;
            }
        }
    };
}
