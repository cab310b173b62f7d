//! What lists cost when there are many rows: none of them reads a whole table, and none runs
//! more statements for more rows.

use std::ops::ControlFlow;

use petspark_core::database::StatementCount;
use petspark_core::pets::{Coordinates, Near, PetFields, PetFilter, PetStatus, Sort, Species};
use petspark_core::seed::SeedPlan;
use petspark_core::testing::{Engine, TestApp, on_both};
use petspark_core::{Caller, PageRequest};

use crate::sql::{Direct, connect, execute};

fn around_berlin(radius_km: f64) -> Option<Near> {
    Near::new(Coordinates::new(52.5, 13.4).unwrap(), radius_km)
}

/// Every way to list pets that the contract has an order or an index for.
fn lists() -> Vec<PetFilter> {
    let all = PetFilter::default();
    let words = || Some("luna nap".to_owned());
    let berlin = || around_berlin(100.0);
    vec![
        all.clone(),
        PetFilter { sort: Some(Sort::Oldest), ..all.clone() },
        PetFilter { sort: Some(Sort::Name), ..all.clone() },
        PetFilter { species: Some(Species::Horse), ..all.clone() },
        PetFilter { breed: Some("Beagle".to_owned()), ..all.clone() },
        PetFilter { status: Some(PetStatus::Hidden), ..all.clone() },
        PetFilter { q: words(), ..all.clone() },
        PetFilter { q: words(), sort: Some(Sort::Newest), ..all.clone() },
        PetFilter { near: berlin(), ..all.clone() },
        PetFilter { near: berlin(), sort: Some(Sort::Name), ..all.clone() },
        PetFilter { near: berlin(), q: words(), species: Some(Species::Cat), ..all.clone() },
        PetFilter { near: around_berlin(500.0), species: Some(Species::Dog), ..all.clone() },
        PetFilter { near: around_berlin(500.0), q: words(), sort: Some(Sort::Newest), ..all.clone() },
        PetFilter { q: Some("zz".to_owned()), ..all },
    ]
}

/// Ninety-nine more of every pet.
const HUNDREDFOLD: &str = "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 99) \
    INSERT INTO pets (id, owner_id, name, name_key, species, breed, breed_key, birth_date, gender, size, personality, bio, \
    bio_key, latitude, longitude, shown_latitude, shown_longitude, latitude_band, place_x, place_y, place_z, status, \
    created_at, updated_at) SELECT NEW_ID, owner_id, name, name_key, species, breed, breed_key, birth_date, gender, size, \
    personality, bio, bio_key, latitude, longitude, shown_latitude, shown_longitude, latitude_band, place_x, place_y, \
    place_z, status, created_at, updated_at FROM pets CROSS JOIN n";

on_both! {
    async fn no_list_of_pets_reads_the_whole_table_of_a_hundred_thousand(app: TestApp) {
        let operator = Caller::operator("test");
        let plan = SeedPlan { users: 100, pets: 1000, seed: 1, password: None };
        app.petspark.seeds().run(&operator, plan, |_| ControlFlow::Continue(())).await.unwrap();
        let new_id = if app.petspark.database().engine_name() == "sqlite" { "randomblob(16)" } else { "gen_random_uuid()" };
        execute(app.petspark.settings(), &HUNDREDFOLD.replace("NEW_ID", new_id)).await;
        // PostgreSQL gathers statistics by itself; on SQLite nobody does.
        if app.petspark.database().engine_name() == "postgres" {
            execute(app.petspark.settings(), "ANALYZE").await;
        }
        let ada = app.register("ada").await;
        let mut own = lists();
        own.push(PetFilter { owner: Some(ada.id), ..PetFilter::default() });
        for filter in own {
            let steps = app.petspark.pets().explain_list(&ada.caller, &filter, &PageRequest::default()).await.unwrap();
            let steps = steps.join("\n");
            // SQLite says SCAN for a whole index in order too, which ends at the page's last row.
            let whole = steps.lines().any(|step| step.trim() == "SCAN p" || step.contains("Seq Scan on pets"));
            let index = match &filter {
                PetFilter { near: Some(_), .. } => "pets_place_idx",
                PetFilter { q: Some(_), sort: None, .. } => "pets_search",
                _ => "",
            };
            assert!(!steps.is_empty() && !whole && steps.contains(index), "{filter:?}\n{steps}");
        }
    }

    async fn a_page_of_fifty_takes_as_many_statements_as_a_page_of_one(app: TestApp) {
        let ada = app.register("ada").await;
        for n in 0..51 {
            app.petspark.pets().create(&ada.caller, PetFields::new(format!("Luna {n}"), Species::Dog)).await.unwrap();
        }
        let mut counted = Vec::new();
        for limit in [1, 50] {
            for filter in lists() {
                let (count, page) = (StatementCount::default(), PageRequest::first(limit).unwrap());
                count.during(app.petspark.pets().list(&ada.caller, filter, &page)).await.unwrap();
                counted.push(count.get());
            }
        }
        assert!(counted.iter().all(|statements| *statements == 1), "{counted:?}");
    }
}

/// `.cargo/config.toml` builds it so.
#[tokio::test]
async fn connections_to_sqlite_share_no_page_cache_and_no_count_of_memory() {
    let app = TestApp::open(Engine::Sqlite).await;
    let Direct::Sqlite(mut connection) = connect(app.petspark.settings()).await else { panic!("not SQLite") };
    let options = "SELECT compile_options FROM pragma_compile_options";
    let options: Vec<String> = sqlx::query_scalar(options).fetch_all(&mut connection).await.unwrap();
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
}
