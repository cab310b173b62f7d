//! A Stripe for tests, in this process: stateful, with a clock that the test moves, faults that it
//! orders and signed webhooks. Its objects have the shape of the API version that
//! [`VERSION`] names. What it doesn't know it refuses, so that no test passes by its leniency.

mod account;
mod cards;
mod catalogue;
mod checkout;
mod customers;
mod disputes;
mod expand;
mod fault;
mod form;
mod idempotency;
mod invoices;
mod list;
mod objects;
mod payments;
mod period;
mod refusal;
mod routes;
mod sending;
mod server;
mod subscribing;
mod subscriptions;
mod webhooks;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::{Value as _, WebUrl};
use crate::secret::Secret;

use world::World;

pub use cards::Card;
pub use fault::Fault;
pub use server::Call;
pub use subscriptions::WhenRetriesEnd;
pub use webhooks::{Delivery, signature};

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

    /// Does what a call to the API does, as somebody in Stripe's dashboard might: it isn't counted, and
    /// no fault spoils it. Gives the status and the answer.
    pub fn ask(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, serde_json::Value) {
        let mut world = self.world();
        world.catch_up();
        server::directly(&mut world, method, path, parameters)
    }

    /// Spoils the next `times` calls, whatever they ask for.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.world().faults.order(None, times, fault);
    }

    /// Spoils the next `times` calls to `call`, such as `POST /v1/customers`. A `{}` stands for an id.
    pub fn fail_next_at(&self, call: &str, times: usize, fault: Fault) {
        self.world().faults.order(Some(call.to_owned()), times, fault);
    }

    /// Is well again: no fault that was ordered spoils anything more.
    pub fn recover(&self) {
        self.world().faults.forget();
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

    /// The key of the signatures of what [`TestStripe::take_deliveries`] gives.
    #[must_use]
    pub fn webhook_secret(&self) -> Secret {
        Secret::new(world::WEBHOOK_SECRET)
    }

    /// Makes the card of a payment method behave otherwise from now on.
    pub fn set_card(&self, payment_method: &str, card: Card) {
        self.world().cards.insert(payment_method.to_owned(), card);
    }

    /// What becomes of subscriptions whose retries have all failed; they are canceled unless told.
    pub fn when_retries_end(&self, then: WhenRetriesEnd) {
        self.world().when_retries_end = then;
    }

    /// Somebody pays a payment intent with its client secret, as a page with Stripe's script does.
    /// The card is one of Stripe's test names, such as `pm_card_visa`.
    ///
    /// # Errors
    /// The message for the payer when it isn't paid, and what to do when it isn't paid yet.
    pub fn pay(&self, payment_intent: &str, card: &str) -> Result<(), String> {
        let form = form::Form::of(&[("payment_method", card)]);
        let mut world = self.world();
        world.catch_up();
        match payments::confirm(&mut world, payment_intent, &form) {
            Ok(intent) if intent["status"] == "succeeded" => Ok(()),
            Ok(intent) => Err(format!("it {}", intent["status"].as_str().unwrap_or_default())),
            Err(refusal) => Err(refusal.message()),
        }
    }

    /// The payer authenticates a payment intent that waits for it, or fails to.
    ///
    /// # Errors
    /// When it doesn't wait for that.
    pub fn authenticate(&self, payment_intent: &str, succeeds: bool) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        let intent = world.get("payment_intent", payment_intent).map_err(|refusal| refusal.message())?;
        if intent["status"] != "requires_action" {
            return Err("it waits for no authentication".to_owned());
        }
        if !succeeds {
            return payments::authentication_failed(&mut world, payment_intent).map_err(|refusal| refusal.message());
        }
        world.authenticated.insert(payment_intent.to_owned());
        let method = intent["payment_method"].as_str().unwrap_or_default();
        let paid = payments::try_to_pay(&mut world, payment_intent, method, false);
        paid.map(drop).map_err(|refusal| refusal.message())
    }

    /// Somebody gives a card for a setup intent, as a page with Stripe's script does.
    ///
    /// # Errors
    /// The message for them when the card isn't taken.
    pub fn set_up(&self, setup_intent: &str, card: &str) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        payments::set_up(&mut world, setup_intent, card).map_err(|refusal| refusal.message())
    }

    /// Somebody fills in the page of a checkout session and pays by this card.
    ///
    /// # Errors
    /// The message for them when it isn't paid.
    pub fn complete_checkout(&self, session: &str, card: &str) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        let done = checkout::complete(&mut world, session, card, "payer@example.org");
        done.map_err(|refusal| refusal.message())
    }

    /// Is another account from now on, with the same objects.
    pub fn set_account(&self, id: &str) {
        self.world().account = Some(id.to_owned());
    }

    /// Whether the key isn't let know whose it is, as restricted ones aren't.
    pub fn hide_account(&self, hidden: bool) {
        self.world().is_account_hidden = hidden;
    }

    /// The bank couldn't take the money of a refund, for one of Stripe's reasons, such as
    /// `expired_or_canceled_card`.
    ///
    /// # Errors
    /// When there is no such refund, or it has failed before.
    pub fn fail_refund(&self, refund: &str, reason: &str) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        payments::fail_refund(&mut world, refund, reason).map_err(|refusal| refusal.message())
    }

    /// Somebody disputes a payment; gives the dispute's id.
    ///
    /// # Errors
    /// When it wasn't paid, or is disputed already.
    pub fn dispute(&self, payment_intent: &str) -> Result<String, String> {
        let mut world = self.world();
        world.catch_up();
        disputes::open(&mut world, payment_intent).map_err(|refusal| refusal.message())
    }

    /// The bank decides a dispute.
    ///
    /// # Errors
    /// When it is decided already.
    pub fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), String> {
        let mut world = self.world();
        world.catch_up();
        disputes::close(&mut world, dispute, won).map_err(|refusal| refusal.message())
    }

    /// Until one more call is held by [`Fault::Delayed`] or [`Fault::DoneThenDelayed`].
    pub async fn delayed(&self) {
        let held = self.world().held.clone();
        held.arrival().await;
    }

    /// Lets one call go that is held, or the next one that will be.
    pub fn let_go(&self) {
        self.world().held.let_go();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
