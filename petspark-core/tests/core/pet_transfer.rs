//! Taking all pets out and in: nothing is lost, what is wrong with a line is said of that line, and
//! an import that was interrupted goes on where it is started again.

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use petspark_core::Caller;
use petspark_core::people::When;
use petspark_core::pets::{LocationFields, Patch, PetError, PetFields, PetLine, PetsImported, Species};
use petspark_core::seed::SeedPlan;
use petspark_core::testing::{TestApp, on_both};
use serde_json::json;

use crate::sql::execute;

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

async fn exported(app: &TestApp) -> Vec<String> {
    let pets: Vec<_> = app.petspark.pets().export(&operator()).await.unwrap().try_concat().await.unwrap();
    pets.iter().map(|pet| serde_json::to_string(pet).unwrap()).collect()
}

async fn import_so(app: &TestApp, lines: &[String], dry_run: bool, strict: bool) -> PetsImported {
    let mut import = app.petspark.pets().import(&operator(), dry_run, strict).unwrap();
    for (line, n) in lines.iter().zip(1..) {
        if !import.add(n, PetLine::from_json(line.as_bytes())).await.unwrap() {
            break;
        }
    }
    import.finish().await.unwrap()
}

async fn import(app: &TestApp, lines: &[String]) -> PetsImported {
    import_so(app, lines, false, false).await
}

on_both! {
    async fn what_was_exported_is_imported_to_the_last_digit(app: TestApp) {
        let ada = app.register("ada").await;
        let plan = SeedPlan { users: 20, pets: 1100, seed: 7, password: None };
        app.petspark.seeds().run(&operator(), plan, |_| ControlFlow::Continue(())).await.unwrap();
        for n in 0..50_u32 {
            let place = LocationFields {
                latitude: Some(f64::from(n) / 0.7 + 1e-13),
                longitude: Some(-f64::from(n) / 0.3),
                city: Some("Zoë's \"place\", = 1".to_owned()),
                country: None,
            };
            let fields = PetFields { location: Patch::Set(place), age: Patch::Set(3), bio: Patch::Set("a\n\"b\"".to_owned()), ..PetFields::new("Löwe", Species::Cat) };
            let pet = app.petspark.pets().create(&ada.caller, fields).await.unwrap();
            app.clock.advance(Duration::from_secs(1));
            if n % 3 == 0 {
                app.petspark.pets().delete(&ada.caller, pet.id).await.unwrap();
            }
        }
        let before = exported(&app).await;
        assert_eq!(before.len(), 1150);
        execute(app.petspark.settings(), "UPDATE pets SET verified = NOT verified").await;
        let verified = exported(&app).await;
        execute(app.petspark.settings(), "DELETE FROM pets").await;
        let done = import(&app, &verified).await;
        assert_eq!((done.lines, done.imported, done.skipped, &done.problems), (1150, 1150, 0, &Vec::new()));
        assert_eq!(exported(&app).await, verified);
        let again = import(&app, &verified).await;
        assert_eq!((again.imported, again.skipped), (0, 1150));
        execute(app.petspark.settings(), "DELETE FROM pets WHERE species = 'dog'").await;
        let resumed = import(&app, &verified).await;
        assert!(resumed.imported > 100 && resumed.imported + resumed.skipped == 1150, "{resumed:?}");
    }

    async fn every_line_that_cannot_be_a_pet_is_told_by_its_number_and_the_others_are_imported(app: TestApp) {
        let (ada, gone) = (app.register("ada").await, app.register("gone").await);
        app.petspark.people().delete(&operator(), gone.id, When::Later, None, false).await.unwrap();
        let id = "01980000-0000-7000-8000-000000000001";
        let rex = json!({"name": "Rex", "species": "dog", "ownerEmail": "ADA@example.org"});
        let with = |field: &str, value: serde_json::Value| {
            let mut line = rex.clone();
            line[field] = value;
            line.to_string()
        };
        let lines = [
            rex.to_string(),
            with("id", json!(id)),
            with("id", json!(id)),
            "nonsense".to_owned(),
            json!({"species": "dragon", "ownerId": ada.id, "birthDate": "2100-01-01"}).to_string(),
            with("ownerId", json!(ada.id)),
            with("ownerEmail", json!("nobody@example.org")),
            with("ownerEmail", json!("gone@example.org")),
            with("colour", json!("s3cret")),
            with("verified", json!("s3cret")),
            with("latitude", json!(52.5)),
            with("createdAt", json!("2100-01-01T00:00:00Z")),
            with("deletedAt", json!("2020-01-01T00:00:00Z")),
            with("version", json!(0)),
            with("bio", json!("x".repeat(70_000))),
            json!({"name": "Old", "species": "dog", "ownerEmail": "gone@example.org", "createdAt": "2020-01-01T00:00:00Z",
                "deletedAt": "2020-01-02T00:00:00Z"}).to_string(),
        ];
        let planned = import_so(&app, &lines, true, false).await;
        assert_eq!(app.petspark.pets().count().await.unwrap(), 0, "a dry run stores nothing");
        let strict = import_so(&app, &lines, false, true).await;
        assert_eq!((strict.imported, strict.invalid, strict.problems[0].line), (0, 1, 4));
        assert_eq!(app.petspark.pets().count().await.unwrap(), 0, "and a strict one nothing of a batch with a mistake");
        let done = import(&app, &lines).await;
        assert_eq!(done, planned);
        assert_eq!((done.lines, done.imported, done.skipped, done.invalid), (16, 3, 1, 12));
        let told: Vec<_> = done.problems.iter().map(|problem| (problem.line, problem.problem.as_str())).collect();
        assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (4..=15).collect::<Vec<_>>());
        for (line, words) in [(5, "birthDate: must not be in the future; name: is required; species: must be one of"), (7, "no such user"), (8, "no such user"), (11, "location")] {
            assert!(told.iter().any(|(number, problem)| *number == line && problem.contains(words)), "{line}: {told:?}");
        }
        assert!(!format!("{told:?}").contains("s3cret"), "{told:?}");
        assert!(matches!(app.petspark.pets().import(&ada.caller, true, false), Err(PetError::Denied(_))));
        assert!(matches!(app.petspark.pets().export(&ada.caller).await.map(drop), Err(PetError::Denied(_))));
        assert!(matches!(app.petspark.pets().stored(&ada.caller, id.parse().unwrap()).await, Err(PetError::Denied(_))));
    }

    async fn a_strict_import_keeps_the_batches_before_a_mistake(app: TestApp) {
        app.register("ada").await;
        let rex = json!({"name": "Rex", "species": "dog", "ownerEmail": "ada@example.org"}).to_string();
        let mut lines = vec![rex; 6000];
        lines[5200] = "{}".to_owned();
        let done = import_so(&app, &lines, false, true).await;
        assert_eq!((done.imported, done.problems[0].line), (5000, 5201));
        assert_eq!(app.petspark.pets().count().await.unwrap(), 5000);
    }
}
