//! Reports and the moderators' tasks: who gets what at once, and what a decision does.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::Role;
use petspark_core::mail::Template;
use petspark_core::moderation::{
    Decision, Moderation, ModerationError, NewDecision, NewReport, ReportReason, Task, TaskFilter, TaskStatus,
};
use petspark_core::people::When;
use petspark_core::pets::{Patch, PetError, PetFields, PetStatus, Species};
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, PageRequest, PetId, TaskId};

use crate::sql::execute;

fn moderator(name: &str) -> Caller {
    Caller::operator(name)
}

fn verdict(decision: Decision, reason: &str) -> NewDecision {
    NewDecision { decision: decision.to_string(), reason: reason.to_owned() }
}

fn spam() -> NewReport {
    NewReport { reason: "spam".to_owned(), note: None }
}

async fn pet(app: &TestApp, owner: &TestUser) -> PetId {
    app.petspark.pets().create(&owner.caller, PetFields::new("Rex", Species::Dog)).await.unwrap().id
}

async fn report(app: &TestApp, by: &TestUser, pet: PetId) {
    app.petspark.moderation().report_pet(&by.caller, pet, spam()).await.unwrap();
}

async fn tasks(app: &TestApp, status: Option<TaskStatus>) -> Vec<Task> {
    let page = PageRequest::default();
    app.petspark.moderation().list(&moderator("m"), TaskFilter { status }, &page).await.unwrap().items
}

/// The id of the only task about a pet that somebody just reported.
async fn reported(app: &TestApp, by: &TestUser, pet: PetId) -> TaskId {
    report(app, by, pet).await;
    tasks(app, None).await.pop().unwrap().id
}

on_both! {
    async fn all_reports_of_a_pet_at_once_are_one_task_and_nobody_counts_twice(app: TestApp) {
        let (ada, moderation) = (app.register("ada").await, app.petspark.moderation());
        let (rex, tom) = (pet(&app, &ada).await, pet(&app, &ada).await);
        let mut users = Vec::new();
        for n in 0..5 {
            users.push(app.register(&format!("user{n}")).await);
        }
        let twice = users.iter().chain(&users).map(|user| moderation.report_pet(&user.caller, rex, spam()));
        let results = join_all(twice).await;
        let refused = results.iter().filter(|result| matches!(result, Err(ModerationError::AlreadyReported))).count();
        assert_eq!((refused, results.iter().filter(|result| result.is_ok()).count()), (5, 5), "{results:?}");
        app.clock.advance(Duration::from_secs(1));
        let cruel = NewReport { reason: "cruelty".to_owned(), note: Some(" Look at it. ".to_owned()) };
        moderation.report_pet(&users[0].caller, tom, cruel).await.unwrap();
        report(&app, &users[1], tom).await;
        let listed = tasks(&app, None).await;
        assert_eq!(listed.iter().map(Task::reports).collect::<Vec<_>>(), [5, 2], "the oldest first");
        assert_eq!(listed[1].reasons, [(ReportReason::Spam, 1), (ReportReason::Cruelty, 1)].into());
        assert_eq!(listed[0].subject_id.to_string(), rex.to_string());
    }

    async fn only_what_can_be_seen_can_be_reported_and_not_ones_own(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (rex, moderation) = (pet(&app, &ada).await, app.petspark.moderation());
        let refused = moderation.report_pet(&ada.caller, rex, spam()).await;
        assert!(matches!(refused, Err(ModerationError::OwnPet)), "{refused:?}");
        let refused = moderation.report_pet(&moderator("m"), rex, spam()).await;
        assert!(matches!(refused, Err(ModerationError::Denied(_))), "{refused:?}");
        app.petspark.people().block(&ada.caller, bob.id).await.unwrap();
        for unseen in [rex, PetId::new()] {
            let refused = moderation.report_pet(&bob.caller, unseen, spam()).await;
            assert!(matches!(refused, Err(ModerationError::Pet(PetError::NotFound))), "{refused:?}");
        }
        for (reason, note, wrong) in [
            ("boring", None, vec!["reason"]),
            ("other", None, vec!["note"]),
            ("other", Some(" "), vec!["note"]),
            ("", Some("\0"), vec!["note", "reason"]),
            ("spam", Some(&*"x".repeat(1001)), vec!["note"]),
        ] {
            let report = NewReport { reason: reason.to_owned(), note: note.map(str::to_owned) };
            let refused = moderation.report_pet(&bob.caller, rex, report).await;
            let Err(ModerationError::Invalid(fields)) = refused else { panic!("{reason}: {refused:?}") };
            assert_eq!(fields.iter().map(|(field, _)| field).collect::<Vec<_>>(), wrong);
        }
        assert!(tasks(&app, None).await.is_empty());
    }

    async fn nobody_reports_more_than_fifty_pets_in_a_day(app: TestApp) {
        let (ada, bob, eve) = (app.register("ada").await, app.register("bob").await, app.register("eve").await);
        let (rex, moderation) = (pet(&app, &ada).await, app.petspark.moderation());
        for _ in 0..Moderation::MAX_REPORTS_PER_DAY {
            report(&app, &bob, pet(&app, &ada).await).await;
            app.clock.advance(Duration::from_secs(60));
        }
        let refused = moderation.report_pet(&bob.caller, rex, spam()).await;
        let Err(ModerationError::TooMany { retry_after }) = refused else { panic!("{refused:?}") };
        assert_eq!(retry_after, Duration::from_secs(86_400 - 50 * 60));
        report(&app, &eve, rex).await;
        app.clock.advance(retry_after);
        report(&app, &bob, rex).await;
    }

    async fn of_twenty_who_take_a_task_at_once_one_gets_it(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        for _ in 0..3 {
            let id = { let rex = pet(&app, &ada).await; app.clock.advance(Duration::from_secs(1)); reported(&app, &bob, rex).await };
            let moderators: Vec<_> = (0..20).map(|n| moderator(&format!("m{n}"))).collect();
            let results = join_all(moderators.iter().map(|caller| app.petspark.moderation().take(caller, id))).await;
            let winners: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
            assert_eq!(winners.len(), 1, "{results:?}");
            let losers = results.iter().filter(|result| matches!(result, Err(ModerationError::TakenByOther))).count();
            assert_eq!(losers, 19, "{results:?}");
            let task = tasks(&app, Some(TaskStatus::Taken)).await.pop().unwrap();
            assert_eq!(task.taken_by, winners[0].task.taken_by);
            let filter = AuditFilter { subject: Some(format!("task:{id}")), ..AuditFilter::default() };
            let entries = app.petspark.audit().list(&moderator("m"), filter, &PageRequest::default()).await.unwrap().items;
            assert_eq!((entries.len(), &*entries[0].actor), (1, task.taken_by.as_deref().unwrap()));
        }
    }

    async fn a_task_is_its_moderators_until_they_forget_it(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let rex = pet(&app, &ada).await;
        let id = reported(&app, &bob, rex).await;
        let (first, second) = (moderator("first"), moderator("second"));
        let decide = async |caller: &Caller| moderation.decide(caller, id, verdict(Decision::Approved, "fine")).await;
        assert!(matches!(decide(&first).await, Err(ModerationError::NotTaken)));
        moderation.take(&first, id).await.unwrap();
        app.clock.advance(Duration::from_secs(3599));
        assert!(matches!(moderation.take(&second, id).await, Err(ModerationError::TakenByOther)));
        assert!(matches!(decide(&second).await, Err(ModerationError::TakenByOther)));
        let again = moderation.take(&first, id).await.unwrap();
        assert_eq!((again.task.taken_at, again.reports.len()), (Some(app.clock.now()), 1));
        app.clock.advance(Duration::from_secs(3600));
        moderation.take(&second, id).await.unwrap();
        assert!(matches!(decide(&first).await, Err(ModerationError::TakenByOther)));
        app.clock.advance(Duration::from_secs(7200));
        let decided = decide(&second).await.unwrap();
        assert_eq!((decided.status, decided.reports(), decided.taken_by.as_deref()), (TaskStatus::Decided, 1, Some("second")));
        assert!(matches!(decide(&second).await, Err(ModerationError::Decided)));
        assert!(matches!(moderation.take(&first, id).await, Err(ModerationError::Decided)));
        for nothing in [moderation.take(&first, TaskId::new()).await.map(drop), moderation.decide(&first, TaskId::new(), verdict(Decision::Approved, "fine")).await.map(drop)] {
            assert!(matches!(nothing, Err(ModerationError::NotFound)), "{nothing:?}");
        }
        // What is decided can be reported anew, by the same people too.
        let anew = reported(&app, &bob, rex).await;
        assert_ne!(anew, id);
        assert_eq!(tasks(&app, Some(TaskStatus::Decided)).await.len(), 1);
    }

    async fn what_is_rejected_is_banned_and_its_owner_is_told_without_the_moderators_words(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let (pets, rex, caller) = (app.petspark.pets(), pet(&app, &ada).await, moderator("judge"));
        let id = reported(&app, &bob, rex).await;
        moderation.take(&caller, id).await.unwrap();
        for reason in ["", "two\nlines", &"x".repeat(501)] {
            let refused = moderation.decide(&caller, id, verdict(Decision::Rejected, reason)).await;
            assert!(matches!(refused, Err(ModerationError::Invalid(_))), "{refused:?}");
        }
        let planned = moderation.preview_decision(&caller, id, verdict(Decision::Rejected, "a trap for mice")).await.unwrap();
        assert_eq!(planned.decision, Some(Decision::Rejected));
        assert!(pets.get(&bob.caller, rex).await.is_ok(), "a preview bans nothing");
        let decided = moderation.decide(&caller, id, verdict(Decision::Rejected, "a trap for mice")).await.unwrap();
        assert_eq!(decided, planned);
        assert!(matches!(pets.get(&bob.caller, rex).await, Err(PetError::NotFound)));
        let own = pets.get(&ada.caller, rex).await.unwrap();
        assert_eq!((own.status, own.version), (PetStatus::Banned, 2));
        let active = PetFields { status: Patch::Set("active".to_owned()), ..PetFields::default() };
        assert!(matches!(pets.update(&ada.caller, rex, active).await, Err(PetError::Banned)));
        let filter = AuditFilter { action: Some(Action::TaskDecided), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&caller, filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), &*entries[0].actor, entries[0].reason.as_deref()), (1, "judge", Some("a trap for mice")));
        assert_eq!(entries[0].details, serde_json::json!({"decision": "rejected", "pet": rex}));
        let mail = app.mail("ada@example.org", Template::PetBanned).await;
        assert!(mail.text.contains("(dog)") && !mail.text.contains("mice") && !mail.text.contains("Rex"), "{}", mail.text);
        let archive = serde_json::to_value(app.petspark.people().export_own(&ada.caller).await.unwrap()).unwrap();
        assert_eq!(archive["decisions"][0]["decision"], "rejected");
        let archive = serde_json::to_value(app.petspark.people().export_own(&bob.caller).await.unwrap()).unwrap();
        assert_eq!((&archive["reports"][0]["reason"], &archive["decisions"]), (&"spam".into(), &serde_json::json!([])));
    }

    async fn what_is_approved_stays_and_its_owner_is_told(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let (rex, caller) = (pet(&app, &ada).await, moderator("judge"));
        let id = reported(&app, &bob, rex).await;
        moderation.take(&caller, id).await.unwrap();
        moderation.decide(&caller, id, verdict(Decision::Approved, "a nice dog")).await.unwrap();
        assert_eq!(app.petspark.pets().get(&bob.caller, rex).await.unwrap().version, 1);
        app.mail("ada@example.org", Template::PetApproved).await;
    }

    async fn moderators_decide_and_nobody_about_their_own(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let id = { let rex = pet(&app, &ada).await; reported(&app, &bob, rex).await };
        for caller in [&ada.caller, &bob.caller, &Caller::anonymous()] {
            assert!(matches!(moderation.list(caller, TaskFilter::default(), &PageRequest::default()).await, Err(ModerationError::Denied(_))));
            assert!(matches!(moderation.take(caller, id).await, Err(ModerationError::Denied(_))));
            assert!(matches!(moderation.decide(caller, id, verdict(Decision::Approved, "x")).await, Err(ModerationError::Denied(_))));
        }
        for name in ["ada", "bob"] {
            let user = app.sign_in(name).await;
            app.petspark.auth().set_role(&moderator("m"), user.id, Role::Moderator, false).await.unwrap();
        }
        let refused = moderation.take(&app.sign_in("ada").await.caller, id).await;
        assert!(matches!(refused, Err(ModerationError::OwnPet)), "{refused:?}");
        assert_eq!(tasks(&app, None).await[0].status, TaskStatus::Open);
        moderation.take(&app.sign_in("bob").await.caller, id).await.unwrap();
    }

    async fn the_queue_is_paged_in_the_order_of_first_reports(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let mut ids = Vec::new();
        for _ in 0..5 {
            let rex = pet(&app, &ada).await;
            report(&app, &bob, rex).await;
            ids.push(rex.to_string());
        }
        let (mut seen, mut page) = (Vec::new(), PageRequest::first(2).unwrap());
        loop {
            let part = moderation.list(&moderator("m"), TaskFilter::default(), &page).await.unwrap();
            seen.extend(part.items.iter().map(|task| task.subject_id.to_string()));
            assert!(part.items.iter().all(|task| task.reports() == 1));
            let Some(cursor) = part.next_cursor else { break };
            let other = TaskFilter { status: Some(TaskStatus::Open) };
            let foreign = moderation.list(&moderator("m"), other, &PageRequest::default().after(cursor.clone())).await;
            assert!(matches!(foreign, Err(ModerationError::Invalid(_))));
            page = PageRequest::first(2).unwrap().after(cursor);
        }
        seen.sort_unstable();
        ids.sort_unstable();
        assert_eq!(seen, ids);
    }

    async fn with_a_person_or_a_pet_goes_what_was_said_of_it(app: TestApp) {
        let (ada, bob, moderation) = (app.register("ada").await, app.register("bob").await, app.petspark.moderation());
        let (rex, tom, caller) = (pet(&app, &ada).await, pet(&app, &ada).await, moderator("m"));
        let id = reported(&app, &bob, rex).await;
        moderation.take(&caller, id).await.unwrap();
        moderation.decide(&caller, id, verdict(Decision::Approved, "Ada meant no harm")).await.unwrap();
        report(&app, &bob, rex).await;
        app.clock.advance(Duration::from_secs(1));
        report(&app, &bob, tom).await;
        app.petspark.people().delete(&caller, bob.id, When::Now, None, false).await.unwrap();
        assert_eq!(tasks(&app, None).await.iter().map(Task::reports).collect::<Vec<_>>(), [0, 0]);
        let pet = match app.petspark.database().engine_name() {
            "sqlite" => format!("x'{}'", tom.to_string().replace('-', "")),
            _ => format!("'{tom}'"),
        };
        execute(app.petspark.settings(), &format!("DELETE FROM pets WHERE id = {pet}")).await;
        assert_eq!(tasks(&app, None).await.len(), 1);
        app.petspark.people().delete(&caller, ada.id, When::Now, None, false).await.unwrap();
        assert!(tasks(&app, None).await.is_empty() && tasks(&app, Some(TaskStatus::Decided)).await.is_empty());
        let filter = AuditFilter { action: Some(Action::TaskDecided), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&caller, filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!((entries.len(), entries[0].reason.as_deref()), (1, None), "the log forgets what it said of an erased person's pet");
    }
}
