//! Demonstration data: the same for the same seed, resumable, and usable.

use std::ops::ControlFlow;

use petspark_core::auth::{Client, Password, UserFilter};
use petspark_core::pets::{PetFilter, Species};
use petspark_core::seed::{SeedError, SeedPlan, Seeded};
use petspark_core::testing::on_both;
use petspark_core::{Caller, PageRequest};

fn plan(seed: u64) -> SeedPlan {
    SeedPlan { users: 30, pets: 2500, seed, password: Some(Password::new("demonstration")) }
}

on_both! {
    async fn a_seed_that_was_interrupted_is_completed_by_running_it_again(app: TestApp) {
        let operator = Caller::operator("test");
        let seeds = app.petspark.seeds();
        let first = seeds.run(&operator, plan(1), |done| if done >= 1030 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }).await.unwrap();
        assert_eq!(first, Seeded { users_added: 30, pets_added: 1000, interrupted: true });
        let second = seeds.run(&operator, plan(1), |_| ControlFlow::Continue(())).await.unwrap();
        assert_eq!(second, Seeded { users_added: 0, pets_added: 1500, interrupted: false });
        let third = seeds.run(&operator, plan(1), |_| ControlFlow::Continue(())).await.unwrap();
        assert_eq!(third, Seeded::default());
        assert_eq!(seeds.run(&operator, plan(2), |_| ControlFlow::Continue(())).await.unwrap().pets_added, 2500);
        assert_eq!(app.petspark.pets().count().await.unwrap(), 5000);
    }

    async fn seeded_users_can_sign_in_and_their_pets_are_found(app: TestApp) {
        let operator = Caller::operator("test");
        app.petspark.seeds().run(&operator, plan(1), |_| ControlFlow::Continue(())).await.unwrap();
        let auth = app.petspark.auth();
        let users = auth.list_users(&operator, &UserFilter::default(), &PageRequest::default()).await.unwrap().items;
        let session = auth.login(&users[0].email, Password::new("demonstration"), Client::default()).await.unwrap();
        let caller = auth.authenticate(session.tokens.access.expose()).await.unwrap();
        let beagles = PetFilter { species: Some(Species::Dog), breed: Some("beagle".to_owned()), ..PetFilter::default() };
        let found = app.petspark.pets().list(&caller, beagles, &PageRequest::default()).await.unwrap().items;
        assert_eq!(found.len(), 20);
        assert!(found.iter().all(|pet| pet.breed.as_deref() == Some("Beagle")));
    }

    async fn a_plan_that_cannot_be_is_refused_before_anything_is_stored(app: TestApp) {
        let ada = app.register("ada").await;
        let seeds = app.petspark.seeds();
        let go = |_| ControlFlow::Continue(());
        assert!(matches!(seeds.run(&ada.caller, plan(1), go).await, Err(SeedError::Auth(_))));
        let operator = Caller::operator("test");
        let no_owner = SeedPlan { users: 0, ..plan(1) };
        assert!(matches!(seeds.run(&operator, no_owner, go).await, Err(SeedError::Impossible)));
        let weak = SeedPlan { password: Some(Password::new("short")), ..plan(1) };
        assert!(matches!(seeds.run(&operator, weak, go).await, Err(SeedError::Auth(_))));
        assert_eq!(app.petspark.pets().count().await.unwrap(), 0);
    }
}
