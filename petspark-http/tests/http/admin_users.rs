//! `/api/v1/admin/users`, and who gets to anything under `/admin` at all.

use http::Method;
use petspark_core::Caller;
use petspark_core::auth::{NewApiKey, Permission, Role};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use serde_json::{Value, json};

use crate::contract::operations;
use crate::support::{Account, Api};

const USERS: &str = "/api/v1/admin/users";

fn operator() -> Caller {
    Caller::operator("test")
}

/// Registers somebody and gives them a role; their tokens are of after that.
pub(crate) async fn with_role(api: &Api, name: &str, role: Role) -> Account {
    let account = api.register(name).await;
    api.app.petspark.auth().set_role(&operator(), account.id.parse().unwrap(), role, false).await.unwrap();
    api.sign_in(name).await
}

pub(crate) async fn api_key(api: &Api, name: &str, scopes: &[Permission]) -> String {
    let new = NewApiKey { name: name.to_owned(), scopes: scopes.to_vec(), expires_in: None };
    api.app.petspark.auth().create_api_key(&operator(), &new).await.unwrap().token.expose().to_owned()
}

fn is_for_moderators(path: &str) -> bool {
    path.starts_with("/api/v1/admin/moderation/")
}

on_both! {
    async fn asvs_8_2_1_what_is_for_administrators_is_refused_to_everybody_else(app: TestApp) {
        let api = Api::new(app);
        let user = with_role(&api, "user", Role::User).await;
        let moderator = with_role(&api, "moderator", Role::Moderator).await;
        let key = api_key(&api, "pets", &[Permission::ReadPets, Permission::ManagePets]).await;
        let (_, operations) = operations(&api).await;
        let admin: Vec<_> = operations.iter().filter(|operation| operation.path.starts_with("/api/v1/admin/")).collect();
        assert!(admin.len() >= 4, "only {} operations under /admin: does this test still find them?", admin.len());
        for operation in admin {
            let call = || api.call(operation.method.clone(), &operation.path).raw("application/json", "{}");
            let name = format!("{} {}", operation.method, operation.path);
            assert!(!operation.public, "{name}");
            call().send().await.assert_error(401, "AUTH_006");
            let mut refused = vec![&user.access, &key];
            if !is_for_moderators(&operation.path) {
                refused.push(&moderator.access);
            }
            for token in refused {
                let answer = call().bearer(token).send().await;
                assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("ADMIN_001")), "{name}: {}", answer.body);
            }
        }
    }

    async fn asvs_7_2_2_neither_a_header_nor_a_made_up_token_nor_an_api_key_is_a_session(app: TestApp) {
        let api = Api::new(app);
        let ada = api.register("ada").await;
        let every: Vec<_> = Permission::scopes().collect();
        let key = api_key(&api, "everything", &every).await;
        let (_, operations) = operations(&api).await;
        for operation in operations.iter().filter(|operation| !operation.public && operation.path.starts_with("/api/v1/auth/")) {
            let call = || api.call(operation.method.clone(), &operation.path).raw("application/json", "{}");
            call().header("x-user-id", &ada.id).header("cookie", &format!("token={}", ada.access)).send().await.assert_error(401, "AUTH_006");
            for made_up in [format!("user:{}", ada.id), ada.id.clone(), key.replace("psk_", "psk_A"), "psk_".into(), ada.refresh.clone()] {
                call().bearer(&made_up).send().await.assert_error(401, "AUTH_006");
            }
            let answer = call().bearer(&key).send().await;
            let refused = answer.status.is_client_error() && answer.status != 404;
            assert!(refused, "{} {} with an API key: {} {}", operation.method, operation.path, answer.status, answer.body);
        }
        api.get("/api/v1/auth/me").bearer(&key).send().await.assert_error(401, "AUTH_006");
        api.post("/api/v1/auth/refresh").json(&json!({"refreshToken": key})).send().await.assert_error(401, "AUTH_004");
        assert_eq!(api.get("/api/v1/pets").bearer(&key).send().await.status, 200, "the key itself is good");
    }

    async fn asvs_8_3_2_a_demotion_is_felt_by_the_next_request(app: TestApp) {
        let api = Api::new(app);
        with_role(&api, "root", Role::Admin).await;
        let ada = with_role(&api, "ada", Role::Admin).await;
        assert_eq!(api.get(USERS).bearer(&ada.access).send().await.status, 200);
        // Another server does it, and nobody has told this one yet.
        let another = api.app.another().await;
        another.auth().set_role(&operator(), ada.id.parse().unwrap(), Role::User, false).await.unwrap();
        api.get(USERS).bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
    }

    async fn administrators_find_and_look_at_users(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        api.sign_in("ada").await;
        let emails = |body: &Value| body["data"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let list = async |query: &str| api.get(&format!("{USERS}{query}")).bearer(&root.access).send().await;
        assert_eq!(emails(&list("?q=AD").await.body), ["ada@example.org"]);
        assert_eq!(emails(&list("?role=admin&status=active").await.body), ["root@example.org"]);
        let page = list("?limit=1").await;
        let cursor = page.text("/pagination/nextCursor");
        assert_eq!(list(&format!("?limit=1&cursor={cursor}")).await.body["data"].as_array().unwrap().len(), 1);
        assert_eq!(list("?role=king&status=x&limit=0&size=1").await.assert_error(400, "VALIDATION_FAILED").invalid_fields().len(), 1);
        assert_eq!(list("?role=king&status=x&limit=0").await.invalid_fields(), ["limit", "role", "status"]);

        let shown = api.get(&format!("{USERS}/{}", ada.id)).bearer(&root.access).send().await;
        let data = &shown.body["data"];
        assert_eq!((&data["email"], &data["roles"], &data["status"]), (&json!("ada@example.org"), &json!(["user"]), &json!("active")));
        assert_eq!((&data["sessions"], &data["secondFactor"], &data["statusReason"]), (&json!(2), &json!(false), &Value::Null));
        assert!(data["lastLoginAt"].is_string());
        for nobody in ["01980000-0000-7000-8000-000000000000", "nonsense"] {
            api.get(&format!("{USERS}/{nobody}")).bearer(&root.access).send().await.assert_error(404, "AUTH_007");
        }
    }

    async fn administrators_change_role_and_status_in_one_go(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        let address = format!("{USERS}/{}", ada.id);
        let patch = async |body: Value| api.call(Method::PATCH, &address).bearer(&root.access).json(&body).send().await;
        let until = "2030-01-01T00:00:00Z";
        let answer = patch(json!({"role": "moderator", "status": "suspended", "reason": "spam", "until": until})).await;
        assert_eq!((&answer.body["data"]["status"], &answer.body["data"]["roles"]), (&json!("suspended"), &json!(["user", "moderator"])));
        api.get("/api/v1/auth/me").bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        let shown = api.get(&address).bearer(&root.access).send().await;
        assert_eq!((shown.text("/data/statusReason"), shown.text("/data/suspendedUntil")), ("spam", until));
        assert_eq!(shown.body["data"]["sessions"], 0);

        for (body, fields) in [
            (json!({"status": "banned"}), vec!["reason"]),
            (json!({"status": "banned", "reason": "spam", "until": until}), vec!["until"]),
            (json!({"status": "suspended", "reason": "spam", "until": "2020-01-01T00:00:00Z"}), vec!["until"]),
            (json!({"reason": "spam", "until": until}), vec!["reason", "until"]),
        ] {
            assert_eq!(patch(body).await.assert_error(400, "VALIDATION_FAILED").invalid_fields(), fields);
        }
        patch(json!({"roles": ["admin"]})).await.assert_error(400, "VALIDATION_FAILED");
        assert_eq!(patch(json!({"status": "active"})).await.body["data"]["status"], "active");
        assert_eq!(patch(json!({})).await.status, 200);
        let own = format!("{USERS}/{}", root.id);
        for body in [json!({"role": "user"}), json!({"status": "banned", "reason": "tired"})] {
            api.call(Method::PATCH, &own).bearer(&root.access).json(&body).send().await.assert_error(409, "ADMIN_002");
        }
    }

    async fn asvs_7_4_5_administrators_end_all_sessions_of_a_user(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        let address = format!("{USERS}/{}/sessions", ada.id);
        let answer = api.call(Method::DELETE, &address).bearer(&root.access).send().await;
        assert_eq!(answer.body["data"], json!({"success": true, "ended": 1}));
        api.get("/api/v1/auth/me").bearer(&ada.access).send().await.assert_error(401, "AUTH_006");
        api.post("/api/v1/auth/refresh").json(&json!({"refreshToken": ada.refresh})).send().await.assert_error(401, "AUTH_004");
        api.call(Method::DELETE, &format!("{USERS}/nonsense/sessions")).bearer(&root.access).send().await.assert_error(404, "AUTH_007");
    }

    async fn administrators_send_a_link_and_never_see_it(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        let address = format!("{USERS}/{}/reset-password", ada.id);
        let answer = api.post(&address).bearer(&root.access).send().await;
        assert_eq!(answer.body["data"], json!({"success": true}));
        let mail = api.app.mail("ada@example.org", Template::ResetPassword).await;
        assert!(mail.text.contains("/reset-password"), "{}", mail.text);
        api.post(&format!("{USERS}/nonsense/reset-password")).bearer(&root.access).send().await.assert_error(404, "AUTH_007");
    }

    async fn an_api_key_with_the_scope_looks_at_users_and_leaves_staff_alone(app: TestApp) {
        let api = Api::new(app);
        let root = with_role(&api, "root", Role::Admin).await;
        let ada = api.register("ada").await;
        let (reader, writer) = (api_key(&api, "r", &[Permission::ReadUsers]).await, api_key(&api, "w", &[Permission::ManageUsers]).await);
        assert_eq!(api.get(USERS).bearer(&reader).send().await.status, 200);
        api.get(USERS).bearer(&writer).send().await.assert_error(403, "ADMIN_001");
        let ban = json!({"status": "banned", "reason": "spam"});
        let patch = async |id: &str, token: &str| api.call(Method::PATCH, &format!("{USERS}/{id}")).bearer(token).json(&ban).send().await;
        patch(&ada.id, &reader).await.assert_error(403, "ADMIN_001");
        patch(&root.id, &writer).await.assert_error(403, "ADMIN_001");
        assert_eq!(patch(&ada.id, &writer).await.body["data"]["status"], "banned");
    }
}

#[tokio::test]
async fn asvs_6_4_6_no_operation_for_administrators_takes_a_password() {
    let api = Api::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await);
    let (document, operations) = operations(&api).await;
    for operation in operations.iter().filter(|operation| operation.path.starts_with("/api/v1/admin/")) {
        let Some(reference) = operation.document.pointer("/requestBody/content/application~1json/schema/$ref") else {
            continue;
        };
        let schema = document.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
        let fields = schema["properties"].as_object().unwrap();
        assert!(!fields.keys().any(|field| field.to_lowercase().contains("password")), "{reference}");
    }
}
