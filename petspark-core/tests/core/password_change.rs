//! Changing one's own password, and what it does to the sessions there are.

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::{AuthError, Client, Password};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Origin, PageRequest};

use crate::recovery::{NEW, assert_dead, can_sign_in, count, nobody, token};

on_both! {
    async fn asvs_7_4_3_a_new_password_ends_the_other_sessions_and_renews_ones_own(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let other = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        auth.forgot_password(&nobody(), "ada@example.org").await.unwrap();
        let link = token(&app, "ada@example.org", Template::ResetPassword).await;
        let before = count(&app, "ada@example.org").await;
        let tokens = auth.change_password(&ada.caller, Password::new(TestApp::PASSWORD), Password::new(NEW)).await.unwrap();
        assert_eq!(count(&app, "ada@example.org").await, before + 1, "asvs_6_3_7: a notice was sent");
        assert!(matches!(auth.authenticate(other.tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(auth.refresh(other.tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        assert!(matches!(auth.authenticate(ada.signed_in.tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
        // The token from before is refused, and that it was sent is no theft.
        assert!(matches!(auth.refresh(ada.signed_in.tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        assert!(auth.authenticate(tokens.access.expose()).await.unwrap().is(ada.id));
        assert!(auth.refresh(tokens.refresh.expose(), Origin::default()).await.is_ok());
        assert_dead(auth.reset_password(&nobody(), &link, Password::new("yet another passphrase")).await);
        assert!(can_sign_in(&app, "ada@example.org", NEW).await);
        assert!(!can_sign_in(&app, "ada@example.org", TestApp::PASSWORD).await);
    }

    async fn asvs_6_2_2_6_2_3_without_the_current_password_nothing_changes(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        for wrong in ["", "wrong horse", &"x".repeat(2000)] {
            let refused = auth.change_password(&ada.caller, Password::new(wrong), Password::new(NEW)).await;
            assert!(matches!(refused, Err(AuthError::WrongPassword)), "{refused:?}");
            let refused = auth.change_email(&ada.caller, "new@example.org", Password::new(wrong)).await;
            assert!(matches!(refused, Err(AuthError::WrongPassword)), "{refused:?}");
        }
        let refused = auth.change_password(&ada.caller, Password::new(TestApp::PASSWORD), Password::new("short")).await;
        assert!(matches!(refused, Err(AuthError::Invalid(_))), "{refused:?}");
        let refused = auth.change_password(&nobody(), Password::new(TestApp::PASSWORD), Password::new(NEW)).await;
        assert!(matches!(refused, Err(AuthError::Unauthenticated)), "{refused:?}");
        assert!(can_sign_in(&app, "ada@example.org", TestApp::PASSWORD).await);
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
    }

    async fn a_password_that_nobody_can_have_is_a_wrong_one_that_is_not_hashed(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let thief = ada.caller.clone().from(Origin { ip: Some([203, 0, 113, 9].into()), request_id: None });
        let change = |current: &str| auth.change_password(&thief, Password::new(current), Password::new(NEW));
        let hashes = auth.hashes_for_tests();
        for _ in 0..5 {
            assert!(matches!(change(&"x".repeat(2000)).await, Err(AuthError::WrongPassword)));
        }
        assert_eq!(auth.hashes_for_tests(), hashes);
        assert!(matches!(change(TestApp::PASSWORD).await, Err(AuthError::TooMany { .. })), "they count like others");
        let filter = AuditFilter { action: Some(Action::PasswordChange), ..AuditFilter::default() };
        let log = app.petspark.audit().list(&Caller::operator("test"), filter, &PageRequest::default()).await.unwrap();
        assert_eq!(log.items.iter().filter(|entry| !entry.succeeded).count(), 5);
    }

    async fn who_has_a_stolen_session_can_not_go_on_guessing_the_password(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let thief = ada.caller.clone().from(Origin { ip: Some([203, 0, 113, 9].into()), request_id: None });
        let change = |current: &str| auth.change_password(&thief, Password::new(current), Password::new(NEW));
        for n in 0..5 {
            let refused = change(&format!("wrong horse {n}")).await;
            assert!(matches!(refused, Err(AuthError::WrongPassword)), "{refused:?}");
        }
        let refused = change(TestApp::PASSWORD).await;
        assert!(matches!(refused, Err(AuthError::TooMany { .. })), "{refused:?}");
        let home = ada.caller.clone().from(Origin { ip: Some([198, 51, 100, 7].into()), request_id: None });
        auth.change_password(&home, Password::new(TestApp::PASSWORD), Password::new(NEW)).await.unwrap();
    }

    async fn of_two_changes_at_the_same_moment_one_counts(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let change = |new: &'static str| auth.change_password(&ada.caller, Password::new(TestApp::PASSWORD), Password::new(new));
        let (first, second) = tokio::join!(change(NEW), change("yet another passphrase"));
        assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1, "{first:?} {second:?}");
        assert_eq!(can_sign_in(&app, "ada@example.org", NEW).await, first.is_ok());
        assert_eq!(can_sign_in(&app, "ada@example.org", "yet another passphrase").await, second.is_ok());
    }
}
