//! Favourites: who may choose what, and that their number is right whatever happens at once.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::people::When;
use petspark_core::pets::{Patch, PetError, PetFields, PetStatus, Species};
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, PageRequest, PetId};

async fn pet(app: &TestApp, owner: &TestUser, name: &str) -> PetId {
    app.petspark.pets().create(&owner.caller, PetFields::new(name, Species::Dog)).await.unwrap().id
}

async fn names(app: &TestApp, user: &TestUser) -> Vec<String> {
    let page = app.petspark.pets().favorites(&user.caller, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|pet| pet.name).collect()
}

async fn count(app: &TestApp, owner: &TestUser, id: PetId) -> Option<u64> {
    app.petspark.pets().get(&owner.caller, id).await.unwrap().favorite_count(&owner.caller)
}

on_both! {
    async fn favourites_come_in_the_order_in_which_they_were_chosen(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let pets = app.petspark.pets();
        let mut ids = Vec::new();
        for name in ["Rex", "Tom", "Max"] {
            ids.push(pet(&app, &ada, name).await);
        }
        // Two of them in the same microsecond.
        for (n, pause) in [(2, 1), (0, 0), (1, 0)] {
            pets.add_favorite(&bob.caller, ids[n]).await.unwrap();
            app.clock.advance(Duration::from_micros(pause));
        }
        pets.add_favorite(&bob.caller, ids[2]).await.unwrap();
        assert_eq!(names(&app, &bob).await, ["Tom", "Rex", "Max"]);
        let (mut paged, mut page) = (Vec::new(), PageRequest::first(1).unwrap());
        loop {
            let part = pets.favorites(&bob.caller, &page).await.unwrap();
            paged.extend(part.items.into_iter().map(|pet| pet.name));
            let Some(cursor) = part.next_cursor else { break };
            let foreign = pets.favorites(&ada.caller, &PageRequest::default().after(cursor.clone())).await;
            assert!(matches!(foreign, Err(PetError::Invalid(_))));
            page = PageRequest::first(1).unwrap().after(cursor);
        }
        assert_eq!(paged, ["Tom", "Rex", "Max"]);
        assert!(names(&app, &ada).await.is_empty());
    }

    async fn only_the_owner_is_told_how_many_like_a_pet(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (pets, id) = (app.petspark.pets(), pet(&app, &ada, "Rex").await);
        for user in [&ada, &bob, &bob] {
            pets.add_favorite(&user.caller, id).await.unwrap();
        }
        let before = pets.get(&ada.caller, id).await.unwrap();
        assert_eq!((before.favorite_count(&ada.caller), before.version), (Some(2), 1), "being liked is no change of the pet");
        assert_eq!(pets.get(&bob.caller, id).await.unwrap().favorite_count(&bob.caller), None);
        assert_eq!(pets.favorites(&bob.caller, &PageRequest::default()).await.unwrap().items[0].favorite_count(&bob.caller), None);
        let filter = petspark_core::pets::PetFilter::default;
        for (user, told) in [(&ada, Some(2)), (&bob, None)] {
            let page = pets.list(&user.caller, filter(), &PageRequest::default()).await.unwrap();
            assert_eq!(page.items[0].favorite_count(&user.caller), told);
        }
        pets.remove_favorite(&bob.caller, id).await.unwrap();
        pets.remove_favorite(&bob.caller, id).await.unwrap();
        assert_eq!(count(&app, &ada, id).await, Some(1));
    }

    async fn what_cannot_be_seen_cannot_be_chosen_and_is_not_among_favourites(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (pets, id) = (app.petspark.pets(), pet(&app, &ada, "Rex").await);
        let status = |status: PetStatus| PetFields { status: Patch::Set(status.to_string()), ..PetFields::default() };
        pets.add_favorite(&bob.caller, id).await.unwrap();
        pets.add_favorite(&ada.caller, id).await.unwrap();
        pets.update(&ada.caller, id, status(PetStatus::Hidden)).await.unwrap();
        assert_eq!((names(&app, &bob).await.len(), names(&app, &ada).await.len()), (0, 1));
        pets.remove_favorite(&bob.caller, id).await.unwrap();
        for unseen in [id, PetId::new()] {
            assert!(matches!(pets.add_favorite(&bob.caller, unseen).await, Err(PetError::NotFound)));
            assert!(matches!(pets.remove_favorite(&bob.caller, unseen).await, Err(PetError::NotFound)));
        }
        pets.update(&ada.caller, id, status(PetStatus::Active)).await.unwrap();
        pets.add_favorite(&bob.caller, id).await.unwrap();
        pets.delete(&ada.caller, id).await.unwrap();
        assert_eq!((names(&app, &bob).await.len(), names(&app, &ada).await.len()), (0, 0));
        for nobody in [Caller::anonymous(), Caller::operator("test")] {
            assert!(matches!(pets.add_favorite(&nobody, id).await, Err(PetError::Denied(_))));
        }
    }

    async fn the_number_is_right_after_all_that_happens_at_once(app: TestApp) {
        let ada = app.register("ada").await;
        let (pets, ids) = (app.petspark.pets(), [pet(&app, &ada, "Rex").await, pet(&app, &ada, "Tom").await]);
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(app.register(&format!("user{n}")).await);
        }
        let change = async |user: &TestUser, id: PetId, n: usize| match n % 3 {
            0 => pets.remove_favorite(&user.caller, id).await.unwrap(),
            _ => pets.add_favorite(&user.caller, id).await.unwrap(),
        };
        let change = &change;
        join_all((0..10).flat_map(|n| users.iter().flat_map(move |user| ids.map(|id| change(user, id, n))))).await;
        let mut likes = 0_u64;
        for user in &users {
            likes += names(&app, user).await.iter().filter(|name| *name == "Rex").count() as u64;
        }
        assert_eq!(count(&app, &ada, ids[0]).await, Some(likes));
        // Those who leave for good take theirs along.
        pets.add_favorite(&users[0].caller, ids[0]).await.unwrap();
        let before = count(&app, &ada, ids[0]).await.unwrap();
        app.petspark.people().delete(&Caller::operator("test"), users[0].id, When::Now, None, false).await.unwrap();
        assert_eq!(count(&app, &ada, ids[0]).await, Some(before - 1));
    }
}
