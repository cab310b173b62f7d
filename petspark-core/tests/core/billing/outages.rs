//! Stripe away, slow or strange: told quickly, tried again where that is safe, and nothing else suffers.

use std::time::{Duration, Instant};

use petspark_core::billing::BillingError;
use petspark_core::pets::{PetFields, Species};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;
use petspark_core::{Failure as _, Kind};

use super::shop::Shop;

on_both! {
    async fn what_fails_twice_is_tried_a_third_time_under_the_same_key(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        for fault in [Fault::ServerError, Fault::RateLimit, Fault::BadGateway, Fault::Refused, Fault::DoneThenCut] {
            let before = shop.stripe.calls().len();
            shop.stripe.fail_next_at("POST /v1/payment_intents", 2, fault);
            shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
            let calls = shop.stripe.calls();
            let keys: Vec<_> = calls[before..].iter().filter(|call| call.route == "POST /v1/payment_intents").map(|call| call.idempotency_key.clone()).collect();
            assert_eq!(keys.len(), 3, "{fault:?}");
            assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{fault:?}: {keys:?}");
        }
        assert_eq!(shop.stripe.objects("payment_intent").len(), 5);
    }

    async fn every_call_that_changes_something_has_a_key_and_the_version(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        shop.petspark.billing().cancel_subscription(&ada.caller, &id).await.unwrap();
        let calls = shop.stripe.calls();
        assert!(calls.iter().filter(|call| call.route.starts_with("POST ")).all(|call| call.idempotency_key.is_some()), "{calls:?}");
        assert!(calls.iter().any(|call| call.route == "POST /v1/subscriptions"));
    }

    async fn an_outage_is_told_at_once_after_a_few_failures_and_ends_by_itself(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        shop.stripe.fail_next(6, Fault::BadGateway);
        for _ in 0..2 {
            assert!(matches!(billing.create_intent(&ada.caller, &shop.one_month(), None).await, Err(BillingError::Unavailable { .. })));
        }
        assert!(billing.check().await.is_err());
        let (asked, begun) = (shop.stripe.calls().len(), Instant::now());
        for _ in 0..50 {
            assert!(matches!(billing.create_intent(&ada.caller, &shop.one_month(), None).await, Err(BillingError::Unavailable { .. })));
        }
        assert_eq!(shop.stripe.calls().len(), asked, "it was asked all the same");
        assert!(begun.elapsed() < Duration::from_secs(10));
        // Nothing else is slow, or knows of it.
        shop.petspark.pets().create(&ada.caller, PetFields::new("Rex", Species::Dog)).await.unwrap();
        billing.entitlements(ada.id).await.unwrap();
        billing.products().await.unwrap();
        app.clock.advance(Duration::from_secs(10));
        billing.create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        assert!(billing.check().await.is_ok());
    }

    async fn who_does_not_answer_is_not_waited_for(app: TestApp) {
        let stripe_timeout = Duration::from_millis(100);
        let shop = Shop::open_with(&app, app.clock.clone(), |settings| settings.billing.stripe.timeout = stripe_timeout).await;
        let ada = app.register("ada").await;
        shop.stripe.fail_next_at("POST /v1/payment_intents", 3, Fault::DoneThenHang);
        let begun = Instant::now();
        let error = shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap_err();
        assert!(matches!(&error, BillingError::Unavailable { cause } if cause.contains("no answer within 100ms")), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    async fn a_key_that_does_not_count_is_our_trouble_and_never_told(app: TestApp) {
        let shop = Shop::open(&app).await;
        let ada = app.register("ada").await;
        let wrong = app
            .another_with(|settings| {
                crate::billing::shop::with_keys(settings, &shop.stripe);
                settings.billing.stripe.secret_key = Some(petspark_core::Secret::new("sk_test_wrongwrongwrong"));
            })
            .await;
        let error = wrong.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap_err();
        assert!(matches!(error, BillingError::KeyRefused { .. }), "{error:?}");
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "PAY_000"));
        assert!(matches!(wrong.billing().check().await, Err(BillingError::KeyRefused { .. })));
        assert!(!format!("{error:?} {error}").contains("wrongwrongwrong"));
    }
}
