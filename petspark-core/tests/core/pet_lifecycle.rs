//! What becomes of deleted pets, and of those that are found by outdated words.

use std::time::Duration;

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::{Password, Role};
use petspark_core::database::StatementCount;
use petspark_core::people::When;
use petspark_core::pets::{Intervention, Patch, PetError, PetFields, PetFilter, PetStatus, Species, Standing};
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, PageRequest, PetId};

use crate::sql::{Direct, connect, execute};

const DAY: Duration = Duration::from_secs(86_400);

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

async fn add(app: &TestApp, owner: &Caller, name: &str) -> PetId {
    app.petspark.pets().create(owner, PetFields::new(name, Species::Dog)).await.unwrap().id
}

async fn found(app: &TestApp, q: &str) -> Vec<String> {
    let filter = PetFilter { q: Some(q.to_owned()), status: Some(PetStatus::Active), ..PetFilter::default() };
    let pets = app.petspark.pets().list(&operator(), filter, &PageRequest::default()).await.unwrap();
    pets.items.into_iter().map(|pet| pet.name).collect()
}

async fn number(app: &TestApp, sql: &'static str) -> i64 {
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap(),
        Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap(),
    }
}

async fn count_of(app: &TestApp, action: Action) -> usize {
    let filter = AuditFilter { action: Some(action), ..AuditFilter::default() };
    app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items.len()
}

on_both! {
    async fn a_ban_outlives_deleting_and_restoring(app: TestApp) {
        let ada = app.register("ada").await;
        let (pets, id) = (app.petspark.pets(), add(&app, &ada.caller, "Rex").await);
        let ban = PetFields { status: Patch::Set("banned".to_owned()), ..PetFields::default() };
        pets.update(&operator(), id, ban).await.unwrap();
        pets.delete(&ada.caller, id).await.unwrap();
        assert_eq!(pets.restore(&ada.caller, id).await.unwrap().status, PetStatus::Banned);
        assert_eq!(count_of(&app, Action::PetRestored).await, 0, "her own pets are her own business");
    }

    async fn who_looks_after_pets_restores_those_of_others_and_that_is_written_down(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (pets, id) = (app.petspark.pets(), add(&app, &ada.caller, "Rex").await);
        pets.delete(&ada.caller, id).await.unwrap();
        for nobody in [&bob.caller, &Caller::anonymous()] {
            assert!(matches!(pets.restore(nobody, id).await, Err(PetError::NotFound)));
        }
        app.petspark.auth().set_role(&operator(), bob.id, Role::Moderator, false).await.unwrap();
        let bob = app.sign_in("bob").await;
        assert_eq!(pets.restore(&bob.caller, id).await.unwrap().id, id);
        let filter = AuditFilter { action: Some(Action::PetRestored), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!(entries[0].subject, Some(format!("user:{}", ada.id)));
        assert_eq!((&entries[0].actor, &entries[0].details["pet"]), (&format!("user:{}", bob.id), &id.to_string().into()));
    }

    async fn what_cannot_be_restored_any_more_is_removed_from_every_table(app: TestApp) {
        let ada = app.register("ada").await;
        let (pets, lost) = (app.petspark.pets(), add(&app, &ada.caller, "Lost").await);
        add(&app, &ada.caller, "Kept").await;
        pets.delete(&ada.caller, lost).await.unwrap();
        app.clock.advance(Duration::from_secs(3600));
        let late = add(&app, &ada.caller, "Late").await;
        pets.delete(&ada.caller, late).await.unwrap();
        app.clock.advance(30 * DAY - Duration::from_secs(3600));
        app.run_jobs().await;
        assert_eq!(pets.count().await.unwrap(), 3, "until the end of the day");
        app.clock.advance(DAY / 2);
        assert!(matches!(pets.restore(&ada.caller, lost).await, Err(PetError::NotFound)), "not even before the job");
        assert!(matches!(pets.restore(&ada.caller, late).await, Err(PetError::NotFound)));
        app.clock.advance(DAY / 2);
        app.run_jobs().await;
        assert_eq!(pets.count().await.unwrap(), 1);
        assert_eq!(count_of(&app, Action::PetsPurged).await, 1);
        if app.petspark.database().engine_name() == "sqlite" {
            assert_eq!(number(&app, "SELECT count(*) FROM pets_search").await, 1);
        }
        assert_eq!(found(&app, "kept").await, ["Kept"]);
    }

    async fn pets_of_a_deleted_account_wait_for_their_owner(app: TestApp) {
        let ada = app.register("ada").await;
        let (people, pets, id) = (app.petspark.people(), app.petspark.pets(), add(&app, &ada.caller, "Rex").await);
        people.delete(&operator(), ada.id, When::After(90 * DAY), None, false).await.unwrap();
        assert!(matches!(pets.restore(&operator(), id).await, Err(PetError::NotFound)), "they would be nobody's");
        app.clock.advance(60 * DAY);
        app.run_jobs().await;
        people.restore(&operator(), ada.id, None).await.unwrap();
        let login = app.petspark.auth().login("ada@example.org", Password::new(TestApp::PASSWORD), Default::default());
        assert!(login.await.is_ok());
        assert_eq!(pets.get(&operator(), id).await.unwrap().name, "Rex");
    }

    async fn pets_are_found_by_todays_words_however_old_they_are(app: TestApp) {
        let ada = app.register("ada").await;
        for n in 0..501 {
            add(&app, &ada.caller, &format!("Plain {n}")).await;
        }
        let fields = PetFields {
            breed: Patch::Set("Löwchen".to_owned()),
            bio: Patch::Set("Mag Käse!".to_owned()),
            ..PetFields::new("Łucja", Species::Dog)
        };
        let pet = app.petspark.pets().create(&ada.caller, fields).await.unwrap();
        app.run_jobs().await;
        execute(app.petspark.settings(), "UPDATE pets SET name_key = lower(name), breed_key = lower(breed), bio_key = lower(bio)").await;
        assert_eq!(found(&app, "lucja").await, Vec::<String>::new());
        app.clock.advance(7 * DAY);
        app.run_jobs().await;
        for q in ["lucja", "lowchen", "kase"] {
            assert_eq!(found(&app, q).await, ["Łucja"], "{q}");
        }
        assert_eq!(app.petspark.pets().get(&operator(), pet.id).await.unwrap(), pet, "it is the same pet as before");
        app.clock.advance(7 * DAY);
        let (count, before) = (StatementCount::default(), app.petspark.pets().count().await.unwrap());
        count.during(app.run_jobs()).await;
        assert!(u64::from(count.get()) < before, "what is right already costs no statement a pet");
    }

    async fn what_an_operator_does_to_a_pet_is_one_step_with_a_reason(app: TestApp) {
        let ada = app.register("ada").await;
        let (pets, id) = (app.petspark.pets(), add(&app, &ada.caller, "Rex").await);
        for (what, to, changed) in [
            (Intervention::Unban, Standing::Active, false),
            (Intervention::Restore, Standing::Active, false),
            (Intervention::Hide, Standing::Hidden, true),
            (Intervention::Hide, Standing::Hidden, false),
            (Intervention::Ban, Standing::Banned, true),
            (Intervention::Delete, Standing::Deleted, true),
            (Intervention::Delete, Standing::Deleted, false),
            (Intervention::Restore, Standing::Banned, true),
            (Intervention::Unban, Standing::Active, true),
            (Intervention::Purge, Standing::Gone, true),
        ] {
            let before = pets.stored(&operator(), id).await.unwrap();
            let planned = pets.preview_intervention(&operator(), id, what).await.unwrap();
            assert_eq!(pets.stored(&operator(), id).await.unwrap(), before, "a preview changes nothing");
            let done = pets.intervene(&operator(), id, what, Some("as they asked")).await.unwrap();
            assert_eq!((done.to, done.changed), (to, changed), "{what:?}");
            assert_eq!(done, planned);
        }
        let filter = AuditFilter { subject: Some(ada.id.to_string()), ..AuditFilter::default() };
        let entries = app.petspark.audit().list(&operator(), filter, &PageRequest::default()).await.unwrap().items;
        let told: Vec<_> = entries.iter().filter(|entry| entry.reason.as_deref() == Some("as they asked")).collect();
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|entry| entry.details["pet"] == id.to_string()));
        for what in [Intervention::Hide, Intervention::Restore, Intervention::Purge] {
            assert!(matches!(pets.intervene(&operator(), id, what, None).await, Err(PetError::NotFound)));
        }
    }

    async fn not_everything_can_be_done_to_a_pet_and_not_by_everybody(app: TestApp) {
        let ada = app.register("ada").await;
        let (pets, id) = (app.petspark.pets(), add(&app, &ada.caller, "Rex").await);
        assert!(matches!(pets.intervene(&ada.caller, id, Intervention::Ban, None).await, Err(PetError::Denied(_))));
        pets.intervene(&operator(), id, Intervention::Ban, None).await.unwrap();
        assert!(matches!(pets.intervene(&operator(), id, Intervention::Hide, None).await, Err(PetError::Banned)));
        pets.intervene(&operator(), id, Intervention::Delete, None).await.unwrap();
        for what in [Intervention::Hide, Intervention::Ban, Intervention::Unban] {
            assert!(matches!(pets.intervene(&operator(), id, what, None).await, Err(PetError::NotFound)), "{what:?}");
        }
        app.clock.advance(31 * DAY);
        assert_eq!(pets.count_removable(&operator()).await.unwrap(), 1);
        assert!(matches!(pets.intervene(&operator(), id, Intervention::Restore, None).await, Err(PetError::NotFound)));
        assert!(matches!(pets.remove_deleted(&ada.caller, None).await, Err(PetError::Denied(_))));
        assert_eq!(pets.remove_deleted(&operator(), Some("full disk")).await.unwrap(), 1);
        let bob = app.register("bob").await;
        app.petspark.auth().set_role(&operator(), bob.id, Role::Moderator, false).await.unwrap();
        let (bob, id) = (app.sign_in("bob").await, add(&app, &bob.caller, "Max").await);
        assert!(matches!(pets.intervene(&bob.caller, id, Intervention::Purge, None).await, Err(PetError::Denied(_))));
        assert!(pets.intervene(&bob.caller, id, Intervention::Hide, None).await.unwrap().changed);
    }
}
