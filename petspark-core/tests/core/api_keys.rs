//! API keys: what they may do, that they end, and that they are nobody's session.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::auth::{ApiKeyState, AuthError, IssuedApiKey, NewApiKey, Permission, Role, UserFilter};
use petspark_core::pets::{Patch, PetError, PetFields, PetFilter, PetStatus};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Failure as _, Kind, Origin, PageRequest};

use crate::sql::{Direct, connect};

const HOUR: Duration = Duration::from_secs(3600);

fn operator() -> Caller {
    Caller::operator("test")
}

fn wanted(name: &str, scopes: &[Permission]) -> NewApiKey {
    NewApiKey { name: name.to_owned(), scopes: scopes.to_vec(), expires_in: None }
}

async fn key(app: &TestApp, name: &str, scopes: &[Permission]) -> IssuedApiKey {
    app.petspark.auth().create_api_key(&operator(), &wanted(name, scopes)).await.unwrap()
}

async fn caller(app: &TestApp, key: &IssuedApiKey) -> Caller {
    app.petspark.auth().authenticate(key.token.expose()).await.unwrap()
}

async fn counts(app: &TestApp, key: &IssuedApiKey) -> bool {
    match app.petspark.auth().authenticate(key.token.expose()).await {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error, AuthError::Unauthenticated), "{error:?}");
            false
        }
    }
}

on_both! {
    async fn a_key_may_do_what_its_scopes_say_and_nothing_else(app: TestApp) {
        let ada = app.register("ada").await;
        let (name, species) = (Patch::Set("Rex".to_owned()), Patch::Set("dog".to_owned()));
        let rex = PetFields { name, species, ..PetFields::default() };
        let pet = app.petspark.pets().create(&ada.caller, rex).await.unwrap();
        let (auth, pets, page) = (app.petspark.auth(), app.petspark.pets(), PageRequest::default());
        let nothing_to_see = |error: PetError| assert!(matches!(error.kind(), Kind::Forbidden), "{error:?}");

        let users = caller(&app, &key(&app, "users", &[Permission::ReadUsers]).await).await;
        assert_eq!(auth.list_users(&users, &UserFilter::default(), &page).await.unwrap().items.len(), 1);
        nothing_to_see(pets.get(&users, pet.id).await.unwrap_err());
        nothing_to_see(pets.list(&users, PetFilter::default(), &page).await.unwrap_err());

        let reader = caller(&app, &key(&app, "reader", &[Permission::ReadPets]).await).await;
        assert_eq!(pets.get(&reader, pet.id).await.unwrap().name, "Rex");
        assert!(matches!(auth.list_users(&reader, &UserFilter::default(), &page).await, Err(AuthError::Forbidden)));
        assert!(pets.delete(&reader, pet.id).await.is_err());

        let writer = caller(&app, &key(&app, "writer", &[Permission::ReadPets, Permission::ManagePets]).await).await;
        let ban = PetFields { status: Patch::Set("banned".to_owned()), ..PetFields::default() };
        assert_eq!(pets.update(&writer, pet.id, ban).await.unwrap().status, PetStatus::Banned);
        assert!(matches!(pets.get(&reader, pet.id).await, Err(PetError::NotFound)));
    }

    async fn asvs_7_2_2_a_key_is_nobodys_session(app: TestApp) {
        let every: Vec<_> = Permission::scopes().collect();
        let key = key(&app, "everything", &every).await;
        let caller = caller(&app, &key).await;
        let auth = app.petspark.auth();
        assert_eq!((caller.user_id(), caller.session_id()), (None, None));
        assert_eq!(caller.to_string(), format!("apikey:{}", key.key.id));
        for role in Role::ALL {
            assert!(!caller.has_role(*role), "{role}");
        }
        assert!(matches!(auth.me(&caller).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(auth.refresh(key.token.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        assert!(matches!(auth.create_api_key(&caller, &wanted("child", &[Permission::ReadPets])).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.list_api_keys(&caller, true, &PageRequest::default()).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.revoke_api_key(&caller, key.key.id, None).await, Err(AuthError::Forbidden)));
    }

    async fn only_administrators_make_keys_and_only_soon_after_signing_in(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let new = wanted("service", &[Permission::ReadPets]);
        assert!(matches!(auth.create_api_key(&ada.caller, &new).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.create_api_key(&Caller::anonymous(), &new).await, Err(AuthError::Unauthenticated)));
        auth.set_role(&operator(), ada.id, Role::Admin, false).await.unwrap();
        let admin = app.sign_in("ada").await.caller;
        app.clock.advance(Duration::from_secs(11 * 60));
        assert!(matches!(auth.create_api_key(&admin, &new).await, Err(AuthError::StepUpRequired)));
        let admin = app.sign_in("ada").await.caller;
        let made = auth.create_api_key(&admin, &new).await.unwrap();
        assert_eq!(made.key.created_by, format!("user:{}", ada.id));
        app.clock.advance(HOUR);
        assert!(auth.revoke_api_key(&admin, made.key.id, None).await.unwrap(), "to take power away must be easy");
    }

    async fn what_can_not_be_a_key_is_refused_field_by_field(app: TestApp) {
        let auth = app.petspark.auth();
        let new = NewApiKey { name: " \n".into(), scopes: vec![], expires_in: Some(Duration::ZERO) };
        let Err(AuthError::Invalid(fields)) = auth.create_api_key(&operator(), &new).await else { panic!("refused") };
        assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["expiresIn", "name", "scopes"]);
        let staff = wanted("staff", &[Permission::ReadPets, Permission::ManageStaff]);
        assert!(matches!(auth.create_api_key(&operator(), &staff).await, Err(AuthError::Invalid(_))));
    }

    async fn a_name_is_taken_until_its_key_is_revoked(app: TestApp) {
        let auth = app.petspark.auth();
        let new = wanted("billing", &[Permission::ReadPets]);
        let first = auth.create_api_key(&operator(), &new).await.unwrap();
        assert!(matches!(auth.create_api_key(&operator(), &new).await, Err(AuthError::ApiKeyNameTaken)));
        assert_eq!(auth.get_api_key(&operator(), " billing ").await.unwrap().id, first.key.id);
        assert!(auth.revoke_api_key(&operator(), first.key.id, None).await.unwrap());
        assert!(!auth.revoke_api_key(&operator(), first.key.id, None).await.unwrap());
        assert!(matches!(auth.get_api_key(&operator(), "billing").await, Err(AuthError::ApiKeyNotFound)));
        let second = auth.create_api_key(&operator(), &new).await.unwrap();
        assert_eq!(auth.get_api_key(&operator(), "billing").await.unwrap().id, second.key.id);
        assert_eq!(auth.list_api_keys(&operator(), false, &PageRequest::default()).await.unwrap().items.len(), 1);
        let all = auth.list_api_keys(&operator(), true, &PageRequest::default()).await.unwrap().items;
        let state = all.iter().map(|key| key.state(app.clock.now())).collect::<Vec<_>>();
        assert_eq!(state, [ApiKeyState::Active, ApiKeyState::Revoked]);
    }

    async fn of_many_who_want_one_name_one_gets_it(app: TestApp) {
        let (auth, caller, new) = (app.petspark.auth(), operator(), wanted("billing", &[Permission::ReadPets]));
        let made = join_all((0..10).map(|_| auth.create_api_key(&caller, &new))).await;
        assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1, "{made:?}");
        assert!(made.iter().all(|result| matches!(result, Ok(_) | Err(AuthError::ApiKeyNameTaken))), "{made:?}");
    }

    async fn a_rotated_key_has_two_secrets_until_the_overlap_is_over(app: TestApp) {
        let auth = app.petspark.auth();
        let first = key(&app, "service", &[Permission::ReadPets]).await;
        assert!(counts(&app, &first).await);
        let second = auth.rotate_api_key(&operator(), first.key.id, 24 * HOUR).await.unwrap();
        assert_eq!(second.key.id, first.key.id);
        assert_ne!(second.token.expose(), first.token.expose());
        assert!(counts(&app, &first).await && counts(&app, &second).await);
        app.clock.advance(24 * HOUR);
        assert!(!counts(&app, &first).await && counts(&app, &second).await);
        let third = auth.rotate_api_key(&operator(), first.key.id, Duration::ZERO).await.unwrap();
        assert!(!counts(&app, &second).await, "no overlap was asked for");
        assert!(auth.revoke_api_key(&operator(), first.key.id, None).await.unwrap());
        assert!(!counts(&app, &third).await);
        assert!(matches!(auth.rotate_api_key(&operator(), first.key.id, HOUR).await, Err(AuthError::ApiKeyNotFound)));
    }

    async fn a_key_ends_when_its_time_is_over(app: TestApp) {
        let auth = app.petspark.auth();
        let new = NewApiKey { expires_in: Some(HOUR), ..wanted("service", &[Permission::ReadPets]) };
        let made = auth.create_api_key(&operator(), &new).await.unwrap();
        app.clock.advance(HOUR - Duration::from_micros(1));
        assert!(counts(&app, &made).await);
        app.clock.advance(Duration::from_micros(1));
        assert!(!counts(&app, &made).await);
        assert_eq!(auth.get_api_key(&operator(), "service").await.unwrap().state(app.clock.now()), ApiKeyState::Expired);
        assert!(matches!(auth.rotate_api_key(&operator(), made.key.id, HOUR).await, Err(AuthError::ApiKeyNotFound)));
    }

    async fn a_key_revoked_elsewhere_ends_here_within_two_seconds(app: TestApp) {
        let made = key(&app, "service", &[Permission::ReadPets]).await;
        let another = app.another().await;
        assert!(counts(&app, &made).await);
        assert!(another.auth().authenticate(made.token.expose()).await.is_ok());
        another.auth().revoke_api_key(&operator(), made.key.id, None).await.unwrap();
        assert!(another.auth().authenticate(made.token.expose()).await.is_err(), "at once on the same server");
        let began = std::time::Instant::now();
        while counts(&app, &made).await {
            assert!(began.elapsed() < Duration::from_secs(2), "a revoked key still counts");
            tokio::task::yield_now().await;
        }
    }

    async fn the_last_use_is_known_to_the_minute(app: TestApp) {
        let made = key(&app, "service", &[Permission::ReadPets]).await;
        let auth = app.petspark.auth();
        let last_used = async || auth.get_api_key(&operator(), "service").await.unwrap().last_used_at;
        assert_eq!(last_used().await, None);
        let first = app.clock.now();
        assert!(counts(&app, &made).await);
        assert_eq!(last_used().await, Some(first));
        app.clock.advance(Duration::from_secs(59));
        assert!(counts(&app, &made).await);
        assert_eq!(last_used().await, Some(first), "not written with every request");
        app.clock.advance(Duration::from_secs(1));
        assert!(counts(&app, &made).await);
        assert_eq!(last_used().await, Some(app.clock.now()));
    }

    async fn asvs_6_5_2_no_secret_of_a_key_is_in_the_database(app: TestApp) {
        let made = key(&app, "service", &[Permission::ReadPets]).await;
        let sql = "SELECT name, scopes, created_by, digest FROM api_keys";
        let (texts, digest) = match connect(app.petspark.settings()).await {
            Direct::Sqlite(mut direct) => {
                let row: (String, String, String, Vec<u8>) = sqlx::query_as(sql).fetch_one(&mut direct).await.unwrap();
                ([row.0, row.1, row.2], row.3)
            }
            Direct::Postgres(mut direct) => {
                let row: (String, String, String, Vec<u8>) = sqlx::query_as(sql).fetch_one(&mut direct).await.unwrap();
                ([row.0, row.1, row.2], row.3)
            }
        };
        let secret = made.token.expose().strip_prefix("psk_").unwrap();
        assert_eq!(texts, ["service", "pets:read", "test"]);
        assert!(digest.len() == 32 && !secret.as_bytes().windows(32).any(|part| part == digest));
    }
}
