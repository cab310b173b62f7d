//! `/api/v1/admin/audit-logs`: pages, filters, and the whole of it as lines.

use petspark_core::auth::{Permission, Role};
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::admin_users::{api_key, with_role};
use crate::support::{Account, Answer, Api};

const LOG: &str = "/api/v1/admin/audit-logs";

async fn list(api: &Api, who: &Account, query: &str) -> Answer {
    api.get(&format!("{LOG}?{query}")).bearer(&who.access).send().await
}

fn actions(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.bytes).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

on_both! {
    async fn the_log_is_filtered_by_who_what_whom_and_when(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        api.app.clock.advance(std::time::Duration::from_secs(60));
        let noon = api.app.clock.now();
        let ada = api.register("ada").await;
        let wrong = json!({"email": "ada@example.org", "password": "a wrong password"});
        api.post("/api/v1/auth/login").from("203.0.113.7").json(&wrong).send().await.assert_error(401, "AUTH_001");
        let about_ada = list(&api, &root, &format!("subject=user:{}", ada.id)).await;
        assert_eq!(actions(&about_ada.body["data"]), ["authn_login_fail", "user_created"]);
        let failed = &about_ada.body["data"][0];
        assert_eq!((&failed["succeeded"], &failed["ip"], &failed["actor"]), (&json!(false), &json!("203.0.113.7"), &json!("anonymous")));
        assert!(failed["requestId"].is_string() && !about_ada.body.to_string().contains("@example.org"), "{failed}");
        let one = list(&api, &root, &format!("subject=user:{}&action=user_created", ada.id)).await;
        assert_eq!(actions(&one.body["data"]), ["user_created"]);
        assert_eq!(actions(&list(&api, &root, &format!("from={noon}")).await.body["data"]), ["authn_login_fail", "user_created"]);
        let before = list(&api, &root, &format!("to={noon}")).await;
        assert!(actions(&before.body["data"]).contains(&"authz_change") && !actions(&before.body["data"]).contains(&"authn_login_fail"));
        assert_eq!(actions(&list(&api, &root, "actor=test&action=authz_change").await.body["data"]), ["authz_change"]);
        let refused = list(&api, &root, "action=nonsense&from=yesterday&limit=0").await;
        assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["action", "from", "limit"]);
    }

    async fn pages_of_the_log_miss_nothing_and_belong_to_their_filter(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        for name in ["ada", "bob", "cyd"] {
            api.register(name).await;
        }
        let all = list(&api, &root, "action=user_created").await;
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&api, &root, &format!("action=user_created&limit=1{cursor}")).await;
            found.extend(page.body["data"].as_array().unwrap().clone());
            let Some(next) = page.body["pagination"]["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((found.len(), &json!(found)), (4, &all.body["data"]));
        list(&api, &root, &format!("action=authz_change{cursor}")).await.assert_error(400, "VALIDATION_FAILED");
    }

    async fn the_whole_log_comes_as_lines_oldest_first(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        api.register("ada").await;
        let asked = list(&api, &root, "format=ndjson&action=user_created").await;
        assert_eq!((asked.status.as_u16(), asked.header("content-type"), asked.header("cache-control")), (200, "application/x-ndjson", "no-store"));
        let page = list(&api, &root, "action=user_created").await;
        let newest_first: Vec<Value> = lines(&asked).into_iter().rev().collect();
        assert_eq!((newest_first.len(), &json!(newest_first)), (2, &page.body["data"]));
        let accepted = api.get(&format!("{LOG}?action=user_created")).bearer(&root.access).header("accept", "text/html, application/x-ndjson;q=0.9");
        assert_eq!(lines(&accepted.send().await), lines(&asked));
        assert!(lines(&list(&api, &root, "format=ndjson&action=user_erased").await).is_empty());
        list(&api, &root, "format=csv").await.assert_error(400, "VALIDATION_FAILED");
    }

    async fn a_key_reads_the_log_only_by_its_scope(app: TestApp) {
        let api = Api::new(app);
        api.register("ada").await;
        let reader = api_key(&api, "reader", &[Permission::ReadAudit]).await;
        let other = api_key(&api, "other", &[Permission::ReadJobs, Permission::ReadUsers]).await;
        for query in ["", "?format=ndjson"] {
            assert_eq!(api.get(&format!("{LOG}{query}")).bearer(&reader).send().await.status, 200);
            api.get(&format!("{LOG}{query}")).bearer(&other).send().await.assert_error(403, "ADMIN_001");
        }
    }
}
