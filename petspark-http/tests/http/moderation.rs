//! `/pets/{id}/report`, `/admin/moderation` and `/admin/dashboard`.

use http::Method;
use petspark_core::Caller;
use petspark_core::auth::Role;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const TASKS: &str = "/api/v1/admin/moderation/tasks";

async fn staff(api: &Api, name: &str, role: Role) -> Account {
    let account = api.register(name).await;
    let auth = api.app.petspark.auth();
    auth.set_role(&Caller::operator("test"), account.id.parse().unwrap(), role, false).await.unwrap();
    api.sign_in(name).await
}

async fn post(api: &Api, user: &Account, path: &str, body: &Value) -> Answer {
    api.call(Method::POST, path).bearer(&user.access).json(body).send().await
}

on_both! {
    async fn a_report_becomes_a_task_that_one_moderator_takes_and_decides(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let (eve, joe) = (staff(&api, "eve", Role::Moderator).await, staff(&api, "joe", Role::Moderator).await);
        let pet = post(&api, &ada, "/api/v1/pets", &json!({"name": "Rex", "species": "dog"})).await;
        let report = format!("/api/v1/pets/{}/report", pet.text("/data/id"));
        let said = post(&api, &bob, &report, &json!({"reason": "scam", "note": "wants money"})).await;
        assert_eq!((said.status.as_u16(), said.text("/data/reason"), said.text("/data/note")), (201, "scam", "wants money"));
        post(&api, &bob, &report, &json!({"reason": "spam"})).await.assert_error(409, "MOD_005");
        let joe_says = async |reason: &str| {
            let call = api.call(Method::POST, &report).bearer(&joe.access).header("idempotency-key", "once");
            call.json(&json!({"reason": reason, "note": "wants money"})).send().await
        };
        let (first, again) = (joe_says("scam").await, joe_says("scam").await);
        assert_eq!((first.status.as_u16(), again.status.as_u16(), &again.body), (201, 201, &first.body));
        assert_eq!(again.header("idempotency-replayed"), "true");
        joe_says("spam").await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
        post(&api, &ada, &report, &json!({"reason": "spam"})).await.assert_error(403, "MOD_006");
        let wrong = post(&api, &bob, &report, &json!({"reason": "x", "note": "\u{0}"})).await;
        assert_eq!(wrong.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["note", "reason"]);
        for nothing in ["01980000-0000-7000-8000-000000000000", "rex"] {
            post(&api, &bob, &format!("/api/v1/pets/{nothing}/report"), &json!({"reason": "spam"})).await.assert_error(404, "PET_001");
        }

        let list = api.get(&format!("{TASKS}?status=open")).bearer(&eve.access).send().await;
        let task = &list.body["data"][0];
        assert_eq!((&task["reports"], &task["reasons"], &task["status"]), (&json!(2), &json!({"scam": 2}), &json!("open")));
        assert_eq!(task["subject"], json!({"kind": "pet", "id": pet.body["data"]["id"]}));
        assert!(!list.body.to_string().contains(&bob.id), "who reported isn't told");
        let wrong = api.get(&format!("{TASKS}?status=x&limit=0")).bearer(&eve.access).send().await;
        assert_eq!(wrong.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["limit", "status"]);

        let path = format!("{TASKS}/{}", list.text("/data/0/id"));
        let (take, decision) = (format!("{path}/take"), format!("{path}/decision"));
        let body = json!({"decision": "rejected", "reason": "a scam"});
        post(&api, &eve, &decision, &body).await.assert_error(409, "MOD_003");
        let taken = post(&api, &eve, &take, &json!({})).await;
        assert_eq!((taken.text("/data/takenBy"), taken.text("/data/lastReports/0/note")), (&*format!("user:{}", eve.id), "wants money"));
        post(&api, &joe, &take, &json!({})).await.assert_error(409, "MOD_002");
        post(&api, &joe, &decision, &body).await.assert_error(409, "MOD_002");
        let wrong = post(&api, &eve, &decision, &json!({"decision": "maybe", "reason": "x"})).await;
        assert_eq!(wrong.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["decision"]);
        let decided = post(&api, &eve, &decision, &body).await;
        assert_eq!((decided.text("/data/status"), decided.text("/data/decision"), decided.text("/data/reason")), ("decided", "rejected", "a scam"));
        post(&api, &eve, &decision, &body).await.assert_error(409, "MOD_004");
        post(&api, &eve, &format!("{TASKS}/nonsense/take"), &json!({})).await.assert_error(404, "MOD_001");
        api.get(&format!("/api/v1/pets/{}", pet.text("/data/id"))).bearer(&bob.access).send().await.assert_error(404, "PET_001");
    }

    async fn the_dashboard_tells_how_many_there_are(app: TestApp) {
        let api = Api::new(app);
        let root = staff(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        post(&api, &ada, "/api/v1/pets", &json!({"name": "Rex", "species": "dog"})).await;
        api.app.run_jobs().await;
        let numbers = api.get("/api/v1/admin/dashboard").bearer(&root.access).send().await;
        assert_eq!(numbers.body["data"], json!({
            "users": {"active": 2, "suspended": 0, "banned": 0, "deleted": 0},
            "pets": {"active": 1, "hidden": 0, "banned": 0, "deleted": 0},
            "moderation": {"open": 0, "taken": 0},
            "jobs": {"queued": 0, "dead": 0},
            "signups": {"lastDay": 2, "lastWeek": 2},
        }));
    }
}
