//! Second factors over HTTP: the statuses and codes that frontends act on.

use http::{Method, StatusCode};
use petspark_core::Secret;
use petspark_core::testing::{TestApp, on_both, totp_code};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const TOTP: &str = "/api/v1/auth/mfa/totp";

/// Sets up an authenticator app, and gives its secret and the answer to the confirmation.
async fn enrol(api: &Api, account: &Account) -> (Secret, Answer) {
    let begun = api.post(TOTP).bearer(&account.access).send().await;
    assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
    assert!(begun.text("/data/otpauthUri").starts_with("otpauth://totp/PetSpark:"));
    assert!(begun.text("/data/qrSvg").contains("<svg"));
    let secret = Secret::new(begun.text("/data/secret"));
    let confirmed = confirm(api, &account.access, &code(api, &secret)).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{confirmed:?}");
    (secret, confirmed)
}

async fn confirm(api: &Api, access: &str, code: &str) -> Answer {
    api.post("/api/v1/auth/mfa/totp/confirm").bearer(access).json(&json!({ "code": code })).send().await
}

fn code(api: &Api, secret: &Secret) -> String {
    totp_code(secret, api.app.clock.now())
}

async fn login(api: &Api) -> Answer {
    let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
    api.post("/api/v1/auth/login").json(&body).send().await
}

async fn verify(api: &Api, body: &Value) -> Answer {
    api.post("/api/v1/auth/mfa/verify").json(body).send().await
}

on_both! {
    async fn a_second_factor_is_set_up_asked_for_and_removed(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (secret, confirmed) = enrol(&api, &ada).await;
        assert_eq!(confirmed.body["data"]["recoveryCodes"].as_array().unwrap().len(), 10);
        assert_eq!(confirmed.header("cache-control"), "no-store");
        let old = json!({ "refreshToken": ada.refresh });
        api.post("/api/v1/auth/refresh").json(&old).send().await.assert_error(401, "AUTH_004");
        let new = json!({ "refreshToken": confirmed.text("/data/refreshToken") });
        assert_eq!(api.post("/api/v1/auth/refresh").json(&new).send().await.status, StatusCode::OK);

        let asked = login(&api).await;
        asked.assert_error(401, "AUTH_010");
        let token = asked.text("/details/mfaToken");
        verify(&api, &json!({"mfaToken": token, "code": code(&api, &secret)})).await.assert_error(400, "AUTH_018");
        api.app.clock.advance(std::time::Duration::from_secs(30));
        let signed_in = verify(&api, &json!({"mfaToken": token, "code": code(&api, &secret)})).await;
        assert_eq!((signed_in.status, signed_in.text("/data/user/email")), (StatusCode::OK, "ada@example.org"));
        verify(&api, &json!({"mfaToken": token, "code": code(&api, &secret)})).await.assert_error(400, "AUTH_009");

        let access = signed_in.text("/data/accessToken");
        let factors = api.get("/api/v1/auth/mfa").bearer(access).send().await;
        assert_eq!((&factors.body["data"]["totp"], &factors.body["data"]["recoveryCodesLeft"]), (&json!(true), &json!(10)));
        api.post(TOTP).bearer(access).send().await.assert_error(409, "AUTH_021");
        let codes = api.post("/api/v1/auth/mfa/recovery-codes").bearer(access).send().await;
        let recovery = json!({ "code": codes.text("/data/recoveryCodes/0") });
        api.app.clock.advance(std::time::Duration::from_secs(660));
        api.call(Method::DELETE, TOTP).bearer(access).send().await.assert_error(403, "AUTH_013");
        let removed = api.call(Method::DELETE, TOTP).bearer(access).json(&recovery).send().await;
        assert_eq!((removed.status, &removed.body), (StatusCode::OK, &json!({"data": {"success": true}})));
        api.call(Method::DELETE, TOTP).bearer(access).json(&recovery).send().await.assert_error(409, "AUTH_022");
        assert_eq!(login(&api).await.status, StatusCode::OK);
    }

    async fn who_signed_in_too_long_ago_proves_themselves_anew(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        api.app.clock.advance(std::time::Duration::from_secs(660));
        api.post(TOTP).bearer(&ada.access).send().await.assert_error(403, "AUTH_013");
        let step_up = |body: Value| api.post("/api/v1/auth/step-up").bearer(&ada.access).json(&body).send();
        step_up(json!({"password": "not the password"})).await.assert_error(403, "AUTH_017");
        step_up(json!({"code": "123456"})).await.assert_error(409, "AUTH_022");
        for neither in [json!({}), json!({"password": "p", "code": "c"}), json!({"passwort": "p"})] {
            step_up(neither).await.assert_error(400, "VALIDATION_FAILED");
        }
        let tokens = step_up(json!({"password": TestApp::PASSWORD})).await;
        assert_eq!((tokens.status, &tokens.body["data"]["expiresIn"]), (StatusCode::OK, &json!(900)));
        assert_eq!(api.post(TOTP).bearer(tokens.text("/data/accessToken")).send().await.status, StatusCode::OK);
        confirm(&api, tokens.text("/data/accessToken"), "000").await.assert_error(400, "AUTH_018");
    }

    async fn a_browser_gets_the_new_refresh_token_as_a_cookie(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let begun = api.post(TOTP).bearer(&ada.access).send().await;
        let code = code(&api, &Secret::new(begun.text("/data/secret")));
        let confirmed = api.post("/api/v1/auth/mfa/totp/confirm").bearer(&ada.access).header("x-petspark-client", "web")
            .json(&json!({ "code": code })).send().await;
        assert!(confirmed.header("set-cookie").contains("petspark_rt=psr_"), "{confirmed:?}");
        assert!(confirmed.body["data"].get("refreshToken").is_none());
    }
}
