//! Guessing, as its author sees it over HTTP.

use petspark_core::testing::{TestApp, on_both};
use serde_json::json;

use crate::support::{Answer, Api};

const LOGIN: &str = "/api/v1/auth/login";

async fn login(api: &Api, password: &str, forwarded: &str) -> Answer {
    let body = json!({"email": "ada@example.org", "password": password});
    api.post(LOGIN).from("203.0.113.5").header("x-forwarded-for", forwarded).json(&body).send().await
}

on_both! {
    async fn asvs_6_3_1_and_4_1_3_the_sixth_guess_is_told_when_to_come_back_whatever_address_it_makes_up(app: TestApp) {
        let api = Api::new(app);
        api.register("ada").await;
        for n in 0..5 {
            login(&api, "a wrong guess of it", &format!("198.51.100.{n}")).await.assert_error(401, "AUTH_001");
        }
        for password in ["a wrong guess of it", TestApp::PASSWORD] {
            let refused = login(&api, password, "198.51.100.9").await;
            refused.assert_error(429, "RATE_LIMITED");
            assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("900", "no-store"));
        }
        let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
        assert_eq!(api.post(LOGIN).from("203.0.113.6").json(&body).send().await.status, 200);
    }

    async fn asvs_6_3_2_no_account_is_there_from_the_start(app: TestApp) {
        let api = Api::new(app);
        for email in ["test@petspark.com", "admin@petspark.com", "admin@example.org"] {
            let body = json!({"email": email, "password": "password"});
            api.post(LOGIN).json(&body).send().await.assert_error(401, "AUTH_001");
        }
        let operator = petspark_core::Caller::operator("test");
        assert_eq!(api.app.petspark.auth().count_users(&operator).await.unwrap(), 0);
    }

    async fn asvs_6_3_8_a_registration_to_be_verified_first_is_answered_the_same_for_a_known_address(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.auth.register_mode = petspark_core::auth::RegisterMode::VerifyFirst;
        let migrate = petspark_core::Migrate::Never;
        let petspark = petspark_core::PetSpark::open_with(settings, migrate, app.clock.clone()).await.unwrap();
        let router = petspark_http::router_with(petspark, petspark_http::HttpSettings::default());
        let api = Api { app, router };
        let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD, "displayName": "Ada"});
        for _ in 0..2 {
            let answer = api.post("/api/v1/auth/register").json(&body).send().await;
            assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"data": {"status": "verification_sent"}})));
            assert_eq!(answer.header("set-cookie"), "");
        }
        api.post(LOGIN).json(&json!({"email": "ada@example.org", "password": TestApp::PASSWORD})).send().await.assert_error(403, "AUTH_011");
    }
}
