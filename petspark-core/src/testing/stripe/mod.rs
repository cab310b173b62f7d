//! A Stripe for tests, in this process: stateful, with a clock that the test moves, faults that it
//! orders and signed webhooks. Its objects have the shape of the API version that
//! [`VERSION`] names. What it doesn't know it refuses, so that no test passes by its leniency.

mod account;
mod catalogue;
mod customers;
mod expand;
mod fault;
mod form;
mod idempotency;
mod list;
mod objects;
mod refusal;
mod routes;
mod server;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::{Value as _, WebUrl};
use crate::secret::Secret;

use world::World;

pub use fault::Fault;
pub use server::Call;

/// The API version whose shapes the answers have: the one that async-stripe's types are made from.
pub const VERSION: &str = "2026-09-30.endive";

/// A Stripe with one account; it ends with the test's run-time.
#[derive(Clone)]
pub struct TestStripe {
    url: WebUrl,
    clock: Clock,
    shared: Arc<Mutex<World>>,
}

impl TestStripe {
    /// Starts one on a free port. It lives by `clock`, which may be the one of the PetSpark under test.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let shared = Arc::new(Mutex::new(World::new(clock.clone(), &url)));
        tokio::spawn(server::run(listener, Arc::clone(&shared)));
        Self { url: WebUrl::parse(&url).expect("an address"), clock, shared }
    }

    /// Where it listens, without the `/v1` that every path begins with.
    #[must_use]
    pub fn url(&self) -> &WebUrl {
        &self.url
    }

    /// The key that it lets in; any other is answered with 401.
    #[must_use]
    pub fn secret_key(&self) -> Secret {
        Secret::new(server::SECRET_KEY)
    }

    /// Moves the clock, and does all that falls due on the way, each at its time.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.world().catch_up();
    }

    /// Spoils the next `times` calls, whatever they ask for.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.world().faults.order(None, times, fault);
    }

    /// Spoils the next `times` calls to `call`, such as `POST /v1/customers`. A `{}` stands for an id.
    pub fn fail_next_at(&self, call: &str, times: usize, fault: Fault) {
        self.world().faults.order(Some(call.to_owned()), times, fault);
    }

    /// All calls so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How many calls have come to `call`, such as `POST /v1/customers`. A `{}` stands for an id.
    #[must_use]
    pub fn count(&self, call: &str) -> usize {
        self.world().calls.iter().filter(|made| made.route == call).count()
    }

    /// All objects of this kind, such as `customer` or `checkout.session`, oldest first and as they
    /// are now.
    #[must_use]
    pub fn objects(&self, kind: &str) -> Vec<serde_json::Value> {
        self.world().all(kind).cloned().collect()
    }

    /// The object with this id, as it is now.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<serde_json::Value> {
        self.world().objects.get(id).cloned()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
