//! Entity tags: what hasn't changed isn't sent again, and nobody overwrites what they haven't seen.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const PROFILE: &str = "/api/v1/users/profile";
const PREFERENCES: &str = "/api/v1/users/preferences";

async fn rex(api: &Api, owner: &Account) -> (String, Answer) {
    let body = json!({"name": "Rex", "species": "dog", "birthDate": "2020-11-23"});
    let created = api.post("/api/v1/pets").bearer(&owner.access).json(&body).send().await;
    (created.header("location").to_owned(), created)
}

async fn get(api: &Api, who: &Account, path: &str, known: &str) -> Answer {
    api.get(path).bearer(&who.access).header("if-none-match", known).send().await
}

async fn put(api: &Api, who: &Account, path: &str, header: (&str, &str), body: &Value) -> Answer {
    api.call(Method::PUT, path).bearer(&who.access).header(header.0, header.1).json(body).send().await
}

async fn tag(api: &Api, who: &Account, path: &str) -> String {
    let answer = api.get(path).bearer(&who.access).send().await;
    let tag = answer.header("etag");
    assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong tag: {tag}");
    tag.to_owned()
}

on_both! {
    async fn what_the_client_has_is_not_sent_again(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, _) = rex(&api, &ada).await;
        for path in [pet.as_str(), PROFILE, PREFERENCES] {
            let tag = tag(&api, &ada, path).await;
            for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
                let same = get(&api, &ada, path, &known).await;
                assert_eq!((same.status.as_u16(), same.bytes.as_slice(), same.header("etag")), (304, &b""[..], tag.as_str()), "{known}");
                assert_eq!((same.header("cache-control"), same.headers.get("content-type")), ("no-store", None));
            }
            for known in ["\"x\"", "W/\"1-x\"", tag.trim_end_matches('"').trim_start_matches('"')] {
                let answer = get(&api, &ada, path, known).await;
                assert_eq!(answer.status.as_u16(), if known.starts_with(['"', 'W']) { 200 } else { 400 }, "{known}");
            }
        }
    }

    async fn what_looks_different_is_sent_whatever_made_it_different(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let (pet, created) = rex(&api, &ada).await;
        let first = tag(&api, &bob, &pet).await;
        assert_eq!(created.header("etag"), tag(&api, &ada, &pet).await);
        put(&api, &ada, PROFILE, ("if-match", "*"), &json!({"displayName": "Ada"})).await;
        let renamed = get(&api, &bob, &pet, &first).await;
        assert_eq!((renamed.status.as_u16(), renamed.text("/data/owner/displayName")), (200, "Ada"));
        // The pet's birthday.
        api.app.clock.advance(Duration::from_secs(4 * 3600));
        let bob = api.sign_in("bob").await;
        let older = get(&api, &bob, &pet, renamed.header("etag")).await;
        assert_eq!((older.status.as_u16(), &older.body["data"]["age"]), (200, &json!(6)));
        assert_eq!(get(&api, &bob, &pet, older.header("etag")).await.status, 304);
        // Neither is a change of the pet itself that could be overwritten unseen.
        let ada = api.sign_in("ada").await;
        assert_eq!(put(&api, &ada, &pet, ("if-match", &first), &json!({"bio": "Old."})).await.status, 200);
        assert_eq!(get(&api, &bob, &pet, older.header("etag")).await.text("/data/bio"), "Old.");
    }

    async fn a_change_of_something_that_was_changed_since_is_refused(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, _) = rex(&api, &ada).await;
        for path in [pet.as_str(), PROFILE, PREFERENCES] {
            let first = tag(&api, &ada, path).await;
            let changed = put(&api, &ada, path, ("if-match", &first), &json!({"bio": "first"})).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
            let second = tag(&api, &ada, path).await;
            assert_eq!((changed.header("etag"), second == first), (second.as_str(), false));
            let weak = format!("W/{second}");
            for stale in [first.as_str(), "\"x\"", "\"99-x\"", weak.as_str(), "W/\"x\", \"y\""] {
                let refused = put(&api, &ada, path, ("if-match", stale), &json!({"bio": "lost"})).await;
                refused.assert_error(412, "PRECONDITION_FAILED");
            }
            put(&api, &ada, path, ("if-none-match", "*"), &json!({"bio": "lost"})).await.assert_error(412, "PRECONDITION_FAILED");
            for (header, wrong) in [("If-Match", "x"), ("If-Match", ""), ("If-Match", "\"x"), ("If-None-Match", second.as_str())] {
                let refused = put(&api, &ada, path, (header, wrong), &json!({"bio": "lost"})).await;
                assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), [header], "{wrong}");
            }
            assert_eq!(tag(&api, &ada, path).await, second, "nothing was changed");
            let one_of_three = format!("{first}, \"x\",{second}");
            for current in [one_of_three.as_str(), "*"] {
                assert_eq!(put(&api, &ada, path, ("if-match", current), &json!({"bio": current})).await.status, 200);
            }
        }
    }

    async fn a_pet_is_patched_and_deleted_only_as_it_was_seen(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let (pet, created) = rex(&api, &ada).await;
        let call = |who: &Account, method: Method, tag: &str| {
            api.call(method, &pet).bearer(&who.access).header("if-match", tag).json(&json!({"bio": "Hi"}))
        };
        let patched = call(&ada, Method::PATCH, created.header("etag")).send().await;
        assert_eq!(patched.status, 200);
        for method in [Method::PATCH, Method::DELETE] {
            call(&ada, method.clone(), created.header("etag")).send().await.assert_error(412, "PRECONDITION_FAILED");
            // Whose it is matters before what it is like.
            call(&bob, method, created.header("etag")).send().await.assert_error(403, "PET_002");
        }
        assert_eq!(call(&ada, Method::DELETE, patched.header("etag")).send().await.status, 200);
        for method in [Method::PATCH, Method::DELETE] {
            call(&ada, method, patched.header("etag")).send().await.assert_error(404, "PET_001");
        }
    }

    async fn of_changes_meant_for_one_version_one_is_made(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, _) = rex(&api, &ada).await;
        for path in [pet.as_str(), PROFILE, PREFERENCES] {
            let tag = tag(&api, &ada, path).await;
            let bodies: Vec<_> = (0..8).map(|n| json!({"bio": n.to_string()})).collect();
            let answers = join_all(bodies.iter().map(|body| put(&api, &ada, path, ("if-match", &tag), body))).await;
            let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(made.len(), 1, "{path}");
            assert_eq!(api.get(path).bearer(&ada.access).send().await.bytes, made[0].bytes);
            for refused in answers.iter().filter(|answer| answer.status != 200) {
                refused.assert_error(412, "PRECONDITION_FAILED");
            }
        }
    }
}
