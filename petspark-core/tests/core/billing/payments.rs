//! One-off payments: the server decides, Stripe is asked, nobody pays twice.

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::billing::{BillingError, FREE, NewCheckout, NewPayment, NewRefund};
use petspark_core::testing::stripe::Fault;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Failure as _, IdempotencyKey, Kind, PageRequest};

use super::shop::{DAY, Shop, operator};
use crate::sql::every_row;

fn buy(shop: &Shop, quantity: i64) -> NewPayment {
    NewPayment { price_id: shop.month.clone(), quantity, amount: None, currency: None }
}

async fn refusals(app: &TestApp) -> usize {
    let filter = AuditFilter { action: Some(Action::PaymentRefused), ..AuditFilter::default() };
    app.petspark.audit().list(&operator(), filter, &PageRequest::first(100).unwrap()).await.unwrap().items.len()
}

on_both! {
    async fn the_catalogue_shows_what_is_sold_with_its_plans(app: TestApp) {
        let shop = Shop::open(&app).await;
        let products = shop.petspark.billing().products().await.unwrap();
        let shown: Vec<_> = products.iter().map(|product| {
            let price = &product.prices[0];
            (product.name.as_str(), price.amount, price.currency.as_str().to_owned(), price.interval.map(|i| i.as_str()), price.plan.as_deref())
        }).collect();
        assert_eq!(shown, [
            ("A month", 499, "eur".to_owned(), None, Some("premium")),
            ("Premium", 999, "eur".to_owned(), Some("month"), Some("premium")),
            ("Pro", 1999, "eur".to_owned(), Some("month"), Some("pro")),
        ]);
        shop.stripe.ask("POST", &format!("/v1/prices/{}", shop.month), &[("active", "false")]);
        shop.catch_up().await;
        assert_eq!(shop.petspark.billing().products().await.unwrap().len(), 2);
    }

    async fn the_server_decides_what_is_paid(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let right = NewPayment { amount: Some(998), currency: Some("EUR".to_owned()), ..buy(&shop, 2) };
        let intent = billing.create_intent(&ada.caller, &right, None).await.unwrap().result;
        assert_eq!((intent.amount, intent.currency.as_str(), intent.status.as_str()), (998, "eur", "requires_payment_method"));
        assert!(intent.client_secret.is_some());
        let made = shop.stripe.objects("payment_intent").len();
        for wrong in [
            NewPayment { amount: Some(1), ..buy(&shop, 1) },
            NewPayment { amount: Some(499), currency: Some("usd".to_owned()), ..buy(&shop, 1) },
            buy(&shop, 0),
            buy(&shop, -1),
            buy(&shop, 1001),
            NewPayment { price_id: "price_unknown".to_owned(), ..buy(&shop, 1) },
            NewPayment { price_id: shop.premium.clone(), ..buy(&shop, 1) },
        ] {
            let error = billing.create_intent(&ada.caller, &wrong, None).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "PAY_004"), "{wrong:?}");
        }
        assert_eq!(shop.stripe.objects("payment_intent").len(), made);
        assert_eq!(refusals(&app).await, 7);
    }

    async fn the_same_key_begins_one_payment(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let key = IdempotencyKey::parse("my-key").unwrap();
        let billing = shop.petspark.billing();
        // The first answer is lost on the way; the payment is there.
        shop.stripe.fail_next_at("POST /v1/payment_intents", 3, Fault::DoneThenCut);
        assert!(billing.create_intent(&ada.caller, &buy(&shop, 1), Some(&key)).await.is_err());
        let first = billing.create_intent(&ada.caller, &buy(&shop, 1), Some(&key)).await.unwrap();
        let second = billing.create_intent(&ada.caller, &buy(&shop, 1), Some(&key)).await.unwrap();
        assert_eq!((first.replayed, second.replayed), (false, true));
        assert_eq!(first.result.id, second.result.id);
        assert_eq!(shop.stripe.objects("payment_intent").len(), 1);
        let other = billing.create_intent(&ada.caller, &buy(&shop, 2), Some(&key)).await.unwrap_err();
        assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED");
    }

    async fn confirming_asks_stripe_and_gives_the_plan(app: TestApp) {
        let (shop, ada, bob) = (Shop::open(&app).await, app.register("ada").await, app.register("bob").await);
        let billing = shop.petspark.billing();
        let intent = billing.create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
        assert_eq!(billing.confirm(&ada.caller, &intent.id).await.unwrap().status, "requires_payment_method");
        assert_eq!(shop.plan(&ada).await, FREE);
        assert!(shop.stripe.pay(&intent.id, "pm_card_visa_chargeDeclined").is_err());
        assert_eq!(billing.confirm(&ada.caller, &intent.id).await.unwrap().status, "requires_payment_method");
        assert_eq!(shop.plan(&ada).await, FREE);
        shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        assert_eq!(billing.confirm(&ada.caller, &intent.id).await.unwrap().status, "succeeded");
        assert_eq!(shop.plan(&ada).await, "premium");
        let foreign = billing.confirm(&bob.caller, &intent.id).await.unwrap_err();
        assert_eq!((foreign.kind(), foreign.code()), (Kind::Forbidden, "PAY_002"));
        for unknown in ["pi_unknown", "", "../customers", "pi_../x"] {
            assert!(matches!(billing.confirm(&ada.caller, unknown).await, Err(BillingError::NotFound(_))), "{unknown}");
        }
        app.clock.advance(30 * DAY);
        assert_eq!(shop.plan(&ada).await, FREE);
    }

    async fn what_is_paid_days_later_counts_from_then(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let intent = billing.create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
        shop.stripe.advance(5 * DAY);
        shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        let paid = billing.confirm(&ada.caller, &intent.id).await.unwrap();
        let now = petspark_core::Timestamp::from_micros(app.clock.now().as_seconds() * 1_000_000);
        assert_eq!((paid.paid_at, now.since(paid.created_at)), (Some(now), 5 * DAY));
        assert_eq!(billing.entitlements(ada.id).await.unwrap().valid_until, Some(now.after(30 * DAY)));
    }

    async fn ids_that_are_nobodys_leave_nothing_behind(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let (_, foreign) = shop.stripe.ask("POST", "/v1/payment_intents", &[("amount", "500"), ("currency", "eur")]);
        for id in ["pi_guessed1", "pi_guessed2", foreign["id"].as_str().unwrap()] {
            let refused = shop.petspark.billing().confirm(&ada.caller, id).await;
            assert!(matches!(refused, Err(BillingError::NotFound(_))), "{refused:?}");
            let rows = every_row(app.petspark.settings()).await;
            assert!(rows.iter().all(|row| !row.contains(id)), "{id}");
        }
    }

    async fn what_was_paid_on_the_checkout_page_is_found_though_its_event_never_came(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let home = "http://localhost:3000/".to_owned();
        let new = NewCheckout { price_id: shop.month.clone(), quantity: 1, success_url: home.clone(), cancel_url: home };
        shop.petspark.billing().checkout_session(&ada.caller, &new, None).await.unwrap();
        let session = shop.stripe.objects("checkout.session")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.complete_checkout(&session, "pm_card_visa").unwrap();
        drop(shop.stripe.take_deliveries());
        let (_, stranger) = shop.stripe.ask("POST", "/v1/payment_intents", &[("amount", "500"), ("currency", "eur")]);
        assert_eq!(shop.plan(&ada).await, FREE);
        let payment = shop.stripe.objects("payment_intent")[0]["id"].as_str().unwrap().to_owned();
        for dry_run in [true, false] {
            let report = shop.petspark.billing().sync(&operator(), dry_run).await.unwrap();
            let told: Vec<_> = report.differences.iter().map(|one| (one.object.as_str(), one.field.as_str())).collect();
            assert_eq!((told, report.payments), (vec![(payment.as_str(), "there")], 1), "{stranger}");
        }
        assert_eq!(shop.plan(&ada).await, "premium");
        // Money that went back without a word is found, too.
        shop.stripe.ask("POST", "/v1/refunds", &[("payment_intent", &payment)]);
        drop(shop.stripe.take_deliveries());
        let report = shop.petspark.billing().sync(&operator(), false).await.unwrap();
        assert_eq!((report.differences.len(), report.differences[0].field.as_str()), (1, "refunded"));
        assert_eq!(shop.plan(&ada).await, FREE);
    }

    async fn a_lost_dispute_takes_back_what_was_bought_and_a_won_one_doesn_t(app: TestApp) {
        let shop = Shop::open(&app).await;
        for (won, plan) in [(true, "premium"), (false, FREE)] {
            let ada = app.register(&format!("ada{won}")).await;
            let intent = shop.petspark.billing().create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
            shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
            let dispute = shop.stripe.dispute(&intent.id).unwrap();
            assert!(shop.stripe.dispute(&intent.id).is_err());
            shop.catch_up().await;
            assert_eq!(shop.plan(&ada).await, "premium", "it isn't decided");
            shop.stripe.close_dispute(&dispute, won).unwrap();
            shop.catch_up().await;
            assert_eq!(shop.plan(&ada).await, plan);
            // Nor does a later reading give it back.
            shop.petspark.billing().confirm(&ada.caller, &intent.id).await.unwrap();
            assert_eq!(shop.plan(&ada).await, plan);
        }
    }

    async fn a_lost_dispute_of_which_no_event_told_is_found_by_the_comparison(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let intent = billing.create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
        shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        let dispute = shop.stripe.dispute(&intent.id).unwrap();
        shop.catch_up().await;
        assert!(billing.sync(&operator(), true).await.unwrap().differences.is_empty(), "it isn't decided");
        shop.stripe.close_dispute(&dispute, false).unwrap();
        drop(shop.stripe.take_deliveries());
        for dry_run in [true, false] {
            assert_eq!(shop.plan(&ada).await, "premium");
            let report = billing.sync(&operator(), dry_run).await.unwrap();
            let told: Vec<_> = report.differences.iter().map(|one| (one.object.as_str(), one.field.as_str(), one.mended)).collect();
            assert_eq!(told, [(intent.id.as_str(), "dispute", !dry_run)]);
        }
        assert_eq!(shop.plan(&ada).await, FREE);
        assert!(billing.sync(&operator(), true).await.unwrap().differences.is_empty());
    }

    async fn a_payment_that_needs_its_bank_is_told_by_an_event(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let intent = shop.petspark.billing().create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
        assert!(shop.stripe.pay(&intent.id, "pm_card_threeDSecure2Required").is_err());
        assert_eq!(shop.petspark.billing().confirm(&ada.caller, &intent.id).await.unwrap().status, "requires_action");
        shop.stripe.authenticate(&intent.id, true).unwrap();
        shop.catch_up().await;
        assert_eq!(shop.plan(&ada).await, "premium");
        assert_eq!(shop.petspark.billing().payments(&ada.caller).await.unwrap()[0].status, "succeeded");
    }

    async fn a_refund_takes_the_plan_back_with_the_last_of_the_money(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let intent = billing.create_intent(&ada.caller, &buy(&shop, 1), None).await.unwrap().result;
        shop.stripe.pay(&intent.id, "pm_card_visa").unwrap();
        shop.catch_up().await;
        let refund = |amount| NewRefund { payment_id: intent.id.clone(), amount, reason: "not happy".to_owned() };
        assert!(matches!(billing.refund(&ada.caller, &refund(None)).await, Err(BillingError::NotAdmin)));
        assert!(matches!(billing.refund(&operator(), &refund(Some(500))).await, Err(BillingError::BadPrice(_))));
        let part = billing.refund(&operator(), &refund(Some(99))).await.unwrap();
        assert_eq!((part.amount, part.refunded), (99, 99));
        assert_eq!(shop.plan(&ada).await, "premium");
        // Done, and the answer lost: asked again it is the same refund.
        shop.stripe.fail_next_at("POST /v1/refunds", 3, Fault::DoneThenCut);
        assert!(billing.refund(&operator(), &refund(Some(100))).await.is_err());
        shop.catch_up().await;
        let other = billing.refund(&operator(), &refund(Some(300))).await;
        assert!(matches!(other, Err(BillingError::Conflict(_))), "{other:?}");
        let again = billing.refund(&operator(), &refund(Some(100))).await.unwrap();
        assert_eq!((again.amount, again.refunded), (100, 199));
        let rest = billing.refund(&operator(), &refund(None)).await.unwrap();
        assert_eq!((rest.amount, rest.refunded), (300, 499));
        assert_eq!(shop.plan(&ada).await, FREE);
        assert_eq!(shop.stripe.objects("refund").len(), 3);
        let filter = AuditFilter { action: Some(Action::PaymentRefunded), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), entries[0].reason.as_deref()), (3, Some("not happy")));
    }

    async fn a_checkout_page_leads_back_home_only(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let billing = shop.petspark.billing();
        let checkout = |success: &str| NewCheckout {
            price_id: shop.premium.clone(),
            quantity: 1,
            success_url: success.to_owned(),
            cancel_url: "http://localhost:3000/no".to_owned(),
        };
        let url = billing.checkout_session(&ada.caller, &checkout("http://localhost:3000/yes"), None).await.unwrap();
        let sessions = shop.stripe.objects("checkout.session");
        assert_eq!(sessions[0]["url"], url.as_str());
        for wrong in ["https://evil.example", "http://localhost:3000@evil.example", "javascript:alert(1)", "/yes"] {
            let error = billing.checkout_session(&ada.caller, &checkout(wrong), None).await.unwrap_err();
            assert!(error.fields().is_some_and(|fields| fields.to_string().starts_with("successUrl: ")), "{wrong}: {error}");
            assert!(billing.portal_session(&ada.caller, wrong).await.is_err());
        }
        assert_eq!(refusals(&app).await, 8);
        assert_eq!(shop.stripe.objects("checkout.session").len(), 1);
        // A server lets its own frontends in, too.
        billing.allow_returns_to(["https://m.example.org".to_owned()]);
        billing.portal_session(&ada.caller, "https://m.example.org/account").await.unwrap();
        let session = sessions[0]["id"].as_str().unwrap();
        shop.stripe.complete_checkout(session, "pm_card_visa").unwrap();
        shop.catch_up().await;
        assert_eq!(shop.plan(&ada).await, "premium");
        assert!(billing.portal_session(&ada.caller, "http://localhost:3000/account").await.unwrap().starts_with("http"));
        let again = billing.checkout_session(&ada.caller, &checkout("http://localhost:3000/yes"), None).await;
        assert!(matches!(again, Err(BillingError::AlreadySubscribed)));
        let invoices = billing.invoices(&ada.caller).await.unwrap();
        assert_eq!((invoices.len(), invoices[0].total, invoices[0].status.as_deref()), (1, 999, Some("paid")));
        assert!(billing.invoices(&app.register("bob").await.caller).await.unwrap().is_empty());
    }

    async fn what_is_bought_once_on_the_checkout_page_is_a_payment_of_ours(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let home = "http://localhost:3000/".to_owned();
        let new = NewCheckout { price_id: shop.month.clone(), quantity: 2, success_url: home.clone(), cancel_url: home };
        shop.petspark.billing().checkout_session(&ada.caller, &new, None).await.unwrap();
        let session = shop.stripe.objects("checkout.session")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.complete_checkout(&session, "pm_card_visa").unwrap();
        shop.catch_up().await;
        let payments = shop.petspark.billing().payments(&ada.caller).await.unwrap();
        assert_eq!((payments.len(), payments[0].amount, payments[0].quantity), (1, 998, 2));
        let has = shop.petspark.billing().entitlements(ada.id).await.unwrap();
        assert_eq!(has.plan, "premium");
        assert_eq!(has.valid_until, Some(payments[0].created_at.after(60 * DAY)));
    }

    async fn a_page_that_was_paid_isn_t_opened_again_under_its_key(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let home = "http://localhost:3000/".to_owned();
        let new = NewCheckout { price_id: shop.month.clone(), quantity: 1, success_url: home.clone(), cancel_url: home };
        let key = petspark_core::IdempotencyKey::parse("bought once").unwrap();
        let open = || shop.petspark.billing().checkout_session(&ada.caller, &new, Some(&key));
        assert_eq!(open().await.unwrap(), open().await.unwrap());
        let session = shop.stripe.objects("checkout.session")[0]["id"].as_str().unwrap().to_owned();
        shop.stripe.complete_checkout(&session, "pm_card_visa").unwrap();
        assert!(matches!(open().await, Err(BillingError::Conflict(_))));
        assert_eq!(shop.stripe.objects("checkout.session").len(), 1);
    }
}
