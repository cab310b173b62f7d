//! Subscriptions from the first click to the last day.

use futures_util::future::join_all;
use petspark_core::billing::{Access, BillingError, FREE, NewSubscription, SubscriptionChange, SubscriptionStatus};
use petspark_core::mail::Template;
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::{Card, Fault};
use petspark_core::{Failure as _, IdempotencyKey, Kind};

use super::shop::{DAY, Shop, intent_of};

on_both! {
    async fn a_subscription_counts_from_its_first_payment(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let begun = shop.subscribe(&ada, &shop.premium).await;
        assert_eq!((begun.status.as_str(), begun.access, begun.plan.as_deref()), ("incomplete", Access::None, Some("premium")));
        assert_eq!(shop.plan(&ada).await, FREE);
        shop.stripe.pay(intent_of(&begun), "pm_card_visa").unwrap();
        shop.catch_up().await;
        let all = shop.petspark.billing().subscriptions(&ada.caller).await.unwrap();
        assert_eq!((all.len(), all[0].status.clone(), all[0].access), (1, SubscriptionStatus::Active, Access::Full));
        let has = shop.petspark.billing().entitlements(ada.id).await.unwrap();
        assert_eq!((has.plan.as_str(), has.source.as_str()), ("premium", "subscription"));
    }

    async fn who_clicks_ten_times_subscribes_once(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let new = NewSubscription { price_id: shop.premium.clone() };
        let all = join_all((0..10).map(|_| shop.petspark.billing().subscribe(&ada.caller, &new, None))).await;
        let ids: std::collections::BTreeSet<_> = all.iter().filter_map(|one| Some(one.as_ref().ok()?.result.id.clone())).collect();
        assert_eq!(ids.len(), 1, "{all:?}");
        assert_eq!(shop.stripe.objects("subscription").len(), 1);
        // Who comes back to pay finds the one that was begun.
        let again = shop.petspark.billing().subscribe(&ada.caller, &new, None).await.unwrap();
        assert!(again.replayed && ids.contains(&again.result.id) && again.result.client_secret.is_some());
        let other = NewSubscription { price_id: shop.pro.clone() };
        let again = shop.petspark.billing().subscribe(&ada.caller, &other, None).await.unwrap_err();
        assert_eq!((again.kind(), again.code()), (Kind::Conflict, "PAY_006"));
    }

    async fn a_lost_answer_to_subscribing_is_found_again(app: TestApp) {
        let shop = Shop::open(&app).await;
        for (n, (fault, times)) in [(Fault::DoneThenCut, 3), (Fault::DoneThenGarbled, 1)].into_iter().enumerate() {
            let ada = app.register(&format!("ada{n}")).await;
            let new = NewSubscription { price_id: shop.premium.clone() };
            let key = IdempotencyKey::parse("one").unwrap();
            shop.stripe.fail_next_at("POST /v1/subscriptions", times, fault);
            assert!(shop.petspark.billing().subscribe(&ada.caller, &new, Some(&key)).await.is_err());
            let found = shop.petspark.billing().subscribe(&ada.caller, &new, Some(&key)).await.unwrap();
            let again = shop.petspark.billing().subscribe(&ada.caller, &new, Some(&key)).await.unwrap();
            assert_eq!((found.replayed, again.replayed), (false, true));
            assert!(again.result.client_secret.is_some() && again.result.client_secret == found.result.client_secret);
            assert_eq!(shop.stripe.objects("subscription").len(), n + 1, "{fault:?}");
        }
    }

    async fn a_subscription_is_swapped_ended_and_taken_back(app: TestApp) {
        let (shop, ada, bob) = (Shop::open(&app).await, app.register("ada").await, app.register("bob").await);
        let billing = shop.petspark.billing();
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let swap = SubscriptionChange { price_id: Some(shop.pro.clone()), ..SubscriptionChange::default() };
        let foreign = billing.change_subscription(&bob.caller, &id, &swap).await.unwrap_err();
        assert_eq!((foreign.kind(), foreign.code()), (Kind::Forbidden, "PAY_002"));
        assert!(matches!(billing.cancel_subscription(&bob.caller, &id).await, Err(BillingError::NotYours(_))));
        assert_eq!(billing.change_subscription(&ada.caller, "sub_x", &swap).await.unwrap_err().code(), "PAY_001");
        let once = SubscriptionChange { price_id: Some(shop.month.clone()), ..SubscriptionChange::default() };
        assert_eq!(billing.change_subscription(&ada.caller, &id, &once).await.unwrap_err().code(), "PAY_004");
        let swapped = billing.change_subscription(&ada.caller, &id, &swap).await.unwrap();
        assert_eq!((swapped.plan.as_deref(), shop.plan(&ada).await.as_str()), (Some("pro"), "pro"));
        let end = |end| SubscriptionChange { cancel_at_period_end: Some(end), ..SubscriptionChange::default() };
        let ending = billing.change_subscription(&ada.caller, &id, &end(true)).await.unwrap();
        assert!(ending.cancel_at_period_end && ending.access == Access::Full);
        let period_end = ending.current_period_end;
        assert_eq!(billing.entitlements(ada.id).await.unwrap().valid_until, period_end);
        assert!(!billing.change_subscription(&ada.caller, &id, &end(false)).await.unwrap().cancel_at_period_end);
        let over = billing.cancel_subscription(&ada.caller, &id).await.unwrap();
        assert_eq!((over.status, over.access), (SubscriptionStatus::Canceled, Access::None));
        assert_eq!((shop.plan(&ada).await.as_str(), shop.status_there(&id).as_str()), (FREE, "canceled"));
        assert!(matches!(billing.change_subscription(&ada.caller, &id, &swap).await, Err(BillingError::Conflict(_))));
        // The next one is a new one.
        assert_ne!(shop.subscribe(&ada, &shop.premium).await.id, id);
    }

    async fn a_dearer_price_is_paid_at_once_or_not_had(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let swap = |price: &str| SubscriptionChange { price_id: Some(price.to_owned()), ..SubscriptionChange::default() };
        shop.stripe.set_card(&shop.card_of(&id), Card::Declines("insufficient_funds"));
        let refused = billing.change_subscription(&ada.caller, &id, &swap(&shop.pro)).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Unprocessable, "PAY_007"));
        assert_eq!((shop.plan(&ada).await.as_str(), shop.status_there(&id).as_str()), ("premium", "active"));
        shop.catch_up().await;
        assert_eq!((shop.plan(&ada).await.as_str(), shop.stripe.objects("invoice").len()), ("premium", 1));
        shop.stripe.set_card(&shop.card_of(&id), Card::Pays);
        assert_eq!(billing.change_subscription(&ada.caller, &id, &swap(&shop.pro)).await.unwrap().plan.as_deref(), Some("pro"));
        let invoices = billing.invoices(&ada.caller).await.unwrap();
        assert_eq!((invoices.len(), invoices[0].status.as_deref(), invoices[0].amount_paid), (2, Some("paid"), 1000));
        // A cheaper one costs nothing more.
        billing.change_subscription(&ada.caller, &id, &swap(&shop.premium)).await.unwrap();
        assert_eq!(billing.invoices(&ada.caller).await.unwrap()[0].amount_paid, 0);
        // What isn't paid for stays as it is until it is.
        shop.stripe.set_card(&shop.card_of(&id), Card::Declines("insufficient_funds"));
        shop.stripe.advance(31 * DAY);
        shop.catch_up().await;
        assert_eq!(shop.status_there(&id), "past_due");
        let owing = billing.change_subscription(&ada.caller, &id, &swap(&shop.pro)).await;
        assert!(matches!(owing, Err(BillingError::Conflict(_))), "{owing:?}");
    }

    async fn grace_counts_from_the_invoice_that_is_owed(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        shop.stripe.advance(20 * DAY);
        shop.stripe.set_card(&shop.card_of(&id), Card::Declines("insufficient_funds"));
        // Swapped where an unpaid change is made all the same: in Stripe's dashboard.
        let item = shop.stripe.object(&id).unwrap()["items"]["data"][0]["id"].as_str().unwrap().to_owned();
        let swap = [("items[0][id]", item.as_str()), ("items[0][price]", &shop.pro), ("proration_behavior", "always_invoice")];
        let (status, answer) = shop.stripe.ask("POST", &format!("/v1/subscriptions/{id}"), &swap);
        assert_eq!((status, &answer["status"]), (200, &"past_due".into()), "{answer}");
        shop.catch_up().await;
        let has = shop.petspark.billing().entitlements(ada.id).await.unwrap();
        let now = petspark_core::Timestamp::from_micros(app.clock.now().as_seconds() * 1_000_000);
        assert_eq!((has.plan.as_str(), has.valid_until), ("pro", Some(now.after(7 * DAY))));
    }

    async fn access_ends_with_the_period_though_no_event_comes(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let end = SubscriptionChange { cancel_at_period_end: Some(true), ..SubscriptionChange::default() };
        let ending = shop.petspark.billing().change_subscription(&ada.caller, &id, &end).await.unwrap();
        app.clock.advance(ending.current_period_end.unwrap().since(app.clock.now()));
        assert_eq!(shop.plan(&ada).await, FREE);
    }

    async fn a_renewal_that_fails_leaves_a_week_and_a_mail_and_is_mended(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let card = shop.card_of(&id);
        shop.stripe.set_card(&card, Card::Declines("insufficient_funds"));
        shop.stripe.advance(31 * DAY);
        shop.catch_up().await;
        assert_eq!(shop.status_there(&id), "past_due");
        let all = shop.petspark.billing().subscriptions(&ada.caller).await.unwrap();
        assert_eq!((all[0].status.clone(), all[0].access), (SubscriptionStatus::PastDue, Access::Grace));
        assert_eq!(shop.plan(&ada).await, "premium");
        let mail = app.mail("ada@example.org", Template::PaymentFailed).await;
        assert!(mail.text.contains("your plan goes on as it is"), "{}", mail.text);
        let mails = app.mails().await.len();
        // The same event again is no second mail.
        let failed = shop.stripe.objects("event").into_iter().find(|event| event["type"] == "invoice.payment_failed").unwrap();
        let again = shop.stripe.delivery_of(failed["id"].as_str().unwrap()).unwrap();
        assert!(shop.receive(&again).await.is_known);
        shop.work().await;
        assert_eq!(app.mails().await.len(), mails);
        shop.stripe.set_card(&card, Card::Pays);
        shop.stripe.advance(5 * DAY);
        shop.catch_up().await;
        assert_eq!(shop.status_there(&id), "active");
        assert_eq!(shop.petspark.billing().subscriptions(&ada.caller).await.unwrap()[0].access, Access::Full);
    }

    async fn grace_ends_by_the_clock(app: TestApp) {
        // Stripe's clock is another one here: it tells nothing more.
        let clock = petspark_core::Clock::manual(app.clock.now());
        let shop = Shop::open_with(&app, clock, |_| {}).await;
        let ada = app.register("ada").await;
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.stripe.set_card(&shop.card_of(&id), Card::Declines("insufficient_funds"));
        shop.stripe.advance(31 * DAY);
        shop.catch_up().await;
        app.clock.advance(31 * DAY);
        assert_eq!(shop.plan(&ada).await, "premium");
        app.clock.advance(7 * DAY);
        assert_eq!(shop.plan(&ada).await, FREE);
    }

    async fn a_trial_counts_and_its_end_is_announced(app: TestApp) {
        let shop = Shop::open_with(&app, app.clock.clone(), |settings| settings.billing.trial_days = 14).await;
        let ada = app.register("ada").await;
        let begun = shop.subscribe(&ada, &shop.premium).await;
        assert_eq!((begun.status, begun.access), (SubscriptionStatus::Trialing, Access::Full));
        assert_eq!(begun.trial_end, Some(begun.created_at.after(14 * DAY)));
        assert_eq!(shop.plan(&ada).await, "premium");
        shop.stripe.advance(12 * DAY);
        shop.catch_up().await;
        let mail = app.mail("ada@example.org", Template::TrialEnding).await;
        assert!(mail.text.contains("December 2026"), "{}", mail.text);
        // Without a card it doesn't become a subscription that is paid.
        shop.stripe.advance(5 * DAY);
        shop.catch_up().await;
        assert_eq!(shop.plan(&ada).await, if shop.status_there(&begun.id) == "past_due" { "premium" } else { FREE });
        assert_ne!(shop.status_there(&begun.id), "active");
        // A second trial is none.
        shop.petspark.billing().cancel_subscription(&ada.caller, &begun.id).await.unwrap();
        assert_eq!(shop.subscribe(&ada, &shop.premium).await.status, SubscriptionStatus::Incomplete);
    }

    async fn collection_that_is_paused_gives_nothing_until_it_goes_on(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let path = format!("/v1/subscriptions/{id}");
        let (status, answer) = shop.stripe.ask("POST", &path, &[("pause_collection[behavior]", "void")]);
        assert_eq!(status, 200, "{answer}");
        shop.catch_up().await;
        assert_eq!(shop.plan(&ada).await, FREE);
        let resumed = shop.petspark.billing().resume_subscription(&ada.caller, &id).await.unwrap();
        assert_eq!((resumed.access, shop.plan(&ada).await.as_str()), (Access::Full, "premium"));
        let again = shop.petspark.billing().resume_subscription(&ada.caller, &id).await;
        assert!(matches!(again, Err(BillingError::Conflict(_))));
    }
}
