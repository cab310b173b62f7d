//! Exactly one customer for a user, whatever happens.

use futures_util::future::join_all;
use petspark_core::billing::BillingError;
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;
use petspark_core::{Failure as _, Kind};

use super::shop::{DAY, Shop, operator};

on_both! {
    async fn twenty_at_once_make_one_customer(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let new = shop.one_month();
        let all = join_all((0..20).map(|_| shop.petspark.billing().create_intent(&ada.caller, &new, None))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        let customers = shop.stripe.objects("customer");
        assert_eq!(customers.len(), 1);
        assert_eq!(customers[0]["email"], "ada@example.org");
        let intents = shop.stripe.objects("payment_intent");
        assert!(intents.iter().all(|intent| intent["customer"] == customers[0]["id"]));
        assert_eq!(intents.len(), 20);
    }

    async fn a_lost_answer_is_found_again(app: TestApp) {
        let shop = Shop::open(&app).await;
        // What makes no sense isn't asked for again at once.
        let faults = [(Fault::DoneThenCut, 3), (Fault::DoneThenGarbled, 1), (Fault::ServerError, 3)];
        for (n, (fault, times)) in faults.into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            shop.stripe.fail_next_at("POST /v1/customers", times, fault);
            let first = shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await;
            assert!(first.is_err(), "{fault:?}");
            shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
            assert_eq!(shop.stripe.objects("customer").len(), n + 1, "{fault:?}");
        }
    }

    async fn a_lost_answer_is_found_after_stripe_forgot_the_key(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.stripe.fail_next_at("POST /v1/customers", 1, Fault::DoneThenGarbled);
        assert!(shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.is_err());
        shop.stripe.advance(2 * DAY);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        assert_eq!(shop.stripe.objects("customer").len(), 1);
    }

    async fn who_is_deleted_at_stripe_becomes_another_customer(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        let first = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.ask("DELETE", &format!("/v1/customers/{first}"), &[]);
        shop.catch_up().await;
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        let intents = shop.stripe.objects("payment_intent");
        assert_ne!(intents[1]["customer"], first.as_str());
    }

    async fn who_was_deleted_stays_so_though_an_older_reading_comes_late(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        shop.catch_up().await;
        let first = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        let hear = async || {
            for delivery in shop.stripe.take_deliveries() {
                shop.receive(&delivery).await;
            }
        };
        shop.stripe.ask("POST", &format!("/v1/customers/{first}"), &[("name", "Ada")]);
        hear().await;
        shop.stripe.fail_next_at("GET /v1/customers/{}", 1, Fault::DoneThenDelayed);
        let meanwhile = async {
            shop.stripe.delayed().await;
            shop.stripe.ask("DELETE", &format!("/v1/customers/{first}"), &[]);
            hear().await;
            shop.work().await;
            shop.stripe.let_go();
        };
        tokio::join!(shop.work(), meanwhile);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        let intents = shop.stripe.objects("payment_intent");
        assert_ne!(intents[1]["customer"], first.as_str());
    }

    async fn a_new_address_is_told_to_stripe(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        shop.work().await;
        let before = shop.stripe.count("POST /v1/customers/{}");
        let new = petspark_core::auth::NewEmail { email: "ada.l@example.org".to_owned(), verified: true, undo: false };
        shop.petspark.auth().set_email(&operator(), ada.id, new).await.unwrap();
        shop.work().await;
        assert_eq!(shop.stripe.objects("customer")[0]["email"], "ada.l@example.org");
        assert_eq!(shop.stripe.count("POST /v1/customers/{}"), before + 1);
    }

    async fn when_stripe_is_away_nothing_is_stored_and_everybody_is_told(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.stripe.fail_next(3, Fault::BadGateway);
        let error = shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "PAY_000"));
        assert!(error.retry_after().is_some() && !error.to_string().contains("502"));
        assert!(matches!(&error, BillingError::Unavailable { cause } if cause.contains("502")));
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
    }
}
