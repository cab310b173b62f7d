//! Registering, signing in, renewing and ending sessions over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use petspark_core::testing::on_both;
use petspark_core::{Caller, auth::Role, testing::TestApp};
use serde_json::json;

use crate::support::Api;

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";

on_both! {
    async fn a_new_account_is_signed_in_and_can_read_itself(app: TestApp) {
        let api = Api::new(app);
        let body = json!({"email": " Ada@Example.org", "password": "correct horse", "displayName": " Ada "});
        let answer = api.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("cache-control"), "no-store");
        let user = &answer.body["data"]["user"];
        assert_eq!((user["email"].as_str(), user["displayName"].as_str()), (Some("ada@example.org"), Some("Ada")));
        assert_eq!((&user["roles"], &user["status"], &user["emailVerified"]), (&json!(["user"]), &json!("active"), &json!(false)));
        assert_eq!(answer.body["data"]["expiresIn"], 900);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("argon2"));
        let me = api.get(ME).bearer(answer.text("/data/accessToken")).send().await;
        assert_eq!(me.status, 200);
        assert_eq!(me.body["data"], *user);
    }

    async fn every_invalid_field_of_a_registration_is_named(app: TestApp) {
        let api = Api::new(app);
        let body = json!({"email": "nobody", "password": "short", "displayName": "\n"});
        let answer = api.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["displayName", "email", "password"]);
        let unknown = json!({"email": "a@example.org", "password": "correct horse", "displayName": "A", "role": "admin"});
        let answer = api.post("/api/v1/auth/register").json(&unknown).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["role"]);
        let answer = api.post("/api/v1/auth/register").json(&json!({})).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["displayName", "email", "password"]);
        let answer = api.post(LOGIN).json(&json!({"email": "a@example.org"})).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["password"]);
        let wrong_type = json!({"email": 7, "password": "correct horse", "displayName": "A"});
        let answer = api.post("/api/v1/auth/register").json(&wrong_type).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["email"]);
    }

    async fn an_address_is_registered_once_also_at_the_same_moment(app: TestApp) {
        let api = Api::new(app);
        let body = json!({"email": "ada@example.org", "password": "correct horse", "displayName": "Ada"});
        let answers = futures_util::future::join_all((0..8).map(|_| api.post("/api/v1/auth/register").json(&body).send())).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.assert_error(409, "AUTH_002");
        }
        let shouting = json!({"email": "ADA@EXAMPLE.ORG", "password": "correct horse", "displayName": "Ada"});
        api.post("/api/v1/auth/register").json(&shouting).send().await.assert_error(409, "AUTH_002");
    }

    async fn signing_in_needs_the_right_password_and_tells_nothing_more(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let right = api.post(LOGIN).json(&json!({"email": "ADA@example.org", "password": TestApp::PASSWORD})).send().await;
        assert_eq!((right.status.as_u16(), right.text("/data/user/id")), (200, ada.id.as_str()));
        let mut bodies = BTreeSet::new();
        for (email, password) in [("ada@example.org", "wrong horse"), ("eve@example.org", "wrong horse"), ("no address", "x"), ("ada@example.org", &"x".repeat(2000))] {
            let wrong = api.post(LOGIN).json(&json!({"email": email, "password": password})).send().await;
            wrong.assert_error(401, "AUTH_001");
            let mut body = wrong.body.clone();
            body.as_object_mut().unwrap().remove("requestId");
            bodies.insert(body.to_string());
        }
        assert_eq!(bodies.len(), 1, "{bodies:?}");
    }

    async fn a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_session(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let renew = |token: String| { let api = &api; async move { api.post(REFRESH).json(&json!({"refreshToken": token})).send().await } };
        let second = renew(ada.refresh.clone()).await;
        assert_eq!(second.status, 200);
        assert_ne!(second.text("/data/refreshToken"), ada.refresh);
        assert_eq!(api.get(ME).bearer(second.text("/data/accessToken")).send().await.status, 200);
        // Within the grace period a lost answer is given again.
        let again = renew(ada.refresh.clone()).await;
        assert_eq!(again.text("/data/refreshToken"), second.text("/data/refreshToken"));
        api.app.clock.advance(Duration::from_secs(11));
        renew(ada.refresh.clone()).await.assert_error(401, "AUTH_008");
        renew(second.text("/data/refreshToken").to_owned()).await.assert_error(401, "AUTH_004");
        api.get(ME).bearer(second.text("/data/accessToken")).send().await.assert_error(401, "AUTH_006");
    }

    async fn a_refresh_without_a_valid_token_says_what_is_wrong(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        api.post(REFRESH).send().await.assert_error(401, "AUTH_003");
        api.post(REFRESH).json(&json!({})).send().await.assert_error(401, "AUTH_003");
        api.post(REFRESH).json(&json!({"refreshToken": ""})).send().await.assert_error(401, "AUTH_003");
        api.post(REFRESH).json(&json!({"refreshToken": "nonsense"})).send().await.assert_error(401, "AUTH_004");
        api.post(REFRESH).json(&json!({"refreshToken": ada.access})).send().await.assert_error(401, "AUTH_004");
        api.app.clock.advance(Duration::from_secs(30 * 86_400 + 1));
        api.post(REFRESH).json(&json!({"refreshToken": ada.refresh})).send().await.assert_error(401, "AUTH_005");
    }

    async fn signing_out_ends_the_session_even_with_an_expired_access_token(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        assert_eq!(api.post(LOGOUT).json(&json!({"refreshToken": ada.refresh})).send().await.body, json!({"data": {"success": true}}));
        api.get(ME).bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        api.post(REFRESH).json(&json!({"refreshToken": ada.refresh})).send().await.assert_error(401, "AUTH_004");
        api.app.clock.advance(Duration::from_secs(3600));
        assert_eq!(api.post(LOGOUT).bearer(&bob.access).send().await.status, 200);
        api.post(REFRESH).json(&json!({"refreshToken": bob.refresh})).send().await.assert_error(401, "AUTH_004");
        assert_eq!(api.post(LOGOUT).bearer("nonsense").send().await.status, 200);
        assert_eq!(api.post(LOGOUT).send().await.status, 200);
    }

    async fn only_a_live_access_token_lets_in(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let challenge = api.get(ME).send().await;
        challenge.assert_error(401, "AUTH_006");
        assert_eq!(challenge.header("www-authenticate"), "Bearer realm=\"petspark\"");
        let bad = api.get(ME).bearer("nonsense").send().await;
        assert_eq!(bad.header("www-authenticate"), "Bearer realm=\"petspark\", error=\"invalid_token\"");
        for authorization in ["Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", &format!("Bearer {}", ada.refresh), &ada.access, &format!("Bearer user:{}", ada.id)] {
            api.get(ME).header("authorization", authorization).send().await.assert_error(401, "AUTH_006");
        }
        assert_eq!(api.get(ME).header("authorization", &format!("bearer {}", ada.access)).send().await.status, 200);
        api.app.clock.advance(Duration::from_secs(906));
        api.get(ME).bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
    }

    async fn a_new_role_ends_the_sessions_of_before(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let operator = Caller::operator("test");
        let ended = api.app.petspark.auth().set_role(&operator, ada.id.parse().unwrap(), Role::Moderator, false).await.unwrap();
        assert_eq!(ended, 1);
        api.get(ME).bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        let login = api.post(LOGIN).json(&json!({"email": "ada@example.org", "password": TestApp::PASSWORD})).send().await;
        assert_eq!(login.body["data"]["user"]["roles"], json!(["user", "moderator"]));
    }
}
