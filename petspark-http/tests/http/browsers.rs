//! Browsers: refresh tokens in cookies, and who may make a browser send them.

use http::Method;
use petspark_core::config::Value as _;
use petspark_core::testing::{Engine, TestApp, on_both};
use petspark_http::{CookieSettings, HttpSettings, Origin, SameSite};
use serde_json::json;

use crate::support::{Answer, Api, Call};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const ME: &str = "/api/v1/auth/me";
const APP: &str = "https://app.example.org";

/// A server that others can reach: development on loopback does without `Secure`.
fn settings() -> HttpSettings {
    HttpSettings {
        host: "192.0.2.1".parse().unwrap(),
        cors_origins: vec![Origin::parse(APP).unwrap()],
        ..HttpSettings::default()
    }
}

async fn register(api: &Api) -> Answer {
    let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD, "displayName": "Ada"});
    api.post(REGISTER).header("origin", APP).json(&body).send().await
}

/// The cookie of an answer, as the browser sends it back.
fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// As our web client calls.
fn from_app<'a>(call: Call<'a>, cookie: &str) -> Call<'a> {
    call.header("origin", APP).header("x-petspark-client", "web").header("cookie", cookie)
}

on_both! {
    async fn asvs_3_3_4_a_browser_gets_its_refresh_token_in_a_cookie_only(app: TestApp) {
        let api = Api::with(app, settings());
        let registered = register(&api).await;
        assert_eq!(registered.status, 201);
        let cookie = registered.header("set-cookie");
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=7776000");
        let token = pair.strip_prefix("__Host-petspark_rt=").unwrap();
        assert!(token.starts_with("psr_"), "{token}");
        assert_eq!(registered.body["data"].get("refreshToken"), None);
        assert!(!String::from_utf8_lossy(&registered.bytes).contains(token));

        let renewed = from_app(api.post(REFRESH), pair).send().await;
        assert_eq!(renewed.status, 200, "{}", renewed.body);
        assert_eq!(renewed.body["data"].get("refreshToken"), None);
        assert_ne!(cookie_of(&renewed), pair);
        assert_eq!(api.get(ME).bearer(renewed.text("/data/accessToken")).send().await.status, 200);
    }

    async fn the_cookie_lives_as_long_as_the_session_can(app: TestApp) {
        let api = Api::with(app, settings());
        let registered = register(&api).await;
        api.app.clock.advance(std::time::Duration::from_secs(20 * 86_400));
        let renewed = from_app(api.post(REFRESH), &cookie_of(&registered)).send().await;
        assert!(renewed.header("set-cookie").ends_with("; Max-Age=6048000"), "{renewed:?}");
        let again = from_app(api.post(REFRESH), &cookie_of(&registered)).send().await;
        assert_eq!(again.header("set-cookie"), renewed.header("set-cookie"), "asked twice, the same answer");
    }

    async fn asvs_7_2_4_a_sign_in_ends_the_session_that_the_browser_had(app: TestApp) {
        let api = Api::with(app, settings());
        let first = register(&api).await;
        let credentials = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
        let wrong = json!({"email": "ada@example.org", "password": "wrong horse"});
        from_app(api.post(LOGIN), &cookie_of(&first)).json(&wrong).send().await.assert_error(401, "AUTH_001");
        assert_eq!(api.get(ME).bearer(first.text("/data/accessToken")).send().await.status, 200);

        let second = from_app(api.post(LOGIN), &cookie_of(&first)).json(&credentials).send().await;
        assert_eq!(second.status, 200);
        api.get(ME).bearer(first.text("/data/accessToken")).send().await.assert_error(401, "AUTH_006");
        from_app(api.post(REFRESH), &cookie_of(&first)).send().await.assert_error(401, "AUTH_004");
        assert_eq!(from_app(api.post(REFRESH), &cookie_of(&second)).send().await.status, 200);

        // A cookie that isn't ours is in nobody's way.
        let third = from_app(api.post(LOGIN), "__Host-petspark_rt=nonsense").json(&credentials).send().await;
        assert_eq!(third.status, 200);
        assert_eq!(api.get(ME).bearer(second.text("/data/accessToken")).send().await.status, 200);
    }

    async fn signing_out_takes_the_cookie_back(app: TestApp) {
        let api = Api::with(app, settings());
        let cleared = "__Host-petspark_rt=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";
        let registered = register(&api).await;
        let out = from_app(api.post(LOGOUT), &cookie_of(&registered)).send().await;
        assert_eq!((out.status.as_u16(), out.header("set-cookie")), (200, cleared));
        api.get(ME).bearer(registered.text("/data/accessToken")).send().await.assert_error(401, "AUTH_006");
        from_app(api.post(REFRESH), &cookie_of(&registered)).send().await.assert_error(401, "AUTH_004");
        for again in [
            from_app(api.post(LOGOUT), &cookie_of(&registered)).send().await,
            from_app(api.post(LOGOUT), "__Host-petspark_rt=nonsense").send().await,
            api.post(LOGOUT).header("origin", APP).send().await,
        ] {
            assert_eq!((again.status.as_u16(), again.header("set-cookie")), (200, cleared));
        }
        // A bearer token is a credential of its own; the cookie beside it needs no proof.
        let registered = api.register("bob").await;
        let cookie = format!("__Host-petspark_rt={}", registered.refresh);
        let out = api.post(LOGOUT).header("origin", APP).header("cookie", &cookie).bearer(&registered.access).send().await;
        assert_eq!(out.status, 200);
        api.get(ME).bearer(&registered.access).send().await.assert_error(401, "AUTH_006");
    }
}

#[tokio::test]
async fn everybody_but_browsers_gets_the_refresh_token_in_the_body() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let credentials = json!({"email": "ada@example.org", "password": TestApp::PASSWORD});
    register(&api).await;
    for headers in [&[][..], &[("x-petspark-client", "ios")], &[("x-petspark-client", "cli")]] {
        let call = headers.iter().fold(api.post(LOGIN), |call, (name, value)| call.header(name, value));
        let answer = call.json(&credentials).send().await;
        assert_eq!(answer.header("set-cookie"), "", "{headers:?}");
        let renewed = api.post(REFRESH).json(&json!({"refreshToken": answer.text("/data/refreshToken")})).send().await;
        assert_eq!((renewed.status.as_u16(), renewed.header("set-cookie")), (200, ""));
        assert!(renewed.text("/data/refreshToken").starts_with("psr_"));
    }
    // What a page says of itself doesn't get it the token: scripts that don't belong there could say it.
    for headers in [
        &[("origin", APP), ("x-petspark-client", "ios")][..],
        &[("sec-fetch-site", "same-origin"), ("x-petspark-client", "ios")],
        &[("x-petspark-client", "web")],
    ] {
        let call = headers.iter().fold(api.post(LOGIN), |call, (name, value)| call.header(name, value));
        let answer = call.json(&credentials).send().await;
        assert_eq!(answer.body["data"].get("refreshToken"), None, "{headers:?}");
        assert!(answer.header("set-cookie").starts_with("__Host-petspark_rt=psr_"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_development_server_on_loopback_and_old_or_foreign_web_apps_are_provided_for() {
    let app = TestApp::open(Engine::Sqlite).await;
    let local = Api::with(app, HttpSettings { host: "127.0.0.1".parse().unwrap(), ..settings() });
    let answer = register(&local).await;
    let (pair, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
    assert!(pair.starts_with("petspark_rt=psr_"));
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Max-Age=7776000");
    assert_eq!(from_app(local.post(REFRESH), pair).send().await.status, 200);

    let cookie = CookieSettings { same_site: SameSite::None, body_copy: true };
    let old = Api::with(TestApp::open(Engine::Sqlite).await, HttpSettings { cookie, ..settings() });
    let answer = register(&old).await;
    let (pair, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=7776000");
    assert_eq!(pair.split_once('=').unwrap().1, answer.text("/data/refreshToken"));
}

#[tokio::test]
async fn a_token_in_the_body_and_another_in_the_cookie_are_refused() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let (ada, bob) = (api.register("ada").await, api.register("bob").await);
    let cookie = format!("__Host-petspark_rt={}", ada.refresh);
    for path in [REFRESH, LOGOUT] {
        let both = from_app(api.post(path), &cookie).json(&json!({"refreshToken": bob.refresh})).send().await;
        assert_eq!(both.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["refreshToken"]);
    }
    for body in
        [json!({}), json!({"refreshToken": ""}), json!({"refreshToken": null}), json!({"refreshToken": ada.refresh})]
    {
        let answer = from_app(api.post(REFRESH), &cookie).json(&body).send().await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn asvs_3_5_1_no_other_page_can_make_a_browser_use_its_cookie() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let ada = api.register("ada").await;
    let cookie = format!("__Host-petspark_rt={}", ada.refresh);
    let call = |path: &str, headers: &[(&str, &str)]| {
        let call = api.post(path).header("cookie", &cookie).header("host", "api.example.org");
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send()
    };
    let client = ("x-petspark-client", "web");
    for path in [REFRESH, LOGOUT] {
        for headers in [
            &[("origin", "https://evil.example"), client][..],
            &[("origin", "null"), client],
            &[("origin", "http://app.example.org"), client],
            &[("origin", "https://app.example.org.evil.example"), client],
            &[("sec-fetch-site", "cross-site"), client],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), client],
            &[("sec-fetch-site", "same-site"), ("origin", "https://blog.example.org"), client],
            &[("sec-fetch-site", "nonsense"), client],
            // The right page, but a form or an image could have asked as well.
            &[("sec-fetch-site", "same-origin")],
            &[("origin", APP)],
            &[],
        ] {
            call(path, headers).await.assert_error(403, "CSRF_REFUSED");
        }
    }
    assert_eq!(api.get(ME).bearer(&ada.access).send().await.status, 200, "nothing of that was done");
    for headers in [
        &[("origin", APP), client][..],
        &[("origin", APP), ("sec-fetch-site", "same-site"), client],
        &[("origin", "https://api.example.org"), client],
        &[("origin", "https://api.example.org"), ("sec-fetch-site", "same-origin"), client],
        &[("sec-fetch-site", "none"), client],
        &[("x-petspark-client", "cli")],
    ] {
        assert_eq!(call(REFRESH, headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn asvs_3_5_2_a_form_can_not_sign_anybody_in_or_out() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let ada = api.register("ada").await;
    let body = json!({"email": "ada@example.org", "password": TestApp::PASSWORD}).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let login = api.post(LOGIN).header("origin", "https://evil.example").raw(content_type, body.clone());
        login.send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let cookie = format!("__Host-petspark_rt={}", ada.refresh);
        from_app(api.post(LOGOUT), &cookie)
            .raw(content_type, "a=b")
            .send()
            .await
            .assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(api.get(ME).bearer(&ada.access).send().await.status, 200);
}

#[tokio::test]
async fn asvs_3_5_3_what_changes_something_is_no_get() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    for path in [REGISTER, LOGIN, REFRESH, LOGOUT] {
        for method in [Method::GET, Method::HEAD] {
            let answer = api.call(method, path).header("origin", "https://evil.example").send().await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{path}");
        }
    }
}

#[tokio::test]
async fn asvs_14_3_2_nothing_about_an_account_is_kept_by_a_cache() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let ada = register(&api).await;
    let access = ada.text("/data/accessToken").to_owned();
    for answer in [
        from_app(api.post(REFRESH), &cookie_of(&ada)).send().await,
        api.get(ME).bearer(&access).send().await,
        api.get(ME).send().await,
        api.get(LOGIN).send().await,
        api.post(REFRESH).header("origin", "https://evil.example").send().await,
        from_app(api.post(LOGOUT), &cookie_of(&ada)).send().await,
        ada,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        let vary = answer.lines("vary");
        assert!(vary.contains("origin") && vary.contains("sec-fetch-site"), "{vary}");
    }
}

#[tokio::test]
async fn asvs_14_2_1_no_token_is_taken_from_the_address() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, settings());
    let ada = api.register("ada").await;
    for name in ["access_token", "accessToken", "token"] {
        api.get(&format!("{ME}?{name}={}", ada.access)).send().await.assert_error(401, "AUTH_006");
    }
    api.post(&format!("{REFRESH}?refreshToken={}", ada.refresh)).send().await.assert_error(401, "AUTH_003");
    // Nor an access token from a cookie, nor a refresh token's cookie anywhere else.
    for cookie in [format!("access_token={}", ada.access), format!("__Host-petspark_rt={}", ada.refresh)] {
        api.get(ME).header("cookie", &cookie).send().await.assert_error(401, "AUTH_006");
    }
}
