//! One subscription for a user, however many ways to it are tried at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use petspark_core::billing::{BillingError, NewCheckout, NewSubscription, SubscriptionStatus};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;
use petspark_core::{Failure as _, IdempotencyKey};
use std::time::Duration;

use super::shop::{Shop, intent_of, operator};

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
