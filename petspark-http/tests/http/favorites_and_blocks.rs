//! `/pets/{id}/favorite`, `/users/favorites`, `/users/{id}/block` and `/users/blocked`.

use http::Method;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

async fn ask(api: &Api, method: Method, user: &Account, path: &str) -> Answer {
    api.call(method, &format!("/api/v1{path}")).bearer(&user.access).send().await
}

async fn rex(api: &Api, owner: &Account) -> String {
    let body = json!({"name": "Rex", "species": "dog"});
    let answer = api.post("/api/v1/pets").bearer(&owner.access).json(&body).send().await;
    answer.text("/data/id").to_owned()
}

on_both! {
    async fn a_favourite_is_put_listed_counted_for_its_owner_and_taken_back(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let id = rex(&api, &ada).await;
        let path = format!("/pets/{id}/favorite");
        for _ in 0..2 {
            let put = ask(&api, Method::PUT, &bob, &path).await;
            assert_eq!((put.status.as_u16(), &put.body), (200, &json!({"data": {"success": true}})));
        }
        let list = ask(&api, Method::GET, &bob, "/users/favorites?limit=1").await;
        assert_eq!((list.text("/data/0/id"), list.body["data"][0].get("favoriteCount")), (&*id, None));
        assert_eq!(list.body["pagination"], json!({"limit": 1, "nextCursor": null}));
        let own = ask(&api, Method::GET, &ada, &format!("/pets/{id}")).await;
        assert_eq!(own.body["data"]["favoriteCount"], 1);
        let sent_back = api.call(Method::PUT, &format!("/api/v1/pets/{id}")).bearer(&ada.access).json(&own.body["data"]).send().await;
        assert_eq!(sent_back.status, 200, "{}", sent_back.body);
        for _ in 0..2 {
            assert_eq!(ask(&api, Method::DELETE, &bob, &path).await.status, 200);
        }
        assert_eq!(ask(&api, Method::GET, &bob, "/users/favorites").await.body["data"], json!([]));
        for method in [Method::PUT, Method::DELETE] {
            for nothing in ["01980000-0000-7000-8000-000000000000", "rex"] {
                ask(&api, method.clone(), &bob, &format!("/pets/{nothing}/favorite")).await.assert_error(404, "PET_001");
            }
        }
        let refused = ask(&api, Method::GET, &bob, "/users/favorites?limit=0&cursor=x").await;
        assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["limit"]);
        ask(&api, Method::GET, &bob, "/users/favorites?cursor=x").await.assert_error(400, "VALIDATION_FAILED");
    }

    async fn a_block_hides_both_from_each_other_until_it_is_taken_back(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let id = rex(&api, &ada).await;
        let block = format!("/users/{}/block", bob.id);
        for _ in 0..2 {
            let blocked = ask(&api, Method::POST, &ada, &block).await;
            assert_eq!((blocked.status.as_u16(), &blocked.body), (200, &json!({"data": {"success": true}})));
        }
        ask(&api, Method::GET, &bob, &format!("/pets/{id}")).await.assert_error(404, "PET_001");
        ask(&api, Method::PUT, &bob, &format!("/pets/{id}/favorite")).await.assert_error(404, "PET_001");
        assert_eq!(ask(&api, Method::GET, &bob, "/pets").await.body["data"], json!([]));
        let list = ask(&api, Method::GET, &ada, "/users/blocked").await;
        assert_eq!((list.text("/data/0/id"), list.text("/data/0/displayName")), (&*bob.id, "bob"));
        assert!(list.text("/data/0/blockedAt").ends_with('Z'));
        assert_eq!(ask(&api, Method::GET, &bob, "/users/blocked").await.body["data"], json!([]), "who is blocked isn't told");
        for _ in 0..2 {
            assert_eq!(ask(&api, Method::DELETE, &ada, &block).await.status, 200);
        }
        assert_eq!(ask(&api, Method::GET, &bob, &format!("/pets/{id}")).await.status, 200);
        let own = ask(&api, Method::POST, &ada, &format!("/users/{}/block", ada.id)).await;
        assert_eq!(own.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["id"]);
        for nobody in ["01980000-0000-7000-8000-000000000000", "bob"] {
            ask(&api, Method::POST, &ada, &format!("/users/{nobody}/block")).await.assert_error(404, "AUTH_007");
        }
        let cursor: &Value = &list.body["pagination"]["nextCursor"];
        assert!(cursor.is_null());
    }
}
