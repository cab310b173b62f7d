//! Links in mails, changing password and address, over HTTP.

use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use serde_json::{Value, json};

use crate::support::{Answer, Api};

const NEW: &str = "another good passphrase";

async fn post(api: &Api, route: &str, body: Value) -> Answer {
    api.post(&format!("/api/v1/auth/{route}")).json(&body).send().await
}

/// The token in the newest of these mails to `to`.
async fn token(api: &Api, to: &str, template: Template) -> String {
    api.app.mail(to, template).await.token().expose().to_owned()
}

async fn sign_in(api: &Api, password: &str) -> Answer {
    post(api, "login", json!({"email": "ada@example.org", "password": password})).await
}

/// An answer without what is different in every one.
fn face(answer: &Answer) -> (u16, String, Vec<String>) {
    let names = answer.headers.keys().map(ToString::to_string).collect();
    (answer.status.as_u16(), answer.body.to_string(), names)
}

on_both! {
    async fn a_forgotten_password_is_replaced_by_the_link_of_a_mail(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let answer = post(&api, "forgot-password", json!({"email": "ADA@example.org"})).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"data": {"status": "accepted"}})));
        let token = token(&api, "ada@example.org", Template::ResetPassword).await;
        let short = post(&api, "reset-password", json!({"token": token, "newPassword": "short"})).await;
        assert_eq!(short.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["newPassword"]);
        let done = post(&api, "reset-password", json!({"token": token, "newPassword": NEW})).await;
        assert_eq!((done.status.as_u16(), &done.body), (200, &json!({"data": {"success": true}})));
        assert!(done.headers.get("set-cookie").is_none(), "nobody is signed in by it");
        post(&api, "reset-password", json!({"token": token, "newPassword": NEW})).await.assert_error(400, "AUTH_009");
        api.get("/api/v1/auth/me").bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        assert_eq!(sign_in(&api, NEW).await.body["data"]["user"]["emailVerified"], true);
    }

    async fn asvs_6_3_8_known_and_unknown_addresses_get_the_same_answer(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        for route in ["forgot-password", "resend-verification"] {
            let known = post(&api, route, json!({"email": "ada@example.org"})).await;
            let unknown = post(&api, route, json!({"email": "nobody@example.org"})).await;
            assert_eq!(face(&known), face(&unknown));
            post(&api, route, json!({"email": "nonsense"})).await.assert_error(400, "VALIDATION_FAILED");
        }
        api.register("bob").await;
        let change = |email: &'static str| {
            let body = json!({"newEmail": email, "password": TestApp::PASSWORD});
            api.post("/api/v1/auth/change-email").bearer(&ada.access).json(&body).send()
        };
        assert_eq!(face(&change("bob@example.org").await), face(&change("free@example.org").await));
    }

    async fn asvs_7_6_2_looking_at_a_link_uses_nothing_up(app: TestApp) {
        let api = Api::new(app);
        api.register("ada").await;
        let token = token(&api, "ada@example.org", Template::VerifyEmail).await;
        for method in [http::Method::GET, http::Method::HEAD] {
            let looked = api.call(method, &format!("/api/v1/auth/verify-email?token={token}")).send().await;
            assert_eq!(looked.status, 405);
        }
        let verified = post(&api, "verify-email", json!({"token": token})).await;
        assert_eq!((verified.status.as_u16(), verified.body), (200, json!({"data": {"success": true}})));
        post(&api, "verify-email", json!({"token": token})).await.assert_error(400, "AUTH_009");
    }

    async fn a_new_password_comes_with_new_tokens(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let change = |current: &str, new: &str| {
            let body = json!({"currentPassword": current, "newPassword": new});
            api.post("/api/v1/auth/change-password").bearer(&ada.access).json(&body).send()
        };
        change("wrong horse", NEW).await.assert_error(403, "AUTH_017");
        assert_eq!(change(TestApp::PASSWORD, "short").await.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["newPassword"]);
        let changed = change(TestApp::PASSWORD, NEW).await;
        assert_eq!((changed.status.as_u16(), &changed.body["data"]["expiresIn"]), (200, &json!(900)));
        assert_eq!(api.get("/api/v1/auth/me").bearer(changed.text("/data/accessToken")).send().await.status, 200);
        api.get("/api/v1/auth/me").bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        let renewed = post(&api, "refresh", json!({"refreshToken": changed.text("/data/refreshToken")})).await;
        assert_eq!(renewed.status, 200);
        sign_in(&api, TestApp::PASSWORD).await.assert_error(401, "AUTH_001");
    }

    async fn an_account_moves_to_another_address_and_back(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        post(&api, "verify-email", json!({"token": token(&api, "ada@example.org", Template::VerifyEmail).await})).await;
        let body = json!({"newEmail": "lovelace@example.org", "password": TestApp::PASSWORD});
        let asked = api.post("/api/v1/auth/change-email").bearer(&ada.access).json(&body).send().await;
        assert_eq!(asked.status, 202);
        let confirmed = post(&api, "confirm-email-change", json!({"token": token(&api, "lovelace@example.org", Template::ConfirmEmailChange).await})).await;
        assert_eq!(confirmed.status, 200);
        let me = api.get("/api/v1/auth/me").bearer(&ada.access).send().await;
        assert_eq!(me.text("/data/email"), "lovelace@example.org");
        let undone = post(&api, "undo-email-change", json!({"token": token(&api, "ada@example.org", Template::EmailChanged).await})).await;
        assert_eq!(undone.status, 200);
        api.get("/api/v1/auth/me").bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        sign_in(&api, TestApp::PASSWORD).await.assert_error(401, "AUTH_001");
        post(&api, "reset-password", json!({"token": token(&api, "ada@example.org", Template::ResetPassword).await, "newPassword": NEW})).await;
        assert_eq!(sign_in(&api, NEW).await.status, 200);
    }

    async fn a_token_of_another_kind_or_no_token_at_all_is_refused_precisely(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let verify = token(&api, "ada@example.org", Template::VerifyEmail).await;
        for route in ["verify-email", "confirm-email-change", "undo-email-change", "reset-password"] {
            let with = |token: &str| {
                let mut body = json!({"token": token});
                if route == "reset-password" {
                    body["newPassword"] = NEW.into();
                }
                post(&api, route, body)
            };
            for wrong in ["", "nonsense", "\0", &ada.access, &ada.refresh, &"A".repeat(8000)] {
                with(wrong).await.assert_error(400, "AUTH_009");
            }
            if route != "verify-email" {
                with(&verify).await.assert_error(400, "AUTH_009");
            }
            let nothing = post(&api, route, json!({})).await;
            nothing.assert_error(400, "VALIDATION_FAILED");
            let more = post(&api, route, json!({"token": "x", "newPassword": NEW, "userId": ada.id})).await;
            more.assert_error(400, "VALIDATION_FAILED");
            let huge = post(&api, route, json!({"token": "A".repeat(20_000)})).await;
            huge.assert_error(413, "PAYLOAD_TOO_LARGE");
        }
        for bearer in [&verify, &ada.refresh] {
            api.get("/api/v1/auth/me").bearer(bearer).send().await.assert_error(401, "AUTH_006");
        }
    }
}
