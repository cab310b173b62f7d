//! Breeds to suggest, over HTTP.

use petspark_core::testing::{Engine, TestApp};
use serde_json::json;

use crate::support::Api;

const BREEDS: &str = "/api/v1/pets/breeds";

#[tokio::test]
async fn breeds_are_suggested_by_any_of_their_names() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let ada = api.register("ada").await;
    let names = async |query: &str| {
        let answer = api.get(&format!("{BREEDS}?{query}")).bearer(&ada.access).send().await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.body["data"].as_array().unwrap().clone()
    };
    assert_eq!(
        names("species=dog&q=L%C3%96WCH").await,
        [json!({"name": "Löwchen", "synonyms": ["Little Lion Dog", "Petit Chien Lion"]})]
    );
    assert_eq!(names("species=dog&q=alsatian").await[0]["name"], "German Shepherd Dog");
    assert_eq!(names("species=dog&q=terrier&limit=3").await.len(), 3);
    for (query, count) in
        [("species=cat", 20), ("species=dog&q=&limit=100", 100), ("species=other", 0), ("species=dog&q=%22*", 0)]
    {
        assert_eq!(names(query).await.len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_wrong_question_for_breeds_is_refused_by_name() {
    let api = Api::new(TestApp::open(Engine::Sqlite).await);
    let ada = api.register("ada").await;
    for (query, fields) in [
        ("q=x", vec!["species"]),
        ("species=dragon&limit=many", vec!["limit", "species"]),
        ("species=dog&limit=0", vec!["limit"]),
        ("species=dog&limit=101", vec!["limit"]),
        (&format!("species=dog&q={}", "x".repeat(81)), vec!["q"]),
        ("species=dog&colour=red", vec!["colour"]),
    ] {
        let answer = api.get(&format!("{BREEDS}?{query}")).bearer(&ada.access).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), fields, "{query}");
    }
}
