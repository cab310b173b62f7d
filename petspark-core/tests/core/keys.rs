//! Signing keys over their life, on several servers at once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use petspark_core::auth::{
    AuthError, Client, KeyProblem, KeyState, KeyStep, NewApiKey, Password, Permission, TokenHolder, TokenKind, Verdict,
    lacking_secrets,
};
use petspark_core::testing::{TestApp, on_both, totp_code};
use petspark_core::{Caller, Clock, Failure as _, Kind, Migrate, PetSpark, Secret};

use crate::sql::{Direct, connect, execute};

fn operator() -> Caller {
    Caller::operator("test")
}

async fn generate(petspark: &PetSpark) -> String {
    petspark.auth().change_keys(&operator(), &KeyStep::Generate).await.unwrap().made.unwrap().kid
}

async fn promote(petspark: &PetSpark, kid: &str, force: bool) -> Result<(), AuthError> {
    let step = KeyStep::Promote { kid: kid.to_owned(), force };
    petspark.auth().change_keys(&operator(), &step).await.map(drop)
}

async fn retire(petspark: &PetSpark, kid: &str, force: bool) -> Result<(), AuthError> {
    let step = KeyStep::Retire { kid: kid.to_owned(), force };
    petspark.auth().change_keys(&operator(), &step).await.map(drop)
}

async fn login(petspark: &PetSpark, name: &str) -> String {
    let password = Password::new(TestApp::PASSWORD);
    let signed_in = petspark.auth().login(&format!("{name}@example.org"), password, Client::default()).await.unwrap();
    signed_in.tokens.access.expose().to_owned()
}

fn header(token: &str) -> serde_json::Value {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&part).unwrap()
}

async fn is_accepted(petspark: &PetSpark, token: &str) -> bool {
    match petspark.auth().authenticate(token).await {
        Ok(_) => true,
        Err(AuthError::Unauthenticated) => false,
        Err(error) => panic!("{error}"),
    }
}

fn problem(result: Result<(), AuthError>) -> KeyProblem {
    match result {
        Err(AuthError::Key(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

async fn texts(app: &TestApp, sql: &'static str) -> Vec<String> {
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
        Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

on_both! {
    async fn a_key_is_published_then_signs_then_verifies_then_is_history(app: TestApp) {
        let petspark = &app.petspark;
        let by_secret = app.register("ada").await.signed_in.tokens.access;
        assert_eq!(header(by_secret.expose())["alg"], "HS256");
        let first = generate(petspark).await;
        let published = petspark.auth().public_keys().await.unwrap();
        assert_eq!((published.len(), published[0].state, published[0].public_key.len()), (1, KeyState::Next, 32));
        assert_eq!(header(&login(petspark, "ada").await)["alg"], "HS256");

        let known_at = app.clock.now().after(10 * MINUTE);
        assert_eq!(problem(promote(petspark, &first, false).await), KeyProblem::TooNew(known_at));
        app.clock.advance(10 * MINUTE);
        promote(petspark, &first, false).await.unwrap();
        let by_first = login(petspark, "ada").await;
        assert_eq!((header(&by_first)["alg"].as_str(), header(&by_first)["kid"].as_str()), (Some("EdDSA"), Some(&*first)));
        assert!(is_accepted(petspark, &by_first).await);
        assert!(is_accepted(petspark, by_secret.expose()).await, "nobody is signed out by a promotion");
        assert_eq!(problem(promote(petspark, &first, true).await), KeyProblem::Past(KeyState::Active));
        assert_eq!(problem(retire(petspark, &first, false).await), KeyProblem::Signs);

        let second = generate(petspark).await;
        app.clock.advance(10 * MINUTE);
        promote(petspark, &second, false).await.unwrap();
        let replaced_at = app.clock.now();
        assert!(is_accepted(petspark, &by_first).await);
        assert_eq!(header(&login(petspark, "ada").await)["kid"], *second);
        // Fifteen minutes of a token's life, and one of margin.
        assert_eq!(problem(retire(petspark, &first, false).await), KeyProblem::InUse(replaced_at.after(16 * MINUTE)));
        app.clock.advance(16 * MINUTE);
        retire(petspark, &first, false).await.unwrap();
        assert_eq!(problem(retire(petspark, &first, true).await), KeyProblem::Past(KeyState::Retired));
        let states: Vec<_> = petspark.auth().list_keys(&operator()).await.unwrap().iter().map(|key| key.state).collect();
        assert_eq!(states, [KeyState::Active, KeyState::Retired]);
        assert_eq!(petspark.auth().public_keys().await.unwrap().len(), 1);
        let missing = retire(petspark, "ed-0000000000000000", true).await.unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);
    }

    async fn a_retired_key_takes_its_tokens_with_it_at_once_and_the_session_lives_on(app: TestApp) {
        let petspark = &app.petspark;
        let ada = app.register("ada").await;
        let kid = generate(petspark).await;
        promote(petspark, &kid, true).await.unwrap();
        let tokens = petspark.auth().refresh(ada.signed_in.tokens.refresh.expose(), petspark_core::Origin::default()).await.unwrap();
        // Twice: the second time from memory.
        assert!(is_accepted(petspark, tokens.access.expose()).await);
        assert!(is_accepted(petspark, tokens.access.expose()).await);
        retire(petspark, &kid, true).await.unwrap();
        assert!(!is_accepted(petspark, tokens.access.expose()).await);
        let next = petspark.auth().refresh(tokens.refresh.expose(), petspark_core::Origin::default()).await.unwrap();
        assert_eq!(header(next.access.expose())["alg"], "HS256");
        assert!(is_accepted(petspark, next.access.expose()).await);
    }

    async fn another_server_follows_within_two_seconds(app: TestApp) {
        let (here, there) = (&app.petspark, app.another().await);
        let by_secret = app.register("ada").await.signed_in.tokens.access;
        assert!(is_accepted(&there, by_secret.expose()).await);
        let kid = generate(here).await;
        promote(here, &kid, true).await.unwrap();
        let token = login(here, "ada").await;
        app.clock.advance(Duration::from_secs(1));
        assert!(is_accepted(&there, &token).await, "an unknown key is looked up");
        assert_eq!(header(&login(&there, "ada").await)["kid"], *kid);
        retire(here, &kid, true).await.unwrap();
        app.clock.advance(Duration::from_secs(2));
        assert!(!is_accepted(&there, &token).await);
        assert_eq!(header(&login(&there, "ada").await)["alg"], "HS256");
    }

    async fn keys_promoted_at_the_same_moment_leave_one_that_signs(app: TestApp) {
        let mut kids = Vec::new();
        for _ in 0..4 {
            kids.push(generate(&app.petspark).await);
        }
        let there = app.another().await;
        let servers = [&app.petspark, &there];
        let promoted = join_all(kids.iter().zip(servers.iter().cycle()).map(|(kid, petspark)| promote(petspark, kid, true))).await;
        assert!(promoted.iter().all(Result::is_ok), "{promoted:?}");
        let keys = app.petspark.auth().list_keys(&operator()).await.unwrap();
        let count = |state| keys.iter().filter(|key| key.state == state).count();
        assert_eq!((count(KeyState::Active), count(KeyState::VerifyOnly)), (1, 3));
    }

    async fn rotation_does_what_is_due_and_a_preview_does_nothing(app: TestApp) {
        let auth = app.petspark.auth();
        let day = 24 * 60 * MINUTE;
        let rotate = KeyStep::Rotate { overlap: day };
        let preview = auth.preview_keys(&operator(), &rotate).await.unwrap();
        assert!(preview.made.is_some() && auth.list_keys(&operator()).await.unwrap().is_empty());

        let first = auth.change_keys(&operator(), &rotate).await.unwrap();
        assert!(first.made.is_some() && first.promoted.is_none());
        let soon = auth.change_keys(&operator(), &rotate).await.unwrap();
        assert!(soon.made.is_none() && soon.promoted.is_none() && soon.retired.is_empty());
        app.clock.advance(day);
        let second = auth.change_keys(&operator(), &rotate).await.unwrap();
        assert_eq!(second.promoted.unwrap().kid, first.made.as_ref().unwrap().kid);
        app.clock.advance(day);
        let third = auth.change_keys(&operator(), &rotate).await.unwrap();
        assert_eq!(third.promoted.unwrap().kid, second.made.unwrap().kid);
        assert_eq!(third.replaced.unwrap().kid, first.made.as_ref().unwrap().kid);
        assert!(third.retired.is_empty());
        app.clock.advance(day);
        let fourth = auth.change_keys(&operator(), &rotate).await.unwrap();
        assert_eq!(fourth.retired[0].kid, first.made.unwrap().kid);

        let short = auth.change_keys(&operator(), &KeyStep::Rotate { overlap: MINUTE }).await;
        assert_eq!(problem(short.map(drop)), KeyProblem::ShortOverlap(16 * MINUTE));
    }

    async fn only_administrators_see_or_change_keys(app: TestApp) {
        let ada = app.register("ada").await.caller;
        let auth = app.petspark.auth();
        assert_eq!(auth.list_keys(&ada).await.unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(auth.change_keys(&ada, &KeyStep::Generate).await.unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(auth.preview_keys(&ada, &KeyStep::Generate).await.unwrap_err().kind(), Kind::Forbidden);
        assert_eq!(auth.inspect_token(&ada, "").await.unwrap_err().kind(), Kind::Forbidden);
    }

    async fn who_writes_to_the_database_can_not_add_a_key(app: TestApp) {
        app.register("ada").await;
        let kid = generate(&app.petspark).await;
        promote(&app.petspark, &kid, true).await.unwrap();
        let token = login(&app.petspark, "ada").await;
        assert!(is_accepted(&app.petspark, &token).await);
        // Another public part under the same name, as somebody would put in who has its private part.
        execute(app.petspark.settings(), "UPDATE signing_keys SET public_key = private_key").await;
        app.clock.advance(Duration::from_secs(2));
        assert!(!is_accepted(&app.petspark, &token).await);
        assert!(app.petspark.auth().public_keys().await.unwrap().is_empty());
        let password = Password::new(TestApp::PASSWORD);
        let refused = app.petspark.auth().login("ada@example.org", password, Client::default()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Internal, "another key would sign in its place");
    }

    async fn a_new_secret_in_front_signs_nobody_out_and_opens_the_keys(app: TestApp) {
        let ada = app.register("ada").await;
        let kid = generate(&app.petspark).await;
        let old = std::fs::read_to_string(app.folder().join("jwt-secret"))
            .unwrap_or_else(|_| app.petspark.settings().auth.jwt_secret.as_ref().unwrap().expose().to_owned());
        let new = "0b6f3f6a91d24c58b7e2aa01f39d5e47c8126bd07f4e93a5d1c0e8b7426f9a3d";
        let mut settings = app.petspark.settings().clone();
        settings.auth.jwt_secret = Some(Secret::new(format!("{new},{}", old.trim())));
        let clock: Clock = app.clock.clone();
        let rotated = PetSpark::open_with(settings.clone(), Migrate::Never, clock.clone()).await.unwrap();
        assert!(is_accepted(&rotated, ada.signed_in.tokens.access.expose()).await);
        let tokens = rotated.auth().refresh(ada.signed_in.tokens.refresh.expose(), petspark_core::Origin::default()).await.unwrap();
        promote(&rotated, &kid, true).await.unwrap();
        assert_eq!(header(&login(&rotated, "ada").await)["kid"], *kid);
        settings.auth.jwt_secret = Some(Secret::new(new));
        let done = PetSpark::open_with(settings, Migrate::Never, clock).await.unwrap();
        assert!(is_accepted(&done, tokens.access.expose()).await);
        assert!(!is_accepted(&done, ada.signed_in.tokens.access.expose()).await);
        assert!(done.auth().refresh(tokens.refresh.expose(), petspark_core::Origin::default()).await.is_ok(), "a token of the new secret");
    }

    async fn what_is_sealed_outlives_its_secret_by_being_sealed_anew(app: TestApp) {
        let ada = app.register("ada").await;
        let kid = generate(&app.petspark).await;
        promote(&app.petspark, &kid, true).await.unwrap();
        let factor = app.petspark.auth().begin_totp(&ada.caller).await.unwrap().secret;
        app.petspark.auth().confirm_totp(&ada.caller, &totp_code(&factor, app.clock.now())).await.unwrap();
        let old = std::fs::read_to_string(app.folder().join("jwt-secret"))
            .unwrap_or_else(|_| app.petspark.settings().auth.jwt_secret.as_ref().unwrap().expose().to_owned());
        let old = old.trim();
        let (new, sealing) = ("0b6f3f6a91d24c58b7e2aa01f39d5e47c8126bd07f4e93a5d1c0e8b7426f9a3d", "5c1e0d7fa9384b62b0f7c4d2e8816a3594cb7d0f2e6a41c8937b5d1f0e2c4a68");
        let lacks = async |jwt: &str, encryption: Option<&str>| {
            let mut settings = app.petspark.settings().clone();
            settings.auth.jwt_secret = Some(Secret::new(jwt));
            settings.auth.encryption_key = encryption.map(Secret::new);
            (lacking_secrets(&settings).await.unwrap().len(), settings)
        };
        assert_eq!(lacks(old, None).await.0, 0);
        assert_eq!(lacks(new, None).await.0, 1, "the runbook's trap");
        assert_eq!(lacks(&format!("{new},{old}"), Some(sealing)).await.0, 0, "what sealed before there was a key for it still opens");
        let (lacking, settings) = lacks(new, Some(&format!("{sealing},{old}"))).await;
        assert_eq!(lacking, 0);
        let resealing = PetSpark::open_with(settings, Migrate::Never, app.clock.clone()).await.unwrap();
        let rotate = KeyStep::Rotate { overlap: 24 * 60 * MINUTE };
        assert_eq!(resealing.auth().preview_keys(&operator(), &rotate).await.unwrap().resealed, 2);
        assert_eq!(lacks(new, Some(sealing)).await.0, 1, "a preview changes nothing");
        assert_eq!(resealing.auth().change_keys(&operator(), &rotate).await.unwrap().resealed, 2);
        let (lacking, settings) = lacks(new, Some(sealing)).await;
        assert_eq!(lacking, 0, "the old secret can go");
        let done = PetSpark::open_with(settings, Migrate::Never, app.clock.clone()).await.unwrap();
        let password = Password::new(TestApp::PASSWORD);
        let Err(AuthError::SecondFactorNeeded { mfa_token }) = done.auth().login("ada@example.org", password, Client::default()).await else {
            panic!("a factor is asked for")
        };
        app.clock.advance(Duration::from_secs(30));
        let code = totp_code(&factor, app.clock.now());
        done.auth().verify_second_factor(mfa_token.expose(), &code, Client::default()).await.unwrap();
    }

    async fn what_no_secret_opens_is_counted_and_written_down_and_stays_as_it_is(app: TestApp) {
        let ada = app.register("ada").await;
        generate(&app.petspark).await;
        let factor = app.petspark.auth().begin_totp(&ada.caller).await.unwrap().secret;
        app.petspark.auth().confirm_totp(&ada.caller, &totp_code(&factor, app.clock.now())).await.unwrap();
        let mut settings = app.petspark.settings().clone();
        settings.auth.jwt_secret = Some(Secret::new("0b6f3f6a91d24c58b7e2aa01f39d5e47c8126bd07f4e93a5d1c0e8b7426f9a3d"));
        let without = PetSpark::open_with(settings, Migrate::Never, app.clock.clone()).await.unwrap();
        let rotate = KeyStep::Rotate { overlap: 24 * 60 * MINUTE };
        let sealed = "SELECT CAST(COUNT(*) AS TEXT) FROM totp_factors WHERE confirmed_at IS NOT NULL";
        let told = "SELECT CAST(details AS TEXT) FROM audit_log WHERE action = 'sensitive_update_sealed_secrets' ORDER BY id";
        for counted in [
            without.auth().preview_keys(&operator(), &rotate).await.unwrap(),
            without.auth().change_keys(&operator(), &rotate).await.unwrap(),
        ] {
            assert_eq!((counted.resealed, counted.unopened), (0, 2));
        }
        let rows = texts(&app, told).await;
        assert_eq!(rows.len(), 2, "one for factors and one for keys, and none by the preview: {rows:?}");
        assert!(rows.iter().all(|row| row.contains("\"unopened\"")), "{rows:?}");
        assert_eq!(texts(&app, sealed).await, ["1"]);
        without.close().await;
        // By the right secret it opens as before.
        let counted = app.petspark.auth().change_keys(&operator(), &rotate).await.unwrap();
        assert_eq!((counted.resealed, counted.unopened), (0, 0));
    }

    async fn of_refresh_tokens_and_api_keys_it_is_told_what_they_are(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let new = NewApiKey { name: "clinic".to_owned(), scopes: vec![Permission::ReadUsers], expires_in: None };
        let key = auth.create_api_key(&operator(), &new).await.unwrap();
        let report = async |token: &str| {
            let report = auth.inspect_token(&operator(), token).await.unwrap();
            (report.kind, report.accepted, report.api_key)
        };
        let (refresh, api_key) = (ada.signed_in.tokens.refresh.expose(), key.token.expose());
        assert_eq!(report(refresh).await, (TokenKind::Refresh, true, None));
        assert_eq!(report(api_key).await, (TokenKind::ApiKey, true, Some("clinic".to_owned())));
        let keys = auth.list_api_keys(&operator(), false, &Default::default()).await.unwrap();
        assert_eq!(keys.items[0].last_used_at, None, "looking at it is no use of it");
        let holder = auth.holder_of_token(&operator(), api_key).await.unwrap();
        assert!(matches!(holder, TokenHolder::ApiKey(key) if key.name == "clinic"));
        let session = auth.holder_of_token(&operator(), refresh).await.unwrap();
        assert_eq!(session, auth.holder_of_token(&operator(), ada.signed_in.tokens.access.expose()).await.unwrap());
        auth.revoke_api_key(&operator(), key.key.id, None).await.unwrap();
        auth.logout(Some(refresh), None, petspark_core::Origin::default()).await.unwrap();
        assert_eq!(report(refresh).await, (TokenKind::Refresh, false, None));
        assert_eq!(report(api_key).await, (TokenKind::ApiKey, false, Some("clinic".to_owned())));
        for nonsense in ["", "nonsense", "psk_AAAA", "psr_AAAA", "{\"accessToken\":\"a.b.c\"}"] {
            assert_eq!(auth.holder_of_token(&operator(), nonsense).await.unwrap_err().kind(), Kind::Invalid, "{nonsense}");
        }
    }

    async fn an_inspected_token_is_told_rule_by_rule_without_its_signature(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let token = ada.signed_in.tokens.access.expose();
        let broken = async |token: &str| {
            let report = auth.inspect_token(&operator(), token).await.unwrap();
            let signature = token.rsplit('.').next().unwrap_or_default();
            assert!(signature.len() < 8 || !format!("{report:?}").contains(signature));
            let broken = report.rules.iter().filter(|rule| rule.verdict == Verdict::Fail);
            (report.accepted, broken.map(|rule| rule.rule).collect::<Vec<_>>())
        };
        assert_eq!(broken(token).await, (true, vec![]));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{message}.{}", signature.chars().rev().collect::<String>());
        assert_eq!(broken(&forged).await, (false, vec!["signature"]));
        for nonsense in ["", "..", "a.b.c", "\0", &"x.".repeat(9000)] {
            let (accepted, broken) = broken(nonsense).await;
            assert!(!accepted && broken.contains(&"form"), "{broken:?}");
        }
        app.clock.advance(15 * MINUTE + Duration::from_secs(5));
        assert_eq!(broken(token).await, (false, vec!["expires"]));
        auth.logout(None, Some(token), petspark_core::Origin::default()).await.unwrap();
        assert_eq!(broken(token).await, (false, vec!["expires", "session"]));
    }

    async fn every_step_is_written_down_without_a_secret(app: TestApp) {
        let kid = generate(&app.petspark).await;
        promote(&app.petspark, &kid, true).await.unwrap();
        retire(&app.petspark, &kid, true).await.unwrap();
        let rows = texts(&app, "SELECT action || ' ' || actor || ' ' || CAST(details AS TEXT) FROM audit_log ORDER BY id").await;
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows.iter().all(|row| row.contains(&kid) && row.contains(" test ")), "{rows:?}");
        let left = texts(&app, "SELECT kid FROM signing_keys WHERE private_key IS NOT NULL").await;
        assert!(left.is_empty(), "a retired key can't be brought back");
    }
}
