//! What becomes of sessions: lost answers, stolen tokens, too many devices, and ending them.

use std::collections::BTreeSet;
use std::time::Duration;

use petspark_core::auth::{AuthError, Client, Password, SessionSelection, Tokens, Verdict};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, Origin, Secret, SessionId};

const GRACE: Duration = Duration::from_secs(11);
const HOUR: Duration = Duration::from_secs(3600);

async fn refresh(app: &TestApp, token: &Secret) -> Result<Tokens, AuthError> {
    app.petspark.auth().refresh(token.expose(), Origin::default()).await
}

async fn use_once(app: &TestApp, tokens: &Tokens) -> Result<Caller, AuthError> {
    app.petspark.auth().authenticate(tokens.access.expose()).await
}

/// Whether a token is accepted, and which rules it breaks.
async fn broken(app: &TestApp, token: &Secret) -> (bool, Vec<&'static str>) {
    let told = app.petspark.auth().inspect_token(&Caller::operator("test"), token.expose()).await.unwrap();
    let broken = told.rules.iter().filter(|rule| rule.verdict == Verdict::Fail);
    (told.accepted, broken.map(|rule| rule.rule).collect())
}

async fn sign_in(app: &TestApp) -> Tokens {
    let password = Password::new(TestApp::PASSWORD);
    app.petspark.auth().login("ada@example.org", password, Client::default()).await.unwrap().tokens
}

async fn sessions(app: &TestApp, user: &TestUser) -> BTreeSet<SessionId> {
    let sessions = app.petspark.auth().list_sessions(&user.caller, user.id).await.unwrap();
    sessions.into_iter().map(|session| session.id).collect()
}

on_both! {
    async fn a_session_is_renewed_ten_times_a_minute_and_no_other_has_to_wait(app: TestApp) {
        let petspark = app.another_with(|settings| settings.auth.refresh_per_minute = 10).await;
        let auth = petspark.auth();
        let refresh = async |token: &Secret| auth.refresh(token.expose(), Origin::default()).await;
        let (mut ada, bob) = (app.register("ada").await.signed_in.tokens, app.register("bob").await.signed_in.tokens);
        for _ in 0..10 {
            let again = refresh(&ada.refresh).await.unwrap();
            let next = refresh(&ada.refresh).await.unwrap();
            assert_eq!(again.refresh.expose(), next.refresh.expose(), "the same token again is free");
            ada = next;
            app.clock.advance(Duration::from_secs(1));
        }
        for _ in 0..2 {
            let refused = refresh(&ada.refresh).await;
            assert!(matches!(refused, Err(AuthError::TooMany { retry_after }) if retry_after.as_secs() == 50), "{refused:?}");
        }
        assert!(refresh(&bob.refresh).await.is_ok());
        assert!(auth.authenticate(ada.access.expose()).await.is_ok(), "the session lives on");
        app.clock.advance(Duration::from_secs(50));
        assert!(refresh(&ada.refresh).await.is_ok());
        petspark.close().await;
    }

    async fn an_answer_that_got_lost_is_given_again_an_hour_later_with_the_same_successor(app: TestApp) {
        let first = app.register("ada").await.signed_in.tokens;
        let lost = refresh(&app, &first.refresh).await.unwrap();
        app.clock.advance(HOUR);
        let again = refresh(&app, &first.refresh).await.unwrap();
        assert_eq!(again.refresh.expose(), lost.refresh.expose());
        assert!(use_once(&app, &again).await.is_ok());
    }

    async fn asvs_10_4_5_an_old_token_is_theft_once_its_successor_was_used_and_the_grace_is_over(app: TestApp) {
        let first = app.register("ada").await.signed_in.tokens;
        let second = refresh(&app, &first.refresh).await.unwrap();
        assert!(use_once(&app, &second).await.is_ok());
        assert!(refresh(&app, &first.refresh).await.is_ok(), "within the grace period");
        app.clock.advance(GRACE);
        assert!(matches!(refresh(&app, &first.refresh).await, Err(AuthError::RefreshReused)));
        assert!(matches!(refresh(&app, &second.refresh).await, Err(AuthError::RefreshInvalid)), "the family is dead");
        assert!(use_once(&app, &second).await.is_err());
        app.mail("ada@example.org", Template::SessionRevoked).await;
    }

    async fn a_use_that_another_process_saw_counts_as_well(app: TestApp) {
        let first = app.register("ada").await.signed_in.tokens;
        let second = refresh(&app, &first.refresh).await.unwrap();
        let another = app.another().await;
        assert!(another.auth().authenticate(second.access.expose()).await.is_ok());
        another.close().await;
        app.clock.advance(GRACE);
        assert!(matches!(refresh(&app, &first.refresh).await, Err(AuthError::RefreshReused)));
    }

    async fn a_token_outdated_on_purpose_is_refused_gently_at_first_and_as_theft_later(app: TestApp) {
        for (wait, stolen) in [(Duration::ZERO, false), (GRACE, true)] {
            let ada = app.register(if stolen { "eve" } else { "ada" }).await;
            let tokens = &ada.signed_in.tokens;
            let session = ada.caller.session_id().unwrap();
            let bump = match app.petspark.database().engine_name() {
                "sqlite" => format!("UPDATE sessions SET generation = 2, floor_generation = 2, rotated_at = {} WHERE hex(id) = '{}'",
                    app.clock.now().as_micros(), session.to_string().replace('-', "").to_uppercase()),
                _ => format!("UPDATE sessions SET generation = 2, floor_generation = 2, rotated_at = '{}' WHERE id = '{session}'", app.clock.now()),
            };
            crate::sql::execute(app.petspark.settings(), &bump).await;
            app.clock.advance(wait);
            let refused = refresh(&app, &tokens.refresh).await.unwrap_err();
            assert_eq!(matches!(refused, AuthError::RefreshReused), stolen, "{refused:?}");
            assert_eq!(use_once(&app, tokens).await.is_err(), stolen);
        }
    }

    async fn inspecting_a_refresh_token_says_what_renewing_would_and_does_nothing(app: TestApp) {
        let first = app.register("ada").await.signed_in.tokens;
        assert_eq!(broken(&app, &first.refresh).await, (true, vec![]));
        let second = refresh(&app, &first.refresh).await.unwrap();
        assert!(use_once(&app, &second).await.is_ok());
        assert_eq!(broken(&app, &first.refresh).await, (true, vec![]), "within the grace period");
        app.clock.advance(GRACE);
        assert_eq!(broken(&app, &first.refresh).await, (false, vec!["generation"]));
        assert_eq!(broken(&app, &second.refresh).await, (true, vec![]), "nothing was ended by looking");
        assert!(matches!(refresh(&app, &first.refresh).await, Err(AuthError::RefreshReused)));
        assert_eq!(broken(&app, &second.refresh).await, (false, vec!["session"]));
        // Unused for too long, and begun too long ago.
        let settings = &app.petspark.settings().auth;
        let mut bob = app.register("bob").await.signed_in.tokens;
        let end = app.clock.now().after(settings.session_absolute_ttl);
        let step = settings.session_idle_ttl - HOUR;
        while app.clock.now().after(settings.session_idle_ttl) < end {
            app.clock.advance(step);
            bob = refresh(&app, &bob.refresh).await.unwrap();
        }
        app.clock.advance(end.since(app.clock.now()));
        assert_eq!(broken(&app, &bob.refresh).await, (false, vec!["expires"]));
        assert!(matches!(refresh(&app, &bob.refresh).await, Err(AuthError::RefreshExpired)));
        let cy = app.register("cy").await.signed_in.tokens;
        app.clock.advance(settings.session_idle_ttl);
        let told = app.petspark.auth().inspect_token(&Caller::operator("test"), cy.refresh.expose()).await.unwrap();
        assert!(!told.accepted && told.rules.iter().any(|rule| rule.found.contains("not renewed for too long")), "{told:?}");
        assert!(matches!(refresh(&app, &cy.refresh).await, Err(AuthError::RefreshExpired)));
    }

    async fn asvs_7_1_2_the_forty_ninth_session_ends_the_one_unused_for_longest(app: TestApp) {
        let ada = app.register("ada").await;
        let oldest = ada.caller.session_id().unwrap();
        app.clock.advance(HOUR);
        let renewed = sign_in(&app).await;
        app.clock.advance(HOUR);
        // Renewing a session makes it one that was used lately.
        let mut first = ada.signed_in.tokens.clone();
        first.refresh = refresh(&app, &first.refresh).await.unwrap().refresh;
        for _ in 0..46 {
            sign_in(&app).await;
        }
        assert_eq!(sessions(&app, &ada).await.len(), 48);
        sign_in(&app).await;
        let left = sessions(&app, &ada).await;
        assert_eq!(left.len(), 48);
        assert!(left.contains(&oldest), "it was renewed since");
        assert!(matches!(refresh(&app, &renewed.refresh).await, Err(AuthError::RefreshInvalid)));
    }

    async fn asvs_7_5_2_a_user_sees_and_ends_their_own_sessions_only(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let elsewhere = sign_in(&app).await;
        let auth = app.petspark.auth();
        let here = ada.caller.session_id().unwrap();
        let there = use_once(&app, &elsewhere).await.unwrap().session_id().unwrap();
        assert_eq!(sessions(&app, &ada).await, BTreeSet::from([here, there]));
        assert!(matches!(auth.list_sessions(&bob.caller, ada.id).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.revoke_own_session(&bob.caller, there).await, Err(AuthError::SessionNotFound)));
        assert!(use_once(&app, &elsewhere).await.is_ok());
        auth.revoke_own_session(&ada.caller, there).await.unwrap();
        assert!(use_once(&app, &elsewhere).await.is_err());
        assert!(matches!(auth.revoke_own_session(&ada.caller, there).await, Err(AuthError::SessionNotFound)));
        let third = sign_in(&app).await;
        assert_eq!(auth.revoke_other_sessions(&ada.caller).await.unwrap(), 1);
        assert!(use_once(&app, &third).await.is_err());
        assert!(use_once(&app, &ada.signed_in.tokens).await.is_ok());
    }

    async fn asvs_7_4_5_an_administrator_ends_the_sessions_of_one_user_or_of_all(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let auth = app.petspark.auth();
        let operator = Caller::operator("cli:test@here");
        let all = SessionSelection::default();
        assert!(matches!(auth.revoke_sessions(&bob.caller, &all, None).await, Err(AuthError::Forbidden)));
        let hers = SessionSelection { user: Some(ada.id), ..SessionSelection::default() };
        assert_eq!(auth.count_sessions(&operator, &hers).await.unwrap(), 1);
        assert_eq!(auth.revoke_sessions(&operator, &hers, Some("lost phone")).await.unwrap(), 1);
        assert!(use_once(&app, &ada.signed_in.tokens).await.is_err());
        assert!(use_once(&app, &bob.signed_in.tokens).await.is_ok());
        sign_in(&app).await;
        assert_eq!(auth.revoke_sessions(&operator, &all, None).await.unwrap(), 2);
        assert!(use_once(&app, &bob.signed_in.tokens).await.is_err());
    }
}
