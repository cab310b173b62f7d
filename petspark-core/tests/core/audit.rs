//! The audit log: written with the change or not at all, never changed, complete when read.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use petspark_core::audit::{Action, AuditError, AuditFilter, Entry};
use petspark_core::auth::{Role, UserChange};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, PageRequest};
use sqlx::Executor as _;

use crate::sql::{Direct, connect};

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

async fn list(app: &TestApp, filter: AuditFilter) -> Vec<Entry> {
    let page = PageRequest::first(100).unwrap();
    app.petspark.audit().list(&operator(), filter, &page).await.unwrap().items
}

fn only(action: Action) -> AuditFilter {
    AuditFilter { action: Some(action), ..AuditFilter::default() }
}

/// What the database says to a statement of somebody who has its password.
async fn tamper(app: &TestApp, sql: &'static str) -> Result<u64, String> {
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => connection.execute(sql).await.map(|done| done.rows_affected()),
        Direct::Postgres(mut connection) => connection.execute(sql).await.map(|done| done.rows_affected()),
    }
    .map_err(|error| error.to_string())
}

on_both! {
    async fn who_did_what_to_whom_is_written_down(app: TestApp) {
        let ada = app.register("ada").await;
        app.petspark.auth().set_role(&operator(), ada.id, Role::Moderator, false).await.unwrap();
        let entries = list(&app, only(Action::RoleChanged)).await;
        let [entry] = &entries[..] else { panic!("{entries:#?}") };
        assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("cli:test@here", "authz_change"));
        assert_eq!(entry.subject, Some(format!("user:{}", ada.id)));
        assert!(entry.succeeded);
        assert_eq!(entry.details, serde_json::json!({"from": "user", "to": "moderator"}));
        assert_eq!(entry.at, app.clock.now());
    }

    async fn why_somebody_got_a_role_is_written_down_with_it(app: TestApp) {
        let ada = app.register("ada").await;
        let change = UserChange {
            role: Some(Role::Admin),
            role_reason: Some(" on call this week ".to_owned()),
            ..UserChange::default()
        };
        app.petspark.auth().change_user(&operator(), ada.id, &change, false).await.unwrap();
        assert_eq!(list(&app, only(Action::RoleChanged)).await[0].reason.as_deref(), Some("on call this week"));
        let change = UserChange { role: Some(Role::User), role_reason: Some("a\nb".to_owned()), ..UserChange::default() };
        assert!(app.petspark.auth().change_user(&operator(), ada.id, &change, true).await.is_err());
    }

    async fn what_is_undone_is_not_written_down(app: TestApp) {
        let ada = app.register("ada").await;
        let change = UserChange { role: Some(Role::Admin), ..UserChange::default() };
        app.petspark.auth().preview_change(&operator(), ada.id, &change, false).await.unwrap();
        assert!(list(&app, only(Action::RoleChanged)).await.is_empty());
    }

    async fn the_log_is_found_by_actor_action_subject_and_time(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let auth = app.petspark.auth();
        auth.set_role(&operator(), ada.id, Role::Admin, false).await.unwrap();
        app.clock.advance(Duration::from_secs(60));
        let middle = app.clock.now();
        let by_ada = auth.authenticate(app.petspark.auth().login("ada@example.org", petspark_core::auth::Password::new(TestApp::PASSWORD), Default::default()).await.unwrap().tokens.access.expose()).await.unwrap();
        auth.set_role(&by_ada, bob.id, Role::Moderator, false).await.unwrap();
        let changes = |filter: AuditFilter| AuditFilter { action: Some(Action::RoleChanged), ..filter };
        let subjects = async |filter| list(&app, changes(filter)).await.into_iter().map(|entry| entry.subject.unwrap()).collect::<Vec<_>>();
        let (about_ada, about_bob) = (format!("user:{}", ada.id), format!("user:{}", bob.id));
        assert_eq!(subjects(AuditFilter::default()).await, [about_bob.clone(), about_ada.clone()]);
        assert_eq!(subjects(AuditFilter { actor: Some(ada.id.to_string()), ..Default::default() }).await, std::slice::from_ref(&about_bob));
        assert_eq!(subjects(AuditFilter { actor: Some("cli:test@here".into()), ..Default::default() }).await, std::slice::from_ref(&about_ada));
        assert_eq!(subjects(AuditFilter { subject: Some(about_ada.clone()), ..Default::default() }).await, std::slice::from_ref(&about_ada));
        assert_eq!(subjects(AuditFilter { from: Some(middle), ..Default::default() }).await, [about_bob]);
        assert_eq!(subjects(AuditFilter { to: Some(middle), ..Default::default() }).await, [about_ada]);
    }

    async fn pages_and_exports_miss_nothing_though_times_are_equal(app: TestApp) {
        let ada = app.register("ada").await;
        for n in 0..7 {
            let role = if n % 2 == 0 { Role::Moderator } else { Role::User };
            app.petspark.auth().set_role(&operator(), ada.id, role, false).await.unwrap();
        }
        let audit = app.petspark.audit();
        let mut page = PageRequest::first(3).unwrap();
        let mut paged = Vec::new();
        loop {
            let found = audit.list(&operator(), only(Action::RoleChanged), &page).await.unwrap();
            paged.extend(found.items.into_iter().map(|entry| entry.id));
            let Some(next) = found.next_cursor else { break };
            page = PageRequest::first(3).unwrap().after(next);
        }
        assert_eq!(paged.len(), 7);
        assert!(matches!(audit.list(&operator(), AuditFilter::default(), &page).await, Err(AuditError::Invalid(_))));
        let export = audit.export(&operator(), only(Action::RoleChanged)).unwrap();
        let mut exported: Vec<_> = export.try_concat().await.unwrap().into_iter().map(|entry| entry.id).collect();
        exported.reverse();
        assert_eq!(exported, paged);
    }

    async fn an_export_of_many_entries_is_read_in_batches_and_is_whole(app: TestApp) {
        let ada = app.register("ada").await;
        app.petspark.auth().set_role(&operator(), ada.id, Role::Moderator, false).await.unwrap();
        let numbers = if app.petspark.database().engine_name() == "sqlite" {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO audit_log \
             SELECT randomblob(16), at, actor, 'user_created', subject, succeeded, reason, ip, request_id, details \
             FROM audit_log, n WHERE action = 'authz_change'"
        } else {
            "INSERT INTO audit_log SELECT gen_random_uuid(), at, actor, 'user_created', subject, succeeded, reason, ip, \
             request_id, details FROM audit_log, generate_series(1, 1000) WHERE action = 'authz_change'"
        };
        assert_eq!(tamper(&app, numbers).await, Ok(1000));
        let filter = AuditFilter { actor: Some("cli:test@here".into()), ..only(Action::UserCreated) };
        let export = app.petspark.audit().export(&operator(), filter).unwrap();
        let batches: Vec<Vec<Entry>> = export.try_collect().await.unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500]);
        let mut ids: Vec<_> = batches.concat().into_iter().map(|entry| entry.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }

    async fn asvs_16_4_2_the_database_itself_keeps_the_log_from_being_changed(app: TestApp) {
        let ada = app.register("ada").await;
        app.petspark.auth().set_role(&operator(), ada.id, Role::Moderator, false).await.unwrap();
        for sql in [
            "UPDATE audit_log SET actor = 'system'",
            "UPDATE audit_log SET succeeded = NOT succeeded",
            "UPDATE audit_log SET ip = '192.0.2.1'",
            "UPDATE audit_log SET reason = 'made up'",
            "UPDATE audit_log SET details = '{\"to\": \"user\"}'",
            "UPDATE audit_log SET request_id = 'made up'",
            "DELETE FROM audit_log",
        ] {
            let refused = tamper(&app, sql).await.unwrap_err();
            assert!(refused.contains("the audit log"), "{sql}: {refused}");
        }
        let engine = app.petspark.database().engine_name();
        let sql = if engine == "sqlite" {
            "INSERT OR REPLACE INTO audit_log SELECT id, at, 'system', action, subject, succeeded, reason, ip, request_id, details FROM audit_log"
        } else {
            "TRUNCATE audit_log"
        };
        assert!(tamper(&app, sql).await.unwrap_err().contains("the audit log"), "{sql}");
        // Somebody who is erased may be blanked.
        assert!(tamper(&app, "UPDATE audit_log SET ip = NULL, reason = NULL, details = '{}'").await.unwrap() > 0);
        assert_eq!(list(&app, only(Action::RoleChanged)).await[0].actor, "cli:test@here");
    }

    async fn entries_go_when_their_time_is_over_and_no_sooner(app: TestApp) {
        let ada = app.register("ada").await;
        app.petspark.auth().set_role(&operator(), ada.id, Role::Moderator, false).await.unwrap();
        app.clock.advance(app.petspark.settings().audit.retention);
        app.run_jobs().await;
        assert_eq!(list(&app, only(Action::RoleChanged)).await.len(), 1, "exactly as old as may be");
        app.petspark.auth().set_role(&operator(), ada.id, Role::User, false).await.unwrap();
        app.clock.advance(Duration::from_secs(86_400));
        app.run_jobs().await;
        let left = list(&app, only(Action::RoleChanged)).await;
        let [young] = &left[..] else { panic!("{left:#?}") };
        assert_eq!(young.details["to"], "user");
        let purges = list(&app, only(Action::AuditPurged)).await;
        assert_eq!((purges.len(), purges[0].actor.as_str()), (1, "system"));
        app.clock.advance(Duration::from_secs(86_400));
        app.run_jobs().await;
        assert_eq!(list(&app, only(Action::AuditPurged)).await.len(), 1, "nothing was removed, and nothing told");
    }

    async fn only_administrators_read_the_log(app: TestApp) {
        let ada = app.register("ada").await;
        let page = PageRequest::default();
        for caller in [&ada.caller, &Caller::anonymous()] {
            let audit = app.petspark.audit();
            assert!(matches!(audit.list(caller, AuditFilter::default(), &page).await, Err(AuditError::Denied(_))));
            assert!(matches!(audit.export(caller, AuditFilter::default()).map(drop), Err(AuditError::Denied(_))));
        }
    }
}
