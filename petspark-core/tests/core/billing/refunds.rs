//! Money that goes back, comes back, or went back before anybody here knew.

use std::time::Duration;

use petspark_core::audit::Action;
use petspark_core::billing::{BillingError, FREE};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;

use super::shop::{DAY, Shop, noted, operator, refund};
use crate::stripe::faults::post;

on_both! {
    async fn a_refund_that_fails_later_counts_no_more_and_the_same_again_is_another(app: TestApp) {
        let (shop, billing_events) = (Shop::open(&app).await, [true, false]);
        let billing = shop.petspark.billing();
        for (n, heard) in billing_events.into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let payment = shop.bought(&ada).await;
            let first = billing.refund(&operator(), &refund(&payment, None)).await.unwrap();
            assert_eq!((first.amount, first.refunded, first.status.as_str()), (499, 499, "succeeded"));
            assert_eq!(shop.plan(&ada).await, FREE);
            shop.stripe.fail_refund(&first.id, "expired_or_canceled_card").unwrap();
            if heard {
                shop.catch_up().await;
                assert_eq!(shop.plan(&ada).await, "premium", "the money stayed, and so does what it bought");
                assert_eq!(billing.payments(&ada.caller).await.unwrap()[0].refunded, 0);
                let failed = noted(&app, Action::PaymentRefundFailed).await;
                assert_eq!((failed.len(), &failed[0].details["amount"]), (n + 1, &499.into()), "one of three events");
            }
            let again = billing.refund(&operator(), &refund(&payment, None)).await.unwrap();
            assert_ne!(again.id, first.id);
            assert_eq!((again.amount, again.refunded), (499, 499));
            shop.catch_up().await;
            assert_eq!(shop.plan(&ada).await, FREE);
            assert_eq!(noted(&app, Action::PaymentRefundFailed).await.len(), n + 1);
            assert_eq!(noted(&app, Action::PaymentRefunded).await.len(), 2 * (n + 1));
        }
        assert!(billing.sync(&operator(), true).await.unwrap().differences.is_empty());
    }

    async fn a_part_that_fails_leaves_the_other_part_given(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, payment) = (shop.petspark.billing(), shop.bought(&ada).await);
        let failing = billing.refund(&operator(), &refund(&payment, Some(399))).await.unwrap();
        billing.refund(&operator(), &refund(&payment, Some(100))).await.unwrap();
        assert_eq!(shop.plan(&ada).await, FREE);
        shop.stripe.fail_refund(&failing.id, "lost_or_stolen_card").unwrap();
        // No event tells, and the daily comparison finds it.
        drop(shop.stripe.take_deliveries());
        let report = billing.sync(&operator(), false).await.unwrap();
        let told: Vec<_> = report.differences.iter().map(|one| (one.field.as_str(), one.there.as_deref())).collect();
        assert_eq!(told, [("refunded", Some("100"))]);
        assert_eq!(shop.plan(&ada).await, "premium");
        assert!(matches!(billing.refund(&operator(), &refund(&payment, Some(400))).await, Err(BillingError::BadPrice(_))));
        assert_eq!(billing.refund(&operator(), &refund(&payment, None)).await.unwrap().amount, 399);
    }

    async fn a_third_refund_is_not_taken_for_the_second_because_the_first_one_failed(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, payment) = (shop.petspark.billing(), shop.bought(&ada).await);
        let first = billing.refund(&operator(), &refund(&payment, Some(150))).await.unwrap();
        let second = billing.refund(&operator(), &refund(&payment, Some(150))).await.unwrap();
        shop.stripe.fail_refund(&first.id, "expired_or_canceled_card").unwrap();
        shop.catch_up().await;
        // So much was given before the second one, too.
        let third = billing.refund(&operator(), &refund(&payment, Some(150))).await.unwrap();
        assert_ne!(third.id, second.id);
        assert_eq!((third.refunded, shop.stripe.objects("refund").len()), (300, 3));
        assert_eq!(noted(&app, Action::PaymentRefunded).await.len(), 3);
    }

    async fn a_refund_that_fails_weeks_later_is_found_though_no_event_tells(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, payment) = (shop.petspark.billing(), shop.bought(&ada).await);
        shop.stripe.advance(25 * DAY);
        let given = billing.refund(&operator(), &refund(&payment, None)).await.unwrap();
        shop.catch_up().await;
        shop.stripe.advance(15 * DAY);
        shop.stripe.fail_refund(&given.id, "lost_or_stolen_card").unwrap();
        drop(shop.stripe.take_deliveries());
        billing.sync(&operator(), false).await.unwrap();
        assert_eq!(billing.payments(&ada.caller).await.unwrap()[0].refunded, 0);
    }

    async fn what_an_administrator_took_back_stays_so_though_the_money_comes_back(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, payment) = (shop.petspark.billing(), shop.bought(&ada).await);
        let grant = billing.grants(&operator(), ada.id).await.unwrap()[0].id;
        billing.revoke_grant(&operator(), grant, "abuse").await.unwrap();
        let given = billing.refund(&operator(), &refund(&payment, None)).await.unwrap();
        shop.stripe.fail_refund(&given.id, "unknown").unwrap();
        shop.catch_up().await;
        assert_eq!(noted(&app, Action::PaymentRefundFailed).await.len(), 1);
        assert_eq!(shop.plan(&ada).await, FREE);
    }

    async fn a_refund_that_failed_before_its_lost_answer_was_looked_for_is_told_as_failed(app: TestApp) {
        let shop = Shop::open(&app).await;
        let billing = shop.petspark.billing();
        for (n, by_sweep) in [false, true].into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let payment = shop.bought(&ada).await;
            shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::DoneThenCut);
            assert!(billing.refund(&operator(), &refund(&payment, Some(100))).await.is_err());
            let lost = shop.stripe.objects("refund").pop().unwrap()["id"].as_str().unwrap().to_owned();
            shop.stripe.fail_refund(&lost, "declined").unwrap();
            if by_sweep {
                shop.stripe.advance(Duration::from_secs(3600));
                billing.sweep(&operator()).await.unwrap();
            } else {
                let told = billing.refund(&operator(), &refund(&payment, Some(100))).await;
                assert!(matches!(&told, Err(BillingError::Refused { code: Some(code), .. }) if code == "declined"), "{told:?}");
            }
            assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
            let entry = &noted(&app, Action::PaymentRefunded).await[0];
            assert_eq!((entry.succeeded, &entry.details["refund"]), (false, &lost.as_str().into()));
            let again = billing.refund(&operator(), &refund(&payment, Some(100))).await.unwrap();
            assert_eq!(again.refunded, 100);
        }
    }

    async fn a_refund_that_the_last_release_asked_for_is_not_given_twice(app: TestApp) {
        let shop = Shop::open(&app).await;
        let billing = shop.petspark.billing();
        for (n, by_sweep) in [false, true].into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let payment = shop.bought(&ada).await;
            shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::Refused);
            assert!(billing.refund(&operator(), &refund(&payment, Some(100))).await.is_err());
            let key = shop.stripe.calls().pop().unwrap().idempotency_key.unwrap();
            // It asked under the same key, without saying which operation that is.
            let body = format!("payment_intent={payment}&amount=100");
            assert_eq!(post(&shop.stripe, "/v1/refunds", &key, &body).await.unwrap().status, 200);
            if by_sweep {
                shop.stripe.advance(DAY);
                billing.sweep(&operator()).await.unwrap();
            } else {
                let found = billing.refund(&operator(), &refund(&payment, Some(100))).await.unwrap();
                assert_eq!((found.amount, found.refunded), (100, 100));
            }
            assert_eq!(shop.stripe.objects("refund").len(), n + 1);
            assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
            let entries = noted(&app, Action::PaymentRefunded).await;
            assert_eq!((entries.len(), entries[0].succeeded), (n + 1, true));
        }
    }
}
