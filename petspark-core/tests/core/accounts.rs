//! Accounts under races, and what one process learns of another.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::auth::{AuthError, Client, NewAccount, NewUser, Password, Role, UserFilter};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Failure as _, Kind, Origin, PageRequest};

#[tokio::test]
async fn production_needs_a_strong_secret_also_when_settings_are_built_in_code() {
    use petspark_core::config::{Environment, Settings};
    use petspark_core::{PetSpark, Secret, StartError};
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::in_folder(folder.path().join("data"));
    settings.environment = Environment::Production;
    for weak in [None, Some("short"), Some("your-super-secret-jwt-key-change-in-production")] {
        settings.auth.jwt_secret = weak.map(Secret::new);
        let refused = PetSpark::open(settings.clone()).await.err().unwrap();
        assert!(matches!(refused, StartError::SigningSecret(_)), "{refused}");
    }
    assert!(!folder.path().join("data").exists(), "nothing is made before the settings are known to be good");
    settings.auth.jwt_secret = Some(Secret::new("4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2"));
    PetSpark::open(settings).await.unwrap();
}

fn operator() -> Caller {
    Caller::operator("test")
}

fn account(email: &str) -> NewAccount {
    NewAccount {
        email: email.to_owned(),
        password: Password::new(TestApp::PASSWORD),
        display_name: "Somebody".to_owned(),
    }
}

async fn admin(app: &TestApp, email: &str) -> petspark_core::UserId {
    let user = NewUser { account: account(email), role: Role::Admin, email_verified: true };
    app.petspark.auth().create_user(&operator(), user).await.unwrap().id
}

on_both! {
    async fn fifty_parallel_refreshes_of_one_token_give_fifty_times_the_same_successor(app: TestApp) {
        let ada = app.register("ada").await;
        let token = ada.signed_in.tokens.refresh.expose();
        let auth = app.petspark.auth();
        let results = join_all((0..50).map(|_| auth.refresh(token, Origin::default()))).await;
        let successors: BTreeSet<_> = results.into_iter().map(|result| result.unwrap().refresh.expose().to_owned()).collect();
        assert_eq!(successors.len(), 1);
        let next = auth.refresh(successors.first().unwrap(), Origin::default()).await.unwrap();
        assert!(!successors.contains(next.refresh.expose()));
    }

    async fn the_second_oldest_token_ends_its_session_and_no_other(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let other = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        let first = ada.signed_in.tokens.refresh.expose().to_owned();
        let second = auth.refresh(&first, Origin::default()).await.unwrap();
        let third = auth.refresh(second.refresh.expose(), Origin::default()).await.unwrap();
        assert!(matches!(auth.refresh(&first, Origin::default()).await, Err(AuthError::RefreshReused)));
        assert!(matches!(auth.refresh(third.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        assert!(auth.authenticate(third.access.expose()).await.is_err());
        assert!(auth.authenticate(other.tokens.access.expose()).await.is_ok());
        assert!(auth.refresh(other.tokens.refresh.expose(), Origin::default()).await.is_ok());
    }

    async fn a_session_that_is_used_daily_still_ends_after_ninety_days(app: TestApp) {
        let auth = app.petspark.auth();
        let mut token = app.register("ada").await.signed_in.tokens.refresh;
        for _ in 0..89 {
            app.clock.advance(Duration::from_secs(86_400));
            token = auth.refresh(token.expose(), Origin::default()).await.unwrap().refresh;
        }
        app.clock.advance(Duration::from_secs(86_401));
        assert!(matches!(auth.refresh(token.expose(), Origin::default()).await, Err(AuthError::RefreshExpired)));
    }

    async fn another_process_with_the_same_secret_honours_tokens_and_sees_revocation(app: TestApp) {
        let ada = app.register("ada").await;
        let tokens = &ada.signed_in.tokens;
        app.petspark.auth().logout(Some(tokens.refresh.expose()), None, Origin::default()).await.unwrap();
        let another = app.another().await;
        assert!(matches!(another.auth().authenticate(tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(another.auth().refresh(tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        let bob = app.register("bob").await;
        assert!(another.auth().authenticate(bob.signed_in.tokens.access.expose()).await.is_ok());
        assert!(another.auth().refresh(bob.signed_in.tokens.refresh.expose(), Origin::default()).await.is_ok());
        another.close().await;
    }

    async fn of_two_administrators_who_demote_each_other_one_remains(app: TestApp) {
        for round in 0..5 {
            let (ada, bob) = (admin(&app, &format!("ada{round}@example.org")).await, admin(&app, &format!("bob{round}@example.org")).await);
            let (auth, caller) = (app.petspark.auth(), operator());
            let (first, second) = tokio::join!(
                auth.set_role(&caller, ada, Role::User, false),
                auth.set_role(&caller, bob, Role::User, false),
            );
            let refused = [first, second].into_iter().filter(|result| matches!(result, Err(AuthError::LastAdmin))).count();
            assert_eq!(refused, 1);
            let filter = UserFilter { role: Some(Role::Admin), ..UserFilter::default() };
            let admins = auth.list_users(&caller, &filter, &PageRequest::default()).await.unwrap();
            assert_eq!(admins.items.len(), 1);
            assert_eq!(auth.set_role(&caller, admins.items[0].id, Role::User, true).await.unwrap(), 0);
        }
    }

    async fn only_administrators_and_operators_manage_users(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let new = NewUser { account: account("eve@example.org"), role: Role::Admin, email_verified: false };
        assert!(matches!(auth.create_user(&ada.caller, new).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.set_role(&ada.caller, ada.id, Role::Admin, false).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.get_user(&ada.caller, "ada@example.org").await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.list_users(&ada.caller, &UserFilter::default(), &PageRequest::default()).await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.count_users(&ada.caller).await, Err(AuthError::Forbidden)));
        // The role they have already is no reason to sign them out.
        assert_eq!(auth.set_role(&operator(), ada.id, Role::User, false).await.unwrap(), 0);
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
        let moderator = Role::Moderator;
        auth.set_role(&operator(), ada.id, moderator, false).await.unwrap();
        let session = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        let caller = auth.authenticate(session.tokens.access.expose()).await.unwrap();
        assert!(caller.has_role(moderator) && !caller.has_role(Role::Admin));
        assert!(matches!(auth.get_user(&caller, "ada@example.org").await, Err(AuthError::Forbidden)));
    }

    async fn users_are_found_by_id_and_address_and_listed_in_pages(app: TestApp) {
        let mut names = Vec::new();
        for n in 0..5 {
            names.push(app.register(&format!("user{n}")).await.id);
            app.clock.advance(Duration::from_millis(1));
        }
        let auth = app.petspark.auth();
        assert_eq!(auth.get_user(&operator(), " USER3@example.org").await.unwrap().id, names[3]);
        assert_eq!(auth.get_user(&operator(), &names[3].to_string()).await.unwrap().email, "user3@example.org");
        for missing in ["nobody@example.org", "nonsense", "01980000-0000-7000-8000-000000000000", ""] {
            assert!(matches!(auth.get_user(&operator(), missing).await, Err(AuthError::UserNotFound)));
        }
        let mut page = PageRequest::first(2).unwrap();
        let mut listed = Vec::new();
        loop {
            let users = auth.list_users(&operator(), &UserFilter::default(), &page).await.unwrap();
            listed.extend(users.items.iter().map(|user| user.id));
            let Some(cursor) = users.next_cursor else { break };
            page = PageRequest::first(2).unwrap().after(cursor);
        }
        names.reverse();
        assert_eq!(listed, names);
    }

    async fn more_sign_ins_than_the_machine_can_check_are_told_to_come_back(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        // Of as many accounts: attempts on one alone would be throttled.
        let emails: Vec<String> = (0..200).map(|n| format!("user{n}@example.org")).collect();
        let guess = || Password::new("a wrong guess of it");
        let results = join_all(emails.iter().map(|email| auth.login(email, guess(), Client::default()))).await;
        let errors: Vec<_> = results.into_iter().map(Result::unwrap_err).collect();
        assert!(errors.iter().all(|error| matches!(error, AuthError::Busy | AuthError::WrongCredentials)), "{errors:?}");
        let busy = errors.iter().filter(|error| matches!(error, AuthError::Busy)).inspect(|error| {
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.retry_after().is_some());
        }).count();
        assert!((1..200).contains(&busy), "{busy} of 200");
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
    }
}
