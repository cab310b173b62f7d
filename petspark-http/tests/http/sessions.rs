//! A user's own sessions over HTTP.

use petspark_core::testing::{TestApp, on_both};
use serde_json::json;

use crate::support::Api;

const SESSIONS: &str = "/api/v1/auth/sessions";

on_both! {
    async fn who_renews_a_session_too_often_is_told_when_to_come_back(app: TestApp) {
        let few = app.another_with(|settings| settings.auth.refresh_per_minute = 2).await;
        let router = petspark_http::router_with(few.clone(), petspark_http::HttpSettings::default());
        let api = Api { app, router };
        let mut token = api.register("ada").await.refresh;
        let refresh = async |token: &str| api.post("/api/v1/auth/refresh").json(&json!({"refreshToken": token})).send().await;
        for _ in 0..2 {
            token = refresh(&token).await.text("/data/refreshToken").to_owned();
        }
        let refused = refresh(&token).await;
        assert_eq!(refused.assert_error(429, "RATE_LIMITED").header("retry-after"), "60");
        api.app.clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(refresh(&token).await.status, 200, "nothing was lost");
        few.close().await;
    }

    async fn sessions_are_listed_with_the_device_they_began_on_and_can_be_ended(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
        let phone = api.post("/api/v1/auth/login").header("x-petspark-client", "ios").header("user-agent", "PetSpark/3")
            .header("x-petspark-device", "Ada's phone").json(&body).send().await;
        let list = api.get(SESSIONS).bearer(&ada.access).send().await;
        assert_eq!((list.status.as_u16(), list.header("cache-control")), (200, "no-store"));
        let sessions = list.body["data"].as_array().unwrap();
        assert_eq!(sessions.len(), 2);
        let (here, there): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session["current"] == true);
        let [there] = there[..] else { panic!("{sessions:?}") };
        assert_eq!((here.len(), &there["client"], &there["deviceName"], &there["userAgent"]),
            (1, &json!("ios"), &json!("Ada's phone"), &json!("PetSpark/3")));
        let path = format!("{SESSIONS}/{}", there["id"].as_str().unwrap());
        assert_eq!(api.call(http::Method::DELETE, &path).bearer(&ada.access).send().await.body, json!({"data": {"success": true}}));
        api.get(SESSIONS).bearer(phone.text("/data/accessToken")).send().await.assert_error(401, "AUTH_006");
        api.call(http::Method::DELETE, &path).bearer(&ada.access).send().await.assert_error(404, "AUTH_015");
        let nonsense = format!("{SESSIONS}/nonsense");
        api.call(http::Method::DELETE, &nonsense).bearer(&ada.access).send().await.assert_error(404, "AUTH_015");
    }

    async fn all_other_sessions_end_and_the_present_one_stays(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
        let other = api.post("/api/v1/auth/login").json(&body).send().await;
        let ended = api.call(http::Method::DELETE, SESSIONS).bearer(&ada.access).send().await;
        assert_eq!(ended.body, json!({"data": {"success": true, "ended": 1}}));
        api.get(SESSIONS).bearer(other.text("/data/accessToken")).send().await.assert_error(401, "AUTH_006");
        assert_eq!(api.get(SESSIONS).bearer(&ada.access).send().await.status, 200);
        assert_eq!(api.get(SESSIONS).bearer(&bob.access).send().await.status, 200);
    }
}
