//! What operators can do for users, and administrators can't.

use petspark_core::auth::{AuthError, Delivery, Invitation, NewEmail, Password, Role};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Failure as _, UserId};

use crate::recovery::{NEW, assert_dead, can_sign_in, count, nobody, token};

fn operator() -> Caller {
    Caller::operator("cli:test@host")
}

/// A signed-in administrator.
async fn admin(app: &TestApp) -> Caller {
    let root = app.register("root").await;
    let auth = app.petspark.auth();
    auth.set_role(&operator(), root.id, Role::Admin, false).await.unwrap();
    let login =
        auth.login("root@example.org", Password::new(TestApp::PASSWORD), petspark_core::auth::Client::default());
    auth.authenticate(login.await.unwrap().tokens.access.expose()).await.unwrap()
}

fn invitation(email: &str) -> Invitation {
    Invitation { email: email.to_owned(), display_name: "Grace".to_owned(), role: Role::Moderator }
}

fn new_email(email: &str, verified: bool, undo: bool) -> NewEmail {
    NewEmail { email: email.to_owned(), verified, undo }
}

on_both! {
    async fn of_those_who_make_the_first_administrator_at_once_one_does(app: TestApp) {
        let (auth, other) = (app.petspark.auth().clone(), app.another().await);
        let made = futures_util::future::join_all((0..8).map(|n| {
            let auth = if n % 2 == 0 { auth.clone() } else { other.auth().clone() };
            async move { auth.bootstrap_admin(&operator(), &format!("root{n}@example.org"), "Root").await }
        })).await;
        let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1);
        assert!(refused.iter().all(|refused| matches!(refused, Err(AuthError::AdminExists))), "{refused:?}");
        let (root, token) = made.into_iter().next().unwrap().unwrap();
        auth.reset_password(&nobody(), token.expose(), Password::new(NEW)).await.unwrap();
        assert!(can_sign_in(&app, &root.email, NEW).await);
        let admin = admin(&app).await;
        let by_a_user = auth.bootstrap_admin(&admin, "eve@example.org", "Eve").await;
        assert!(matches!(by_a_user, Err(AuthError::Forbidden)), "they would be given another's link: {by_a_user:?}");
        other.close().await;
    }

    async fn asvs_6_4_1_an_invited_user_has_no_password_until_they_choose_one(app: TestApp) {
        let auth = app.petspark.auth();
        let (user, link) = auth.invite(&operator(), invitation("grace@example.org"), Delivery::Mail).await.unwrap();
        assert!(link.is_none() && user.email_verified_at.is_none() && user.role == Role::Moderator);
        assert!(!can_sign_in(&app, "grace@example.org", "").await);
        let link = token(&app, "grace@example.org", Template::Invite).await;
        auth.reset_password(&nobody(), &link, Password::new(NEW)).await.unwrap();
        assert!(can_sign_in(&app, "grace@example.org", NEW).await);
        assert_dead(auth.reset_password(&nobody(), &link, Password::new(NEW)).await);
        let again = auth.invite(&operator(), invitation("grace@example.org"), Delivery::Mail).await;
        assert!(matches!(again, Err(AuthError::EmailTaken)), "{again:?}");
        let (_, late) = auth.invite(&operator(), invitation("late@example.org"), Delivery::Return).await.unwrap();
        app.clock.advance(std::time::Duration::from_secs(72 * 3600));
        assert_dead(auth.reset_password(&nobody(), late.unwrap().expose(), Password::new(NEW)).await);
    }

    async fn asvs_6_4_6_administrators_send_links_and_never_see_them_or_set_passwords(app: TestApp) {
        let (ada, admin) = (app.register("ada").await, admin(&app).await);
        let auth = app.petspark.auth();
        assert!(auth.send_reset_link(&admin, ada.id, Delivery::Mail).await.unwrap().is_none());
        let link = token(&app, "ada@example.org", Template::ResetPassword).await;
        let seen = auth.send_reset_link(&admin, ada.id, Delivery::Return).await;
        assert!(matches!(seen, Err(AuthError::Forbidden)), "{seen:?}");
        let set = auth.set_password(&admin, ada.id, Password::new(NEW), false).await;
        assert!(matches!(set, Err(AuthError::Forbidden)), "{set:?}");
        let invited = auth.invite(&admin, invitation("grace@example.org"), Delivery::Return).await;
        assert!(matches!(invited, Err(AuthError::Forbidden)), "{invited:?}");
        assert!(auth.get_user(&operator(), "grace@example.org").await.is_err(), "and nothing was made");
        for (caller, code) in [(&ada.caller, "ADMIN_001"), (&nobody(), "AUTH_006")] {
            let new = new_email("x@example.org", true, true);
            assert_eq!(auth.send_reset_link(caller, ada.id, Delivery::Mail).await.unwrap_err().code(), code);
            assert_eq!(auth.set_email_verified(caller, ada.id).await.unwrap_err().code(), code);
            assert_eq!(auth.set_email(caller, ada.id, new).await.unwrap_err().code(), code);
        }
        auth.reset_password(&nobody(), &link, Password::new(NEW)).await.unwrap();
    }

    async fn an_operator_is_given_a_link_and_can_set_a_password(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let link = auth.send_reset_link(&operator(), ada.id, Delivery::Return).await.unwrap().unwrap();
        auth.reset_password(&nobody(), link.expose(), Password::new(NEW)).await.unwrap();
        assert!(can_sign_in(&app, "ada@example.org", NEW).await);
        assert_eq!(auth.preview_password(&operator(), ada.id, false).await.unwrap(), 1);
        assert!(can_sign_in(&app, "ada@example.org", NEW).await, "a preview changes nothing");
        let other = "yet another passphrase";
        assert_eq!(auth.set_password(&operator(), ada.id, Password::new(other), true).await.unwrap(), 0);
        let before = count(&app, "ada@example.org").await;
        assert_eq!(auth.set_password(&operator(), ada.id, Password::new(NEW), false).await.unwrap(), 2);
        assert_eq!(count(&app, "ada@example.org").await, before + 1);
        assert!(!can_sign_in(&app, "ada@example.org", other).await);
        let short = auth.set_password(&operator(), ada.id, Password::new("short"), false).await;
        assert!(matches!(short, Err(AuthError::Invalid(_))));
        for unknown in [auth.send_reset_link(&operator(), UserId::new(), Delivery::Mail).await.map(drop), auth.set_password(&operator(), UserId::new(), Password::new(NEW), false).await.map(drop)] {
            assert!(matches!(unknown, Err(AuthError::UserNotFound)), "{unknown:?}");
        }
    }

    async fn an_operator_moves_and_verifies_addresses(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        assert!(auth.set_email_verified(&operator(), ada.id).await.unwrap());
        assert!(!auth.set_email_verified(&operator(), ada.id).await.unwrap());
        auth.set_email(&operator(), ada.id, new_email("lovelace@example.org", false, true)).await.unwrap();
        assert!(auth.me(&ada.caller).await.unwrap().email_verified_at.is_none());
        let verify = token(&app, "lovelace@example.org", Template::VerifyEmail).await;
        auth.verify_email(&nobody(), &verify).await.unwrap();
        let back = token(&app, "ada@example.org", Template::EmailChanged).await;
        // The old mailbox turns out to be somebody else's by now.
        let before = count(&app, "lovelace@example.org").await;
        auth.set_email(&operator(), ada.id, new_email("third@example.org", true, false)).await.unwrap();
        assert_eq!(count(&app, "lovelace@example.org").await, before);
        assert_dead(auth.undo_email_change(&nobody(), &back).await);
        app.register("bob").await;
        let taken = auth.set_email(&operator(), ada.id, new_email("bob@example.org", true, true)).await;
        assert!(matches!(taken, Err(AuthError::EmailTaken)), "{taken:?}");
        let invalid = auth.set_email(&operator(), ada.id, new_email("nonsense", true, true)).await;
        assert!(matches!(invalid, Err(AuthError::Invalid(_))), "{invalid:?}");
    }
}
