//! What people say of themselves, taking everything along, and leaving.

use http::Method;
use petspark_core::testing::{TestApp, on_both};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

async fn put(api: &Api, ada: &Account, path: &str, body: &Value) -> Answer {
    api.call(Method::PUT, path).bearer(&ada.access).json(body).send().await
}

async fn get(api: &Api, ada: &Account, path: &str) -> Answer {
    api.get(path).bearer(&ada.access).send().await
}

const PROFILE: &str = "/api/v1/users/profile";
const PREFERENCES: &str = "/api/v1/users/preferences";

on_both! {
    async fn a_profile_is_changed_in_part_and_can_be_sent_back_as_it_was_read(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let read = get(&api, &ada, PROFILE).await;
        assert_eq!((read.text("/data/displayName"), &read.body["data"]["bio"]), ("ada", &Value::Null));
        for method in [Method::PUT, Method::PATCH] {
            let changed = api.call(method, PROFILE).bearer(&ada.access).json(&json!({"bio": "Counts."})).send().await;
            assert_eq!((changed.text("/data/displayName"), changed.text("/data/bio")), ("ada", "Counts."));
        }
        let read = get(&api, &ada, PROFILE).await;
        let again = put(&api, &ada, PROFILE, &read.body["data"]).await;
        assert_eq!(again.status, 200, "{again:?}");
        let cleared = put(&api, &ada, PROFILE, &json!({"bio": null, "displayName": "Ada"})).await;
        assert_eq!((cleared.text("/data/displayName"), &cleared.body["data"]["bio"]), ("Ada", &Value::Null));
        let me = get(&api, &ada, "/api/v1/auth/me").await;
        assert_eq!(me.text("/data/displayName"), "Ada");
        let refused = put(&api, &ada, PROFILE, &json!({"displayName": "", "location": "a\nb"})).await;
        assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["displayName", "location"]);
        put(&api, &ada, PROFILE, &json!({"email": "eve@example.org"})).await.assert_error(400, "VALIDATION_FAILED");
    }

    async fn preferences_are_any_object_up_to_16_kib(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        assert_eq!(get(&api, &ada, PREFERENCES).await.body["data"], json!({}));
        let sent = json!({"theme": "dark", "nested": {"list": [1, 2.5, null]}});
        assert_eq!(put(&api, &ada, PREFERENCES, &sent).await.body["data"], sent);
        assert_eq!(get(&api, &ada, PREFERENCES).await.body["data"], sent);
        put(&api, &ada, PREFERENCES, &json!({"a": "x".repeat(16 * 1024)})).await.assert_error(413, "PAYLOAD_TOO_LARGE");
        for wrong in [json!([]), json!("text"), json!({"a": "\0"})] {
            put(&api, &ada, PREFERENCES, &wrong).await.assert_error(400, "VALIDATION_FAILED");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(500), "1".to_owned() + &"}".repeat(500));
        let answer = api.call(Method::PUT, PREFERENCES).bearer(&ada.access).raw("application/json", deep).send().await;
        answer.assert_error(400, "INVALID_JSON");
        assert_eq!(get(&api, &ada, PREFERENCES).await.body["data"], sent);
    }

    async fn asvs_7_5_1_an_archive_is_a_file_and_needs_a_recent_sign_in(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let archive = get(&api, &ada, "/api/v1/users/export").await;
        assert_eq!(archive.status, 200);
        assert!(archive.header("content-disposition").starts_with("attachment; filename=\"petspark-20"));
        assert_eq!(archive.header("cache-control"), "no-store");
        assert_eq!(archive.text("/data/account/email"), "ada@example.org");
        api.app.clock.advance(std::time::Duration::from_secs(660));
        get(&api, &ada, "/api/v1/users/export").await.assert_error(403, "AUTH_013");
    }

    async fn who_leaves_is_signed_out_and_loses_the_cookie(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let delete = |body: Value| api.call(Method::DELETE, "/api/v1/users/me").bearer(&ada.access).json(&body);
        delete(json!({"password": "not the password"})).send().await.assert_error(403, "AUTH_017");
        delete(json!({})).send().await.assert_error(400, "VALIDATION_FAILED");
        let gone = delete(json!({"password": TestApp::PASSWORD})).header("x-petspark-client", "web").send().await;
        assert_eq!((gone.status.as_u16(), &gone.body["data"]["success"]), (200, &json!(true)));
        assert!(gone.text("/data/eraseAt").starts_with("2026-12-"), "{gone:?}");
        assert!(gone.lines("set-cookie").contains("max-age=0"), "{gone:?}");
        get(&api, &ada, PROFILE).await.assert_error(401, "AUTH_006");
        let login = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
        api.post("/api/v1/auth/login").json(&login).send().await.assert_error(401, "AUTH_001");
    }
}
