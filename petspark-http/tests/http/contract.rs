//! The published document against the server: every operation is real, and refuses strangers
//! unless it says that it doesn't.

use std::collections::BTreeSet;

use http::Method;
use petspark_core::testing::{Engine, TestApp};
use petspark_core::{PageRequest, auth, pets};
use serde_json::{Value, json};

use crate::support::Api;

pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) public: bool,
    pub(crate) document: Value,
}

pub(crate) async fn operations(api: &Api) -> (Value, Vec<Operation>) {
    let document = api.get("/api/openapi.json").send().await.body;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let public = operation["security"].as_array().is_some_and(|options| options.contains(&json!({})));
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.replace("{id}", "01980000-0000-7000-8000-000000000000").replace("{key}", "x"),
                public,
                document: operation.clone(),
            });
        }
    }
    (document, operations)
}

/// The enum that a schema is a reference to, nullable or not.
fn word_of<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let options = schema["oneOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
    let reference = options.iter().find_map(|option| option["$ref"].as_str())?;
    document.pointer(reference.trim_start_matches('#'))?.get("enum")
}

#[tokio::test]
async fn asvs_7_2_1_every_documented_operation_exists_and_refuses_strangers_unless_it_is_public() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(operations.len(), 87, "an operation was added or lost: look at its access, then change this number");
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
        "GET /.well-known/jwks.json",
        "GET /api/version",
        "GET /healthz",
        "GET /media/x",
        "GET /readyz",
        "POST /api/v1/auth/confirm-email-change",
        "POST /api/v1/auth/forgot-password",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/mfa/verify",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/resend-verification",
        "POST /api/v1/auth/reset-password",
        "POST /api/v1/auth/undo-email-change",
        "POST /api/v1/auth/verify-email",
        "POST /api/v1/payments/webhook",
        "PUT /media/x",
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
        assert_closed_and_bounded(&document, reference.as_str().unwrap());
    }
    assert!(operations.iter().any(|operation| operation.document.get("requestBody").is_some()));
}

fn assert_closed_and_bounded(document: &Value, reference: &str) {
    let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    assert_eq!(schema["additionalProperties"], false, "{reference}");
    for (name, property) in schema["properties"].as_object().unwrap() {
        // What is ignored needs no bound, and a word of an enum has one.
        if property["readOnly"] == true || word_of(document, property).is_some() {
            continue;
        }
        if let Some(inner) = property.pointer("/oneOf/0/$ref") {
            assert_closed_and_bounded(document, inner.as_str().unwrap());
            continue;
        }
        let types = property["type"].to_string();
        if types.contains("boolean") {
            continue;
        }
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

#[tokio::test]
async fn every_operation_has_a_name_and_says_how_it_fails() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    // Generated clients have a method of each name: two of one name, or one without, break them.
    let names: BTreeSet<_> =
        operations.iter().map(|operation| operation.document["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len(), "{names:?}");
    for operation in &operations {
        let responses = &operation.document["responses"];
        assert_eq!(responses["default"]["$ref"], "#/components/responses/Error", "{}", operation.path);
        assert!(operation.public || responses.get("401").is_some(), "{}", operation.path);
    }
    for response in ["Error", "Unauthenticated"] {
        let content = &document["components"]["responses"][response]["content"];
        assert_eq!(content["application/json"]["schema"]["$ref"], "#/components/schemas/ErrorBody");
    }
    let error = &document["components"]["schemas"]["ErrorBody"];
    assert_eq!(error["required"], json!(["error", "message", "code", "requestId"]));
    assert!(error["properties"].get("details").is_some());
}

#[tokio::test]
async fn the_document_names_the_words_and_bounds_that_the_server_takes() {
    fn words<T: Copy>(all: &[T], text: fn(T) -> &'static str) -> Value {
        all.iter().map(|word| text(*word)).collect()
    }
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    let schemas = &document["components"]["schemas"];
    let list = operations.iter().find(|operation| operation.document["operationId"] == "listPets").unwrap();
    let parameter = |name: &str| {
        let mut parameters = list.document["parameters"].as_array().unwrap().iter();
        &parameters.find(|parameter| parameter["name"] == name).unwrap()["schema"]
    };
    for (name, expected) in [
        ("species", words(pets::Species::ALL, pets::Species::as_str)),
        ("gender", words(pets::Gender::ALL, pets::Gender::as_str)),
        ("size", words(pets::Size::ALL, pets::Size::as_str)),
        ("status", words(pets::PetStatus::ALL, pets::PetStatus::as_str)),
    ] {
        for schema in [parameter(name), &schemas["Pet"]["properties"][name], &schemas["PetBody"]["properties"][name]] {
            assert_eq!(word_of(&document, schema), Some(&expected), "{name}: {schema}");
        }
    }
    let required = &schemas["PetBody"]["required"];
    assert!(required.is_null(), "{required}");
    let sort = words(pets::Sort::ALL, pets::Sort::as_str);
    assert_eq!(word_of(&document, parameter("sort")), Some(&sort));
    let user = &schemas["User"]["properties"];
    let roles = words(auth::Role::ALL, auth::Role::as_str);
    assert_eq!(word_of(&document, &user["roles"]["items"]), Some(&roles));
    let statuses = words(auth::UserStatus::ALL, auth::UserStatus::as_str);
    assert_eq!(word_of(&document, &user["status"]), Some(&statuses));
    let (limit, offset) = (parameter("limit"), parameter("offset"));
    assert!([limit, offset].iter().all(|schema| schema["type"].to_string().contains("integer")));
    assert_eq!((&limit["minimum"], &limit["maximum"]), (&json!(1), &json!(PageRequest::MAX_LIMIT)));
    assert_eq!(limit["default"], PageRequest::DEFAULT_LIMIT);
    assert_eq!((&offset["minimum"], &offset["maximum"]), (&json!(0), &json!(PageRequest::MAX_OFFSET)));
    assert!(schemas["Pagination"]["required"].as_array().unwrap().contains(&json!("nextCursor")));
    assert!(!schemas.to_string().contains("\"default\":"), "what a missing field means isn't what serde fills in");
    for name in ["id", "ownerId", "owner", "photos", "verified", "favoriteCount", "createdAt", "updatedAt"] {
        assert_eq!(schemas["PetBody"]["properties"][name]["readOnly"], true, "{name}");
    }
}
