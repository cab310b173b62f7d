//! Who is erased: their subscription ends, Stripe forgets them, the records stay without them.

use petspark_core::PageRequest;
use petspark_core::billing::SubscriptionChange;
use petspark_core::people::When;
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;

use super::shop::{DAY, Shop, operator};
use crate::sql::every_row;

on_both! {
    async fn erasing_an_account_ends_what_it_subscribed_to_and_keeps_the_records(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let archive = serde_json::to_value(shop.petspark.people().export_own(&ada.caller).await.unwrap()).unwrap();
        assert_eq!((&archive["subscriptions"][0]["id"], archive["customers"].as_array().unwrap().len()), (&id.clone().into(), 1));
        let customer = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        // Stripe is away at first.
        shop.stripe.fail_next_at("DELETE /v1/subscriptions/{}", 3, Fault::ServerError);
        shop.petspark.people().delete(&operator(), ada.id, When::Now, None, false).await.unwrap();
        assert_eq!(shop.petspark.jobs().run_due().await.unwrap().len(), 1);
        shop.stripe.advance(std::time::Duration::from_secs(60));
        shop.catch_up().await;
        assert_eq!(shop.status_there(&id), "canceled");
        assert!(shop.stripe.object(&customer).is_none_or(|customer| customer["deleted"] == true));
        let rows = every_row(app.petspark.settings()).await;
        assert!(rows.iter().any(|row| row.contains(&id)), "the record is gone");
        assert!(rows.iter().all(|row| !row.contains("ada@example.org")));
        let report = shop.petspark.billing().sync(&operator(), true).await.unwrap();
        assert!(report.differences.is_empty(), "{report:?}");
    }

    async fn who_asks_to_go_is_not_charged_again_and_who_comes_back_goes_on(app: TestApp) {
        let (shop, ada, bob) = (Shop::open(&app).await, app.register("ada").await, app.register("bob").await);
        let people = shop.petspark.people();
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        let ending = shop.subscribe_and_pay(&bob, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let end = SubscriptionChange { cancel_at_period_end: Some(true), ..SubscriptionChange::default() };
        shop.petspark.billing().change_subscription(&bob.caller, &ending, &end).await.unwrap();
        let ends = |id: &str| shop.stripe.object(id).unwrap()["cancel_at_period_end"].as_bool().unwrap();
        for user in [&ada, &bob] {
            people.preview_deletion(&operator(), user.id, When::Later, false).await.unwrap();
            shop.work().await;
        }
        assert!(!ends(&id));
        for user in [&ada, &bob] {
            people.delete(&operator(), user.id, When::Later, None, false).await.unwrap();
        }
        shop.catch_up().await;
        assert!(ends(&id) && ends(&ending));
        for user in [&ada, &bob] {
            people.restore(&operator(), user.id, None).await.unwrap();
        }
        shop.catch_up().await;
        assert!(!ends(&id) && ends(&ending), "who ended it themselves finds it so");
        let here = shop.petspark.billing().subscriptions(&ada.caller).await.unwrap();
        assert!(!here[0].cancel_at_period_end);

        // The job is lost, and the sweep sees to it; then the period ends before the account does.
        people.delete(&operator(), ada.id, When::After(90 * DAY), None, false).await.unwrap();
        let queued = shop.petspark.jobs().list(&operator(), None, &PageRequest::first(100).unwrap()).await.unwrap();
        let follow = queued.items.iter().find(|job| job.kind == "billing.follow_account").unwrap();
        shop.petspark.jobs().drop(&operator(), follow.id).await.unwrap();
        shop.work().await;
        assert!(!ends(&id));
        shop.stripe.advance(std::time::Duration::from_secs(3700));
        shop.catch_up().await;
        assert!(ends(&id));
        let charges = shop.stripe.objects("charge").len();
        shop.stripe.advance(40 * DAY);
        shop.catch_up().await;
        assert_eq!((shop.status_there(&id).as_str(), shop.stripe.objects("charge").len()), ("canceled", charges));
    }

    async fn who_comes_back_goes_on_though_the_answer_to_the_end_was_lost(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let ends = |id: &str| shop.stripe.object(id).unwrap()["cancel_at_period_end"].as_bool().unwrap();
        shop.stripe.fail_next_at("POST /v1/subscriptions/{}", 3, Fault::DoneThenCut);
        shop.petspark.people().delete(&operator(), ada.id, When::Later, None, false).await.unwrap();
        assert_eq!(shop.petspark.jobs().run_due().await.unwrap().len(), 1);
        assert!(ends(&id));
        drop(shop.stripe.take_deliveries());
        shop.petspark.people().restore(&operator(), ada.id, None).await.unwrap();
        shop.work().await;
        assert!(!ends(&id), "it ends, although its person is back");
        assert!(!shop.petspark.billing().subscriptions(&ada.caller).await.unwrap()[0].cancel_at_period_end);
    }

    async fn who_comes_back_and_ends_it_themselves_finds_it_ended(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.petspark.people().delete(&operator(), ada.id, When::Later, None, false).await.unwrap();
        shop.catch_up().await;
        shop.petspark.people().restore(&operator(), ada.id, None).await.unwrap();
        // Before anybody had time to have it go on.
        let end = SubscriptionChange { cancel_at_period_end: Some(true), ..SubscriptionChange::default() };
        shop.petspark.billing().change_subscription(&ada.caller, &id, &end).await.unwrap();
        shop.catch_up().await;
        assert_eq!(shop.stripe.object(&id).unwrap()["cancel_at_period_end"], true);
    }

    async fn who_ended_it_at_stripe_and_left_finds_it_ended(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        // In the portal, of which no event has told when they leave.
        shop.stripe.ask("POST", &format!("/v1/subscriptions/{id}"), &[("cancel_at_period_end", "true")]);
        shop.petspark.people().delete(&operator(), ada.id, When::Later, None, false).await.unwrap();
        shop.work().await;
        shop.petspark.people().restore(&operator(), ada.id, None).await.unwrap();
        shop.catch_up().await;
        assert_eq!(shop.stripe.object(&id).unwrap()["cancel_at_period_end"], true);
    }

    async fn an_erased_person_is_not_charged_for_ever_because_a_job_was_given_up(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        shop.petspark.people().delete(&operator(), ada.id, When::Now, None, false).await.unwrap();
        let jobs = shop.petspark.jobs();
        let queued = jobs.list(&operator(), None, &PageRequest::first(100).unwrap()).await.unwrap();
        let forget = queued.items.iter().find(|job| job.kind == "billing.forget").unwrap();
        jobs.drop(&operator(), forget.id).await.unwrap();
        shop.stripe.advance(std::time::Duration::from_secs(2 * 3600));
        shop.catch_up().await;
        assert_eq!(shop.status_there(&id), "canceled");
    }

    async fn a_customer_whose_making_was_never_answered_goes_too(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let new = petspark_core::billing::NewSubscription { price_id: shop.premium.clone() };
        shop.stripe.fail_next_at("POST /v1/customers", 3, Fault::DoneThenCut);
        assert!(shop.petspark.billing().subscribe(&ada.caller, &new, None).await.is_err());
        let customer = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        shop.petspark.people().delete(&operator(), ada.id, When::Now, None, false).await.unwrap();
        shop.stripe.advance(DAY / 2);
        shop.work().await;
        assert!(shop.stripe.object(&customer).is_none_or(|customer| customer["deleted"] == true));
        assert_eq!(shop.petspark.billing().status(&operator()).await.unwrap().open_operations, 0);
    }
}
