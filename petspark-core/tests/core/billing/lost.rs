//! Answers that are lost, late, or kept by Stripe though they say nothing: what was asked for is found again, once.

use std::time::Duration;

use petspark_core::IdempotencyKey;
use petspark_core::audit::Action;
use petspark_core::billing::{BillingError, NewCheckout, NewSubscription, SubscriptionChange, SubscriptionStatus};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;

use super::shop::{DAY, Shop, noted, operator, refund};

on_both! {
    async fn a_failure_that_stripe_keeps_under_our_key_locks_nobody_out(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        for call in ["customers", "payment_intents", "refunds", "checkout/sessions", "subscriptions"] {
            shop.stripe.fail_next_at(&format!("POST /v1/{call}"), 1, Fault::SavedServerError);
        }
        let key = IdempotencyKey::parse("key").unwrap();
        let intent = billing.create_intent(&ada.caller, &shop.one_month(), Some(&key)).await.unwrap().result;
        let again = billing.create_intent(&ada.caller, &shop.one_month(), Some(&key)).await.unwrap();
        assert_eq!((again.replayed, &again.result.id), (true, &intent.id));
        shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        shop.catch_up().await;
        billing.refund(&operator(), &refund(&intent.id, Some(100))).await.unwrap();
        let home = "http://localhost:3000/".to_owned();
        let page = NewCheckout { price_id: shop.pro.clone(), quantity: 1, success_url: home.clone(), cancel_url: home };
        billing.checkout_session(&ada.caller, &page, None).await.unwrap();
        let new = NewSubscription { price_id: shop.premium.clone() };
        assert!(billing.subscribe(&ada.caller, &new, None).await.unwrap().result.client_secret.is_some());
        for kind in ["customer", "refund", "checkout.session", "subscription"] {
            assert_eq!(shop.stripe.objects(kind).len(), 1, "{kind}");
        }
        assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
        assert!(billing.check().await.is_ok());
    }

    async fn what_was_done_behind_a_kept_failure_is_found(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        for call in ["POST /v1/customers", "POST /v1/subscriptions"] {
            shop.stripe.fail_next_at(call, 1, Fault::DoneThenServerError);
        }
        let new = NewSubscription { price_id: shop.premium.clone() };
        let begun = billing.subscribe(&ada.caller, &new, None).await.unwrap().result;
        assert_eq!((shop.stripe.objects("customer").len(), shop.stripe.objects("subscription").len()), (1, 1));
        assert!(begun.client_secret.is_some());
        let bob = app.register("bob").await;
        for call in ["POST /v1/payment_intents", "POST /v1/refunds"] {
            shop.stripe.fail_next_at(call, 1, Fault::DoneThenServerError);
        }
        let before = shop.stripe.objects("payment_intent").len();
        let payment = shop.bought(&bob).await;
        assert_eq!(shop.stripe.objects("payment_intent").len(), before + 1);
        let given = billing.refund(&operator(), &refund(&payment, Some(100))).await.unwrap();
        assert_eq!((given.refunded, shop.stripe.objects("refund").len()), (100, 1));
        assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
    }

    async fn a_refund_whose_answer_is_lost_is_noted_and_found_by_the_sweep(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let payment = shop.bought(&ada).await;
        shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::DoneThenCut);
        assert!(shop.petspark.billing().refund(&operator(), &refund(&payment, Some(100))).await.is_err());
        let asked = noted(&app, Action::PaymentRefundAsked).await;
        assert_eq!((asked.len(), asked[0].reason.as_deref()), (1, Some("not happy")));
        assert!(noted(&app, Action::PaymentRefunded).await.is_empty());
        shop.stripe.advance(Duration::from_secs(3600));
        shop.work().await;
        assert_eq!(noted(&app, Action::PaymentRefunded).await.len(), 1);
        assert_eq!(shop.petspark.billing().status(&operator()).await.unwrap().open_operations, 0);
        let rest = shop.petspark.billing().refund(&operator(), &refund(&payment, None)).await.unwrap();
        assert_eq!((rest.amount, rest.refunded, shop.stripe.objects("refund").len()), (399, 499, 2));
    }

    async fn a_refund_that_never_arrived_is_given_up_when_stripe_forgot_it(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let payment = shop.bought(&ada).await;
        shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::Refused);
        assert!(shop.petspark.billing().refund(&operator(), &refund(&payment, Some(100))).await.is_err());
        shop.stripe.advance(Duration::from_secs(3600));
        shop.work().await;
        assert_eq!(shop.petspark.billing().status(&operator()).await.unwrap().open_operations, 1);
        shop.stripe.advance(DAY);
        shop.work().await;
        let entries = noted(&app, Action::PaymentRefunded).await;
        assert_eq!((entries.len(), entries[0].succeeded), (1, false));
        let again = shop.petspark.billing().refund(&operator(), &refund(&payment, Some(100))).await.unwrap();
        assert_eq!((again.refunded, shop.stripe.objects("refund").len()), (100, 1));
    }

    async fn a_lost_refund_is_found_behind_a_thousand_other_operations(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let payment = shop.bought(&ada).await;
        // While Stripe isn't asked, whatever somebody wants is written down and stays open.
        shop.stripe.fail_next(6, Fault::BadGateway);
        for _ in 0..1003 {
            assert!(shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.is_err());
        }
        shop.stripe.advance(Duration::from_secs(60));
        shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::DoneThenCut);
        assert!(shop.petspark.billing().refund(&operator(), &refund(&payment, Some(100))).await.is_err());
        let other = shop.petspark.billing().refund(&operator(), &refund(&payment, Some(300))).await;
        assert!(matches!(other, Err(BillingError::Conflict(_))), "{other:?}");
        shop.stripe.advance(Duration::from_secs(3600));
        shop.petspark.billing().sweep(&operator()).await.unwrap();
        assert_eq!(noted(&app, Action::PaymentRefunded).await.len(), 1);
    }

    async fn ending_a_subscription_is_finished_though_the_first_answer_was_lost(app: TestApp) {
        let shop = Shop::open(&app).await;
        for (n, times) in [1, 3].into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
            shop.catch_up().await;
            shop.stripe.fail_next_at("DELETE /v1/subscriptions/{}", times, Fault::DoneThenCut);
            let mut ended = shop.petspark.billing().cancel_subscription(&ada.caller, &id).await;
            if times == 3 {
                assert!(matches!(ended, Err(BillingError::Unavailable { .. })), "{ended:?}");
                ended = shop.petspark.billing().cancel_subscription(&ada.caller, &id).await;
            }
            assert_eq!(ended.unwrap().status, SubscriptionStatus::Canceled, "{times}");
        }
    }

    async fn a_change_that_a_reading_overtook_is_answered_as_it_is(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let of_it = shop.stripe.objects("event").into_iter().rfind(|event| event["type"] == "customer.subscription.updated").unwrap();
        shop.stripe.fail_next_at("POST /v1/subscriptions/{}", 1, Fault::Delayed);
        let end = SubscriptionChange { cancel_at_period_end: Some(true), ..SubscriptionChange::default() };
        let change = shop.petspark.billing().change_subscription(&ada.caller, &id, &end);
        // Begun after the change took its turn, and read before Stripe makes it.
        let meanwhile = async {
            shop.stripe.delayed().await;
            shop.petspark.billing().replay(&operator(), of_it["id"].as_str().unwrap()).await.unwrap();
            shop.work().await;
            shop.stripe.let_go();
        };
        let (changed, ()) = tokio::join!(change, meanwhile);
        assert!(changed.unwrap().cancel_at_period_end);
        assert!(shop.petspark.billing().subscriptions(&ada.caller).await.unwrap()[0].cancel_at_period_end);
    }
}
