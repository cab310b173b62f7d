//! Pets over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const PETS: &str = "/api/v1/pets";

async fn add(api: &Api, owner: &Account, body: Value) -> Answer {
    let answer = api.post(PETS).bearer(&owner.access).json(&body).send().await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    api.app.clock.advance(Duration::from_millis(1));
    answer
}

async fn names(api: &Api, caller: &Account, query: &str) -> Vec<String> {
    let answer = api.get(&format!("{PETS}?{query}")).bearer(&caller.access).send().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.body["data"].as_array().unwrap().iter().map(|pet| pet["name"].as_str().unwrap().to_owned()).collect()
}

on_both! {
    async fn a_pet_is_added_and_read_back_by_anybody_signed_in(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let body = json!({"name": " Rex ", "species": "dog", "breed": "Beagle", "birthDate": "2021-05-30", "gender": "male",
            "size": "medium", "personality": ["calm", "calm", "brave"], "description": "Loves rain.\nHates cats."});
        let created = add(&api, &ada, body).await;
        let pet = created.body["data"].clone();
        let id = pet["id"].as_str().unwrap();
        assert_eq!(created.header("location"), format!("{PETS}/{id}"));
        let expected = json!({"id": id, "ownerId": ada.id, "name": "Rex", "species": "dog", "breed": "Beagle", "birthDate": "2021-05-30",
            "age": 5, "gender": "male", "size": "medium", "personality": ["calm", "brave"], "bio": "Loves rain.\nHates cats.", "photos": [],
            "verified": false, "status": "active", "createdAt": pet["createdAt"], "updatedAt": pet["createdAt"],
            "owner": {"id": ada.id, "displayName": "ada"}});
        let mut for_owner = expected.clone();
        for_owner["favoriteCount"] = json!(0);
        assert_eq!(pet, for_owner);
        assert!(pet["createdAt"].as_str().unwrap().ends_with('Z'));
        let read = api.get(&format!("{PETS}/{id}")).bearer(&bob.access).send().await;
        assert_eq!(read.body["data"], expected);
        assert!(!String::from_utf8(read.bytes).unwrap().contains("@example.org"), "an owner's e-mail is nobody's business");
    }

    async fn every_invalid_field_of_a_pet_is_named(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let body = json!({"name": "", "species": "dragon", "breed": "\u{0007}", "birthDate": "tomorrow", "gender": "x", "size": "x",
            "personality": [""], "bio": "x".repeat(1001), "status": "banned"});
        let answer = api.post(PETS).bearer(&ada.access).json(&body).send().await;
        let fields = ["bio", "birthDate", "breed", "gender", "name", "personality", "size", "species"];
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), fields);
        for (body, field) in [
            (json!({"name": "Rex", "species": "dog", "status": "banned"}), "status"),
            (json!({"name": "Rex", "species": "dog", "age": 2.5}), "age"),
            (json!({"name": "Rex", "species": "dog", "age": -1}), "age"),
            (json!({"name": "Rex", "species": "dog", "colour": "red"}), "colour"),
            (json!({"name": "Rex", "species": "dog", "personality": vec!["calm"; 65]}), "personality"),
            (json!({"name": "Rex", "species": "dog", "personality": "calm"}), "personality"),
            (json!({"name": "Rex", "species": "dog", "personality": [1]}), "personality[0]"),
            (json!({"name": {"a": 1}, "species": "dog"}), "name"),
            (json!({"name": "Rex"}), "species"),
        ] {
            let answer = api.post(PETS).bearer(&ada.access).json(&body).send().await;
            assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), [field], "{body}");
        }
        assert!(names(&api, &ada, "").await.is_empty());
    }

    async fn an_update_changes_what_is_sent_and_null_clears(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = add(&api, &ada, json!({"name": "Rex", "species": "dog", "breed": "Beagle", "age": 3, "bio": "Hi"})).await;
        let path = format!("{PETS}/{}", pet.text("/data/id"));
        assert_eq!((&pet.body["data"]["age"], pet.body["data"].get("birthDate")), (&json!(3), None));
        for method in [Method::PUT, Method::PATCH] {
            let name = format!("Rex {method}");
            let answer = api.call(method, &path).bearer(&ada.access).json(&json!({"name": name, "bio": null})).send().await;
            assert_eq!(answer.status, 200);
            let data = &answer.body["data"];
            assert_eq!((data["name"].as_str(), data["breed"].as_str(), data.get("bio")), (Some(name.as_str()), Some("Beagle"), None));
            assert!(data["updatedAt"].as_str() > data["createdAt"].as_str());
        }
        let answer = api.call(Method::PATCH, &path).bearer(&ada.access).json(&json!({"name": null})).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["name"]);
        // A year later the estimate has grown by itself.
        api.app.clock.advance(Duration::from_secs(366 * 86_400));
        let bob = api.register("bob").await;
        assert_eq!(api.get(&path).bearer(&bob.access).send().await.body["data"]["age"], 4);
    }

    async fn a_pet_can_be_sent_back_as_it_was_read(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let full = json!({"name": "Rex", "species": "dog", "breed": "Beagle", "birthDate": "2021-05-30", "gender": "male",
            "size": "medium", "personality": ["calm", "brave"], "bio": "Hi", "status": "hidden"});
        for body in [full, json!({"name": "Tom", "species": "cat", "age": 3})] {
            let pet = add(&api, &ada, body).await;
            let path = format!("{PETS}/{}", pet.text("/data/id"));
            let mut read = api.get(&path).bearer(&ada.access).send().await.body["data"].clone();
            for method in [Method::PATCH, Method::PUT] {
                let answer = api.call(method, &path).bearer(&ada.access).json(&read).send().await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                read["updatedAt"] = answer.body["data"]["updatedAt"].clone();
                assert_eq!(answer.body["data"], read);
            }
        }
    }

    async fn what_only_the_server_sets_is_taken_and_ignored(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let forged = json!({"id": bob.id, "ownerId": bob.id, "owner": {"id": bob.id, "displayName": "bob"}, "photos": [{"url": "x"}],
            "verified": true, "createdAt": "1999-01-01T00:00:00Z", "updatedAt": 7, "name": "Rex", "species": "dog"});
        let created = add(&api, &ada, forged.clone()).await;
        let path = format!("{PETS}/{}", created.text("/data/id"));
        let changed = api.call(Method::PATCH, &path).bearer(&ada.access).json(&forged).send().await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        for pet in [&created.body["data"], &changed.body["data"]] {
            assert_eq!((pet["ownerId"].as_str(), pet["owner"]["displayName"].as_str()), (Some(ada.id.as_str()), Some("ada")));
            assert_eq!((&pet["verified"], &pet["photos"], &pet["createdAt"]), (&json!(false), &json!([]), &created.body["data"]["createdAt"]));
            assert_ne!(pet["id"].as_str(), Some(bob.id.as_str()));
        }
    }

    async fn the_address_of_a_new_pet_is_right_when_the_routes_are_nested(app: TestApp) {
        let mut api = Api::new(app);
        let ada = api.register("ada").await;
        api.router = axum::Router::new().nest("/backend", api.router);
        let body = json!({"name": "Rex", "species": "dog"});
        let created = api.post("/backend/api/v1/pets").bearer(&ada.access).json(&body).send().await;
        assert_eq!(created.header("location"), format!("/backend{PETS}/{}", created.text("/data/id")));
        assert_eq!(api.get(created.header("location")).bearer(&ada.access).send().await.body["data"], created.body["data"]);
    }

    async fn somebody_elses_pet_can_be_seen_but_not_touched(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let pet = add(&api, &ada, json!({"name": "Rex", "species": "dog"})).await;
        let path = format!("{PETS}/{}", pet.text("/data/id"));
        api.call(Method::PATCH, &path).bearer(&bob.access).json(&json!({"name": "Mine"})).send().await.assert_error(403, "PET_002");
        api.call(Method::DELETE, &path).bearer(&bob.access).send().await.assert_error(403, "PET_002");
        let hidden = api.call(Method::PATCH, &path).bearer(&ada.access).json(&json!({"status": "hidden"})).send().await;
        assert_eq!(hidden.body["data"]["status"], "hidden");
        for method in [Method::GET, Method::DELETE] {
            api.call(method, &path).bearer(&bob.access).send().await.assert_error(404, "PET_001");
        }
        api.call(Method::PUT, &path).bearer(&bob.access).json(&json!({"name": "Mine"})).send().await.assert_error(404, "PET_001");
        assert_eq!(api.get(&path).bearer(&ada.access).send().await.status, 200);
    }

    async fn a_deleted_pet_is_gone(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = add(&api, &ada, json!({"name": "Rex", "species": "dog"})).await;
        let path = format!("{PETS}/{}", pet.text("/data/id"));
        let deleted = api.call(Method::DELETE, &path).bearer(&ada.access).send().await;
        assert_eq!(deleted.body, json!({"data": {"success": true}}));
        for method in [Method::GET, Method::DELETE] {
            api.call(method, &path).bearer(&ada.access).send().await.assert_error(404, "PET_001");
        }
        assert!(names(&api, &ada, "").await.is_empty());
        for nonsense in ["nonsense", "0", "%00", "01980000-0000-7000-8000-000000000000", "'%20OR%201=1"] {
            api.get(&format!("{PETS}/{nonsense}")).bearer(&ada.access).send().await.assert_error(404, "PET_001");
        }
    }

    async fn a_deleted_pet_is_restored_by_its_owner_for_a_month(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let pet = add(&api, &ada, json!({"name": "Rex", "species": "dog"})).await;
        let path = format!("{PETS}/{}", pet.text("/data/id"));
        let restore = format!("{path}/restore");
        api.post(&restore).bearer(&ada.access).send().await.assert_error(404, "PET_001");
        api.call(Method::DELETE, &path).bearer(&ada.access).send().await;
        api.post(&restore).bearer(&bob.access).send().await.assert_error(404, "PET_001");
        let restored = api.post(&restore).bearer(&ada.access).send().await;
        assert_eq!((restored.status.as_u16(), &restored.body["data"]["name"]), (200, &json!("Rex")), "{}", restored.body);
        let read = api.get(&path).bearer(&ada.access).send().await;
        assert_eq!(read.body["data"], restored.body["data"]);
        assert_eq!(api.get(&path).bearer(&bob.access).send().await.status, 200);
        assert_ne!(restored.header("etag"), pet.header("etag"), "it is not what an old copy is of");
        api.call(Method::DELETE, &path).bearer(&ada.access).send().await;
        api.app.clock.advance(Duration::from_secs(30 * 86_400 + 1));
        let ada = api.sign_in("ada").await;
        api.post(&restore).bearer(&ada.access).send().await.assert_error(404, "PET_001");
        api.post(&format!("{PETS}/nonsense/restore")).bearer(&ada.access).send().await.assert_error(404, "PET_001");
    }

    async fn filters_combine_and_show_only_what_the_caller_may_see(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        add(&api, &ada, json!({"name": "Rex", "species": "dog", "breed": "Golden Retriever"})).await;
        add(&api, &ada, json!({"name": "Tom", "species": "cat", "status": "hidden"})).await;
        add(&api, &bob, json!({"name": "Ivy", "species": "dog", "breed": "Beagle", "size": "small"})).await;
        add(&api, &bob, json!({"name": "Mia", "species": "cat", "gender": "female"})).await;
        for (caller, query, expected) in [
            (&ada, String::new(), vec!["Mia", "Ivy", "Rex"]),
            (&ada, "sort=createdAt".to_owned(), vec!["Rex", "Ivy", "Mia"]),
            (&ada, "species=dog".to_owned(), vec!["Ivy", "Rex"]),
            (&ada, "species=dog&breed=golden%20%20RETRIEVER".to_owned(), vec!["Rex"]),
            (&ada, "size=small".to_owned(), vec!["Ivy"]),
            (&ada, "gender=female".to_owned(), vec!["Mia"]),
            (&ada, format!("ownerId={}", ada.id), vec!["Tom", "Rex"]),
            (&ada, format!("ownerId={}&status=active", ada.id), vec!["Rex"]),
            (&ada, "status=hidden".to_owned(), vec!["Tom"]),
            (&bob, format!("ownerId={}", ada.id), vec!["Rex"]),
            (&bob, "status=hidden".to_owned(), vec![]),
            (&bob, format!("ownerId={}&status=hidden", ada.id), vec![]),
            (&bob, "status=banned".to_owned(), vec![]),
        ] {
            assert_eq!(names(&api, caller, &query).await, expected, "{query}");
        }
    }

    async fn pages_by_cursor_cover_the_list_once_while_it_grows(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        for n in 0..7 {
            add(&api, &ada, json!({"name": format!("pet {n}"), "species": "dog"})).await;
        }
        let mut seen = Vec::new();
        let mut path = format!("{PETS}?limit=3");
        loop {
            let page = api.get(&path).bearer(&ada.access).send().await;
            seen.extend(page.body["data"].as_array().unwrap().iter().map(|pet| pet["name"].as_str().unwrap().to_owned()));
            assert_eq!(page.body["pagination"]["limit"], 3);
            assert!(page.body["pagination"].get("total").is_none());
            let Some(cursor) = page.body["pagination"]["nextCursor"].as_str() else { break };
            path = format!("{PETS}?limit=3&cursor={cursor}");
            add(&api, &ada, json!({"name": "newcomer", "species": "dog"})).await;
        }
        assert_eq!(seen, (0..7).rev().map(|n| format!("pet {n}")).collect::<Vec<_>>());
        let offset = api.get(&format!("{PETS}?limit=2&offset=8")).bearer(&ada.access).send().await;
        assert_eq!(offset.body["pagination"], json!({"limit": 2, "nextCursor": null, "total": 9, "offset": 8}));
        assert_eq!(offset.body["data"].as_array().unwrap().len(), 1);
    }

    async fn a_wrong_query_is_refused_by_name(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        for n in 0..2 {
            add(&api, &ada, json!({"name": format!("pet {n}"), "species": "dog"})).await;
        }
        let page = api.get(&format!("{PETS}?limit=1")).bearer(&ada.access).send().await;
        let cursor = page.text("/pagination/nextCursor");
        for (query, fields) in [
            ("limit=0".to_owned(), vec!["limit"]),
            ("limit=101".to_owned(), vec!["limit"]),
            ("limit=many".to_owned(), vec!["limit"]),
            ("offset=10001".to_owned(), vec!["offset"]),
            ("offset=-1".to_owned(), vec!["offset"]),
            ("cursor=nonsense".to_owned(), vec!["cursor"]),
            (format!("species=dog&cursor={cursor}"), vec!["cursor"]),
            (format!("sort=createdAt&cursor={cursor}"), vec!["cursor"]),
            (format!("offset=1&cursor={cursor}"), vec!["offset"]),
            ("species=dragon&sort=age&ownerId=me".to_owned(), vec!["ownerId", "sort", "species"]),
            ("colour=red".to_owned(), vec!["colour"]),
            ("colour=red&colour=blue&limit=0".to_owned(), vec!["colour"]),
            ("species=dog&species=cat".to_owned(), vec!["species"]),
            ("limit=1&owner_id=x&limit=1".to_owned(), vec!["limit", "owner_id"]),
            ("species=%27%20OR%201%3D1".to_owned(), vec!["species"]),
        ] {
            let answer = api.get(&format!("{PETS}?{query}")).bearer(&ada.access).send().await;
            assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), fields, "{query}");
        }
        let answer = api.get(&format!("{PETS}?colour=red&species=dog&species=cat")).bearer(&ada.access).send().await;
        let expected = json!({"colour": ["is not a parameter of this list"], "species": ["is given twice"]});
        assert_eq!(answer.body["details"]["fields"], expected);
        let many: String = (0..1000).map(|n| format!("{n}=&")).collect();
        let answer = api.get(&format!("{PETS}?{many}")).bearer(&ada.access).send().await;
        assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields().len(), 16);
    }

    async fn changes_of_different_fields_at_the_same_moment_are_all_kept(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = add(&api, &ada, json!({"name": "Rex", "species": "dog"})).await;
        let path = format!("{PETS}/{}", pet.text("/data/id"));
        let changes = [json!({"breed": "Beagle"}), json!({"bio": "Hi"}), json!({"size": "small"}), json!({"gender": "male"})];
        let answers = futures_util::future::join_all(
            changes.iter().map(|body| api.call(Method::PATCH, &path).bearer(&ada.access).json(body).send()),
        ).await;
        assert_eq!(answers.iter().map(|answer| answer.status.as_u16()).collect::<BTreeSet<_>>(), BTreeSet::from([200]));
        let read = api.get(&path).bearer(&ada.access).send().await.body["data"].clone();
        for change in changes {
            for (field, value) in change.as_object().unwrap() {
                assert_eq!(read[field], *value);
            }
        }
    }

    async fn a_location_is_exact_for_the_owner_and_about_a_kilometre_for_others(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let location = json!({"latitude": 52.520_008, "longitude": 13.404_954, "city": "Berlin", "country": " "});
        let created = add(&api, &ada, json!({"name": "Rex", "species": "dog", "location": location})).await;
        let own = &created.body["data"]["location"];
        assert_eq!((&own["latitude"], &own["longitude"], &own["city"]), (&json!(52.520_008), &json!(13.404_954), &json!("Berlin")));
        assert!(own.get("country").is_none() && own.get("distanceKm").is_none());
        let url = format!("{PETS}/{}", created.body["data"]["id"].as_str().unwrap());
        let seen = api.get(&url).bearer(&bob.access).send().await.body["data"]["location"].clone();
        assert_eq!(seen, json!({"city": "Berlin", "roundedLat": own["roundedLat"], "roundedLng": own["roundedLng"]}));
        assert!(seen["roundedLat"] != own["latitude"] && seen["roundedLng"] != own["longitude"]);
        let listed = api.get(&format!("{PETS}?near=52.5,13.4&radiusKm=10")).bearer(&bob.access).send().await;
        assert_eq!(listed.body["data"][0]["location"]["distanceKm"].as_u64().map(|km| km < 6), Some(true), "{}", listed.body);
        assert!(!listed.body.to_string().contains("latitude"), "{}", listed.body);
        // As it was read, it can be sent back.
        let sent_back = api.call(Method::PATCH, &url).bearer(&ada.access).json(&json!({"location": own})).send().await;
        assert_eq!(sent_back.body["data"]["location"], *own);
        for wrong in [
            json!({"latitude": 1}),
            json!({"latitude": 91, "longitude": 0}),
            json!({"latitude": 0, "longitude": -180.5}),
            json!({"latitude": 0, "longitude": "0"}),
            json!({"city": "x".repeat(81)}),
            json!({"planet": "Mars"}),
            json!([52.5, 13.4]),
        ] {
            let answer = api.call(Method::PATCH, &url).bearer(&ada.access).json(&json!({"location": wrong})).send().await;
            answer.assert_error(400, "VALIDATION_FAILED");
        }
        let cleared = api.call(Method::PATCH, &url).bearer(&ada.access).json(&json!({"location": null})).send().await;
        assert!(cleared.body["data"].get("location").is_none(), "{}", cleared.body);
    }

    async fn pets_are_found_by_words_place_and_age(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        for (name, age, longitude) in [("Rex", 1, 13.4), ("Löwe", 5, 13.6), ("Max", 9, 14.6)] {
            let location = json!({"latitude": 52.5, "longitude": longitude});
            add(&api, &ada, json!({"name": name, "species": "dog", "age": age, "location": location})).await;
        }
        for (query, found) in [
            ("q=LOWE", vec!["Löwe"]),
            ("near=52.5,14.7&radiusKm=500", vec!["Max", "Löwe", "Rex"]),
            ("near=52.5,13.4&radiusKm=30&sort=name", vec!["Löwe", "Rex"]),
            ("minAge=5", vec!["Max", "Löwe"]),
            ("minAge=1&maxAge=5&sort=createdAt", vec!["Rex", "Löwe"]),
            ("maxAge=0", vec![]),
        ] {
            assert_eq!(names(&api, &ada, query).await, found, "{query}");
        }
        for (query, field) in [
            ("radiusKm=5", "radiusKm"),
            ("near=52.5,13.4&radiusKm=0.5", "radiusKm"),
            ("near=52.5,13.4&radiusKm=NaN", "radiusKm"),
            ("near=NaN,13.4", "near"),
            ("near=52.5", "near"),
            ("sort=distance", "sort"),
            ("minAge=-1", "minAge"),
            ("maxAge=81", "maxAge"),
            ("minAge=1.5", "minAge"),
            ("q=", "q"),
            ("q=%00", "q"),
        ] {
            let answer = api.get(&format!("{PETS}?{query}")).bearer(&ada.access).send().await;
            assert_eq!(answer.assert_error(400, "VALIDATION_FAILED").invalid_fields(), [field], "{query}");
        }
    }
}
