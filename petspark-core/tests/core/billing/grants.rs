//! Plans without Stripe: given, taken back, and what they change.

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::billing::{BillingError, FREE, NewGrant, NewPayment, Source};
use petspark_core::database::StatementCount;
use petspark_core::media::{MediaError, NewUpload};
use petspark_core::pets::{PetError, PetFields, Species};
use petspark_core::testing::on_both;
use petspark_core::{Failure as _, GrantId, Kind, PageRequest, UserId};

use super::shop::{DAY, operator};

fn premium(user: UserId) -> NewGrant {
    NewGrant { user, plan: "premium".to_owned(), reason: "won it".to_owned(), until: None }
}

on_both! {
    async fn everybody_has_the_free_plan(app: TestApp) {
        let ada = app.register("ada").await;
        let has = app.petspark.billing().own_entitlements(&ada.caller).await.unwrap();
        assert_eq!((has.plan.as_str(), has.source, has.valid_until), (FREE, Source::Free, None));
        let media = &app.petspark.settings().media;
        assert_eq!((has.limits.photos_per_pet, has.limits.storage_bytes), (media.max_photos, media.max_bytes.0));
        assert_eq!(has.features.get("advanced_filters"), Some(&false));
    }

    async fn a_plan_is_given_with_a_reason_and_ends_by_the_clock(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        assert_eq!(billing.entitlements(ada.id).await.unwrap().plan, FREE);
        let until = app.clock.now().after(DAY);
        let grant = billing.grant(&operator(), NewGrant { until: Some(until), ..premium(ada.id) }).await.unwrap();
        // At once, though what was looked up a moment ago is remembered.
        let has = billing.entitlements(ada.id).await.unwrap();
        assert_eq!((has.plan.as_str(), has.source, has.valid_until), ("premium", Source::Admin, Some(until)));
        assert_eq!(has.features.get("advanced_filters"), Some(&true));
        app.clock.advance(DAY);
        assert_eq!(billing.entitlements(ada.id).await.unwrap().plan, FREE);
        assert_eq!(billing.grants(&operator(), ada.id).await.unwrap(), [grant]);
    }

    async fn of_several_plans_the_best_counts_and_one_taken_back_doesn_t(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        billing.grant(&operator(), premium(ada.id)).await.unwrap();
        let pro = billing.grant(&operator(), NewGrant { plan: "pro".to_owned(), ..premium(ada.id) }).await.unwrap();
        assert_eq!(billing.entitlements(ada.id).await.unwrap().plan, "pro");
        billing.revoke_grant(&operator(), pro.id, "a mistake").await.unwrap();
        assert_eq!(billing.entitlements(ada.id).await.unwrap().plan, "premium");
        let again = billing.revoke_grant(&operator(), pro.id, "a mistake").await;
        assert!(matches!(again, Err(BillingError::NotFound("grant"))));
        let filter = AuditFilter { subject: Some(ada.id.to_string()), action: Some(Action::PlanRevoked), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), entries[0].reason.as_deref()), (1, Some("a mistake")));
    }

    async fn only_administrators_give_plans_that_there_are_to_people_who_are_there(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        let refused = billing.grant(&ada.caller, premium(ada.id)).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Forbidden, "PAY_003"));
        assert!(matches!(billing.revoke_grant(&ada.caller, GrantId::new(), "x").await, Err(BillingError::NotAdmin)));
        let nobody = billing.grant(&operator(), premium(UserId::new())).await;
        assert!(matches!(nobody, Err(BillingError::NotFound("user"))), "{nobody:?}");
        let wrong = NewGrant { plan: "gold".to_owned(), reason: " ".to_owned(), until: Some(app.clock.now()), user: ada.id };
        let Err(BillingError::Invalid(fields)) = billing.grant(&operator(), wrong).await else { panic!("given") };
        assert_eq!(fields.iter().map(|(field, _)| field).collect::<Vec<_>>(), ["plan", "reason", "until"]);
        assert_eq!(billing.entitlements(ada.id).await.unwrap().plan, FREE);
    }

    async fn what_somebody_has_costs_one_statement_and_then_none(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        billing.grant(&operator(), premium(ada.id)).await.unwrap();
        for statements in [1, 0] {
            let count = StatementCount::default();
            count.during(billing.entitlements(ada.id)).await.unwrap();
            assert_eq!(count.get(), statements);
        }
    }

    async fn another_server_notices_a_plan_when_its_memory_ends(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        let other = app.another_with(|settings| settings.billing.cache_ttl = std::time::Duration::ZERO).await;
        assert_eq!(other.billing().entitlements(ada.id).await.unwrap().plan, FREE);
        billing.grant(&operator(), premium(ada.id)).await.unwrap();
        assert_eq!(other.billing().entitlements(ada.id).await.unwrap().plan, "premium");
    }

    async fn of_many_at_once_only_so_many_pets_are_added_as_the_plan_has(app: TestApp) {
        let ada = app.register("ada").await;
        let petspark = app
            .another_with(|settings| {
                settings.pets.max_pets = 3;
                settings.billing.plans = vec!["premium photos=1 storage=1 pets=5".parse().unwrap()];
            })
            .await;
        let add_ten = || async {
            let adding = (0..10).map(|n| {
                let (petspark, caller) = (petspark.clone(), ada.caller.clone());
                tokio::spawn(async move { petspark.pets().create(&caller, PetFields::new(format!("Rex {n}"), Species::Dog)).await })
            });
            let (mut added, mut refused) = (0, 0);
            for adding in adding.collect::<Vec<_>>() {
                match adding.await.unwrap() {
                    Ok(_) => added += 1,
                    Err(PetError::LimitReached { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (added, refused)
        };
        assert_eq!(add_ten().await, (3, 7));
        petspark.billing().grant(&operator(), premium(ada.id)).await.unwrap();
        assert_eq!(add_ten().await, (2, 8));
    }

    async fn a_deleted_pet_comes_back_only_where_the_plan_has_room(app: TestApp) {
        let ada = app.register("ada").await;
        let petspark = app.another_with(|settings| settings.pets.max_pets = 1).await;
        let add = |name: &str| PetFields::new(name.to_owned(), Species::Dog);
        let rex = petspark.pets().create(&ada.caller, add("Rex")).await.unwrap();
        petspark.pets().delete(&ada.caller, rex.id).await.unwrap();
        let tom = petspark.pets().create(&ada.caller, add("Tom")).await.unwrap();
        let refused = petspark.pets().restore(&ada.caller, rex.id).await;
        assert!(matches!(refused, Err(PetError::LimitReached { most: 1 })), "{refused:?}");
        petspark.pets().delete(&ada.caller, tom.id).await.unwrap();
        let both = futures_util::future::join_all([rex.id, tom.id].map(|id| petspark.pets().restore(&ada.caller, id))).await;
        assert_eq!(both.iter().filter(|one| one.is_ok()).count(), 1, "{both:?}");
        // Who looks after others' pets isn't held to their plan.
        for id in [rex.id, tom.id] {
            let _ = petspark.pets().restore(&operator(), id).await;
        }
        let filter = petspark_core::pets::PetFilter { owner: Some(ada.id), ..petspark_core::pets::PetFilter::default() };
        assert_eq!(petspark.pets().list(&operator(), filter, &PageRequest::default()).await.unwrap().items.len(), 2);
    }

    async fn a_better_plan_has_room_for_more_photos(app: TestApp) {
        let ada = app.register("ada").await;
        let petspark = app
            .another_with(|settings| {
                settings.media.max_photos = 1;
                settings.billing.plans = vec!["premium photos=2 storage=1 pets=1".parse().unwrap()];
            })
            .await;
        let rex = petspark.pets().create(&ada.caller, PetFields::new("Rex", Species::Dog)).await.unwrap();
        let photo = NewUpload {
            file_name: "rex.jpg".to_owned(),
            file_size: 1000,
            file_type: "image/jpeg".to_owned(),
            upload_type: "pet-photo".to_owned(),
            pet_id: Some(rex.id.to_string()),
            checksum_sha256: None,
        };
        petspark.media().reserve(&ada.caller, &photo).await.unwrap();
        assert!(matches!(petspark.media().reserve(&ada.caller, &photo).await, Err(MediaError::LimitReached(_))));
        petspark.billing().grant(&operator(), premium(ada.id)).await.unwrap();
        petspark.media().reserve(&ada.caller, &photo).await.unwrap();
        assert!(matches!(petspark.media().reserve(&ada.caller, &photo).await, Err(MediaError::LimitReached(_))));
    }

    async fn without_keys_nothing_can_be_bought_and_everything_else_works(app: TestApp) {
        let (ada, billing) = (app.register("ada").await, app.petspark.billing());
        assert!(!billing.is_configured());
        let new = NewPayment { price_id: "price_1".to_owned(), quantity: 1, amount: None, currency: None };
        let refused = [
            billing.products().await.map(drop),
            billing.create_intent(&ada.caller, &new, None).await.map(drop),
            billing.confirm(&ada.caller, "pi_1").await.map(drop),
            billing.portal_session(&ada.caller, "https://x").await.map(drop),
            billing.receive(&ada.caller, b"{}", "").await.map(drop),
            billing.sync(&operator(), true).await.map(drop),
            billing.sweep(&operator()).await.map(drop),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "PAY_000"));
        }
        assert!(billing.subscriptions(&ada.caller).await.unwrap().is_empty());
        assert!(!billing.status(&operator()).await.unwrap().configured);
        app.run_jobs().await;
    }
}
