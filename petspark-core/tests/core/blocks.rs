//! Blocks: that neither of two people sees the other's pets from the moment that one of them says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::auth::Role;
use petspark_core::people::{BlockError, When};
use petspark_core::pets::{PetError, PetFields, PetFilter, Species};
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, PageRequest, PetId, UserId};

use crate::sql::execute;

async fn pet(app: &TestApp, owner: &TestUser) -> PetId {
    app.petspark.pets().create(&owner.caller, PetFields::new("Rex", Species::Dog)).await.unwrap().id
}

/// The owners of the pets that somebody finds, in every way there is to find them.
async fn owners_seen(app: &TestApp, user: &Caller, ids: [PetId; 2]) -> Vec<UserId> {
    let (pets, page) = (app.petspark.pets(), PageRequest::default());
    let owners = |pets: Vec<petspark_core::pets::Pet>| pets.into_iter().map(|pet| pet.owner_id).collect::<Vec<_>>();
    let listed = pets.list(user, PetFilter::default(), &page).await.unwrap();
    let mut seen = owners(listed.items);
    seen.extend(owners(pets.favorites(user, &page).await.unwrap().items));
    for id in ids {
        seen.extend(pets.get(user, id).await.ok().map(|pet| pet.owner_id));
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

on_both! {
    async fn neither_sees_the_others_pets_and_both_do_again_when_it_is_over(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (pets, people) = (app.petspark.pets(), app.petspark.people());
        let ids = [pet(&app, &ada).await, pet(&app, &bob).await];
        for user in [&ada, &bob] {
            for id in ids {
                pets.add_favorite(&user.caller, id).await.unwrap();
            }
        }
        people.block(&ada.caller, bob.id).await.unwrap();
        people.block(&ada.caller, bob.id).await.unwrap();
        for (user, other) in [(&ada, ids[1]), (&bob, ids[0])] {
            assert_eq!(owners_seen(&app, &user.caller, ids).await, [user.id]);
            let of_other = if user.id == ada.id { bob.id } else { ada.id };
            for (owner, total) in [(Some(of_other), 0), (None, 1)] {
                let (filter, page) = (PetFilter { owner, ..PetFilter::default() }, PageRequest::default().skip(0).unwrap());
                let found = pets.list(&user.caller, filter, &page).await.unwrap();
                assert_eq!((found.items.len(), found.total), (total, Some(total as u64)));
            }
            pets.remove_favorite(&user.caller, other).await.unwrap();
            assert!(matches!(pets.add_favorite(&user.caller, other).await, Err(PetError::NotFound)));
            assert!(matches!(pets.update(&user.caller, other, PetFields::default()).await, Err(PetError::NotFound)));
        }
        let eve = app.register("eve").await;
        assert_eq!(owners_seen(&app, &eve.caller, ids).await, [ada.id, bob.id]);
        // Only who made it ends it.
        people.unblock(&bob.caller, ada.id).await.unwrap();
        assert_eq!(owners_seen(&app, &bob.caller, ids).await, [bob.id]);
        people.block(&bob.caller, ada.id).await.unwrap();
        people.unblock(&ada.caller, bob.id).await.unwrap();
        assert_eq!(owners_seen(&app, &ada.caller, ids).await, [ada.id], "the other's block is still there");
        people.unblock(&bob.caller, ada.id).await.unwrap();
        for user in [&ada, &bob] {
            assert_eq!(owners_seen(&app, &user.caller, ids).await, [ada.id, bob.id]);
        }
    }

    async fn moderators_and_operators_see_everything(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (operator, people) = (Caller::operator("test"), app.petspark.people());
        let ids = [pet(&app, &ada).await, pet(&app, &bob).await];
        app.petspark.auth().set_role(&operator, bob.id, Role::Moderator, false).await.unwrap();
        let bob = app.sign_in("bob").await;
        people.block(&ada.caller, bob.id).await.unwrap();
        assert_eq!(owners_seen(&app, &bob.caller, ids).await, [ada.id, bob.id]);
        assert_eq!(owners_seen(&app, &ada.caller, ids).await, [ada.id]);
        assert!(app.petspark.pets().get(&operator, ids[0]).await.is_ok());
    }

    async fn a_list_that_starts_after_the_block_has_returned_never_shows_a_blocked_pet(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let people = app.petspark.people();
        let ids = [pet(&app, &ada).await, pet(&app, &bob).await];
        for id in ids {
            app.petspark.pets().add_favorite(&bob.caller, id).await.unwrap();
        }
        for round in 0..6 {
            let (blocker, blocked) = if round % 2 == 0 { (&ada, &bob) } else { (&bob, &ada) };
            let holds = AtomicBool::new(false);
            let look = async || loop {
                let held_before = holds.load(Ordering::SeqCst);
                let seen = owners_seen(&app, &bob.caller, ids).await;
                if held_before {
                    break assert_eq!(seen, [bob.id], "round {round}");
                }
            };
            let block = async {
                people.block(&blocker.caller, blocked.id).await.unwrap();
                holds.store(true, Ordering::SeqCst);
            };
            tokio::join!(join_all((0..4).map(|_| look())), block);
            people.unblock(&blocker.caller, blocked.id).await.unwrap();
            assert_eq!(owners_seen(&app, &bob.caller, ids).await, [ada.id, bob.id]);
        }
    }

    async fn who_is_blocked_is_listed_the_last_first(app: TestApp) {
        let (ada, people) = (app.register("ada").await, app.petspark.people());
        let mut others = Vec::new();
        for name in ["bob", "eve", "joe"] {
            others.push(app.register(name).await);
            app.clock.advance(Duration::from_secs(1));
            people.block(&ada.caller, others.last().unwrap().id).await.unwrap();
        }
        let names = async |page: &PageRequest| {
            let page = people.blocked(&ada.caller, page).await.unwrap();
            (page.items.into_iter().map(|blocked| blocked.display_name).collect::<Vec<_>>(), page.next_cursor)
        };
        let (first, cursor) = names(&PageRequest::first(2).unwrap()).await;
        assert_eq!(first, ["joe", "eve"]);
        let page = PageRequest::first(2).unwrap().after(cursor.unwrap());
        assert_eq!(names(&page).await, (vec!["bob".to_owned()], None));
        assert!(matches!(people.blocked(&others[0].caller, &page).await, Err(BlockError::Invalid(_))));
        assert!(people.blocked(&others[0].caller, &PageRequest::default()).await.unwrap().items.is_empty());
        // Who leaves is no longer named, and can't be blocked.
        people.delete(&Caller::operator("test"), others[2].id, When::Later, None, false).await.unwrap();
        assert_eq!(names(&PageRequest::default()).await.0, ["eve", "bob"]);
        let joe = people.block(&ada.caller, others[2].id).await;
        assert!(matches!(joe, Err(BlockError::NotFound)), "{joe:?}");
    }

    async fn nobody_blocks_themselves_strangers_or_everybody(app: TestApp) {
        let (ada, bob, people) = (app.register("ada").await, app.register("bob").await, app.petspark.people());
        assert!(matches!(people.block(&ada.caller, ada.id).await, Err(BlockError::Invalid(_))));
        assert!(matches!(people.block(&ada.caller, UserId::new()).await, Err(BlockError::NotFound)));
        assert!(matches!(people.block(&Caller::operator("test"), bob.id).await, Err(BlockError::Denied(_))));
        people.unblock(&ada.caller, UserId::new()).await.unwrap();
        let (new_id, literal) = match app.petspark.database().engine_name() {
            "sqlite" => ("randomblob(16)", format!("x'{}'", ada.id.to_string().replace('-', ""))),
            _ => ("gen_random_uuid()", format!("'{}'", ada.id)),
        };
        let numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)";
        execute(app.petspark.settings(), &format!(
            "INSERT INTO users (id, email, display_name, role, status, created_at, updated_at) \
             {numbers} SELECT {new_id}, 'u' || n, 'u', 'user', 'active', created_at, created_at \
             FROM n, users WHERE email = 'ada@example.org'"
        )).await;
        execute(app.petspark.settings(), &format!(
            "INSERT INTO blocks (blocker_id, blocked_id, created_at) SELECT {literal}, id, created_at FROM users WHERE display_name = 'u'"
        )).await;
        assert!(matches!(people.block(&ada.caller, bob.id).await, Err(BlockError::TooMany)));
        let one = people.blocked(&ada.caller, &PageRequest::default()).await.unwrap().items[0].id;
        people.block(&ada.caller, one).await.unwrap();
        people.unblock(&ada.caller, one).await.unwrap();
        people.block(&ada.caller, bob.id).await.unwrap();
    }
}
