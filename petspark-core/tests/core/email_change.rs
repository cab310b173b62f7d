//! Moving an account to another address, and taking it back.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::Caller;
use petspark_core::auth::{AuthError, Client, NewAccount, Password};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, TestUser, on_both};

use crate::recovery::{NEW, assert_dead, can_sign_in, count, nobody, token};

const OLD: &str = "ada@example.org";
const OTHER: &str = "lovelace@example.org";
const UNDO: Template = Template::EmailChanged;

async fn verified(app: &TestApp) -> TestUser {
    let ada = app.register("ada").await;
    let verify = token(app, OLD, Template::VerifyEmail).await;
    app.petspark.auth().verify_email(&nobody(), &verify).await.unwrap();
    ada
}

/// Asks for the move, and gives the token that the new address was sent.
async fn ask(app: &TestApp, caller: &Caller, to: &str) -> String {
    app.petspark.auth().change_email(caller, to, Password::new(TestApp::PASSWORD)).await.unwrap();
    token(app, to, Template::ConfirmEmailChange).await
}

async fn confirm(app: &TestApp, token: &str) -> Result<(), AuthError> {
    app.petspark.auth().confirm_email_change(&nobody(), token).await
}

async fn undo(app: &TestApp, token: &str) -> Result<(), AuthError> {
    app.petspark.auth().undo_email_change(&nobody(), token).await
}

async fn register(app: &TestApp, email: &str) -> Result<(), AuthError> {
    let account = NewAccount { email: email.to_owned(), password: Password::new(NEW), display_name: "Eve".to_owned() };
    app.petspark.auth().register(account, Client::default()).await.map(drop)
}

on_both! {
    async fn the_new_mailbox_confirms_and_links_to_the_old_one_die(app: TestApp) {
        let ada = verified(&app).await;
        app.petspark.auth().forgot_password(&nobody(), OLD).await.unwrap();
        let reset = token(&app, OLD, Template::ResetPassword).await;
        let change = ask(&app, &ada.caller, OTHER).await;
        assert!(can_sign_in(&app, OLD, TestApp::PASSWORD).await, "nothing has changed yet");
        let before = count(&app, OLD).await;
        confirm(&app, &change).await.unwrap();
        assert!(can_sign_in(&app, OTHER, TestApp::PASSWORD).await);
        assert!(!can_sign_in(&app, OLD, TestApp::PASSWORD).await);
        assert!(app.petspark.auth().me(&ada.caller).await.unwrap().email_verified_at.is_some());
        assert_eq!(count(&app, OLD).await, before + 1, "asvs_6_3_7: the old address is told");
        assert_dead(app.petspark.auth().reset_password(&nobody(), &reset, Password::new(NEW)).await);
        assert_dead(confirm(&app, &change).await);
    }

    async fn asvs_6_5_1_a_move_and_its_undoing_happen_once(app: TestApp) {
        let ada = verified(&app).await;
        let change = ask(&app, &ada.caller, OTHER).await;
        let results = join_all((0..20).map(|_| confirm(&app, &change))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        results.into_iter().filter(Result::is_err).for_each(assert_dead);
        let back = token(&app, OLD, UNDO).await;
        let results = join_all((0..20).map(|_| undo(&app, &back))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        results.into_iter().filter(Result::is_err).for_each(assert_dead);
    }

    async fn the_old_mailbox_takes_the_account_back_from_a_thief(app: TestApp) {
        let ada = verified(&app).await;
        let auth = app.petspark.auth();
        confirm(&app, &ask(&app, &ada.caller, OTHER).await).await.unwrap();
        let back = token(&app, OLD, UNDO).await;
        // The thief moves on, takes a new password, and asks for links: none of it helps.
        confirm(&app, &ask(&app, &ada.caller, "third@example.org").await).await.unwrap();
        let second_back = token(&app, OTHER, UNDO).await;
        auth.forgot_password(&nobody(), "third@example.org").await.unwrap();
        let reset = token(&app, "third@example.org", Template::ResetPassword).await;
        auth.reset_password(&nobody(), &reset, Password::new(NEW)).await.unwrap();
        let thief = auth.login("third@example.org", Password::new(NEW), Client::default()).await.unwrap();
        assert!(matches!(register(&app, OLD).await, Err(AuthError::EmailTaken)), "kept for its owner");
        undo(&app, &back).await.unwrap();
        assert!(matches!(auth.authenticate(thief.tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
        for (email, password) in [(OLD, NEW), (OLD, TestApp::PASSWORD), ("third@example.org", NEW)] {
            assert!(!can_sign_in(&app, email, password).await, "{email}");
        }
        assert_dead(undo(&app, &second_back).await);
        let reset = token(&app, OLD, Template::ResetPassword).await;
        auth.reset_password(&nobody(), &reset, Password::new("a third good passphrase")).await.unwrap();
        assert!(can_sign_in(&app, OLD, "a third good passphrase").await);
    }

    async fn a_later_undoing_does_not_take_the_earlier_one_away(app: TestApp) {
        let ada = verified(&app).await;
        confirm(&app, &ask(&app, &ada.caller, OTHER).await).await.unwrap();
        let back = token(&app, OLD, UNDO).await;
        app.clock.advance(Duration::from_secs(1));
        confirm(&app, &ask(&app, &ada.caller, "third@example.org").await).await.unwrap();
        undo(&app, &token(&app, OTHER, UNDO).await).await.unwrap();
        undo(&app, &back).await.unwrap();
        assert_eq!(app.petspark.auth().get_user(&Caller::operator("test"), OLD).await.unwrap().id, ada.id);
    }

    async fn an_address_that_was_left_is_kept_for_three_days(app: TestApp) {
        let ada = verified(&app).await;
        confirm(&app, &ask(&app, &ada.caller, OTHER).await).await.unwrap();
        let back = token(&app, OLD, UNDO).await;
        let eve = app.register("eve").await;
        let claim = ask(&app, &eve.caller, OLD).await;
        assert_dead(confirm(&app, &claim).await);
        assert!(matches!(register(&app, OLD).await, Err(AuthError::EmailTaken)));
        app.clock.advance(Duration::from_secs(72 * 3600));
        assert_dead(undo(&app, &back).await);
        register(&app, OLD).await.unwrap();
    }

    async fn an_address_of_somebody_else_gives_the_same_answer_and_its_owner_a_mail(app: TestApp) {
        let ada = verified(&app).await;
        app.register("bob").await;
        let before = count(&app, "bob@example.org").await;
        let auth = app.petspark.auth();
        auth.change_email(&ada.caller, "bob@example.org", Password::new(TestApp::PASSWORD)).await.unwrap();
        assert_eq!(count(&app, "bob@example.org").await, before + 1);
        assert!(app.mail("bob@example.org", Template::AlreadyRegistered).await.link().is_none());
        for wrong in [OLD, " ADA@example.org", "nonsense", ""] {
            let refused = auth.change_email(&ada.caller, wrong, Password::new(TestApp::PASSWORD)).await;
            assert!(matches!(refused, Err(AuthError::Invalid(_))), "{wrong}: {refused:?}");
        }
    }

    async fn of_two_who_move_to_one_address_one_gets_it(app: TestApp) {
        let (ada, bob) = (verified(&app).await, app.register("bob").await);
        let (first, second) = (ask(&app, &ada.caller, OTHER).await, ask(&app, &bob.caller, OTHER).await);
        let (first, second) = tokio::join!(confirm(&app, &first), confirm(&app, &second));
        assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1, "{first:?} {second:?}");
        [first, second].into_iter().filter(Result::is_err).for_each(assert_dead);
    }

    async fn an_address_that_was_never_proven_gets_no_way_back(app: TestApp) {
        let ada = app.register("ada").await;
        let before = count(&app, OLD).await;
        confirm(&app, &ask(&app, &ada.caller, OTHER).await).await.unwrap();
        assert_eq!(count(&app, OLD).await, before);
        register(&app, OLD).await.unwrap();
    }

    async fn a_new_password_stops_a_move_that_was_not_confirmed(app: TestApp) {
        let ada = verified(&app).await;
        let change = ask(&app, &ada.caller, OTHER).await;
        app.petspark.auth().change_password(&ada.caller, Password::new(TestApp::PASSWORD), Password::new(NEW)).await.unwrap();
        assert_dead(confirm(&app, &change).await);
    }
}
