//! Who may see and change pets, beyond what shows over HTTP.

use std::time::Duration;

use petspark_core::audit::AuditFilter;
use petspark_core::auth::{Client, Password, Role};
use petspark_core::pets::{Patch, PetError, PetFields, PetFilter, PetStatus, Species};
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, Expected, PageRequest};

async fn moderator(app: &TestApp) -> Caller {
    let user = app.register("moderator").await;
    let auth = app.petspark.auth();
    auth.set_role(&Caller::operator("test"), user.id, Role::Moderator, false).await.unwrap();
    let session =
        auth.login("moderator@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
    auth.authenticate(session.tokens.access.expose()).await.unwrap()
}

fn status(status: PetStatus) -> PetFields {
    PetFields { status: Patch::Set(status.to_string()), ..PetFields::default() }
}

async fn rex(app: &TestApp, owner: &TestUser) -> petspark_core::PetId {
    app.petspark.pets().create(&owner.caller, PetFields::new("Rex", Species::Dog)).await.unwrap().id
}

on_both! {
    async fn a_ban_is_a_moderators_decision_and_the_owner_cannot_lift_it(app: TestApp) {
        let (ada, bob, moderator) = (app.register("ada").await, app.register("bob").await, moderator(&app).await);
        let id = rex(&app, &ada).await;
        let pets = app.petspark.pets();
        assert!(matches!(pets.update(&ada.caller, id, status(PetStatus::Banned)).await, Err(PetError::Invalid(_))));
        pets.update(&moderator, id, status(PetStatus::Banned)).await.unwrap();
        assert!(matches!(pets.get(&bob.caller, id).await, Err(PetError::NotFound)));
        assert!(matches!(pets.update(&ada.caller, id, status(PetStatus::Active)).await, Err(PetError::Banned)));
        let renamed = PetFields { name: Patch::Set("Max".to_owned()), ..PetFields::default() };
        assert_eq!(pets.update(&ada.caller, id, renamed).await.unwrap().status, PetStatus::Banned);
        pets.update(&moderator, id, status(PetStatus::Active)).await.unwrap();
        assert!(pets.get(&bob.caller, id).await.is_ok());
    }

    async fn what_a_moderator_does_to_somebodys_pet_is_written_down_and_what_its_owner_does_is_not(app: TestApp) {
        let (ada, moderator) = (app.register("ada").await, moderator(&app).await);
        let (id, pets) = (rex(&app, &ada).await, app.petspark.pets());
        let renamed = |name: &str| PetFields { name: Patch::Set(name.to_owned()), ..PetFields::default() };
        pets.update(&ada.caller, id, renamed("Max")).await.unwrap();
        pets.update(&moderator, id, renamed("Rex")).await.unwrap();
        pets.update(&moderator, id, status(PetStatus::Banned)).await.unwrap();
        pets.delete(&moderator, id).await.unwrap();
        let filter = AuditFilter { subject: Some(format!("user:{}", ada.id)), ..AuditFilter::default() };
        let log = app.petspark.audit().list(&Caller::operator("test"), filter, &PageRequest::default()).await.unwrap();
        let by = moderator.to_string();
        let told: Vec<_> = log.items.iter().filter(|entry| entry.actor == by).map(|entry| entry.action.as_str()).collect();
        assert_eq!(told, ["pet_deleted", "pet_status_changed", "pet_updated"]);
        assert!(!log.items.iter().any(|entry| entry.action.as_str().starts_with("pet_") && entry.actor != by));
    }

    async fn moderators_find_what_is_hidden_and_others_do_not(app: TestApp) {
        let (ada, moderator) = (app.register("ada").await, moderator(&app).await);
        let id = rex(&app, &ada).await;
        let pets = app.petspark.pets();
        pets.update(&ada.caller, id, status(PetStatus::Hidden)).await.unwrap();
        let list = |caller: Caller, filter: PetFilter| async move { pets.list(&caller, filter, &PageRequest::default()).await.unwrap().items.len() };
        let hidden = PetFilter { status: Some(PetStatus::Hidden), ..PetFilter::default() };
        assert_eq!(list(moderator.clone(), hidden.clone()).await, 1);
        assert_eq!(list(moderator.clone(), PetFilter { owner: Some(ada.id), ..PetFilter::default() }).await, 1);
        assert_eq!(list(moderator, PetFilter::default()).await, 0);
        let bob = app.register("bob").await;
        assert_eq!(list(bob.caller.clone(), hidden.clone()).await, 0);
        assert_eq!(list(bob.caller, PetFilter { owner: Some(ada.id), ..hidden }).await, 0);
    }

    async fn pets_added_at_the_same_microsecond_are_all_listed_once(app: TestApp) {
        let ada = app.register("ada").await;
        let mut added = std::collections::BTreeSet::new();
        for _ in 0..7 {
            added.insert(rex(&app, &ada).await);
        }
        let mut listed = Vec::new();
        let mut page = PageRequest::first(2).unwrap();
        loop {
            let part = app.petspark.pets().list(&ada.caller, PetFilter::default(), &page).await.unwrap();
            listed.extend(part.items.iter().map(|pet| pet.id));
            let Some(cursor) = part.next_cursor else { break };
            page = PageRequest::first(2).unwrap().after(cursor);
        }
        assert_eq!(listed.len(), 7);
        assert_eq!(listed.into_iter().collect::<std::collections::BTreeSet<_>>(), added);
    }

    async fn an_age_of_a_stale_form_does_not_replace_a_known_birth_date(app: TestApp) {
        let ada = app.register("ada").await;
        let fields = PetFields { birth_date: Patch::Set("2021-05-30".to_owned()), ..PetFields::new("Rex", Species::Dog) };
        let pet = app.petspark.pets().create(&ada.caller, fields).await.unwrap();
        for age in [Patch::Set(4), Patch::Clear] {
            let stale = PetFields { age, ..PetFields::default() };
            let same = app.petspark.pets().update(&ada.caller, pet.id, stale).await.unwrap();
            assert_eq!((same.birth_date, same.birth_date_is_estimate), (pet.birth_date, false));
        }
        let cleared = PetFields { birth_date: Patch::Clear, age: Patch::Set(4), ..PetFields::default() };
        assert!(app.petspark.pets().update(&ada.caller, pet.id, cleared).await.unwrap().birth_date_is_estimate);
    }

    async fn a_breed_to_look_for_has_the_rules_of_one_to_store(app: TestApp) {
        let ada = app.register("ada").await;
        for breed in ["\0", "a\0b", "", "\n", &"x".repeat(81)] {
            let filter = PetFilter { breed: Some(breed.to_owned()), ..PetFilter::default() };
            let refused = app.petspark.pets().list(&ada.caller, filter, &PageRequest::default()).await;
            assert!(matches!(refused, Err(PetError::Invalid(_))), "{breed:?}: {refused:?}");
        }
    }

    async fn a_hidden_pet_is_not_shown_by_clearing_its_status(app: TestApp) {
        let ada = app.register("ada").await;
        let id = rex(&app, &ada).await;
        let pets = app.petspark.pets();
        pets.update(&ada.caller, id, status(PetStatus::Hidden)).await.unwrap();
        let cleared = PetFields { status: Patch::Clear, ..PetFields::default() };
        assert!(matches!(pets.update(&ada.caller, id, cleared).await, Err(PetError::Invalid(_))));
        assert_eq!(pets.get(&ada.caller, id).await.unwrap().status, PetStatus::Hidden);
    }

    async fn sixty_changes_at_the_same_moment_all_get_through(app: TestApp) {
        let ada = app.register("ada").await;
        let id = rex(&app, &ada).await;
        let changes = (0..60).map(|n| {
            let fields = PetFields { bio: Patch::Set(n.to_string()), ..PetFields::default() };
            app.petspark.pets().update(&ada.caller, id, fields)
        });
        for result in futures_util::future::join_all(changes).await {
            result.unwrap();
        }
        assert_eq!(app.petspark.pets().get(&ada.caller, id).await.unwrap().version, 61);
    }

    async fn of_twenty_changes_and_deletions_meant_for_one_version_one_is_made(app: TestApp) {
        let (ada, other) = (app.register("ada").await, app.another().await);
        let id = rex(&app, &ada).await;
        let seen = Expected::OneOf(vec![1]);
        let attempts = (0..20).map(|n| {
            let (caller, seen) = (&ada.caller, &seen);
            let pets = if n % 2 == 0 { app.petspark.pets() } else { other.pets() };
            async move {
                let fields = PetFields { bio: Patch::Set(n.to_string()), ..PetFields::default() };
                match n % 4 {
                    3 => pets.delete_expected(caller, id, seen).await,
                    _ => pets.update_expected(caller, id, fields, seen).await.map(drop),
                }
            }
        });
        let results = futures_util::future::join_all(attempts).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, PetError::Outdated | PetError::NotFound), "{refused:?}");
        }
    }

    async fn a_change_may_be_meant_for_several_versions_or_for_none(app: TestApp) {
        let (ada, pets) = (app.register("ada").await, app.petspark.pets());
        let id = rex(&app, &ada).await;
        let change = async |versions: &[i64]| {
            let seen = Expected::OneOf(versions.to_vec());
            pets.update_expected(&ada.caller, id, PetFields::default(), &seen).await
        };
        assert!(matches!(change(&[]).await, Err(PetError::Outdated)));
        assert!(matches!(change(&[2, 3]).await, Err(PetError::Outdated)));
        assert_eq!(change(&[3, 1]).await.unwrap().version, 2);
        let invalid = PetFields { name: Patch::Clear, ..PetFields::default() };
        let refused = pets.update_expected(&ada.caller, id, invalid, &Expected::OneOf(vec![1])).await;
        assert!(matches!(refused, Err(PetError::Outdated)), "what it is meant for comes first: {refused:?}");
    }

    async fn sending_back_what_was_read_changes_nothing_but_the_time(app: TestApp) {
        let ada = app.register("ada").await;
        let fields = PetFields { age: Patch::Set(4), bio: Patch::Set("Zoë's 🐕\nline".to_owned()), ..PetFields::new("Zoë", Species::Other) };
        let pet = app.petspark.pets().create(&ada.caller, fields).await.unwrap();
        app.clock.advance(Duration::from_secs(100 * 86_400));
        let today = app.clock.now().date();
        let same = PetFields {
            name: Patch::Set(pet.name.clone()),
            age: Patch::Set(i64::from(pet.age(today).unwrap())),
            birth_date: Patch::Clear,
            breed: Patch::Clear,
            bio: Patch::Set(pet.bio.clone().unwrap()),
            ..PetFields::default()
        };
        let again = app.petspark.pets().update(&ada.caller, pet.id, same).await.unwrap();
        let mut expected = pet;
        (expected.version, expected.updated_at) = (2, app.clock.now());
        assert_eq!(again, expected);
    }
}
