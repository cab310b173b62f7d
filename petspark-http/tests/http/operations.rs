//! Health, readiness, version, documents, CORS.

use std::time::Duration;

use axum::routing::get;
use http::Method;
use petspark_core::auth::Role;
use petspark_core::backup::NewBackup;
use petspark_core::config::Value as _;
use petspark_core::testing::{Engine, TestApp, on_both};
use petspark_http::{HttpSettings, Origin};

use crate::admin_users::with_role;
use crate::support::Api;

on_both! {
    async fn a_server_with_a_migrated_database_is_ready(app: TestApp) {
        let api = Api::new(app);
        let ready = api.get("/readyz").send().await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        assert_eq!((ready.text("/status"), ready.text("/checks/database"), ready.text("/checks/migrations")), ("ready", "ok", "ok"));
        assert_eq!(ready.text("/checks/mail"), "ok");
    }

    async fn administrators_are_told_when_backups_last_went_well(app: TestApp) {
        let api = Api::new(app);
        let (admin, user) = (with_role(&api, "ada", Role::Admin).await, api.register("bob").await);
        let operator = petspark_core::Caller::operator("test");
        api.app.petspark.backups().create(&operator, &NewBackup::default()).await.unwrap();
        let told = api.get("/readyz?verbose").bearer(&admin.access).send().await;
        assert!(told.text("/backups/createdAt").ends_with('Z') && told.body["backups"]["provenAt"].is_null());
        for call in [
            api.get("/readyz").bearer(&admin.access),
            api.get("/readyz?verbose").bearer(&user.access),
            api.get("/readyz?verbose").bearer("nonsense"),
            api.get("/readyz?verbose=1"),
        ] {
            let answer = call.send().await;
            assert_eq!((answer.status.as_u16(), answer.body.get("backups")), (200, None), "{}", answer.body);
        }
    }

    async fn a_server_without_its_database_lives_and_is_not_ready(app: TestApp) {
        let api = Api::new(app);
        api.app.petspark.close().await;
        let ready = api.get("/readyz").send().await;
        assert_eq!(ready.status, 503);
        assert_eq!((ready.text("/status"), ready.text("/checks/database")), ("not ready", "failed"));
        assert!(!ready.body.to_string().contains("pool"));
        let health = api.get("/healthz").send().await;
        assert_eq!((health.status.as_u16(), health.text("/status")), (200, "healthy"));
    }
}

#[tokio::test]
async fn the_version_is_told() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let version = api.get("/api/version").send().await;
    assert_eq!(
        (version.text("/version"), version.text("/apiVersion"), version.text("/environment")),
        (env!("CARGO_PKG_VERSION"), "v1", "development")
    );
}

#[tokio::test]
async fn the_documentation_page_needs_nobody_elses_server() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let page = api.get("/docs/").send().await;
    let html = String::from_utf8(page.bytes.clone()).unwrap();
    assert_eq!(page.status, 200);
    assert!(html.contains("swagger-ui") && !html.contains("https://"), "{html}");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(api.get(&format!("/docs/{asset}")).send().await.status, 200, "{asset}");
    }
    let redirect = api.get("/docs").send().await;
    assert!(redirect.status.is_redirection());
    assert_eq!(redirect.header("location"), "docs/");
}

#[tokio::test]
async fn the_documentation_is_found_where_the_routes_are_nested() {
    let mut api = Api::new(TestApp::open(Engine::Sqlite).await);
    let plain = api.get("/api/openapi.json").send().await.body;
    assert_eq!(plain.get("servers"), None);
    api.router = axum::Router::new().nest("/backend", api.router);
    // Relative to /backend/docs: /backend/docs/, and from there /backend/api/openapi.json.
    assert_eq!(api.get("/backend/docs").send().await.header("location"), "docs/");
    assert_eq!(api.get("/backend/docs/").send().await.status, 200);
    let script = api.get("/backend/docs/swagger-initializer.js").send().await;
    assert!(String::from_utf8(script.bytes).unwrap().contains("\"../api/openapi.json\""));
    let nested = api.get("/backend/api/openapi.json").send().await;
    assert_eq!(nested.header("content-type"), "application/json");
    assert_eq!(nested.body["servers"], serde_json::json!([{"url": "/backend"}]));
    assert_eq!(nested.body["paths"], plain["paths"]);
}

#[tokio::test]
async fn the_documentation_can_be_turned_off() {
    let api = Api::with(TestApp::open(Engine::Sqlite).await, HttpSettings { docs: false, ..HttpSettings::default() });
    for path in ["/docs", "/docs/", "/api/openapi.json"] {
        api.get(path).send().await.assert_error(404, "ROUTE_NOT_FOUND");
    }
}

#[tokio::test]
async fn asvs_3_4_2_only_listed_origins_may_call_from_a_browser() {
    let origin = Origin::parse("https://app.example.org").unwrap();
    let api = Api::with(
        TestApp::open(Engine::Sqlite).await,
        HttpSettings { cors_origins: vec![origin], ..HttpSettings::default() },
    );
    let preflight = |from: &'static str| {
        api.call(Method::OPTIONS, "/api/v1/auth/login")
            .header("origin", from)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
    };
    let allowed = preflight("https://app.example.org").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example.org");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert_eq!(allowed.header("access-control-max-age"), "3600");
    assert!(allowed.lines("vary").contains("origin"));
    for from in [
        "https://evil.example",
        "null",
        "http://app.example.org",
        "https://app.example.org.evil.example",
        "https://xapp.example.org",
    ] {
        assert_eq!(preflight(from).await.header("access-control-allow-origin"), "", "{from}");
    }
    let error = api.get("/api/v1/auth/me").header("origin", "https://app.example.org").send().await;
    error.assert_error(401, "AUTH_006");
    assert_eq!(error.header("access-control-allow-origin"), "https://app.example.org");
    assert!(error.lines("vary").contains("origin"));
    let plain = Api::new(TestApp::open(Engine::Sqlite).await);
    let answer = plain.get("/api/v1/auth/me").header("origin", "https://app.example.org").send().await;
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "without a list, nobody");
}

/// A page shall see what went wrong, also where no handler got to say it.
#[tokio::test]
async fn an_answer_that_no_handler_made_can_be_read_by_listed_origins_too() {
    let settings = HttpSettings {
        cors_origins: vec![Origin::parse("https://app.example.org").unwrap()],
        request_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let app = TestApp::open(Engine::Sqlite).await;
    let router = axum::Router::new()
        .route("/never", get(|| async { std::future::pending::<()>().await }))
        .route("/panic", get(|| async { panic!("on purpose") as &'static str }));
    let router = petspark_http::surrounded(router, app.petspark.clone(), settings);
    let api = Api { app, router };
    for (path, status) in [("/never", 503), ("/panic", 500)] {
        let answer = api.get(path).header("origin", "https://app.example.org").send().await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.org");
        assert!(answer.header("access-control-expose-headers").contains("retry-after"));
        let evil = api.get(path).header("origin", "https://evil.example").send().await;
        assert_eq!((evil.status.as_u16(), evil.header("access-control-allow-origin")), (status, ""));
    }
}
