//! Role and status: that a change counts at once, and that somebody who can administer remains.

use std::time::Duration;

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::{
    AuthError, Client, NewApiKey, NewUser, Password, Permission, Role, StatusChange, UserChange, UserFilter, UserStatus,
};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Origin, PageRequest, Timestamp, UserId};

fn operator() -> Caller {
    Caller::operator("test")
}

fn status(status: UserStatus, reason: &str) -> UserChange {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    UserChange { role: None, role_reason: None, status: Some(StatusChange { status, reason, until: None }) }
}

fn suspended() -> UserChange {
    status(UserStatus::Suspended, "spam")
}

async fn admin(app: &TestApp, name: &str) -> UserId {
    let id = app.register(name).await.id;
    app.petspark.auth().set_role(&operator(), id, Role::Admin, false).await.unwrap();
    id
}

async fn refused_fields(app: &TestApp, user: UserId, change: StatusChange) -> Vec<String> {
    let change = UserChange { role: None, role_reason: None, status: Some(change) };
    match app.petspark.auth().change_user(&operator(), user, &change, false).await {
        Err(AuthError::Invalid(fields)) => fields.iter().map(|(name, _)| name.to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn asvs_7_4_2_a_suspended_user_is_signed_out_and_can_not_come_back_in(app: TestApp) {
        let auth = app.petspark.auth();
        for to in [UserStatus::Suspended, UserStatus::Banned] {
            let ada = app.register(to.as_str()).await;
            let done = auth.change_user(&operator(), ada.id, &status(to, "spam"), false).await.unwrap();
            assert_eq!((done.changed, done.after.status, done.sessions_ended), (true, to, 1));
            let tokens = &ada.signed_in.tokens;
            assert!(matches!(auth.authenticate(tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
            assert!(matches!(auth.refresh(tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
            let email = format!("{to}@example.org");
            let login = async |password: &str| auth.login(&email, Password::new(password), Client::default()).await;
            assert!(matches!(login(TestApp::PASSWORD).await, Err(AuthError::Suspended)));
            assert!(matches!(login("a wrong password").await, Err(AuthError::WrongCredentials)), "only who knows the password is told");
            let back = auth.change_user(&operator(), ada.id, &status(UserStatus::Active, ""), false).await.unwrap();
            assert!(back.changed);
            assert!(login(TestApp::PASSWORD).await.is_ok());
            assert!(matches!(auth.refresh(tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)), "what ended stays ended");
        }
    }

    async fn who_did_what_to_whom_and_why_is_written_down(app: TestApp) {
        let ada = app.register("ada").await;
        app.petspark.auth().change_user(&operator(), ada.id, &suspended(), false).await.unwrap();
        let filter = AuditFilter { subject: Some(format!("user:{}", ada.id)), action: Some(Action::LoginLocked), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), &*entries[0].actor, entries[0].reason.as_deref()), (1, "test", Some("spam")));
        assert_eq!(entries[0].details, serde_json::json!({"from": "active", "to": "suspended"}));
    }

    async fn asvs_8_3_2_a_demotion_counts_at_once(app: TestApp) {
        app.register("root").await;
        admin(&app, "root2").await;
        let ada = admin(&app, "ada").await;
        let auth = app.petspark.auth();
        let session = app.sign_in("ada").await.signed_in;
        let access = session.tokens.access.expose();
        let caller = auth.authenticate(access).await.unwrap();
        assert!(auth.count_users(&caller).await.is_ok());
        auth.set_role(&operator(), ada, Role::User, false).await.unwrap();
        assert!(matches!(auth.authenticate(access).await, Err(AuthError::Unauthenticated)));
        let again = app.sign_in("ada").await.caller;
        assert!(matches!(auth.count_users(&again).await, Err(AuthError::Forbidden)));
    }

    async fn asvs_7_4_5_an_administrator_ends_all_sessions_of_a_user(app: TestApp) {
        let ada = app.register("ada").await;
        let bob = app.register("bob").await;
        let auth = app.petspark.auth();
        let second = app.sign_in("ada").await.signed_in;
        assert!(matches!(auth.end_sessions(&bob.caller, ada.id, None).await, Err(AuthError::Forbidden)));
        assert_eq!(auth.end_sessions(&operator(), ada.id, None).await.unwrap(), 2);
        for tokens in [&ada.signed_in.tokens, &second.tokens] {
            assert!(auth.authenticate(tokens.access.expose()).await.is_err());
            assert!(auth.refresh(tokens.refresh.expose(), Origin::default()).await.is_err());
        }
        assert!(auth.authenticate(bob.signed_in.tokens.access.expose()).await.is_ok());
        assert!(app.sign_in("ada").await.signed_in.user.status == UserStatus::Active);
        assert!(matches!(auth.end_sessions(&operator(), UserId::new(), None).await, Err(AuthError::UserNotFound)));
    }

    async fn what_somebody_is_already_is_no_change(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let same = UserChange { role: Some(Role::User), role_reason: None, status: Some(StatusChange { status: UserStatus::Active, reason: None, until: None }) };
        let done = auth.change_user(&operator(), ada.id, &same, false).await.unwrap();
        assert_eq!((done.changed, done.sessions_ended, done.before == done.after), (false, 0, true));
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
        assert!(auth.change_user(&operator(), ada.id, &suspended(), false).await.unwrap().changed);
        assert!(!auth.change_user(&operator(), ada.id, &suspended(), false).await.unwrap().changed);
        assert!(auth.change_user(&operator(), ada.id, &status(UserStatus::Suspended, "worse"), false).await.unwrap().changed);
    }

    async fn a_preview_changes_nothing(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let plan = auth.preview_change(&operator(), ada.id, &suspended(), false).await.unwrap();
        assert_eq!((plan.changed, plan.sessions_ended, plan.after.status), (true, 1, UserStatus::Suspended));
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
        assert_eq!(auth.get_user(&operator(), "ada@example.org").await.unwrap(), plan.before);
    }

    async fn a_status_needs_a_reason_and_only_a_suspension_an_end(app: TestApp) {
        let ada = app.register("ada").await;
        let change = |status, reason: Option<&str>, until| StatusChange { status, reason: reason.map(str::to_owned), until };
        let (past, future) = (app.clock.now(), app.clock.now().after(Duration::from_secs(60)));
        let refused = async |change| refused_fields(&app, ada.id, change).await;
        assert_eq!(refused(change(UserStatus::Suspended, None, None)).await, ["reason"]);
        assert_eq!(refused(change(UserStatus::Banned, Some(" "), Some(future))).await, ["reason", "until"]);
        assert_eq!(refused(change(UserStatus::Suspended, Some("spam"), Some(past))).await, ["until"]);
        assert_eq!(refused(change(UserStatus::Active, None, Some(future))).await, ["until"]);
        assert_eq!(refused(change(UserStatus::Banned, Some(&"x".repeat(501)), None)).await, ["reason"]);
        let good = UserChange { role: None, role_reason: None, status: Some(change(UserStatus::Suspended, Some("spam"), Some(future))) };
        app.petspark.auth().change_user(&operator(), ada.id, &good, false).await.unwrap();
        let details = app.petspark.auth().user_details(&operator(), ada.id).await.unwrap();
        assert_eq!((details.status_reason.as_deref(), details.suspended_until), (Some("spam"), Some::<Timestamp>(future)));
    }

    async fn nobody_takes_the_last_administrator_away(app: TestApp) {
        let ada = admin(&app, "ada").await;
        let auth = app.petspark.auth();
        for change in [suspended(), status(UserStatus::Banned, "spam"), UserChange { role: Some(Role::Moderator), ..UserChange::default() }] {
            assert!(matches!(auth.change_user(&operator(), ada, &change, false).await, Err(AuthError::LastAdmin)));
        }
        // A second one who can't sign in is none.
        let bob = admin(&app, "bob").await;
        auth.change_user(&operator(), bob, &suspended(), false).await.unwrap();
        assert!(matches!(auth.change_user(&operator(), ada, &suspended(), false).await, Err(AuthError::LastAdmin)));
        assert!(auth.change_user(&operator(), ada, &suspended(), true).await.unwrap().changed);
    }

    async fn of_administrators_who_suspend_and_demote_each_other_at_once_one_remains(app: TestApp) {
        let auth = app.petspark.auth();
        for round in 0..5 {
            let (ada, bob) = (admin(&app, &format!("ada{round}")).await, admin(&app, &format!("bob{round}")).await);
            let (by_ada, by_bob) = (app.sign_in(&format!("ada{round}")).await.caller, app.sign_in(&format!("bob{round}")).await.caller);
            let demoted = UserChange { role: Some(Role::User), ..UserChange::default() };
            let suspended = suspended();
            let (first, second) = tokio::join!(
                auth.change_user(&by_ada, bob, &suspended, false),
                auth.change_user(&by_bob, ada, &demoted, false),
            );
            let refused = [&first, &second].into_iter().filter(|result| matches!(result, Err(AuthError::LastAdmin))).count();
            assert_eq!(refused, 1, "{first:?} {second:?}");
            let filter = UserFilter { role: Some(Role::Admin), status: Some(UserStatus::Active), ..UserFilter::default() };
            let left = auth.list_users(&operator(), &filter, &PageRequest::default()).await.unwrap().items;
            assert_eq!(left.len(), 1);
            auth.change_user(&operator(), left[0].id, &suspended, true).await.unwrap();
        }
    }

    async fn an_api_key_can_not_touch_staff(app: TestApp) {
        let (root, ada, eve) = (admin(&app, "root").await, admin(&app, "ada").await, app.register("eve").await);
        let auth = app.petspark.auth();
        let new = NewApiKey { name: "support".into(), scopes: vec![Permission::ManageUsers], expires_in: None };
        let key = auth.create_api_key(&operator(), &new).await.unwrap();
        let service = auth.authenticate(key.token.expose()).await.unwrap();
        for staff in [root, ada] {
            assert!(matches!(auth.change_user(&service, staff, &suspended(), false).await, Err(AuthError::Forbidden)));
            assert!(matches!(auth.end_sessions(&service, staff, None).await, Err(AuthError::Forbidden)));
        }
        let promotion = UserChange { role: Some(Role::Admin), ..UserChange::default() };
        assert!(matches!(auth.change_user(&service, eve.id, &promotion, false).await, Err(AuthError::Forbidden)));
        let account = petspark_core::auth::NewAccount {
            email: "mole@example.org".into(),
            password: Password::new(TestApp::PASSWORD),
            display_name: "Mole".into(),
        };
        let mole = NewUser { account, role: Role::Moderator, email_verified: true };
        assert!(matches!(auth.create_user(&service, mole).await, Err(AuthError::Forbidden)));
        assert_eq!(auth.change_user(&service, eve.id, &suspended(), false).await.unwrap().sessions_ended, 1);
    }

    async fn users_are_found_by_how_address_or_name_begins(app: TestApp) {
        for name in ["ada", "adam", "bob%", "b_b"] {
            app.register(name).await;
            app.clock.advance(Duration::from_millis(1));
        }
        let found = async |q: &str| {
            let filter = UserFilter { q: Some(q.to_owned()), ..UserFilter::default() };
            let page = app.petspark.auth().list_users(&operator(), &filter, &PageRequest::default()).await.unwrap();
            page.items.into_iter().map(|user| user.display_name).collect::<Vec<_>>()
        };
        assert_eq!(found(" ADA").await, ["adam", "ada"]);
        assert_eq!(found("adam@EXAMPLE").await, ["adam"]);
        assert_eq!(found("bob%").await, ["bob%"]);
        assert_eq!(found("b_").await, ["b_b"], "no wildcards");
        assert_eq!(found("example").await, [""; 0], "only from the beginning");
        assert_eq!(found("").await.len(), 4);
    }
}
