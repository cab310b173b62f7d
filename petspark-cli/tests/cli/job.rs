//! Dead jobs at the terminal: looking, trying again, dropping.

use futures_util::future::BoxFuture;
use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::jobs::{Handler, Job, NewJob};
use petspark_core::{Fault, PetSpark, Secret};
use serde_json::json;

use crate::support::{Place, block_on, on_both};

/// Fails for good at whatever it is given.
struct Hopeless;

impl Handler for Hopeless {
    fn kind(&self) -> &'static str {
        "test.hopeless"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::lasting("refused for good")) })
    }
}

/// Enqueues that many jobs in the place's database, and lets them die.
fn die(place: &Place, count: usize) {
    let mut settings = Settings::in_folder(place.path().join("petspark-data"));
    settings.database.url = match place.database_url() {
        Some(url) => DatabaseUrl::Postgres(Secret::new(url)),
        None => DatabaseUrl::Sqlite(place.path().join("petspark-data/petspark.db")),
    };
    block_on(async {
        let petspark = PetSpark::open(settings).await.unwrap();
        petspark.jobs().handle(Hopeless);
        for n in 0..count {
            petspark.jobs().enqueue(NewJob::new("test.hopeless", json!({ "n": n }))).await.unwrap();
        }
        petspark.jobs().run_due().await.unwrap();
        petspark.close().await;
    });
}

on_both! {
    fn dead_jobs_are_listed_tried_again_and_dropped(place) {
        place.ok("migrate run");
        die(&place, 3);
        let first = place.ok("job list --state dead --limit 2 --json").json();
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = place.ok(&format!("job list --state dead --limit 2 --cursor {cursor} --json")).json();
        assert_eq!((first["jobs"].as_array().unwrap().len(), rest["jobs"].as_array().unwrap().len()), (2, 1));
        place.run(&format!("job list --state queued --cursor {cursor}")).expect(2).says("cursor");
        let id = first["jobs"][0]["id"].as_str().unwrap();
        let shown = place.ok(&format!("job show {id} --json")).json();
        assert_eq!((&shown["schema"], &shown["state"], &shown["last_error"]), (&"petspark.job.show/v1".into(), &"dead".into(), &"refused for good".into()));

        let retried = place.ok(&format!("job retry {id} --json")).json();
        assert_eq!((&retried["state"], &retried["attempts"]), (&"queued".into(), &0.into()));
        assert_eq!(place.ok("job retry --all-dead --dry-run --json").json()["jobs"], 2);
        assert_eq!(place.ok("job retry --all-dead --json").json()["jobs"], 2);
        assert_eq!(place.ok("job list --state dead --json").json()["jobs"], json!([]));

        place.run(&format!("job drop {id}")).expect(6).says("--yes");
        let plan = place.ok(&format!("job drop {id} --dry-run --json")).json();
        assert_eq!((&plan["dry_run"], &plan["kind"]), (&true.into(), &"test.hopeless".into()));
        place.ok(&format!("job drop {id} --yes"));
        place.run(&format!("job show {id}")).expect(4);
        let audited = |action: &str| place.ok(&format!("audit list --action {action} --json")).json()["entries"].as_array().unwrap().len();
        assert_eq!((audited("sys_job_retried"), audited("sys_job_dropped")), (3, 1), "a dry run is no deed");
    }

    fn a_schedule_can_not_be_dropped_and_nobody_can_be_found(place) {
        place.ok("migrate run");
        die(&place, 0);
        let jobs = place.ok("job list --json").json();
        let scheduled = jobs["jobs"].as_array().unwrap().iter().find(|job| job["schedule"].is_string()).unwrap();
        place.run(&format!("job drop {} --yes", scheduled["id"].as_str().unwrap())).expect(5).says("schedule");
        for nobody in ["nonsense", "01937b5e-0000-7000-8000-000000000000"] {
            for command in ["show", "retry", "drop --yes"] {
                place.run(&format!("job {command} {nobody}")).expect(4);
            }
        }
        place.run("job list --state lost").expect(2);
        place.run("job retry").expect(2);
    }
}
