//! Links in mails: what they do, that they do it once, and when they no longer do.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use petspark_core::auth::{AuthError, Client, Password, UserStatus};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Origin};

use crate::sql::{every_row, execute};

pub(crate) const NEW: &str = "another good passphrase";
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn nobody() -> Caller {
    Caller::anonymous()
}

/// The token in the newest of these mails to `to`.
pub(crate) async fn token(app: &TestApp, to: &str, template: Template) -> String {
    app.mail(to, template).await.token().expose().to_owned()
}

pub(crate) async fn count(app: &TestApp, to: &str) -> usize {
    app.mails().await.iter().filter(|mail| mail.to == to).count()
}

pub(crate) async fn can_sign_in(app: &TestApp, email: &str, password: &str) -> bool {
    app.petspark.auth().login(email, Password::new(password), Client::default()).await.is_ok()
}

async fn forgot(app: &TestApp, email: &str) -> String {
    app.petspark.auth().forgot_password(&nobody(), email).await.unwrap();
    token(app, email, Template::ResetPassword).await
}

async fn reset(app: &TestApp, token: &str) -> Result<(), AuthError> {
    app.petspark.auth().reset_password(&nobody(), token, Password::new(NEW)).await
}

#[track_caller]
pub(crate) fn assert_dead<T: std::fmt::Debug>(result: Result<T, AuthError>) {
    assert!(matches!(result, Err(AuthError::OneTimeTokenInvalid)), "{result:?}");
}

on_both! {
    async fn a_reset_ends_every_session_signs_nobody_in_and_proves_the_address(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let other = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        let verify = token(&app, "ada@example.org", Template::VerifyEmail).await;
        auth.forgot_password(&nobody(), " Ada@example.org").await.unwrap();
        let token = token(&app, "ada@example.org", Template::ResetPassword).await;
        let before = count(&app, "ada@example.org").await;
        reset(&app, &token).await.unwrap();
        for tokens in [&ada.signed_in.tokens, &other.tokens] {
            assert!(matches!(auth.authenticate(tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
            assert!(matches!(auth.refresh(tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        }
        assert!(!can_sign_in(&app, "ada@example.org", TestApp::PASSWORD).await);
        assert!(can_sign_in(&app, "ada@example.org", NEW).await);
        let user = auth.get_user(&Caller::operator("test"), "ada@example.org").await.unwrap();
        assert_eq!(user.email_verified_at, Some(app.clock.now()));
        assert_eq!(count(&app, "ada@example.org").await, before + 1, "a notice was sent");
        assert_dead(auth.verify_email(&nobody(), &verify).await);
    }

    async fn asvs_6_5_1_a_link_for_a_password_works_once_however_many_use_it(app: TestApp) {
        app.register("ada").await;
        let token = forgot(&app, "ada@example.org").await;
        let results = join_all((0..20).map(|_| reset(&app, &token))).await;
        // The machine hashes a few passwords at a time; those that waited too long were told so.
        let used = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(used, 1, "{results:?}");
        let dead = |result: &Result<(), AuthError>| matches!(result, Ok(()) | Err(AuthError::OneTimeTokenInvalid | AuthError::Busy));
        assert!(results.iter().all(dead), "{results:?}");
        assert_dead(reset(&app, &token).await);
    }

    async fn asvs_6_5_1_a_link_for_an_address_works_once_however_many_use_it(app: TestApp) {
        app.register("ada").await;
        let token = token(&app, "ada@example.org", Template::VerifyEmail).await;
        let auth = app.petspark.auth();
        let caller = nobody();
        let results = join_all((0..20).map(|_| auth.verify_email(&caller, &token))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        results.into_iter().filter(Result::is_err).for_each(assert_dead);
    }

    async fn asvs_6_5_2_the_database_holds_no_token(app: TestApp) {
        let ada = app.register("ada").await;
        let verify = token(&app, "ada@example.org", Template::VerifyEmail).await;
        let reset = forgot(&app, "ada@example.org").await;
        let auth = app.petspark.auth();
        auth.change_email(&ada.caller, "lovelace@example.org", Password::new(TestApp::PASSWORD)).await.unwrap();
        // Once while the last mail waits in the queue, and once after it was sent.
        let mut rows = every_row(app.petspark.settings()).await;
        let change = token(&app, "lovelace@example.org", Template::ConfirmEmailChange).await;
        rows.extend(every_row(app.petspark.settings()).await);
        assert!(rows.iter().any(|row| row.contains("ada@example.org")), "the search finds what is there");
        for secret in [&verify, &reset, &change] {
            let body = secret.strip_prefix("pst_").unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
            // As text, and in the second half, the HMAC, also as bytes.
            let mac: String = bytes[bytes.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
            for row in &rows {
                assert!(!row.contains(body) && !row.to_lowercase().contains(&mac), "{row}");
            }
        }
    }

    async fn a_link_dies_of_age_of_its_successor_and_of_a_foreign_purpose(app: TestApp) {
        app.register("ada").await;
        let verify = token(&app, "ada@example.org", Template::VerifyEmail).await;
        assert_dead(reset(&app, &verify).await);
        let first = forgot(&app, "ada@example.org").await;
        assert_dead(app.petspark.auth().verify_email(&nobody(), &first).await);
        let second = forgot(&app, "ada@example.org").await;
        assert_dead(reset(&app, &first).await);
        app.clock.advance(30 * MINUTE);
        assert_dead(reset(&app, &second).await);
        app.clock.advance(23 * 60 * MINUTE);
        app.petspark.auth().verify_email(&nobody(), &verify).await.unwrap();
        for nonsense in ["", "pst_", "pst_AAAA", "x", "\0", &"A".repeat(10_000)] {
            assert_dead(reset(&app, nonsense).await);
        }
    }

    async fn a_password_that_cannot_be_accepted_leaves_the_link_as_it_was(app: TestApp) {
        app.register("ada").await;
        let token = forgot(&app, "ada@example.org").await;
        let refused = app.petspark.auth().reset_password(&nobody(), &token, Password::new("short")).await;
        assert!(matches!(refused, Err(AuthError::Invalid(_))), "{refused:?}");
        reset(&app, &token).await.unwrap();
    }

    async fn who_asks_for_a_link_cannot_tell_who_has_an_account(app: TestApp) {
        app.register("ada").await;
        app.run_jobs().await;
        let auth = app.petspark.auth();
        let before = every_row(app.petspark.settings()).await.len();
        auth.forgot_password(&nobody(), "nobody@example.org").await.unwrap();
        let unknown = every_row(app.petspark.settings()).await.len() - before;
        auth.forgot_password(&nobody(), "ada@example.org").await.unwrap();
        let known = every_row(app.petspark.settings()).await.len() - before - unknown;
        // A job, a row of the audit log and a count; on PostgreSQL one more, of the job's counter.
        assert!(known == unknown && known >= 3, "{known} rows for somebody, {unknown} for nobody");
        app.run_jobs().await;
        assert_eq!(count(&app, "nobody@example.org").await, 0);
        for wrong in ["", "ada", "a b@example.org"] {
            assert!(matches!(auth.forgot_password(&nobody(), wrong).await, Err(AuthError::Invalid(_))));
        }
    }

    async fn a_verified_address_gets_no_further_link(app: TestApp) {
        app.register("ada").await;
        let auth = app.petspark.auth();
        let first = token(&app, "ada@example.org", Template::VerifyEmail).await;
        auth.resend_verification(&nobody(), "ada@example.org").await.unwrap();
        let second = token(&app, "ada@example.org", Template::VerifyEmail).await;
        assert_ne!(first, second);
        assert_dead(auth.verify_email(&nobody(), &first).await);
        auth.verify_email(&nobody(), &second).await.unwrap();
        let before = count(&app, "ada@example.org").await;
        auth.resend_verification(&nobody(), "ada@example.org").await.unwrap();
        assert_eq!(count(&app, "ada@example.org").await, before);
    }

    async fn a_deleted_user_gets_no_link_and_can_use_none(app: TestApp) {
        app.register("ada").await;
        let token = forgot(&app, "ada@example.org").await;
        execute(app.petspark.settings(), "UPDATE users SET deleted_at = created_at").await;
        assert_dead(reset(&app, &token).await);
        let before = count(&app, "ada@example.org").await;
        app.petspark.auth().forgot_password(&nobody(), "ada@example.org").await.unwrap();
        assert_eq!(count(&app, "ada@example.org").await, before);
    }

    async fn a_suspended_user_gets_a_new_password_and_stays_suspended(app: TestApp) {
        app.register("ada").await;
        let word = UserStatus::Suspended.as_str();
        execute(app.petspark.settings(), &format!("UPDATE users SET status = '{word}'")).await;
        let token = forgot(&app, "ada@example.org").await;
        reset(&app, &token).await.unwrap();
        let login = app.petspark.auth().login("ada@example.org", Password::new(NEW), Client::default()).await;
        assert!(matches!(login, Err(AuthError::Suspended)));
    }
}
