//! Finding pets: by words, near a place, by age, in every order, page by page.

use std::ops::ControlFlow;

use petspark_core::pets::{
    Coordinates, LocationFields, Near, Patch, PetError, PetFields, PetFilter, PetStatus, Sort, Species,
};
use petspark_core::seed::SeedPlan;
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, PageRequest};

fn text(text: &str) -> Patch<String> {
    Patch::Set(text.to_owned())
}

fn dog(name: &str, breed: &str, bio: &str) -> PetFields {
    PetFields { breed: text(breed), bio: text(bio), ..PetFields::new(name, Species::Dog) }
}

fn living_at(name: &str, latitude: f64, longitude: f64) -> PetFields {
    let location = LocationFields { latitude: Some(latitude), longitude: Some(longitude), ..LocationFields::default() };
    PetFields { location: Patch::Set(location), ..PetFields::new(name, Species::Cat) }
}

fn near(latitude: f64, longitude: f64, radius_km: f64) -> PetFilter {
    let center = Coordinates::new(latitude, longitude).unwrap();
    PetFilter { near: Near::new(center, radius_km), ..PetFilter::default() }
}

fn words(q: &str) -> PetFilter {
    PetFilter { q: Some(q.to_owned()), ..PetFilter::default() }
}

async fn add(app: &TestApp, owner: &TestUser, pets: Vec<PetFields>) {
    for fields in pets {
        app.petspark.pets().create(&owner.caller, fields).await.unwrap();
    }
}

async fn names(app: &TestApp, caller: &Caller, filter: &PetFilter) -> Vec<String> {
    let page = PageRequest::first(100).unwrap();
    let found = app.petspark.pets().list(caller, filter.clone(), &page).await.unwrap();
    found.items.into_iter().map(|pet| pet.name).collect()
}

/// The same list, two pets at a time.
async fn names_by_pages(app: &TestApp, caller: &Caller, filter: &PetFilter) -> Vec<String> {
    let (mut names, mut page) = (Vec::new(), PageRequest::first(2).unwrap());
    loop {
        let part = app.petspark.pets().list(caller, filter.clone(), &page).await.unwrap();
        names.extend(part.items.into_iter().map(|pet| pet.name));
        let Some(cursor) = part.next_cursor else { return names };
        page = PageRequest::first(2).unwrap().after(cursor);
    }
}

on_both! {
    async fn words_are_found_in_name_breed_and_bio_and_the_best_fit_comes_first(app: TestApp) {
        let ada = app.register("ada").await;
        add(&app, &ada, vec![
            dog("Max", "Löwchen", "Friend of Rex."),
            dog("Rex", "Beagle", "Likes naps."),
            dog("Rexona", "Pug", "Loud."),
            dog("Bella", "Rex Rabbit", "Calm, 3 legs"),
            dog("Rex Junior", "Beagle", "Likes cats."),
            dog("Ada's dog", "Straßenhund", "日本語 の 犬"),
        ]).await;
        for (q, found) in [
            ("rex", vec!["Rex Junior", "Rex", "Rexona", "Bella", "Max"]),
            ("REX beag", vec!["Rex Junior", "Rex"]),
            ("rex jun", vec!["Rex Junior"]),
            ("lowchen", vec!["Max"]),
            ("LÖWCHEN", vec!["Max"]),
            ("strasse", vec!["Ada's dog"]),
            ("ada s", vec!["Ada's dog"]),
            ("日本", vec!["Ada's dog"]),
            ("3", vec!["Bella"]),
            ("like nap", vec!["Rex"]),
            ("unicorn", vec![]),
            // What means something to FTS5 or to a tsquery.
            ("\"rex\" OR beagle", vec![]),
            ("rex AND NOT pug", vec![]),
            ("name:rex*", vec![]),
            ("(rex) & !'pug' | <-> :*", vec!["Rexona"]),
            ("rex';--\\", vec!["Rex Junior", "Rex", "Rexona", "Bella", "Max"]),
        ] {
            assert_eq!(names(&app, &ada.caller, &words(q)).await, found, "{q}");
            assert_eq!(names_by_pages(&app, &ada.caller, &words(q)).await, found, "{q} by pages");
        }
        for (sort, found) in [
            (Sort::Name, vec!["Bella", "Max", "Rex", "Rex Junior", "Rexona"]),
            (Sort::Newest, vec!["Rex Junior", "Bella", "Rexona", "Rex", "Max"]),
        ] {
            let filter = PetFilter { sort: Some(sort), ..words("rex") };
            assert_eq!(names_by_pages(&app, &ada.caller, &filter).await, found, "{sort}");
        }
        for wrong in ["", "***", "🐶", &"x".repeat(101)] {
            let listed = app.petspark.pets().list(&ada.caller, words(wrong), &PageRequest::default()).await;
            assert!(matches!(listed, Err(PetError::Invalid(_))), "{wrong}");
        }
    }

    async fn a_text_without_spaces_is_found_by_its_beginning_however_long_it_is(app: TestApp) {
        let ada = app.register("ada").await;
        // Of three bytes each; an engine's limit in bytes falls within one.
        add(&app, &ada, vec![dog("Rex", "Beagle", &"ก".repeat(683)), dog("Max", "Beagle", &"ข".repeat(1000))]).await;
        assert_eq!(names(&app, &ada.caller, &words(&"ก".repeat(100))).await, ["Rex"]);
        assert_eq!(names(&app, &ada.caller, &words("ข")).await, ["Max"]);
    }

    async fn words_are_found_best_first_page_by_page_among_more_pets_than_are_looked_through_at_once(app: TestApp) {
        let ada = app.register("ada").await;
        let plan = SeedPlan { users: 1, pets: 2200, seed: 1, password: None };
        add(&app, &ada, vec![dog("Zora", "Zz", "First."), dog("Max", "Zz", "zora"), dog("Zorabelle", "Zz", "Third.")]).await;
        app.petspark.seeds().run(&Caller::operator("test"), plan, |_| ControlFlow::Continue(())).await.unwrap();
        add(&app, &ada, vec![dog("Zora", "Zz", "Last."), dog("Rex", "Zz", "zora")]).await;
        let expected = ["Zora", "Zora", "Zorabelle", "Rex", "Max"];
        assert_eq!(names(&app, &ada.caller, &words("zora")).await, expected);
        assert_eq!(names_by_pages(&app, &ada.caller, &words("zora")).await, expected);
    }

    async fn a_changed_or_deleted_pet_is_found_by_what_it_is_now(app: TestApp) {
        let ada = app.register("ada").await;
        let pets = app.petspark.pets();
        let rex = pets.create(&ada.caller, dog("Rex", "Beagle", "Calm")).await.unwrap();
        pets.update(&ada.caller, rex.id, PetFields { name: text("Luna"), bio: Patch::Clear, ..PetFields::default() }).await.unwrap();
        for (q, found) in [("rex", 0), ("calm", 0), ("luna", 1), ("beagle", 1)] {
            assert_eq!(names(&app, &ada.caller, &words(q)).await.len(), found, "{q}");
        }
        let hidden = PetFields { status: text("hidden"), ..PetFields::default() };
        pets.update(&ada.caller, rex.id, hidden).await.unwrap();
        let bob = app.register("bob").await;
        assert!(names(&app, &bob.caller, &words("luna")).await.is_empty());
        pets.delete(&ada.caller, rex.id).await.unwrap();
        let own = PetFilter { owner: Some(ada.id), ..words("luna") };
        assert!(names(&app, &ada.caller, &own).await.is_empty());
    }

    async fn pets_near_a_place_come_nearest_first_also_across_the_date_line_and_the_pole(app: TestApp) {
        let ada = app.register("ada").await;
        add(&app, &ada, vec![
            living_at("Potsdam", 52.39, 13.06),
            living_at("Berlin", 52.52, 13.40),
            living_at("Leipzig", 51.34, 12.37),
            living_at("Paris", 48.86, 2.35),
            living_at("East of the line", -17.0, -179.7),
            living_at("West of the line", -17.0, 179.8),
            living_at("Here by the pole", 89.5, 0.0),
            living_at("Behind the pole", 89.0, 180.0),
            living_at("South pole", -90.0, 0.0),
            PetFields::new("Nowhere", Species::Cat),
        ]).await;
        for (filter, found) in [
            (near(52.52, 13.40, 20.0), vec!["Berlin"]),
            (near(52.52, 13.40, 50.0), vec!["Berlin", "Potsdam"]),
            (near(52.52, 13.40, 500.0), vec!["Berlin", "Potsdam", "Leipzig"]),
            (near(-17.0, 179.9, 100.0), vec!["West of the line", "East of the line"]),
            (near(-17.0, -179.9, 100.0), vec!["East of the line", "West of the line"]),
            (near(89.4, 10.0, 300.0), vec!["Here by the pole", "Behind the pole"]),
            (near(-89.99, 120.0, 5.0), vec!["South pole"]),
            (near(0.0, 0.0, 500.0), vec![]),
        ] {
            assert_eq!(names(&app, &ada.caller, &filter).await, found, "{filter:?}");
            assert_eq!(names_by_pages(&app, &ada.caller, &filter).await, found, "{filter:?} by pages");
            let mut by_name = found.clone();
            by_name.sort_unstable();
            let filter = PetFilter { sort: Some(Sort::Name), ..filter };
            assert_eq!(names_by_pages(&app, &ada.caller, &filter).await, by_name, "{filter:?}");
        }
        let page = PageRequest::default().skip(1).unwrap();
        let found = app.petspark.pets().list(&ada.caller, near(52.52, 13.40, 500.0), &page).await.unwrap();
        assert_eq!((found.total, found.items.len()), (Some(3), 2));
        assert!(found.items[0].distance_km.is_some_and(|km| (26..=29).contains(&km)), "{:?}", found.items[0].distance_km);
    }

    async fn only_the_owner_is_told_where_exactly_a_pet_lives(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let pets = app.petspark.pets();
        let id = pets.create(&ada.caller, living_at("Rex", 52.520_008, 13.404_954)).await.unwrap().id;
        let exact = Coordinates::new(52.520_008, 13.404_954);
        let own = pets.get(&ada.caller, id).await.unwrap();
        assert_eq!(own.exact_coordinates(&ada.caller), exact);
        for viewer in [bob.caller, Caller::operator("test"), Caller::anonymous()] {
            assert_eq!(own.exact_coordinates(&viewer), None);
        }
        let shown = own.location.shown().unwrap();
        assert!(exact.unwrap().km_to(shown) < 1.8);
        // Another change doesn't draw another point.
        let renamed = pets.update(&ada.caller, id, PetFields { name: text("Max"), ..PetFields::default() }).await.unwrap();
        assert_eq!((renamed.location.shown(), renamed.exact_coordinates(&ada.caller)), (Some(shown), exact));
        let cleared = PetFields { location: Patch::Clear, ..PetFields::default() };
        assert!(!pets.update(&ada.caller, id, cleared).await.unwrap().location.is_known());
        assert!(names(&app, &ada.caller, &near(52.52, 13.4, 10.0)).await.is_empty());
    }

    async fn every_filter_goes_with_every_order_and_a_cursor_belongs_to_its_list(app: TestApp) {
        let ada = app.register("ada").await;
        for n in 0..9 {
            let age = Patch::Set(n);
            let location = living_at("", 52.5, 13.4 + f64::from(u32::try_from(n).unwrap()) / 10.0).location;
            add(&app, &ada, vec![PetFields { age, location, size: text("small"), ..dog(&format!("Rex {n}"), "Beagle", "calm") }]).await;
        }
        let all = PetFilter {
            owner: Some(ada.id),
            species: Some(Species::Dog),
            breed: Some("BEAGLE".to_owned()),
            size: Some(petspark_core::pets::Size::Small),
            min_age: Some(2),
            max_age: Some(6),
            status: Some(PetStatus::Active),
            ..words("rex calm")
        };
        let rising: Vec<_> = (2..=6).map(|n| format!("Rex {n}")).collect();
        let falling: Vec<_> = rising.iter().rev().cloned().collect();
        let mut cursors = Vec::new();
        for (sort, expected) in [
            (Some(Sort::Newest), &falling),
            (Some(Sort::Oldest), &rising),
            (Some(Sort::Name), &rising),
            (Some(Sort::Distance), &rising),
            (None, &rising),
        ] {
            let filter = PetFilter { sort, near: near(52.5, 13.4, 100.0).near, ..all.clone() };
            assert_eq!(&names_by_pages(&app, &ada.caller, &filter).await, expected, "{sort:?}");
            let page = app.petspark.pets().list(&ada.caller, filter.clone(), &PageRequest::first(1).unwrap()).await.unwrap();
            cursors.push((filter, page.next_cursor.unwrap()));
        }
        let other = PetFilter { min_age: Some(3), ..cursors[0].0.clone() };
        for (n, (filter, _)) in cursors.iter().enumerate() {
            let (_, foreign) = &cursors[(n + 1) % cursors.len()];
            let page = PageRequest::default().after(foreign);
            for filter in [filter, &other] {
                let listed = app.petspark.pets().list(&ada.caller, filter.clone(), &page).await;
                assert!(matches!(&listed, Err(PetError::Invalid(fields)) if fields.to_string().starts_with("cursor")), "{filter:?}");
            }
        }
    }

    async fn filters_that_make_no_sense_are_refused_by_name(app: TestApp) {
        let ada = app.register("ada").await;
        for (filter, field) in [
            (PetFilter { min_age: Some(81), ..PetFilter::default() }, "minAge"),
            (PetFilter { max_age: Some(u32::MAX), ..PetFilter::default() }, "maxAge"),
            (PetFilter { min_age: Some(5), max_age: Some(4), ..PetFilter::default() }, "maxAge"),
            (PetFilter { sort: Some(Sort::Distance), ..PetFilter::default() }, "sort"),
        ] {
            match app.petspark.pets().list(&ada.caller, filter, &PageRequest::default()).await {
                Err(PetError::Invalid(fields)) => assert!(fields.to_string().starts_with(field), "{fields}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
