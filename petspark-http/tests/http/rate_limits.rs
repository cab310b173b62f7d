//! How many requests one address may make.

use std::time::Duration;

use petspark_core::config::Value as _;
use petspark_core::testing::{Engine, TestApp};
use petspark_http::{HttpSettings, Limit, Origin, RateLimitSettings};
use serde_json::json;

use crate::support::{Answer, Api};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";

/// Three requests at once of each kind, and then one an hour.
async fn api() -> Api {
    let limit = Limit::new(1, Duration::from_secs(3600), 3);
    let settings = HttpSettings {
        rate_limit: RateLimitSettings { enabled: true, general: limit, auth: limit, refresh: limit, media: limit },
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        cors_origins: vec![Origin::parse("https://app.example.org").unwrap()],
        ..HttpSettings::default()
    };
    Api::with(TestApp::open(Engine::Sqlite).await, settings)
}

async fn me(api: &Api, ip: &str) -> Answer {
    api.get(ME).from(ip).send().await
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let api = api().await;
    for left in ["2", "1", "0"] {
        let answer = me(&api, "203.0.113.1").await;
        answer.assert_error(401, "AUTH_006");
        assert_eq!(answer.header("ratelimit-policy"), "\"general\";q=3;w=10800");
        assert!(answer.header("ratelimit").starts_with(&format!("\"general\";r={left};t=")), "{answer:?}");
    }
    let refused = me(&api, "203.0.113.1").await;
    refused.assert_error(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), "3600");
    assert_eq!(refused.header("ratelimit"), "\"general\";r=0;t=10800");
    me(&api, "203.0.113.2").await.assert_error(401, "AUTH_006");
}

#[tokio::test]
async fn every_kind_of_request_is_counted_by_itself_and_health_not_at_all() {
    let api = api().await;
    for _ in 0..3 {
        me(&api, "203.0.113.1").await.assert_error(401, "AUTH_006");
        let login = api.post(LOGIN).from("203.0.113.1").json(&json!({"email": "x", "password": "x"})).send().await;
        login.assert_error(401, "AUTH_001");
        api.post(REFRESH).from("203.0.113.1").send().await.assert_error(401, "AUTH_003");
    }
    me(&api, "203.0.113.1").await.assert_error(429, "RATE_LIMITED");
    api.get("/api/v1/pets").from("203.0.113.1").send().await.assert_error(429, "RATE_LIMITED");
    api.get("/nothing").from("203.0.113.1").send().await.assert_error(429, "RATE_LIMITED");
    let login = api.post(LOGIN).from("203.0.113.1").send().await;
    login.assert_error(429, "RATE_LIMITED");
    assert_eq!(login.header("ratelimit-policy"), "\"auth\";q=3;w=10800");
    let refresh = api.post(REFRESH).from("203.0.113.1").send().await;
    refresh.assert_error(429, "RATE_LIMITED");
    assert_eq!(refresh.header("ratelimit-policy"), "\"refresh\";q=3;w=10800");
    for path in ["/healthz", "/readyz"] {
        let health = api.get(path).from("203.0.113.1").send().await;
        assert_eq!((health.status.as_u16(), health.header("ratelimit")), (200, ""));
    }
}

#[tokio::test]
async fn asvs_4_1_3_a_made_up_forwarding_header_buys_nothing() {
    let api = api().await;
    let me = async |peer: &str, forwarded: &str| {
        api.get(ME).from(peer).header("x-forwarded-for", forwarded).send().await.status.as_u16()
    };
    for n in 0..3 {
        assert_eq!(me("203.0.113.1", &format!("198.51.100.{n}")).await, 401);
    }
    assert_eq!(me("203.0.113.1", "198.51.100.9").await, 429);
    assert_eq!(api.get(ME).from("203.0.113.1").header("forwarded", "for=192.0.2.1").send().await.status, 429);
    // Behind a trusted proxy, clients are told apart; what they claim in front is not believed.
    for n in 0..3 {
        assert_eq!(me("10.0.0.1", &format!("192.0.2.{n}, 198.51.100.1")).await, 401);
    }
    assert_eq!(me("10.0.0.1", "192.0.2.9, 198.51.100.1").await, 429);
    assert_eq!(me("10.0.0.1", "198.51.100.2").await, 401);
    assert_eq!(me("::ffff:10.0.0.2", "198.51.100.1").await, 429);
}

#[tokio::test]
async fn a_page_sees_that_it_was_limited() {
    let api = api().await;
    let ask = || api.get(ME).from("203.0.113.1").header("origin", "https://app.example.org").send();
    for _ in 0..3 {
        ask().await.assert_error(401, "AUTH_006");
    }
    let refused = ask().await;
    refused.assert_error(429, "RATE_LIMITED");
    assert_eq!(refused.header("access-control-allow-origin"), "https://app.example.org");
    let exposed = refused.header("access-control-expose-headers");
    assert!(["retry-after", "ratelimit", "ratelimit-policy"].iter().all(|name| exposed.contains(name)), "{exposed}");
}

#[tokio::test]
async fn limits_can_be_turned_off() {
    let api = api().await;
    let rate_limit = RateLimitSettings { enabled: false, ..HttpSettings::default().rate_limit };
    let api = Api::with(api.app, HttpSettings { rate_limit, ..HttpSettings::default() });
    for _ in 0..500 {
        let answer = me(&api, "203.0.113.1").await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit-policy")), (401, ""));
    }
}
