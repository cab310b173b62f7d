//! Comparing with Stripe: differences are listed, and mended unless it is only looked.

use petspark_core::billing::{BillingError, FREE};
use petspark_core::testing::on_both;
use petspark_core::testing::stripe::Fault;

use super::shop::{Shop, operator};
use crate::sql::execute;

on_both! {
    async fn a_key_that_may_not_read_disputes_has_everything_else_compared(app: TestApp) {
        let shop = Shop::open(&app).await;
        shop.stripe.fail_next_at("GET /v1/disputes", 1, Fault::Forbidden);
        let report = shop.petspark.billing().sync(&operator(), false).await.unwrap();
        let told: Vec<_> = report.differences.iter().map(|one| (one.object.as_str(), one.mended)).collect();
        assert_eq!(told, [("disputes", false)]);
    }

    async fn differences_are_listed_and_mended(app: TestApp) {
        let (shop, ada, bob) = (Shop::open(&app).await, app.register("ada").await, app.register("bob").await);
        let billing = shop.petspark.billing();
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        let gone = shop.subscribe_and_pay(&bob, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        assert!(billing.sync(&operator(), false).await.unwrap().differences.is_empty());

        // Events that never came, a row that somebody changed by hand, a customer that only Stripe knows.
        shop.stripe.ask("DELETE", &format!("/v1/subscriptions/{gone}"), &[]);
        shop.stripe.ask("POST", &format!("/v1/prices/{}", shop.month), &[("active", "false")]);
        drop(shop.stripe.take_deliveries());
        let settings = app.petspark.settings();
        execute(settings, &format!("UPDATE billing_subscriptions SET status = 'unpaid', quantity = 7 WHERE id = '{id}'")).await;
        let eve = app.register("eve").await;
        let user = eve.id.to_string();
        let (_, lost) = shop.stripe.ask("POST", "/v1/customers", &[("metadata[petspark_user]", &user)]);
        let customer_of_ada = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.ask("POST", &format!("/v1/customers/{customer_of_ada}"), &[("email", "old@example.org")]);

        let told = |report: &petspark_core::billing::SyncReport| {
            let mut told: Vec<_> = report.differences.iter().map(|one| (one.object.clone(), one.field.clone())).collect();
            told.sort();
            told
        };
        let looked = billing.sync(&operator(), true).await.unwrap();
        let mut expected = vec![
            (id.clone(), "quantity".to_owned()),
            (id.clone(), "status".to_owned()),
            (gone.clone(), "canceled_at".to_owned()),
            (gone.clone(), "ended_at".to_owned()),
            (gone.clone(), "status".to_owned()),
            (shop.month.clone(), "price".to_owned()),
            (lost["id"].as_str().unwrap().to_owned(), "there".to_owned()),
            (customer_of_ada, "email".to_owned()),
        ];
        expected.sort();
        assert_eq!(told(&looked), expected);
        assert!(!format!("{looked:?}").contains('@'));
        // Nothing was changed by looking.
        assert_eq!(told(&billing.sync(&operator(), true).await.unwrap()), expected);
        assert_eq!(told(&billing.sync(&operator(), false).await.unwrap()), expected);
        assert_eq!(billing.sync(&operator(), true).await.unwrap().differences, []);
        assert_eq!((shop.plan(&ada).await.as_str(), shop.plan(&bob).await.as_str()), ("premium", FREE));
        assert_eq!(shop.stripe.objects("customer")[0]["email"], "ada@example.org");
        assert!(matches!(billing.sync(&ada.caller, true).await, Err(BillingError::NotAdmin)));
    }

    async fn what_is_not_ours_is_left_alone(app: TestApp) {
        let shop = Shop::open(&app).await;
        // Another shop on the same account, and another installation.
        shop.stripe.ask("POST", "/v1/customers", &[("email", "stranger@example.org")]);
        let nobody = petspark_core::UserId::new().to_string();
        shop.stripe.ask("POST", "/v1/customers", &[("metadata[petspark_user]", &nobody)]);
        let report = shop.petspark.billing().sync(&operator(), false).await.unwrap();
        assert_eq!((report.differences.len(), report.customers), (0, 0));
        shop.catch_up().await;
        assert_eq!(shop.stripe.objects("customer").len(), 2);
    }

    async fn an_endpoint_is_set_up_once_in_our_version(app: TestApp) {
        let shop = Shop::open(&app).await;
        let billing = shop.petspark.billing();
        let url = "https://api.example.org/api/v1/payments/webhook";
        let made = billing.set_up_webhook(&operator(), url).await.unwrap();
        assert!(made.secret.is_some() && made.url == url);
        assert_eq!(made.api_version, billing.status(&operator()).await.unwrap().api_version.map(str::to_owned));
        let there = shop.stripe.objects("webhook_endpoint");
        assert!(there[0]["enabled_events"].as_array().unwrap().iter().any(|kind| kind == "invoice.payment_failed"));
        assert!(matches!(billing.set_up_webhook(&operator(), url).await, Err(BillingError::Conflict(_))));
        assert!(matches!(billing.set_up_webhook(&operator(), "ftp://x").await, Err(BillingError::Invalid(_))));
    }
}
