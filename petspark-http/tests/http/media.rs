//! `/uploads`, `/photos`, `/media` and `/pets/{id}/photos/order`.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Method;
use petspark_core::testing::{jpeg, on_both};
use petspark_http::HttpSettings;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Api};

const TEN_MIB: usize = 10 << 20;

async fn rex(api: &Api, owner: &Account) -> String {
    let body = json!({"name": "Rex", "species": "dog"});
    let answer = api.post("/api/v1/pets").bearer(&owner.access).json(&body).send().await;
    answer.text("/data/id").to_owned()
}

fn announced(bytes: &[u8], pet: &str) -> Value {
    json!({"fileName": "rex.jpg", "fileSize": bytes.len(), "fileType": "image/jpeg", "uploadType": "pet-photo", "petId": pet})
}

async fn sign(api: &Api, by: &Account, body: &Value) -> Answer {
    api.post("/api/v1/uploads/sign-url").bearer(&by.access).json(body).send().await
}

async fn complete(api: &Api, by: &Account, key: &str) -> Answer {
    api.post("/api/v1/uploads/complete")
        .bearer(&by.access)
        .json(&json!({"key": key, "uploadType": "pet-photo"}))
        .send()
        .await
}

/// A form of the two fields and a file, as browsers send it.
fn form(pet: &str, file_type: &str, bytes: &[u8]) -> Vec<u8> {
    let field =
        |name: &str, value: &str| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"rex.jpg\"\r\nContent-Type: {file_type}\r\n\r\n"
    );
    [
        field("uploadType", "pet-photo").as_bytes(),
        field("petId", pet).as_bytes(),
        head.as_bytes(),
        bytes,
        b"\r\n--XX--\r\n",
    ]
    .concat()
}

async fn post_form(api: &Api, by: &Account, body: impl Into<Body>) -> Answer {
    api.post("/api/v1/uploads").bearer(&by.access).raw("multipart/form-data; boundary=XX", body).send().await
}

/// A photo that is shown, as its owner gets it.
async fn shown(api: &Api, by: &Account, pet: &str, seed: u32) -> Value {
    let made = post_form(api, by, form(pet, "image/jpeg", &jpeg(600, 400, seed))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    api.app.run_jobs().await;
    let path = format!("/api/v1/photos/{}", made.text("/data/id"));
    api.get(&path).bearer(&by.access).send().await.body["data"].clone()
}

on_both! {
    async fn a_file_goes_where_it_was_announced_and_comes_out_as_a_photo(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, bytes) = (rex(&api, &ada).await, jpeg(600, 400, 1));
        let signed = sign(&api, &ada, &announced(&bytes, &pet)).await;
        assert_eq!((signed.status.as_u16(), signed.text("/data/method")), (201, "PUT"));
        assert_eq!(signed.body["data"]["headers"], json!({"content-type": "image/jpeg"}));
        let (url, key) = (signed.text("/data/uploadUrl"), signed.text("/data/key"));
        complete(&api, &ada, key).await.assert_error(409, "UPLOAD_004");
        api.call(Method::PUT, url).raw("text/html", bytes.clone()).send().await.assert_error(422, "UPLOAD_005");
        api.call(Method::PUT, url).raw("image/jpeg", bytes[1..].to_vec()).send().await.assert_error(422, "UPLOAD_005");
        api.call(Method::PUT, &url[..url.len() - 2]).raw("image/jpeg", bytes.clone()).send().await.assert_error(403, "UPLOAD_007");
        assert_eq!(api.call(Method::PUT, url).raw("image/jpeg", bytes.clone()).send().await.status, 200);
        api.call(Method::PUT, url).raw("image/jpeg", bytes.clone()).send().await.assert_error(412, "UPLOAD_008");
        api.get(url).send().await.assert_error(403, "UPLOAD_007");

        let completed = complete(&api, &ada, key).await;
        assert_eq!((completed.status.as_u16(), completed.text("/data/status")), (200, "processing"));
        api.app.run_jobs().await;
        let photo = api.get(&format!("/api/v1/photos/{}", completed.text("/data/id"))).bearer(&ada.access).send().await;
        assert_eq!((photo.text("/data/status"), photo.text("/data/fileName")), ("approved", "rex.jpg"));
        let pet = api.get(&format!("/api/v1/pets/{pet}")).bearer(&ada.access).send().await;
        let shown = &pet.body["data"]["photos"][0];
        for field in ["id", "url", "thumbnailUrl", "variants", "placeholder", "uploadedAt", "order"] {
            assert_eq!(shown[field], photo.body["data"][field], "{field}");
        }
        assert_eq!((shown["variants"][0]["name"].as_str(), shown["variants"][0]["type"].as_str()), (Some("thumb"), Some("image/jpeg")));
    }

    async fn what_is_said_of_a_file_is_refused_field_by_field(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let pet = rex(&api, &ada).await;
        let with = |field: &str, value: Value| {
            let mut body = announced(b"1234", &pet);
            body[field] = value;
            body
        };
        for (field, value) in [("fileName", json!("")), ("fileType", json!("image/svg+xml")), ("uploadType", json!("x")), ("petId", json!("x")), ("fileSize", json!(0)), ("checksumSha256", json!("x"))] {
            let refused = sign(&api, &ada, &with(field, value)).await;
            assert_eq!(refused.assert_error(400, "UPLOAD_001").invalid_fields(), [field]);
        }
        let heic = sign(&api, &ada, &with("fileType", json!("image/heic"))).await;
        assert!(heic.body["details"]["fields"]["fileType"][0].as_str().unwrap().contains("JPEG"), "{}", heic.body);
        sign(&api, &ada, &with("fileSize", json!(TEN_MIB + 1))).await.assert_error(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(sign(&api, &ada, &with("fileSize", json!(TEN_MIB))).await.status, 201);
        sign(&api, &bob, &announced(b"1234", &pet)).await.assert_error(403, "UPLOAD_002");
        complete(&api, &ada, "../../etc/passwd").await.assert_error(404, "UPLOAD_003");
        api.call(Method::DELETE, "/api/v1/uploads/a/b/c.jpg").bearer(&ada.access).send().await.assert_error(404, "UPLOAD_003");
        api.get("/api/v1/photos/x").bearer(&ada.access).send().await.assert_error(404, "PHOTO_001");
    }

    async fn ten_mib_pass_and_one_byte_more_does_not(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = rex(&api, &ada).await;
        let small = jpeg(300, 200, 1);
        // A decoder stops at the end of the image; what follows is only length.
        let padded = |length: usize| [&small[..], &vec![0; length - small.len()]].concat();
        let exact = post_form(&api, &ada, form(&pet, "image/jpeg", &padded(TEN_MIB))).await;
        assert_eq!(exact.status, 201, "{}", exact.body);
        post_form(&api, &ada, form(&pet, "image/jpeg", &padded(TEN_MIB + 1))).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    }

    async fn a_body_that_breaks_off_or_isnt_a_form_is_refused(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = rex(&api, &ada).await;
        let whole = form(&pet, "image/jpeg", &jpeg(300, 200, 1));
        let half = post_form(&api, &ada, whole[..whole.len() / 2].to_vec()).await;
        assert_eq!(half.status, 400, "{}", half.body);
        let pieces = stream::iter([Ok(Bytes::from(whole[..500].to_vec())), Err(std::io::Error::other("gone"))]);
        assert_eq!(post_form(&api, &ada, Body::from_stream(pieces)).await.status, 400);
        post_form(&api, &ada, "--XX--\r\n").await.assert_error(400, "VALIDATION_FAILED");
        let long = form(&"x".repeat(100_000), "image/jpeg", b"1234");
        assert_eq!(post_form(&api, &ada, long).await.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["petId"]);
        let json = api.post("/api/v1/uploads").bearer(&ada.access).json(&json!({})).send().await;
        json.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let html = form(&pet, "image/jpeg", b"<html><script>alert(1)</script></html>");
        post_form(&api, &ada, html).await.assert_error(422, "UPLOAD_005");
        api.app.clock.advance(std::time::Duration::from_secs(7200));
        api.app.run_jobs().await;
        let dry_run = petspark_core::media::Collect { dry_run: true, ..Default::default() };
        let kept = api.app.petspark.media().collect(&petspark_core::Caller::operator("t"), &dry_run, |_| true).await.unwrap();
        assert_eq!(kept.objects, 0, "nothing of all that is kept");
    }

    async fn who_sends_a_file_too_slowly_is_cut_off(app: TestApp) {
        let settings = HttpSettings { upload_timeout: Duration::from_millis(300), ..HttpSettings::default() };
        let api = Api::with(app, settings);
        let ada = api.register("ada").await;
        let (pet, bytes) = (rex(&api, &ada).await, jpeg(300, 200, 1));
        let begins = |bytes: &[u8]| {
            let beginning = Ok::<_, std::io::Error>(Bytes::copy_from_slice(&bytes[..bytes.len() / 2]));
            Body::from_stream(stream::iter([beginning]).chain(stream::pending()))
        };
        let slow = post_form(&api, &ada, begins(&form(&pet, "image/jpeg", &bytes))).await;
        slow.assert_error(408, "REQUEST_TIMEOUT");
        let signed = sign(&api, &ada, &announced(&bytes, &pet)).await;
        let url = signed.text("/data/uploadUrl");
        api.call(Method::PUT, url).raw("image/jpeg", begins(&bytes)).send().await.assert_error(408, "REQUEST_TIMEOUT");
        assert_eq!(api.call(Method::PUT, url).raw("image/jpeg", bytes.clone()).send().await.status, 200, "and may try again");
    }

    async fn a_phone_that_sends_a_file_twice_has_it_once(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, bytes) = (rex(&api, &ada).await, jpeg(300, 200, 1));
        let send = async |bytes: &[u8]| {
            let form = form(&pet, "image/jpeg", bytes);
            let call = api.post("/api/v1/uploads").bearer(&ada.access).header("idempotency-key", "one");
            call.raw("multipart/form-data; boundary=XX", form).send().await
        };
        let (first, again) = (send(&bytes).await, send(&bytes).await);
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201), "{}", again.body);
        assert_eq!((first.text("/data/id"), again.header("idempotency-replayed")), (again.text("/data/id"), "true"));
        send(&jpeg(300, 200, 2)).await.assert_error(409, "IDEMPOTENCY_KEY_REUSED");
        let announced = announced(&bytes, &pet);
        let sign = async || {
            let call = api.post("/api/v1/uploads/sign-url").bearer(&ada.access).header("idempotency-key", "two");
            call.json(&announced).send().await
        };
        let (first, again) = (sign().await, sign().await);
        assert_eq!((first.text("/data/key"), again.header("idempotency-replayed")), (again.text("/data/key"), "true"));
    }

    async fn a_store_that_is_away_is_told_and_takes_nothing_else_along(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let (pet, bytes) = (rex(&api, &ada).await, jpeg(300, 200, 1));
        let folder = &api.app.petspark.settings().objects.folder;
        std::fs::write(folder, "no folder").unwrap();
        post_form(&api, &ada, form(&pet, "image/jpeg", &bytes)).await.assert_error(503, "UNAVAILABLE");
        let ready = api.get("/readyz").send().await;
        assert_eq!((ready.status.as_u16(), ready.text("/checks/mediaStore")), (200, "failed"), "{}", ready.body);
        let told = ready.body.to_string();
        assert!(!told.contains("folder") && !told.contains('/'), "no word of where: {told}");
        assert_eq!(api.get(&format!("/api/v1/pets/{pet}")).bearer(&ada.access).send().await.status, 200);
        std::fs::remove_file(folder).unwrap();
        assert_eq!(post_form(&api, &ada, form(&pet, "image/jpeg", &bytes)).await.status, 201);
    }

    async fn a_public_photo_is_cached_for_ever_and_served_in_parts(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let pet = rex(&api, &ada).await;
        let photo = shown(&api, &ada, &pet, 1).await;
        let url = photo["url"].as_str().unwrap();
        let whole = api.get(url).send().await;
        assert_eq!((whole.status.as_u16(), whole.header("content-type")), (200, "image/jpeg"));
        assert_eq!(whole.header("content-length"), whole.bytes.len().to_string());
        for (name, value) in [
            ("cache-control", "public, max-age=31536000, immutable"), ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "cross-origin"), ("content-disposition", "inline"),
            ("content-security-policy", "default-src 'none'; sandbox"), ("accept-ranges", "bytes"),
        ] {
            assert_eq!(whole.header(name), value, "{name}");
        }
        let (etag, size) = (whole.header("etag"), whole.bytes.len());
        let head = api.call(Method::HEAD, url).send().await;
        assert_eq!((head.status.as_u16(), head.header("content-length"), head.bytes.len()), (200, &*size.to_string(), 0));
        let known = api.get(url).header("if-none-match", etag).send().await;
        assert_eq!((known.status.as_u16(), known.header("etag"), known.bytes.len()), (304, etag, 0));
        assert_eq!(api.get(url).header("if-none-match", "\"other\"").send().await.status, 200);

        for (range, part) in [("bytes=0-9", 0..10), ("bytes=-5", size - 5..size), ("bytes=10-", 10..size), ("bytes=5-99999999", 5..size)] {
            let answer = api.get(url).header("range", range).send().await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.header("content-range"), format!("bytes {}-{}/{size}", part.start, part.end - 1));
            assert_eq!(answer.bytes, whole.bytes[part], "{range}");
        }
        let beyond = api.get(url).header("range", "bytes=99999999-").send().await;
        assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
        beyond.assert_error(416, "RANGE_NOT_SATISFIABLE");
        for ignored in ["lines=1-2", "bytes=x"] {
            assert_eq!(api.get(url).header("range", ignored).send().await.bytes, whole.bytes, "{ignored}");
        }
        let changed = api.get(url).header("range", "bytes=0-9").header("if-range", "\"other\"").send().await;
        assert_eq!((changed.status.as_u16(), changed.bytes.len()), (200, size));
        let same = api.get(url).header("range", "bytes=0-9").header("if-range", etag).send().await;
        assert_eq!(same.status, 206);
        api.get(&format!("{url}x")).send().await.assert_error(404, "PHOTO_001");
        api.get("/media/../../etc/passwd").send().await.assert_error(404, "PHOTO_001");
    }

    async fn photos_are_listed_ordered_compared_and_deleted(app: TestApp) {
        let api = Api::new(app);
        let (ada, bob) = (api.register("ada").await, api.register("bob").await);
        let pet = rex(&api, &ada).await;
        let (first, second) = (shown(&api, &ada, &pet, 1).await, shown(&api, &ada, &pet, 30).await);
        let ids = [&second["id"], &first["id"]];
        let list = api.get(&format!("/api/v1/photos?petId={pet}&limit=1")).bearer(&bob.access).send().await;
        assert_eq!((&list.body["data"][0]["id"], list.body["data"][0].get("fileName")), (ids[0], None));
        let next = list.text("/pagination/nextCursor");
        let rest = api.get(&format!("/api/v1/photos?petId={pet}&limit=1&cursor={next}")).bearer(&bob.access).send().await;
        assert_eq!((&rest.body["data"][0]["id"], &rest.body["pagination"]["nextCursor"]), (ids[1], &Value::Null));
        let refused = api.get("/api/v1/photos?petId=x&status=y&limit=0").bearer(&bob.access).send().await;
        assert_eq!(refused.assert_error(400, "VALIDATION_FAILED").invalid_fields(), ["limit", "petId", "status"]);

        let order = format!("/api/v1/pets/{pet}/photos/order");
        let put = |by: &Account, ids: Value| api.call(Method::PUT, &order).bearer(&by.access).json(&json!({"photoIds": ids})).send();
        let ordered = put(&ada, json!(ids)).await;
        assert_eq!((ordered.status.as_u16(), &ordered.body["data"]["photos"][0]["id"]), (200, ids[0]));
        assert!(!ordered.header("etag").is_empty());
        put(&ada, json!([ids[0]])).await.assert_error(400, "UPLOAD_001");
        put(&ada, json!(["x"])).await.assert_error(400, "VALIDATION_FAILED");
        put(&bob, json!(ids)).await.assert_error(403, "PET_002");
        let nowhere = format!("/api/v1/pets/{}/photos/order", petspark_core::PetId::new());
        let put = api.call(Method::PUT, &nowhere).bearer(&ada.access).json(&json!({"photoIds": []})).send().await;
        put.assert_error(404, "PET_001");
        let page = api.get(&format!("/api/v1/photos?petId={pet}&limit=1&offset=1")).bearer(&bob.access).send().await;
        assert_eq!((&page.body["data"][0]["id"], &page.body["pagination"]["total"]), (ids[1], &json!(2)));

        let check = |by: &Account, body: Value| api.post("/api/v1/photos/check-duplicate").bearer(&by.access).json(&body).send();
        let digest = petspark_core::testing::sha256(&jpeg(600, 400, 1));
        let found = check(&ada, json!({"sha256": digest})).await;
        assert_eq!((&found.body["data"]["isDuplicate"], &found.body["data"]["exact"][0]["id"]), (&json!(true), ids[1]));
        assert_eq!(check(&bob, json!({"sha256": digest})).await.body["data"]["exact"], json!([]));
        check(&bob, json!({"sha256": digest, "everywhere": true})).await.assert_error(403, "ADMIN_001");
        check(&bob, json!({})).await.assert_error(400, "VALIDATION_FAILED");

        let path = format!("/api/v1/photos/{}", ids[0].as_str().unwrap());
        api.call(Method::DELETE, &path).bearer(&bob.access).send().await.assert_error(403, "PHOTO_002");
        assert_eq!(api.call(Method::DELETE, &path).bearer(&ada.access).send().await.status, 200);
        api.get(&path).bearer(&ada.access).send().await.assert_error(404, "PHOTO_001");
        api.get(second["url"].as_str().unwrap()).send().await.assert_error(404, "PHOTO_001");
    }

    async fn a_picture_of_a_person_goes_with_them(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let bytes = jpeg(500, 500, 3);
        let mut body = announced(&bytes, "");
        body["uploadType"] = json!("profile-avatar");
        body.as_object_mut().unwrap().remove("petId");
        let signed = sign(&api, &ada, &body).await;
        api.call(Method::PUT, signed.text("/data/uploadUrl")).raw("image/jpeg", bytes).send().await;
        let key = json!({"key": signed.text("/data/key")});
        assert_eq!(api.post("/api/v1/uploads/complete").bearer(&ada.access).json(&key).send().await.status, 200);
        api.app.run_jobs().await;
        let me = api.get("/api/v1/auth/me").bearer(&ada.access).send().await;
        let url = me.text("/data/avatarUrl");
        assert_eq!(api.get(url).send().await.status, 200);
        let id = rex(&api, &ada).await;
        let pet = api.get(&format!("/api/v1/pets/{id}")).bearer(&ada.access).send().await;
        assert_eq!(pet.text("/data/owner/avatarUrl"), url);
    }
}
