//! What is over is removed, by jobs and by operators, and nothing else.

use std::time::Duration;

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::{AuthError, Client, Leftovers, Password, Role};
use petspark_core::testing::{TestApp, TestUser, on_both, totp_code};
use petspark_core::{Caller, Origin, PageRequest};

use crate::recovery::nobody;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn operator() -> Caller {
    Caller::operator("cli:test@host")
}

/// Somebody with a second factor, who gave the password and no code.
async fn half_signed_in(app: &TestApp) -> TestUser {
    let (ada, auth) = (app.register("ada").await, app.petspark.auth());
    let secret = auth.begin_totp(&ada.caller).await.unwrap().secret;
    auth.confirm_totp(&ada.caller, &totp_code(&secret, app.clock.now())).await.unwrap();
    let login = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await;
    assert!(matches!(login, Err(AuthError::SecondFactorNeeded { .. })));
    ada
}

async fn preview(app: &TestApp) -> Leftovers {
    app.petspark.auth().preview_leftovers(&operator()).await.unwrap()
}

on_both! {
    async fn each_thing_that_is_over_is_removed_in_its_time(app: TestApp) {
        let auth = app.petspark.auth();
        half_signed_in(&app).await;
        auth.forgot_password(&nobody(), "ada@example.org").await.unwrap();
        app.run_jobs().await;
        assert_eq!(preview(&app).await, Leftovers::default());
        app.clock.advance(HOUR);
        assert_eq!(preview(&app).await, Leftovers { challenges: 1, ..Leftovers::default() });
        app.clock.advance(DAY);
        let found = preview(&app).await;
        assert_eq!((found.one_time_tokens, found.challenges, found.sessions), (1, 1, 0), "the link for a password");
        assert_eq!(auth.remove_leftovers(&operator()).await.unwrap(), found);
        assert_eq!(preview(&app).await, Leftovers::default());
        app.clock.advance(119 * DAY);
        let found = preview(&app).await;
        assert_eq!((found.one_time_tokens, found.sessions), (1, 1), "the link that verifies, and the session, 30 days after its 90");
        let filter = AuditFilter { action: Some(Action::LeftoversRemoved), ..AuditFilter::default() };
        let written = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((written.len(), &written[0].details["challenges"]), (1, &1.into()));
    }

    async fn jobs_remove_it_when_nobody_asks(app: TestApp) {
        half_signed_in(&app).await;
        app.run_jobs().await;
        app.clock.advance(200 * DAY);
        assert_ne!(preview(&app).await, Leftovers::default());
        app.run_jobs().await;
        assert_eq!(preview(&app).await, Leftovers::default());
    }

    async fn a_session_that_lives_stays_and_so_does_an_ended_one_for_a_while(app: TestApp) {
        let (ada, auth) = (app.register("ada").await, app.petspark.auth());
        auth.logout(Some(ada.signed_in.tokens.refresh.expose()), None, Origin::default()).await.unwrap();
        app.sign_in("ada").await;
        app.clock.advance(29 * DAY);
        assert_eq!(auth.remove_leftovers(&operator()).await.unwrap().sessions, 0);
        assert_eq!(auth.list_sessions(&operator(), ada.id).await.unwrap().len(), 1);
    }

    async fn only_administrators_clear_away_and_count(app: TestApp) {
        let (ada, auth) = (app.register("ada").await, app.petspark.auth());
        assert!(matches!(auth.remove_leftovers(&ada.caller).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.preview_leftovers(&ada.caller).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.stats(&ada.caller).await, Err(AuthError::Forbidden)));
        assert!(app.petspark.jobs().remove_dead(&ada.caller).await.is_err());
    }

    async fn accounts_are_counted(app: TestApp) {
        let auth = app.petspark.auth();
        let ada = half_signed_in(&app).await;
        app.register("bob").await;
        let wrong = auth.login("bob@example.org", Password::new("a wrong password"), Client::default()).await;
        assert!(matches!(wrong, Err(AuthError::WrongCredentials)));
        auth.set_email_verified(&operator(), ada.id).await.unwrap();
        auth.set_role(&operator(), ada.id, Role::Admin, false).await.unwrap();
        app.sign_in("bob").await;
        let stats = auth.stats(&operator()).await.unwrap();
        assert_eq!((stats.users, stats.unverified, stats.locked, stats.administrators), (2, 1, 0, 1));
        assert_eq!((stats.with_second_factor, stats.sessions), (1, 2), "a new role ended hers");
        assert_eq!((stats.logins, stats.failed_logins, stats.token_reuses), (1, 1, 0));
        app.clock.advance(DAY + HOUR);
        assert_eq!(auth.stats(&operator()).await.unwrap().failed_logins, 0);
    }
}
