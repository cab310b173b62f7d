//! The inbox: only what Stripe signed, each once, none lost.

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::billing::{BillingError, EventStatus, FREE};
use petspark_core::jobs::JobState;
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::{Fault, signature};
use petspark_core::{Caller, Failure as _, Kind, PageRequest};
use serde_json::json;

use super::shop::{DAY, Shop, operator};
use crate::sql::{every_row, execute};

fn event(id: &str, kind: &str, livemode: bool) -> String {
    let object = json!({ "id": "prod_none", "object": "product" });
    json!({ "id": id, "object": "event", "type": kind, "created": 1_795_384_178, "livemode": livemode, "data": { "object": object } })
        .to_string()
}

on_both! {
    async fn only_what_stripe_signed_lately_is_believed(app: TestApp) {
        let shop = Shop::open(&app).await;
        let (billing, now, secret) = (shop.petspark.billing(), app.clock.now().as_seconds(), shop.stripe.webhook_secret());
        let body = event("evt_1", "product.updated", false);
        let sign = |secret: &str, at: i64, body: &str| signature(secret, at, body.as_bytes());
        let live = event("evt_1", "product.updated", true);
        for (body, header) in [
            (body.as_str(), String::new()),
            (&body, "t=1,v1=abc".to_owned()),
            (&body, sign("whsec_another_secret", now, &body)),
            (&body, sign(secret.expose(), now - 301, &body)),
            (&body, sign(secret.expose(), now + 301, &body)),
            (&body, sign(secret.expose(), now, &body.replace("evt_1", "evt_2"))),
            ("<html>", sign(secret.expose(), now, "<html>")),
            (&live, sign(secret.expose(), now, &live)),
        ] {
            let refused = billing.receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap_err();
            assert_eq!((refused.kind(), refused.code()), (Kind::Invalid, "PAY_005"), "{header}");
        }
        assert!(billing.events(&operator(), None, &PageRequest::default()).await.unwrap().items.is_empty());
        let filter = AuditFilter { action: Some(Action::WebhookRefused), ..AuditFilter::default() };
        let noted = shop.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!(noted.len(), 1, "once a minute is enough");
        let header = sign(secret.expose(), now, &body);
        assert!(!billing.receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap().is_known);
        assert!(billing.receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap().is_known);
    }

    async fn twenty_of_one_event_at_once_are_one(app: TestApp) {
        let shop = Shop::open(&app).await;
        let body = event("evt_1", "product.updated", false);
        let header = signature(shop.stripe.webhook_secret().expose(), app.clock.now().as_seconds(), body.as_bytes());
        let receive = || async {
            shop.petspark.billing().receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap().is_known
        };
        let known = futures_util::future::join_all((0..20).map(|_| receive())).await;
        assert_eq!(known.iter().filter(|known| !**known).count(), 1);
        let queued = shop.petspark.jobs().list(&operator(), Some(JobState::Queued), &PageRequest::first(100).unwrap()).await.unwrap();
        assert_eq!(queued.items.iter().filter(|job| job.kind == "billing.event").count(), 1);
    }

    async fn of_events_that_come_at_once_one_that_cant_be_stored_keeps_out_none_of_the_others(app: TestApp) {
        let shop = Shop::open(&app).await;
        let refuse = match app.petspark.database().engine_name() {
            "sqlite" => "CREATE TRIGGER refuse BEFORE INSERT ON billing_events WHEN NEW.id = 'evt_7' \
                         BEGIN SELECT RAISE(ABORT, 'refused'); END",
            _ => "ALTER TABLE billing_events ADD CONSTRAINT refuse CHECK (id <> 'evt_7')",
        };
        execute(app.petspark.settings(), refuse).await;
        let receive = async |n: u32| {
            let body = event(&format!("evt_{n}"), "product.updated", false);
            let secret = shop.stripe.webhook_secret();
            let header = signature(secret.expose(), app.clock.now().as_seconds(), body.as_bytes());
            shop.petspark.billing().receive(&Caller::anonymous(), body.as_bytes(), &header).await
        };
        let received = futures_util::future::join_all((0..60).map(receive)).await;
        for (n, received) in received.into_iter().enumerate() {
            match received {
                Ok(received) => assert!(n != 7 && !received.is_known, "{n}"),
                Err(error) => assert_eq!((n, error.kind()), (7, Kind::Internal), "{error}"),
            }
        }
        let page = PageRequest::first(100).unwrap();
        let events = shop.petspark.billing().events(&operator(), Some(EventStatus::Pending), &page).await.unwrap().items;
        let queued = shop.petspark.jobs().list(&operator(), Some(JobState::Queued), &page).await.unwrap().items;
        let mut jobs: Vec<_> = queued.iter().filter(|job| job.kind == "billing.event").map(|job| job.id).collect();
        jobs.dedup();
        assert_eq!((events.len(), jobs.len()), (59, 59));
    }

    async fn unknown_events_are_kept_and_ignored(app: TestApp) {
        let shop = Shop::open(&app).await;
        let body = event("evt_1", "new.thing.happened", false);
        let header = signature(shop.stripe.webhook_secret().expose(), app.clock.now().as_seconds(), body.as_bytes());
        shop.petspark.billing().receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap();
        shop.work().await;
        let events = shop.petspark.billing().events(&operator(), None, &PageRequest::default()).await.unwrap().items;
        assert_eq!((events.len(), events[0].status, events[0].kind.as_str()), (1, EventStatus::Ignored, "new.thing.happened"));
    }

    async fn an_event_is_processed_though_the_server_died_before(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        for delivery in shop.stripe.take_deliveries() {
            shop.receive(&delivery).await;
        }
        // The server that took them in is gone; another one starts on the same database.
        let settings = shop.petspark.settings().clone();
        let next = app.another_with(|other| *other = settings).await;
        assert_eq!(next.billing().entitlements(ada.id).await.unwrap().plan, FREE);
        assert!(next.jobs().run_due().await.unwrap().is_empty());
        assert_eq!(next.billing().entitlements(ada.id).await.unwrap().plan, "premium");
    }

    async fn what_fails_again_and_again_is_kept_and_can_be_replayed(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        // Stripe's answers make no sense, as after a change of its API.
        let all = shop.stripe.take_deliveries();
        let about_it: Vec<_> = all.iter().filter(|one| one.kind.starts_with("customer.subscription.")).collect();
        shop.stripe.fail_next_at("GET /v1/subscriptions/{}", about_it.len(), Fault::DoneThenGarbled);
        for delivery in &about_it {
            shop.receive(delivery).await;
        }
        let faults = shop.petspark.jobs().run_due().await.unwrap();
        assert!(faults.len() == about_it.len() && faults.len() > 1 && faults.iter().all(petspark_core::Fault::is_lasting), "{faults:?}");
        let billing = shop.petspark.billing();
        let dead = billing.events(&operator(), Some(EventStatus::Dead), &PageRequest::default()).await.unwrap().items;
        assert_eq!(dead.len(), faults.len());
        assert!(dead[0].error.as_deref().is_some_and(|error| error.contains("isn't what this release understands")));
        assert_eq!(billing.status(&operator()).await.unwrap().events_dead, dead.len() as u64);
        assert!(matches!(billing.replay(&ada.caller, &dead[0].id).await, Err(BillingError::NotAdmin)));
        assert!(matches!(billing.replay(&operator(), "evt_none").await, Err(BillingError::NotFound("event"))));
        assert_eq!(shop.plan(&ada).await, FREE);
        // They make sense again.
        billing.replay(&operator(), &dead[0].id).await.unwrap();
        shop.work().await;
        assert_eq!(shop.plan(&ada).await, "premium");
        assert_eq!(billing.replay_dead(&operator()).await.unwrap(), dead.len() as u64 - 1);
        shop.work().await;
        assert_eq!(billing.status(&operator()).await.unwrap().events_dead, 0);
    }

    async fn what_was_given_up_in_a_long_outage_is_done_when_it_ends(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        for delivery in shop.stripe.take_deliveries() {
            shop.receive(&delivery).await;
            shop.stripe.acknowledge(&delivery.event);
        }
        shop.stripe.fail_next(100_000, Fault::BadGateway);
        for _ in 0..40 {
            shop.petspark.jobs().run_due().await.unwrap();
            shop.stripe.advance(std::time::Duration::from_secs(3601));
        }
        let status = shop.petspark.billing().status(&operator()).await.unwrap();
        assert!(status.events_dead > 0 && status.events_pending == 0, "{status:?}");
        assert_eq!(shop.plan(&ada).await, FREE);
        shop.stripe.recover();
        // Without anybody's doing: the next sweep finds Stripe there again.
        shop.stripe.advance(std::time::Duration::from_secs(3601));
        shop.work().await;
        let status = shop.petspark.billing().status(&operator()).await.unwrap();
        assert_eq!((status.events_dead, status.events_pending), (0, 0));
        let subscriptions = shop.petspark.billing().subscriptions(&ada.caller).await.unwrap();
        assert_eq!(subscriptions[0].status.as_str(), "active");
    }

    async fn what_a_key_may_not_read_stays_given_up_with_the_cause(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        for delivery in shop.stripe.take_deliveries() {
            shop.receive(&delivery).await;
            shop.stripe.acknowledge(&delivery.event);
        }
        shop.stripe.fail_next_at("GET /v1/subscriptions/{}", 100_000, Fault::Forbidden);
        for _ in 0..40 {
            shop.petspark.jobs().run_due().await.unwrap();
            shop.stripe.advance(std::time::Duration::from_secs(3601));
        }
        let status = shop.petspark.billing().status(&operator()).await.unwrap();
        assert!(status.events_dead > 0 && status.events_pending == 0, "{status:?}");
        assert!(status.dead_cause.is_some_and(|cause| cause.contains("403") && cause.contains("permission")));
        // The sweep goes through all the while: it may read all that it asks for.
        shop.petspark.billing().sweep(&operator()).await.unwrap();
        shop.stripe.advance(std::time::Duration::from_secs(3601));
        shop.petspark.jobs().run_due().await.unwrap();
        let after = shop.petspark.billing().status(&operator()).await.unwrap();
        assert_eq!((after.events_dead, after.events_pending), (status.events_dead, 0));
    }

    async fn a_sweep_finds_what_never_came(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        drop(shop.stripe.take_deliveries());
        shop.work().await;
        assert_eq!(shop.plan(&ada).await, FREE);
        let swept = shop.petspark.billing().sweep(&operator()).await.unwrap();
        assert!(swept.taken_in > 0 && swept.taken_in == swept.undelivered, "{swept:?}");
        shop.work().await;
        assert_eq!(shop.plan(&ada).await, "premium");
        assert_eq!(shop.petspark.billing().sweep(&operator()).await.unwrap().taken_in, 0);
    }

    async fn old_events_go_but_not_those_that_were_given_up(app: TestApp) {
        let shop = Shop::open(&app).await;
        for (id, kind) in [("evt_1", "product.updated"), ("evt_2", "new.thing"), ("evt_3", "price.updated")] {
            let body = event(id, kind, false);
            let header = signature(shop.stripe.webhook_secret().expose(), app.clock.now().as_seconds(), body.as_bytes());
            shop.petspark.billing().receive(&Caller::anonymous(), body.as_bytes(), &header).await.unwrap();
        }
        shop.work().await;
        execute(app.petspark.settings(), "UPDATE billing_events SET status = 'dead' WHERE id = 'evt_3'").await;
        shop.stripe.advance(91 * DAY);
        shop.work().await;
        let left = shop.petspark.billing().events(&operator(), None, &PageRequest::default()).await.unwrap().items;
        assert_eq!(left.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_3"]);
        // Nor is it kept who read what they were about.
        let rows = every_row(app.petspark.settings()).await;
        assert_eq!(rows.iter().filter(|row| row.contains("prod_none")).count(), 1, "{rows:?}");
    }
}
