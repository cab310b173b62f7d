//! One subscription for a user, however many ways to it are tried at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use petspark_core::billing::{BillingError, NewCheckout, NewSubscription, SubscriptionStatus};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;
use petspark_core::{Failure as _, IdempotencyKey};
use std::time::Duration;

use super::shop::{Shop, intent_of, operator, with_keys};

fn subscription(price: &str) -> NewSubscription {
    NewSubscription { price_id: price.to_owned() }
}

fn checkout(price: &str) -> NewCheckout {
    let home = "http://localhost:3000/".to_owned();
    NewCheckout { price_id: price.to_owned(), quantity: 1, success_url: home.clone(), cancel_url: home }
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

on_both! {
    async fn two_keys_and_two_prices_at_once_make_one_subscription(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let keys: Vec<_> = (0..8).map(|n| key(&format!("key-{n}"))).collect();
        let billing = shop.petspark.billing();
        let (premium, pro) = (subscription(&shop.premium), subscription(&shop.pro));
        let all = join_all(keys.iter().enumerate().map(|(n, key)| {
            billing.subscribe(&ada.caller, if n % 2 == 0 { &premium } else { &pro }, Some(key).filter(|_| n < 6))
        }))
        .await;
        let begun: BTreeSet<_> = all.iter().filter_map(|one| Some(one.as_ref().ok()?.result.id.clone())).collect();
        assert_eq!((begun.len(), shop.stripe.objects("subscription").len()), (1, 1), "{all:?}");
        for refused in all.iter().filter_map(|one| one.as_ref().err()) {
            assert!(matches!(refused, BillingError::AlreadySubscribed | BillingError::Conflict(_)), "{refused:?}");
        }
        // Whoever was first; a key that found it means it from now on.
        let is_pro = shop.stripe.objects("subscription")[0]["items"]["data"][0]["price"]["id"] == shop.pro.as_str();
        let (won, lost) = if is_pro { (&pro, &premium) } else { (&premium, &pro) };
        let found = billing.subscribe(&ada.caller, won, Some(&key("after"))).await.unwrap();
        assert!(begun.contains(&found.result.id));
        let other = billing.subscribe(&ada.caller, lost, Some(&key("after"))).await.unwrap_err();
        assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED");
    }

    async fn two_keys_for_the_same_are_one_subscription(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, new) = (shop.petspark.billing(), subscription(&shop.premium));
        let first = billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.unwrap();
        let second = billing.subscribe(&ada.caller, &new, Some(&key("two"))).await.unwrap();
        assert_eq!(first.result.id, second.result.id);
        shop.stripe.pay(intent_of(&first.result), "pm_card_visa").unwrap();
        shop.catch_up().await;
        // A key counts for a day, also when Stripe has forgotten its own.
        shop.stripe.advance(Duration::from_secs(23 * 3600 + 1800));
        for name in ["one", "two"] {
            let again = billing.subscribe(&ada.caller, &new, Some(&key(name))).await.unwrap();
            assert_eq!((again.replayed, &again.result.id, again.result.status), (true, &first.result.id, SubscriptionStatus::Active));
        }
        assert!(matches!(billing.subscribe(&ada.caller, &new, Some(&key("three"))).await, Err(BillingError::AlreadySubscribed)));
        assert_eq!(shop.stripe.objects("subscription").len(), 1);
    }

    async fn a_page_that_is_open_is_shown_again_and_closed_before_another_way(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let first = billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.unwrap();
        assert_eq!(billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.unwrap(), first);
        // What is paid once has nothing to do with it.
        billing.checkout_session(&ada.caller, &checkout(&shop.month), None).await.unwrap();
        let second = billing.checkout_session(&ada.caller, &checkout(&shop.pro), Some(&key("page"))).await.unwrap();
        assert_ne!(first, second);
        let states = |shop: &Shop| -> Vec<String> {
            let sessions = shop.stripe.objects("checkout.session");
            sessions.iter().map(|session| session["status"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(states(&shop), ["expired", "open", "open"]);
        let reused = billing.checkout_session(&ada.caller, &checkout(&shop.premium), Some(&key("page"))).await.unwrap_err();
        assert_eq!(reused.code(), "IDEMPOTENCY_KEY_REUSED");
        let begun = billing.subscribe(&ada.caller, &subscription(&shop.premium), None).await.unwrap().result;
        assert_eq!(states(&shop), ["expired", "open", "expired"]);
        for session in shop.stripe.objects("checkout.session").iter().filter(|session| session["mode"] == "subscription") {
            assert!(shop.stripe.complete_checkout(session["id"].as_str().unwrap(), "pm_card_visa").is_err());
        }
        shop.stripe.pay(intent_of(&begun), "pm_card_visa").unwrap();
        shop.catch_up().await;
        assert_eq!((shop.stripe.objects("subscription").len(), shop.plan(&ada).await.as_str()), (1, "premium"));
        let page = billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await;
        assert!(matches!(page, Err(BillingError::AlreadySubscribed)), "{page:?}");
    }

    async fn who_paid_on_the_page_is_subscribed_though_no_event_has_come(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.unwrap();
        let session = shop.stripe.objects("checkout.session")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.complete_checkout(&session, "pm_card_visa").unwrap();
        for refused in [
            billing.subscribe(&ada.caller, &subscription(&shop.pro), None).await.map(drop),
            billing.checkout_session(&ada.caller, &checkout(&shop.pro), None).await.map(drop),
            billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.map(drop),
        ] {
            assert!(matches!(refused, Err(BillingError::AlreadySubscribed)), "{refused:?}");
        }
        assert_eq!((shop.stripe.objects("subscription").len(), shop.plan(&ada).await.as_str()), (1, "premium"));
        assert_eq!(shop.petspark.billing().status(&operator()).await.unwrap().open_operations, 0);
    }

    async fn a_key_finds_its_subscription_though_an_event_told_of_it_first(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, new) = (shop.petspark.billing(), subscription(&shop.premium));
        shop.stripe.fail_next_at("POST /v1/subscriptions", 3, Fault::DoneThenCut);
        assert!(billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.is_err());
        shop.catch_up().await;
        assert_eq!(billing.subscriptions(&ada.caller).await.unwrap().len(), 1);
        let found = billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.unwrap();
        assert!(found.result.client_secret.is_some());
        assert!(billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.unwrap().replayed);
        assert_eq!(shop.stripe.objects("subscription").len(), 1);
        assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
    }

    async fn what_is_asked_for_once_more_is_not_given_up_for_something_else_meanwhile(app: TestApp) {
        let shop = Shop::open(&app).await;
        let billing = shop.petspark.billing();
        for (n, call) in ["POST /v1/subscriptions", "POST /v1/checkout/sessions"].into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let begin = async || match n {
                0 => billing.subscribe(&ada.caller, &subscription(&shop.premium), None).await.map(drop),
                _ => billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.map(drop),
            };
            shop.stripe.fail_next_at(call, 3, Fault::Refused);
            begin().await.unwrap_err();
            // Long enough for nobody to be asking any more.
            shop.stripe.advance(Duration::from_secs(3600));
            shop.stripe.fail_next_at(call, 1, Fault::Delayed);
            let meanwhile = async {
                shop.stripe.delayed().await;
                let other = billing.subscribe(&ada.caller, &subscription(&shop.pro), None).await;
                shop.stripe.let_go();
                other
            };
            let (begun, other) = tokio::join!(begin(), meanwhile);
            begun.unwrap();
            assert!(matches!(other, Err(BillingError::Conflict(_))), "{call}: {other:?}");
        }
        assert_eq!((shop.stripe.objects("subscription").len(), shop.stripe.objects("checkout.session").len()), (1, 1));
    }

    async fn what_was_given_up_for_something_else_is_not_asked_for_any_more(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        shop.stripe.fail_next_at("POST /v1/checkout/sessions", 3, Fault::Refused);
        billing.checkout_session(&ada.caller, &checkout(&shop.premium), None).await.unwrap_err();
        shop.stripe.advance(Duration::from_secs(3600));
        // It has begun to look whether the way is clear, and another is quicker: a page, so that nothing is subscribed.
        shop.stripe.fail_next_at("GET /v1/subscriptions", 1, Fault::DoneThenDelayed);
        let page = checkout(&shop.premium);
        let slow = billing.checkout_session(&ada.caller, &page, None);
        let quick = async {
            shop.stripe.delayed().await;
            let quick = billing.checkout_session(&ada.caller, &checkout(&shop.pro), None).await;
            shop.stripe.let_go();
            quick
        };
        let (slow, quick) = tokio::join!(slow, quick);
        quick.unwrap();
        assert!(matches!(slow, Err(BillingError::Conflict(_))), "{slow:?}");
        assert_eq!(shop.stripe.objects("checkout.session").len(), 1, "two pages are open, each for a subscription");
    }

    async fn an_operation_is_found_though_its_parameters_changed_under_its_key(app: TestApp) {
        let shop = Shop::open(&app).await;
        let changed = app
            .another_with(|settings| {
                with_keys(settings, &shop.stripe);
                settings.billing.automatic_tax = true;
            })
            .await;
        // Stripe has kept the key for what was asked: it was done, or failed.
        for (n, first) in [Fault::DoneThenCut, Fault::SavedServerError].into_iter().enumerate() {
            let (ada, bob) = (app.register(&format!("ada{n}")).await, app.register(&format!("bob{n}")).await);
            for call in ["POST /v1/subscriptions", "POST /v1/checkout/sessions"] {
                shop.stripe.fail_next_at(call, 1, first);
                shop.stripe.fail_next_at(call, 2, Fault::Refused);
            }
            let (new, page) = (subscription(&shop.premium), checkout(&shop.premium));
            shop.petspark.billing().subscribe(&ada.caller, &new, None).await.unwrap_err();
            shop.petspark.billing().checkout_session(&bob.caller, &page, None).await.unwrap_err();
            changed.billing().subscribe(&ada.caller, &new, None).await.unwrap();
            changed.billing().checkout_session(&bob.caller, &page, None).await.unwrap();
            for kind in ["subscription", "checkout.session"] {
                assert_eq!(shop.stripe.objects(kind).len(), n + 1, "{first:?} {kind}");
            }
            assert_eq!(changed.billing().status(&operator()).await.unwrap().open_operations, 0);
        }
    }

    async fn a_lost_subscription_that_has_ended_is_not_told_as_begun(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (billing, new) = (shop.petspark.billing(), subscription(&shop.premium));
        shop.stripe.fail_next_at("POST /v1/subscriptions", 3, Fault::DoneThenCut);
        billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.unwrap_err();
        let lost = shop.stripe.objects("subscription")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.ask("DELETE", &format!("/v1/subscriptions/{lost}"), &[]);
        drop(shop.stripe.take_deliveries());
        let told = billing.subscribe(&ada.caller, &new, Some(&key("one"))).await;
        assert!(matches!(told, Err(BillingError::Conflict(_))), "{told:?}");
        let begun = billing.subscribe(&ada.caller, &new, Some(&key("one"))).await.unwrap().result;
        assert_ne!(begun.id, lost);
        assert_eq!(begun.status, SubscriptionStatus::Incomplete);
        assert_eq!(billing.status(&operator()).await.unwrap().open_operations, 0);
    }

    async fn a_second_subscription_of_one_user_is_told_by_the_comparison(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        shop.catch_up().await;
        let customer = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.advance(Duration::from_secs(1));
        // In Stripe's dashboard, say.
        let new = [("customer", customer.as_str()), ("items[0][price]", &shop.pro), ("payment_behavior", "default_incomplete")];
        let (_, second) = shop.stripe.ask("POST", "/v1/subscriptions", &new);
        let report = shop.petspark.billing().sync(&operator(), false).await.unwrap();
        let told: Vec<_> = report.differences.iter().filter(|one| second["id"] == one.object.as_str()).collect();
        assert_eq!(told.iter().map(|one| (one.field.as_str(), one.mended)).collect::<Vec<_>>(), [("there", true), ("user", false)]);
        let again = shop.petspark.billing().sync(&operator(), false).await.unwrap();
        assert_eq!((again.differences.len(), again.differences[0].field.as_str()), (1, "user"));
    }
}
