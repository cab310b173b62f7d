//! Requests that a phone sends twice: the second gets the first one's answer and creates nothing.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const PETS: &str = "/api/v1/pets";

async fn add(api: &Api, owner: &Account, key: &str, body: &Value) -> Answer {
    api.post(PETS).bearer(&owner.access).header("idempotency-key", key).json(body).send().await
}

async fn count(api: &Api, owner: &Account) -> usize {
    let answer = api.get(&format!("{PETS}?ownerId={}", owner.id)).bearer(&owner.access).send().await;
    answer.body["data"].as_array().unwrap().len()
}

on_both! {
    async fn a_request_sent_again_gets_the_first_answer_to_the_letter(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let first = add(&api, &ada, "k", &json!({"name": "Rex", "species": "dog", "birthDate": "2020-11-23"})).await;
        assert_eq!((first.status.as_u16(), first.headers.get("idempotency-replayed")), (201, None));
        assert_eq!(first.body["data"]["age"], 5);
        // Its birthday comes, and the same is said in other words.
        api.app.clock.advance(Duration::from_secs(4 * 3600));
        let ada = api.sign_in("ada").await;
        let again = api.post(PETS).bearer(&ada.access).header("Idempotency-Key", "k")
            .raw("application/json", r#" {"species":"dog", "birthDate":"2020-11-23", "name":"Rex"} "#).send().await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (first.status, "true"));
        assert_eq!(again.bytes, first.bytes);
        for header in ["location", "etag", "content-type"] {
            assert_eq!((again.header(header), again.headers.contains_key(header)), (first.header(header), true));
        }
        let read = api.get(first.header("location")).bearer(&ada.access).send().await;
        assert_eq!((&read.body["data"]["id"], &read.body["data"]["age"]), (&first.body["data"]["id"], &json!(6)));
        assert_eq!(count(&api, &ada).await, 1);
    }

    async fn the_same_request_of_twenty_clients_makes_one_pet(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let body = json!({"name": "Rex", "species": "dog"});
        let answers = join_all((0..20).map(|_| add(&api, &ada, "8e03978e-40d5-43e8-bc93-6894a57f9324", &body))).await;
        for answer in &answers {
            assert_eq!((answer.status.as_u16(), &answer.bytes), (201, &answers[0].bytes), "{}", answer.body);
        }
        assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed") != "true").count(), 1);
        assert_eq!(count(&api, &ada).await, 1);
    }

    async fn a_key_stands_for_one_request_of_one_user(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let (rex, max) = (json!({"name": "Rex", "species": "dog"}), json!({"name": "Max", "species": "dog"}));
        add(&api, &ada, "k", &json!({"name": "", "species": "dog"})).await.assert_error(400, "VALIDATION_FAILED");
        assert_eq!(add(&api, &ada, "k", &rex).await.status, 201);
        add(&api, &ada, "k", &max).await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(add(&api, &bob, "k", &max).await.text("/data/ownerId"), bob.id);
        assert_eq!(add(&api, &ada, "k2", &rex).await.headers.get("idempotency-replayed"), None);
        assert_eq!((count(&api, &ada).await, count(&api, &bob).await), (2, 1));
        api.post(PETS).header("idempotency-key", "k").json(&rex).send().await.assert_error(401, "AUTH_006");
    }

    async fn what_is_no_key_is_refused(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let rex = json!({"name": "Rex", "species": "dog"});
        for key in ["", "schlüssel", "a\tb", &"x".repeat(256)] {
            let answer = add(&api, &ada, key, &rex).await;
            assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["Idempotency-Key"], "{key}");
        }
        let twice = api.post(PETS).bearer(&ada.access).header("idempotency-key", "a").header("idempotency-key", "a");
        twice.json(&rex).send().await.assert_error(400, "VALIDATION_FAILED");
        assert_eq!(count(&api, &ada).await, 0);
        assert_eq!(add(&api, &ada, &"x".repeat(255), &rex).await.status, 201);
    }
}
