//! The public keys, and tokens signed by them, as other services see them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petspark_core::Caller;
use petspark_core::auth::KeyStep;
use petspark_core::testing::on_both;
use serde_json::{Value, json};

use crate::support::Api;

const JWKS: &str = "/.well-known/jwks.json";
const ME: &str = "/api/v1/auth/me";

async fn step(api: &Api, step: KeyStep) -> petspark_core::auth::KeysChanged {
    api.app.petspark.auth().change_keys(&Caller::operator("test"), &step).await.unwrap()
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

on_both! {
    async fn the_public_keys_are_published_before_they_sign(app: TestApp) {
        let api = Api::new(app);
        let empty = api.get(JWKS).send().await;
        assert_eq!((empty.status.as_u16(), &empty.body), (200, &json!({"keys": []})));
        assert_eq!(empty.header("cache-control"), "public, max-age=600");
        assert_eq!(empty.header("content-type"), "application/json");
        let kid = step(&api, KeyStep::Generate).await.made.unwrap().kid;
        let published = api.get(JWKS).send().await.body;
        let key = &published["keys"][0];
        for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig"), ("kid", &*kid)] {
            assert_eq!(key[name], value);
        }
        assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
        assert_eq!(key.as_object().unwrap().len(), 6, "nothing private: {key}");

        step(&api, KeyStep::Promote { kid: kid.clone(), force: true }).await;
        let ada = api.register("ada").await;
        assert_eq!(header(&ada.access), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
        assert_eq!(api.get(ME).bearer(&ada.access).send().await.status, 200);
        assert_eq!(api.get(JWKS).send().await.body, published);
        step(&api, KeyStep::Retire { kid, force: true }).await;
        api.get(ME).bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        assert_eq!(api.get(JWKS).send().await.body, json!({"keys": []}));
    }

    async fn asvs_9_2_2_every_kind_of_token_counts_in_its_own_place_only(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        for wrong in [&*ada.refresh, &ada.id, "user:1", "", "null"] {
            api.get(ME).bearer(wrong).send().await.assert_error(401, "AUTH_006");
        }
        let body = json!({"refreshToken": ada.access});
        api.post("/api/v1/auth/refresh").json(&body).send().await.assert_error(401, "AUTH_004");
        assert_eq!(api.get(ME).bearer(&ada.access).send().await.status, 200);
    }
}
