//! Creating once: the same key makes one thing, however often and however many at a time ask.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::pets::{LocationFields, Patch, PetError, PetFields, PetFilter, Species};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, IdempotencyError, IdempotencyKey, PageRequest, UserId};

const DAY: Duration = Duration::from_secs(86_400);

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

fn dog(name: &str) -> PetFields {
    PetFields::new(name, Species::Dog)
}

async fn pets_of(app: &TestApp, owner: &Caller) -> Vec<String> {
    let filter = PetFilter { owner: owner.user_id(), ..PetFilter::default() };
    let page = app.petspark.pets().list(owner, filter, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|pet| pet.name).collect()
}

/// The keys of a user that are stored.
async fn stored(app: &TestApp, user: UserId) -> Vec<String> {
    let archive = app.petspark.people().export(&Caller::operator("cli:test@here"), user).await.unwrap();
    archive.idempotency_keys.into_iter().map(|kept| kept.key).collect()
}

on_both! {
    async fn one_key_of_twenty_clients_on_two_servers_makes_one_pet(app: TestApp) {
        let (ada, other) = (app.register("ada").await.caller, app.another().await);
        let key = key("20 at once");
        let attempts = (0..20).map(|n| {
            let pets = if n % 2 == 0 { app.petspark.pets() } else { other.pets() };
            pets.create_once(&ada, dog("Rex"), Some(&key))
        });
        let results: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(results.iter().filter(|once| !once.replayed).count(), 1);
        assert!(results.iter().all(|once| once.result == results[0].result), "{results:?}");
        assert_eq!(pets_of(&app, &ada).await, ["Rex"]);
        assert_eq!(app.petspark.pets().get(&ada, results[0].result.id).await.unwrap(), results[0].result);
    }

    async fn one_key_for_different_pets_makes_one_of_them(app: TestApp) {
        let ada = app.register("ada").await.caller;
        let key = key("different");
        let names: Vec<_> = (0..8).map(|n| format!("Rex {n}")).collect();
        let attempts = names.iter().map(|name| app.petspark.pets().create_once(&ada, dog(name), Some(&key)));
        let results = join_all(attempts).await;
        let made: Vec<_> = results.iter().flatten().map(|once| once.result.name.clone()).collect();
        assert_eq!((made.len(), &made), (1, &pets_of(&app, &ada).await));
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, PetError::Idempotency(IdempotencyError::Reused)), "{refused:?}");
        }
    }

    async fn a_key_is_its_users_own(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let key = key("mine");
        for (user, name) in [(&ada, "Rex"), (&bob, "Ivy")] {
            let once = app.petspark.pets().create_once(&user.caller, dog(name), Some(&key)).await.unwrap();
            assert_eq!((once.replayed, once.result.owner_id), (false, user.id));
        }
        assert_eq!((stored(&app, ada.id).await, stored(&app, bob.id).await), (vec!["mine".to_owned()], vec!["mine".to_owned()]));
    }

    async fn a_replay_tells_of_the_pet_as_it_was_whatever_became_of_it(app: TestApp) {
        let (ada, pets) = (app.register("ada").await.caller, app.petspark.pets());
        let location = LocationFields { latitude: Some(52.520_006_6), longitude: Some(-0.1 - 0.2), city: Some("Berlin".into()), country: None };
        let fields = PetFields {
            birth_date: Patch::Set("2021-05-30".into()),
            personality: Patch::Set(vec!["calm".into()]),
            location: Patch::Set(location),
            ..dog("Rex")
        };
        let key = key("as it was");
        let first = pets.create_once(&ada, fields.clone(), Some(&key)).await.unwrap();
        app.clock.advance(Duration::from_secs(60));
        pets.update(&ada, first.result.id, dog("Max")).await.unwrap();
        for _ in 0..2 {
            let again = pets.create_once(&ada, fields.clone(), Some(&key)).await.unwrap();
            assert_eq!((again.replayed, again.result), (true, first.result.clone()));
            let _ = pets.delete(&ada, first.result.id).await;
        }
        assert!(pets_of(&app, &ada).await.is_empty());
    }

    async fn what_is_refused_leaves_the_key_free(app: TestApp) {
        let (ada, pets) = (app.register("ada").await, app.petspark.pets());
        let key = key("second try");
        let refused = pets.create_once(&ada.caller, dog(""), Some(&key)).await;
        assert!(matches!(refused, Err(PetError::Invalid(_))), "{refused:?}");
        assert!(stored(&app, ada.id).await.is_empty());
        assert!(!pets.create_once(&ada.caller, dog("Rex"), Some(&key)).await.unwrap().replayed);
        let cleared = PetFields { bio: Patch::Clear, ..dog("Rex") };
        let refused = pets.create_once(&ada.caller, cleared, Some(&key)).await;
        assert!(matches!(refused, Err(PetError::Idempotency(IdempotencyError::Reused))), "to clear is to say something");
    }

    async fn after_a_day_a_key_is_free_again_purged_or_not(app: TestApp) {
        let (ada, pets) = (app.register("ada").await, app.petspark.pets());
        let (day, other) = (key("a day"), key("to be purged"));
        pets.create_once(&ada.caller, dog("Rex"), Some(&day)).await.unwrap();
        pets.create_once(&ada.caller, dog("Tom"), Some(&other)).await.unwrap();
        app.clock.advance(DAY - Duration::from_secs(1));
        app.run_jobs().await;
        assert!(pets.create_once(&ada.caller, dog("Rex"), Some(&day)).await.unwrap().replayed);
        app.clock.advance(Duration::from_secs(1));
        let again = pets.create_once(&ada.caller, dog("Another Rex"), Some(&day)).await.unwrap();
        assert!(!again.replayed);
        assert_eq!(pets.create_once(&ada.caller, dog("Another Rex"), Some(&day)).await.unwrap().result, again.result);
        app.clock.advance(Duration::from_secs(3600));
        app.run_jobs().await;
        assert_eq!(stored(&app, ada.id).await, ["a day"]);
    }
}
