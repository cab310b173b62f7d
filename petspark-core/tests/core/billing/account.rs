//! Whose payments these are: a key of another account, or of the other mode, changes nothing.

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::billing::{AccountId, BillingError, FREE};
use petspark_core::config::Value as _;
use petspark_core::testing::stripe::Fault;
use petspark_core::testing::{TestApp, TestStripe, on_both};
use petspark_core::{Failure as _, Kind, PageRequest, PetSpark};

use super::shop::{Shop, operator, with_keys};
use crate::sql::execute;

/// Another Stripe that knows nothing, under the same key, and a server that asks it.
async fn elsewhere(app: &TestApp, account: Option<&str>) -> (TestStripe, PetSpark) {
    let stripe = TestStripe::start(app.clock.clone()).await;
    if let Some(account) = account {
        stripe.set_account(account);
    }
    let petspark = app.another_with(|settings| with_keys(settings, &stripe)).await;
    (stripe, petspark)
}

on_both! {
    async fn a_key_of_another_account_changes_nothing_until_an_operator_accepts_it(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let (other_stripe, other) = elsewhere(&app, Some("acct_other")).await;
        let refused = other.billing().sync(&operator(), false).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Unavailable, "PAY_000"));
        assert!(matches!(&refused, BillingError::OtherAccount { cause } if cause.contains("acct_other")), "{refused:?}");
        assert!(refused.to_string().contains("another account") && !refused.to_string().contains("acct_"));
        for refused in [
            other.billing().create_intent(&ada.caller, &shop.one_month(), None).await.map(drop),
            other.billing().cancel_subscription(&ada.caller, &id).await.map(drop),
            other.billing().sweep(&operator()).await.map(drop),
            other.billing().sync_although_gone(&operator()).await.map(drop),
        ] {
            assert!(matches!(refused, Err(BillingError::OtherAccount { .. })), "{refused:?}");
        }
        let asked: Vec<_> = other_stripe.calls().into_iter().map(|call| call.route).collect();
        assert_eq!(asked, ["GET /v1/account"], "nothing else was asked, and that once");
        assert_eq!((shop.plan(&ada).await.as_str(), shop.status_there(&id).as_str()), ("premium", "active"));
        assert!(shop.petspark.billing().sync(&operator(), false).await.unwrap().differences.is_empty());

        assert!(matches!(other.billing().accept_account(&ada.caller, "mine").await, Err(BillingError::NotAdmin)));
        assert!(matches!(other.billing().accept_account(&operator(), " ").await, Err(BillingError::Invalid(_))));
        other.billing().accept_account(&operator(), "we moved").await.unwrap();
        assert_eq!(other.billing().status(&operator()).await.unwrap().account.unwrap().id, "acct_other");
        other.billing().sync(&operator(), true).await.unwrap();
        assert!(other.billing().check().await.is_ok() && shop.petspark.billing().check().await.is_err());
        // Servers that still have the old key stop.
        assert!(matches!(shop.petspark.billing().sync(&operator(), false).await, Err(BillingError::OtherAccount { .. })));
        let filter = AuditFilter { action: Some(Action::BillingAccountAccepted), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), entries[0].reason.as_deref()), (1, Some("we moved")));
    }

    async fn the_first_key_is_believed_only_if_it_knows_a_customer_of_ours(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        shop.catch_up().await;
        let settings = app.petspark.settings();
        // As after the upgrade to the release that writes accounts down.
        execute(settings, "DELETE FROM billing_account").await;
        let (_, other) = elsewhere(&app, Some("acct_other")).await;
        for dry_run in [true, false] {
            let refused = other.billing().sync(&operator(), dry_run).await.unwrap_err();
            assert!(matches!(&refused, BillingError::OtherAccount { cause } if cause.contains("acct_other")), "{refused:?}");
        }
        assert!(matches!(other.billing().check().await, Err(BillingError::OtherAccount { .. })));
        assert_eq!(other.billing().status(&operator()).await.unwrap().account, None);

        let kept = async |count: usize| {
            let filter = AuditFilter { action: Some(Action::BillingAccountKept), ..AuditFilter::default() };
            let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
            assert_eq!(entries.len(), count, "{entries:?}");
            shop.petspark.billing().status(&operator()).await.unwrap().account
        };
        shop.petspark.billing().sync(&operator(), true).await.unwrap();
        assert_eq!(kept(1).await, None, "looking writes nothing down; the one entry is of the first time");
        shop.petspark.billing().sync(&operator(), false).await.unwrap();
        assert!(kept(2).await.is_some());
        assert!(matches!(other.billing().sync(&operator(), false).await, Err(BillingError::OtherAccount { .. })));
    }

    async fn a_restricted_key_works_where_the_settings_name_its_account(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let own = shop.stripe.ask("GET", "/v1/account", &[]).1["id"].as_str().unwrap().to_owned();
        let named = async |account: Option<&str>| {
            app.another_with(|settings| {
                with_keys(settings, &shop.stripe);
                settings.billing.stripe.account = account.map(|account| AccountId::parse(account).unwrap());
            })
            .await
        };
        let buy = async |petspark: &PetSpark| petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await;
        let contradicted = named(Some("acct_other")).await;
        let refused = buy(&contradicted).await;
        assert!(
            matches!(&refused, Err(BillingError::OtherAccount { cause }) if cause.contains("acct_other") && cause.contains(&own)),
            "{refused:?}"
        );
        shop.stripe.hide_account(true);
        let unnamed = named(None).await;
        let refused = buy(&unnamed).await;
        assert!(matches!(&refused, Err(BillingError::KeyRefused { cause }) if cause.contains("403")), "{refused:?}");
        let status = unnamed.billing().status(&operator()).await.unwrap();
        assert!(status.outage.is_some_and(|outage| outage.contains("permission")));
        buy(&named(Some(&own)).await).await.unwrap();
        assert!(matches!(buy(&named(Some("acct_other")).await).await, Err(BillingError::OtherAccount { .. })));
    }

    async fn test_mode_and_live_are_two_accounts(app: TestApp) {
        let shop = Shop::open(&app).await;
        execute(app.petspark.settings(), "UPDATE billing_account SET livemode = TRUE").await;
        let refused = shop.petspark.billing().sync(&operator(), false).await.unwrap_err();
        assert!(matches!(&refused, BillingError::OtherAccount { cause } if cause.contains("(test mode)") && cause.contains("(live)")), "{refused:?}");
    }

    async fn whose_key_it_is_must_be_known_before_anything_is_asked(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let fresh = app.another_with(|settings| with_keys(settings, &shop.stripe)).await;
        shop.stripe.fail_next_at("GET /v1/account", 3, Fault::ServerError);
        let refused = fresh.billing().create_intent(&ada.caller, &shop.one_month(), None).await;
        assert!(matches!(refused, Err(BillingError::Unavailable { .. })), "{refused:?}");
        assert!(shop.stripe.objects("customer").is_empty());
        fresh.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
    }

    async fn who_was_taken_for_deleted_by_mistake_is_there_again(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        shop.catch_up().await;
        let settings = app.petspark.settings();
        execute(settings, "UPDATE billing_customers SET deleted_at = created_at").await;
        execute(settings, "UPDATE billing_subscriptions SET status = 'canceled', last_access = 'none', ended_at = created_at").await;
        app.clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(shop.plan(&ada).await, FREE);
        let customer = shop.stripe.objects("customer")[0]["id"].as_str().unwrap().to_owned();
        for dry_run in [true, false] {
            let report = shop.petspark.billing().sync(&operator(), dry_run).await.unwrap();
            let of_customer: Vec<_> = report.differences.iter().filter(|one| one.object == customer).collect();
            assert_eq!((of_customer.len(), of_customer[0].field.as_str(), of_customer[0].mended), (1, "deleted", !dry_run));
        }
        assert_eq!((shop.plan(&ada).await.as_str(), shop.status_there(&id).as_str()), ("premium", "active"));
        shop.petspark.billing().create_intent(&ada.caller, &shop.one_month(), None).await.unwrap();
        assert_eq!(shop.stripe.objects("customer").len(), 1);
        assert!(shop.petspark.billing().sync(&operator(), true).await.unwrap().differences.is_empty());
    }

    async fn a_comparison_stops_where_nearly_everybody_would_be_taken_for_deleted(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await;
        for n in 0..5 {
            let user = app.register(&format!("user{n}")).await;
            shop.petspark.billing().create_intent(&user.caller, &shop.one_month(), None).await.unwrap();
        }
        shop.catch_up().await;
        // Says that it is the same account, as after its test data were deleted.
        let (_, other) = elsewhere(&app, None).await;
        let refused = other.billing().sync(&operator(), false).await;
        assert!(matches!(refused, Err(BillingError::Conflict(_))), "{refused:?}");
        let looked = other.billing().sync(&operator(), true).await.unwrap();
        assert_eq!(looked.differences.iter().filter(|one| one.here.as_deref() == Some("customer")).count(), 6);
        assert_eq!(shop.plan(&ada).await, "premium");
        assert_eq!(shop.petspark.billing().products().await.unwrap().len(), 3);
        assert!(shop.petspark.billing().sync(&operator(), true).await.unwrap().differences.is_empty());
        other.billing().sync_although_gone(&operator()).await.unwrap();
        assert_eq!(other.billing().entitlements(ada.id).await.unwrap().plan, FREE);
    }
}
