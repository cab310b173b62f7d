//! The published document against the server: every operation is real, and refuses strangers
//! unless it says that it doesn't.

use http::Method;
use petspark_core::testing::{Engine, TestApp};
use serde_json::Value;

use crate::support::Api;

struct Operation {
    method: Method,
    path: String,
    public: bool,
    document: Value,
}

async fn operations(api: &Api) -> (Value, Vec<Operation>) {
    let document = api.get("/api/openapi.json").send().await.body;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let public =
                operation["security"].as_array().is_some_and(|options| options.contains(&serde_json::json!({})));
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.replace("{id}", "01980000-0000-7000-8000-000000000000"),
                public,
                document: operation.clone(),
            });
        }
    }
    (document, operations)
}

#[tokio::test]
async fn every_documented_operation_exists_and_refuses_strangers_unless_it_is_public() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
    assert_eq!(operations.len(), 14, "an operation was added or lost: look at its access, then change this number");
    let mut public = Vec::new();
    for operation in operations {
        let answer = api.call(operation.method.clone(), &operation.path).raw("application/json", "{}").send().await;
        assert!(
            ![404, 405].contains(&answer.status.as_u16()) || operation.public,
            "{} {}",
            operation.method,
            operation.path
        );
        if operation.public {
            public.push(format!("{} {}", operation.method, operation.path));
        } else {
            answer.assert_error(401, "AUTH_006");
        }
    }
    public.sort_unstable();
    let expected = [
        "GET /api/version",
        "GET /healthz",
        "GET /readyz",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/register",
    ];
    assert_eq!(public, expected);
}

#[tokio::test]
async fn every_body_in_the_document_is_closed_and_bounded() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    for operation in &operations {
        let Some(reference) = operation.document.pointer("/requestBody/content/application~1json/schema/$ref") else {
            continue;
        };
        let schema = document.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{reference}");
        for (name, property) in schema["properties"].as_object().unwrap() {
            let types = property["type"].to_string();
            let bound = if types.contains("string") {
                "maxLength"
            } else if types.contains("array") {
                "maxItems"
            } else {
                "maximum"
            };
            assert!(property.get(bound).is_some(), "{reference} {name} has no {bound}: {property}");
        }
    }
    assert!(operations.iter().any(|operation| operation.document.get("requestBody").is_some()));
}
