//! Whatever goes wrong, the answer has the one shape, and nothing of the inside is in it.

use http::Method;
use petspark_core::testing::{Engine, TestApp, on_both};
use petspark_http::HttpSettings;
use serde_json::json;

use crate::support::Api;

async fn api() -> Api {
    Api::new(TestApp::open(Engine::Sqlite).await)
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_method_are_told_apart() {
    let api = api().await;
    for path in ["/", "/api", "/api/v1", "/api/v1/nothing", "/api/v2/pets", "/healthz/x", "/api/v1/pets/", "//", "/%00"]
    {
        api.get(path).send().await.assert_error(404, "ROUTE_NOT_FOUND");
    }
    for (method, path, allow) in [
        (Method::GET, "/api/v1/auth/login", "POST"),
        (Method::DELETE, "/api/v1/auth/me", "GET,HEAD"),
        (Method::POST, "/healthz", "GET,HEAD"),
        (Method::PATCH, "/api/v1/pets", "GET,HEAD,POST"),
        (Method::TRACE, "/api/v1/pets/x", "GET,HEAD,PUT,PATCH,DELETE"),
    ] {
        let answer = api.call(method, path).send().await;
        answer.assert_error(405, "METHOD_NOT_ALLOWED");
        let mut allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        let mut expected: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{path}");
    }
}

#[tokio::test]
async fn a_body_must_be_json_of_the_right_type_and_size() {
    let api = api().await;
    let login = "/api/v1/auth/login";
    for broken in [
        "{",
        "nonsense",
        "{\"email\":}",
        "[1,2",
        "{\"email\":\"a@b.c\",\"password\":\"x\"} {}",
        "\u{feff}{}",
        "{\"email\":\"\u{0}\"}",
    ] {
        let answer = api.post(login).raw("application/json", broken).send().await;
        answer.assert_error(400, "INVALID_JSON");
    }
    let deep = format!("{{\"email\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(api.post(login).raw("application/json", deep).send().await.status.as_u16(), 413);
    let deep = format!("{{\"email\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(api.post(login).raw("application/json", deep).send().await.status.as_u16(), 400);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application", ""] {
        let answer = api.post(login).raw(content_type, r#"{"email":"a@b.c","password":"x"}"#).send().await;
        answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let answer = api.post(login).raw("Application/JSON; charset=utf-8", "{}").send().await;
    answer.assert_error(400, "VALIDATION_FAILED");
    for no_object in ["[]", "null", "7", r#"["ada@example.org", "correct horse battery"]"#] {
        api.post(login).raw("application/json", no_object).send().await.assert_error(400, "VALIDATION_FAILED");
    }
    api.post(login).raw("application/json", vec![0xff, 0xfe]).send().await.assert_error(400, "INVALID_JSON");
}

#[tokio::test]
async fn a_body_may_have_16_kib_for_signing_in_and_10_mib_for_a_pet_and_not_a_byte_more() {
    let api = api().await;
    let ada = api.register("ada").await;
    let padded = |length: usize| {
        let body = r#"{"email":"ada@example.org","password":"x"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    api.post("/api/v1/auth/login")
        .raw("application/json", padded(16 * 1024))
        .send()
        .await
        .assert_error(401, "AUTH_001");
    let over = api.post("/api/v1/auth/login").raw("application/json", padded(16 * 1024 + 1)).send().await;
    over.assert_error(413, "PAYLOAD_TOO_LARGE");
    let pet = |length: usize| {
        let body = r#"{"name":"Rex","species":"dog"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let exact = api.post("/api/v1/pets").bearer(&ada.access).raw("application/json", pet(10 << 20)).send().await;
    assert_eq!(exact.status, 201);
    let over = api.post("/api/v1/pets").bearer(&ada.access).raw("application/json", pet((10 << 20) + 1)).send().await;
    over.assert_error(413, "PAYLOAD_TOO_LARGE");
    // Without a length the body is counted while it is read.
    let chunks = futures_util::stream::iter((0..17).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    let streamed = axum::body::Body::from_stream(chunks);
    api.post("/api/v1/auth/login")
        .raw("application/json", streamed)
        .send()
        .await
        .assert_error(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn an_answer_about_a_wrong_field_is_short_and_does_not_repeat_what_was_sent() {
    let api = api().await;
    for body in [
        format!(r#"{{"email":"ada@example.org","password":{}}}"#, "7".repeat(18)),
        format!(r#"{{"email":"ada@example.org","password":"x","{}":1}}"#, "7".repeat(10_000)),
        format!(r#"{{"email":["{}"],"password":"x"}}"#, "7".repeat(10_000)),
    ] {
        let answer = api.post("/api/v1/auth/login").raw("application/json", body).send().await;
        answer.assert_error(400, "VALIDATION_FAILED");
        assert!(answer.bytes.len() < 1000, "{} bytes", answer.bytes.len());
        assert!(!answer.body["message"].as_str().unwrap().contains(&"7".repeat(200)), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_and_gets_one_if_it_has_none() {
    let api = api().await;
    let named = api.get("/healthz").header("x-request-id", "from-the-proxy-1").send().await;
    assert_eq!(named.header("x-request-id"), "from-the-proxy-1");
    let correlated = api.get("/healthz").header("x-correlation-id", "abc").send().await;
    assert_eq!(correlated.header("x-request-id"), "abc");
    let forged = api.get("/nothing").header("x-request-id", "<script>").send().await;
    forged.assert_error(404, "ROUTE_NOT_FOUND");
    assert_eq!(forged.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_internal_error_and_the_server_goes_on() {
    let app = TestApp::open(Engine::Sqlite).await;
    let router = petspark_http::surrounded(
        axum::Router::new().route("/panic", axum::routing::get(|| async { panic!("a secret reason") as &'static str })),
        app.petspark.clone(),
        HttpSettings::default(),
    );
    let api = Api { app, router };
    for _ in 0..2 {
        let answer = api.get("/panic").send().await;
        answer.assert_error(500, "INTERNAL_ERROR");
        assert!(!answer.body.to_string().contains("secret"));
    }
}

on_both! {
    async fn a_database_that_is_gone_is_503_with_no_word_of_why(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        assert_eq!(api.get("/api/v1/auth/me").bearer(&ada.access).send().await.status, 200);
        api.app.petspark.close().await;
        let body = json!({"email": "a@example.org", "password": "correct horse", "displayName": "A"});
        for answer in [
            api.get("/api/v1/auth/me").bearer(&ada.access).send().await,
            api.get("/api/v1/pets").bearer(&ada.access).send().await,
            api.post("/api/v1/auth/register").json(&body).send().await,
            api.post("/api/v1/auth/refresh").json(&json!({"refreshToken": ada.refresh})).send().await,
            api.post("/api/v1/auth/logout").bearer(&ada.access).send().await,
        ] {
            answer.assert_error(503, "UNAVAILABLE");
            assert_eq!(answer.header("retry-after"), "1");
            let body = answer.body.to_string().to_lowercase();
            assert!(["sql", "pool", "postgres", "database"].iter().all(|word| !body.contains(word)), "{body}");
        }
    }
}
