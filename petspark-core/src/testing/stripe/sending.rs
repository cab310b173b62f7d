//! Webhooks as a test gets them: taken as values, or posted to an address.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::TestStripe;
use super::webhooks::{self, Delivery};

/// As long as Stripe waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl TestStripe {
    /// The webhooks of all events since the last time, oldest first, signed now with
    /// [`TestStripe::webhook_secret`]. Events count as undelivered until they are posted with
    /// success, or acknowledged.
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        let mut world = self.world();
        world.catch_up();
        webhooks::take(&mut world, None)
    }

    /// The same for an endpoint that was made by a call, signed with its own secret: what it wants of
    /// all events since it was made.
    pub fn take_deliveries_of(&self, endpoint: &str) -> Vec<Delivery> {
        let mut world = self.world();
        world.catch_up();
        webhooks::take(&mut world, Some(endpoint))
    }

    /// The delivery of an event once more, signed now with [`TestStripe::webhook_secret`], as Stripe
    /// does when it tries again.
    #[must_use]
    pub fn delivery_of(&self, event: &str) -> Option<Delivery> {
        let mut world = self.world();
        world.catch_up();
        let (event, secret) = (world.objects.get(event)?, self.webhook_secret());
        Some(Delivery::of(event, secret.expose(), world.now))
    }

    /// Counts an event as delivered, as Stripe does when it was thanked for it.
    pub fn acknowledge(&self, event: &str) {
        webhooks::acknowledge(&mut self.world(), event);
    }

    /// Posts deliveries to an address, one after the other and in this order. Gives the status of
    /// each answer, 0 where there was none; 2xx acknowledges.
    pub async fn post(&self, url: &str, deliveries: &[Delivery]) -> Vec<u16> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let mut statuses = Vec::new();
        for delivery in deliveries {
            let mut request = Request::post(url);
            for (name, value) in &delivery.headers {
                request = request.header(*name, value);
            }
            let request = request.body(Full::from(delivery.body.clone())).expect("an address");
            let answer = tokio::time::timeout(PATIENCE, async {
                let answer = client.request(request).await.ok()?;
                let status = answer.status();
                answer.into_body().collect().await.ok()?;
                Some(status)
            });
            let status = answer.await.ok().flatten();
            if status.is_some_and(|status| status.is_success()) {
                self.acknowledge(&delivery.event);
            }
            statuses.push(status.map_or(0, |status| status.as_u16()));
        }
        statuses
    }
}
