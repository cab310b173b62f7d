//! `/api/v1/admin/jobs`: what waits and what is dead, for administrators.

use futures_util::future::BoxFuture;
use petspark_core::auth::{Permission, Role};
use petspark_core::jobs::{Handler, Job, NewJob};
use petspark_core::testing::on_both;
use petspark_core::{Fault, JobId};
use serde_json::{Value, json};

use crate::admin_users::{api_key, with_role};
use crate::support::{Account, Answer, Api};

const JOBS: &str = "/api/v1/admin/jobs";

/// Fails for good at whatever it is given.
pub(crate) struct Hopeless;

impl Handler for Hopeless {
    fn kind(&self) -> &'static str {
        "test.hopeless"
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::lasting("550 for <ada@example.org>")) })
    }
}

/// Three dead jobs, those enqueued last first.
async fn dead(api: &Api) -> Vec<JobId> {
    let jobs = api.app.petspark.jobs();
    jobs.handle(Hopeless);
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.insert(0, jobs.enqueue(NewJob::new("test.hopeless", json!({ "n": n }))).await.unwrap());
        api.app.clock.advance(std::time::Duration::from_secs(1));
    }
    jobs.run_due().await.unwrap();
    ids
}

async fn list(api: &Api, who: &Account, query: &str) -> Answer {
    api.get(&format!("{JOBS}?{query}")).bearer(&who.access).send().await
}

fn ids(answer: &Answer) -> Vec<JobId> {
    answer.body["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().parse().unwrap()).collect()
}

on_both! {
    async fn administrators_see_dead_jobs_page_by_page_and_why_they_died(app: TestApp) {
        let api = Api::new(app);
        let (root, made) = (with_role(&api, "root", Role::Admin).await, dead(&api).await);
        let first = list(&api, &root, "state=dead&limit=2").await;
        assert_eq!(ids(&first), made[..2]);
        let job = &first.body["data"][0];
        assert_eq!((&job["kind"], &job["state"], &job["payload"]["n"]), (&json!("test.hopeless"), &json!("dead"), &json!(2)));
        assert_eq!((&job["lastError"], &job["attempts"]), (&json!("550 for [address]"), &json!(1)), "no address is kept");
        let cursor = first.text("/pagination/nextCursor");
        let rest = list(&api, &root, &format!("state=dead&limit=2&cursor={cursor}")).await;
        assert_eq!((ids(&rest), &rest.body["pagination"]["nextCursor"]), (made[2..].to_vec(), &Value::Null));
        assert!(ids(&list(&api, &root, "limit=100").await).len() > 3, "schedules are jobs, too");
        assert!(ids(&list(&api, &root, "state=running").await).is_empty());
        list(&api, &root, &format!("state=queued&cursor={cursor}")).await.assert_error(400, "VALIDATION_FAILED");
        assert_eq!(list(&api, &root, "state=lost&limit=0").await.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["limit", "state"]);
    }

    async fn a_dead_job_is_tried_again_with_all_its_attempts(app: TestApp) {
        let api = Api::new(app);
        let (root, made) = (with_role(&api, "root", Role::Admin).await, dead(&api).await);
        let retry = async |id: &str| api.post(&format!("{JOBS}/{id}/retry")).bearer(&root.access).send().await;
        let again = retry(&made[0].to_string()).await;
        assert_eq!((again.status.as_u16(), again.text("/data/state"), &again.body["data"]["attempts"]), (200, "queued", &json!(0)));
        assert_eq!(ids(&list(&api, &root, "state=dead").await), made[1..]);
        api.app.petspark.jobs().run_due().await.unwrap();
        assert_eq!(ids(&list(&api, &root, "state=dead").await), made);
        for nobody in ["nonsense", &JobId::new().to_string()] {
            retry(nobody).await.assert_error(404, "JOB_001");
        }
        let log = api.get("/api/v1/admin/audit-logs?action=sys_job_retried").bearer(&root.access).send().await;
        assert_eq!(log.text("/data/0/subject"), format!("job:{}", made[0]));
    }

    async fn a_key_that_may_look_at_jobs_may_not_touch_them(app: TestApp) {
        let api = Api::new(app);
        let made = dead(&api).await;
        let reader = api_key(&api, "reader", &[Permission::ReadJobs]).await;
        let writer = api_key(&api, "writer", &[Permission::ManageJobs]).await;
        assert_eq!(ids(&api.get(&format!("{JOBS}?state=dead")).bearer(&reader).send().await), made);
        let retry = format!("{JOBS}/{}/retry", made[0]);
        api.post(&retry).bearer(&reader).send().await.assert_error(403, "ADMIN_001");
        api.get(JOBS).bearer(&writer).send().await.assert_error(403, "ADMIN_001");
        assert_eq!(api.post(&retry).bearer(&writer).send().await.status, 200);
    }
}
