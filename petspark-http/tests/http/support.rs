//! Sends requests through the router and reads answers.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use petspark_core::testing::TestApp;
use petspark_http::{HttpSettings, Peer};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The routes over a test's PetSpark.
pub(crate) struct Api {
    pub(crate) app: TestApp,
    pub(crate) router: Router,
}

impl Api {
    pub(crate) fn new(app: TestApp) -> Self {
        Self::with(app, HttpSettings::default())
    }

    pub(crate) fn with(app: TestApp, settings: HttpSettings) -> Self {
        let router = petspark_http::router_with(app.petspark.clone(), settings);
        Self { app, router }
    }

    /// A request to be filled and sent.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call { api: self, request: Request::builder().method(method).uri(path), body: Body::empty() }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    /// Registers `{name}@example.org`, and gives their access token.
    pub(crate) async fn register(&self, name: &str) -> Account {
        let body = json!({"email": format!("{name}@example.org"), "password": TestApp::PASSWORD, "displayName": name});
        let answer = self.post("/api/v1/auth/register").json(&body).send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        Account::of(&answer)
    }

    /// Signs `{name}@example.org` in once more.
    pub(crate) async fn sign_in(&self, name: &str) -> Account {
        let body = json!({"email": format!("{name}@example.org"), "password": TestApp::PASSWORD});
        let answer = self.post("/api/v1/auth/login").json(&body).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        Account::of(&answer)
    }
}

impl Account {
    fn of(answer: &Answer) -> Self {
        let text = |pointer: &str| answer.body.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        Self { id: text("/data/user/id"), access: text("/data/accessToken"), refresh: text("/data/refreshToken") }
    }
}

pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

pub(crate) struct Call<'a> {
    api: &'a Api,
    request: http::request::Builder,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// From this address, as a socket would tell it.
    pub(crate) fn from(mut self, ip: &str) -> Self {
        let peer = Peer(SocketAddr::new(ip.parse().unwrap(), 50_000));
        self.request = self.request.extension(ConnectInfo(peer));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        self.request = self.request.header(header::CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(self.body).unwrap();
        let response = self.api.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body, bytes: bytes.to_vec() }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Every line of a header that may be there more than once, in lower case.
    pub(crate) fn lines(&self, name: &str) -> String {
        let lines: Vec<_> = self.headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
        lines.join(", ").to_lowercase()
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no text at {pointer} in {}", self.body))
    }

    /// Asserts that this is an error in the one shape that all errors have.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.body["requestId"].as_str(), Some(self.header("x-request-id")));
        for key in ["error", "message"] {
            assert!(self.body[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {}", self.body);
        }
        self
    }

    /// The names of the fields that were refused.
    pub(crate) fn invalid_fields(&self) -> Vec<&str> {
        self.body["details"]["fields"]
            .as_object()
            .map_or_else(Vec::new, |fields| fields.keys().map(String::as_str).collect())
    }
}
