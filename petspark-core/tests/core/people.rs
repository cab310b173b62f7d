//! What people say of themselves, the archive of everything, and that after an erasure nothing
//! of them is left.

use std::time::Duration;

use petspark_core::auth::{AuthError, Client, NewAccount, NewUser, Password, Registered, Role};
use petspark_core::config::DatabaseUrl;
use petspark_core::mail::Template;
use petspark_core::people::{ProfileChange, When};
use petspark_core::pets::{LocationFields, Patch, PetFields, Species};
use petspark_core::testing::{Engine, TestApp, on_both};
use petspark_core::{Caller, Failure as _, IdempotencyKey, Kind, Origin, UserId};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::sql::{Direct, connect};

const DAY: Duration = Duration::from_secs(86_400);

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

fn password() -> Password {
    Password::new(TestApp::PASSWORD)
}

fn origin() -> Origin {
    Origin { ip: Some("203.0.113.77".parse().unwrap()), request_id: None }
}

async fn registered(app: &TestApp, email: &str) -> Caller {
    let account = NewAccount { email: email.to_owned(), password: password(), display_name: "Ada Byron".to_owned() };
    let client = Client {
        user_agent: Some("Analytical/1843".to_owned()),
        device_name: Some("engine of ada".to_owned()),
        origin: origin(),
        ..Client::default()
    };
    let registered = app.petspark.auth().register(account, client).await.unwrap();
    let Registered::SignedIn(signed_in) = registered else { panic!("a mail first") };
    app.petspark.auth().authenticate(signed_in.tokens.access.expose()).await.unwrap().from(origin())
}

/// In which places of the database this text is, whatever the column.
#[allow(clippy::disallowed_methods, reason = "names of tables and columns, as the database itself tells them")]
async fn occurrences(app: &TestApp, text: &str) -> Vec<String> {
    let (text, hex) = (text.to_lowercase(), text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut found = Vec::new();
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => {
            let columns = sqlx::query(
                "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'",
            );
            for column in columns.fetch_all(&mut connection).await.unwrap() {
                let (table, column): (String, String) = (column.get(0), column.get(1));
                let sql = format!(
                    "SELECT count(*) FROM \"{table}\" WHERE instr(lower(CAST(\"{column}\" AS TEXT)), $1) > 0 \
                     OR instr(lower(hex(\"{column}\")), $2) > 0"
                );
                let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                    .bind(&text)
                    .bind(&hex)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                if count > 0 {
                    found.push(format!("{table}.{column}"));
                }
            }
        }
        Direct::Postgres(mut connection) => {
            let tables = sqlx::query("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()");
            for table in tables.fetch_all(&mut connection).await.unwrap() {
                let table: String = table.get(0);
                // A row as text has every column in it, those of bytes in hexadecimal.
                let sql = format!(
                    "SELECT count(*) FROM \"{table}\" AS t WHERE strpos(lower(t::text), $1) > 0 \
                     OR strpos(lower(t::text), $2) > 0"
                );
                let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                    .bind(&text)
                    .bind(&hex)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                if count > 0 {
                    found.push(table);
                }
            }
        }
    }
    found
}

fn account(email: &str, role: Role) -> NewUser {
    let account = NewAccount { email: email.to_owned(), password: password(), display_name: "Somebody".to_owned() };
    NewUser { account, role, email_verified: true }
}

on_both! {
    async fn what_is_not_sent_stays_and_null_clears(app: TestApp) {
        let (ada, people) = (app.register("ada").await.caller, app.petspark.people());
        let change = ProfileChange { bio: Patch::Set(" Counts.\nA lot. ".into()), location: Patch::Set("London".into()), ..ProfileChange::default() };
        let profile = people.change_profile(&ada, change).await.unwrap();
        assert_eq!((profile.display_name.as_str(), profile.bio.as_deref()), ("ada", Some("Counts.\nA lot.")));
        let change = ProfileChange { display_name: Patch::Set("Ada".into()), location: Patch::Clear, ..ProfileChange::default() };
        let profile = people.change_profile(&ada, change).await.unwrap();
        assert_eq!((profile.display_name.as_str(), profile.bio.as_deref(), profile.location.as_deref()), ("Ada", Some("Counts.\nA lot."), None));
        assert_eq!(people.profile(&ada).await.unwrap(), profile);
        assert_eq!(people.change_profile(&ada, ProfileChange::default()).await.unwrap(), profile);
    }

    async fn every_field_that_cannot_be_is_named(app: TestApp) {
        let (ada, people) = (app.register("ada").await.caller, app.petspark.people());
        let change = ProfileChange { display_name: Patch::Clear, bio: Patch::Set("\0".into()), location: Patch::Set("x".repeat(101)) };
        let Err(AuthError::Invalid(fields)) = people.change_profile(&ada, change).await else { panic!("accepted") };
        assert_eq!(fields.iter().map(|(field, _)| field).collect::<Vec<_>>(), ["bio", "displayName", "location"]);
        assert!(matches!(people.profile(&Caller::anonymous()).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(people.profile(&operator()).await, Err(AuthError::Unauthenticated)));
    }

    async fn preferences_come_back_as_they_were_stored(app: TestApp) {
        let (ada, people) = (app.register("ada").await.caller, app.petspark.people());
        assert!(people.preferences(&ada).await.unwrap().values.is_empty());
        let sent = json!({"theme": "dark", "near": {"km": 12.5, "of": null}, "muted": ["🐈", 7, true], "": "\u{1}"});
        let sent = sent.as_object().unwrap().clone();
        assert_eq!(people.set_preferences(&ada, sent.clone()).await.unwrap().values, sent);
        assert_eq!(people.preferences(&ada).await.unwrap().values, sent);
        for wrong in [json!({"a": "x".repeat(16 * 1024)}), json!({"a": [{"b": "nul \0"}]}), json!({"nul \0": 1})] {
            let refused = people.set_preferences(&ada, wrong.as_object().unwrap().clone()).await;
            assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
        }
        assert_eq!(people.preferences(&ada).await.unwrap().values, sent);
    }

    async fn an_archive_has_all_that_is_kept_and_nothing_that_lets_in(app: TestApp) {
        let ada = registered(&app, "ada.byron@example.org").await;
        let (people, id) = (app.petspark.people(), ada.user_id().unwrap());
        people.set_preferences(&ada, json!({"theme": "dark"}).as_object().unwrap().clone()).await.unwrap();
        let home = LocationFields { latitude: Some(52.520_008), longitude: Some(13.404_954), city: Some("Berlin".into()), country: None };
        let rex = PetFields { location: Patch::Set(home), ..PetFields::new("Rex", Species::Dog) };
        let rex = app.petspark.pets().create(&ada, rex).await.unwrap();
        let gone = app.petspark.pets().create(&ada, PetFields::new("Gone", Species::Cat)).await.unwrap();
        app.petspark.pets().delete(&ada, gone.id).await.unwrap();
        app.petspark.auth().forgot_password(&Caller::anonymous().from(origin()), "ada.byron@example.org").await.unwrap();
        app.run_jobs().await;
        let archive = serde_json::to_value(people.export_own(&ada).await.unwrap()).unwrap();
        assert_eq!(archive["format"], "petspark.archive/v1");
        assert_eq!((&archive["account"]["email"], &archive["account"]["hasPassword"]), (&json!("ada.byron@example.org"), &json!(true)));
        assert_eq!(archive["profile"]["displayName"], "Ada Byron");
        assert_eq!(archive["preferences"], json!({"theme": "dark"}));
        assert_eq!((&archive["sessions"][0]["ip"], &archive["sessions"][0]["deviceName"]), (&json!("203.0.113.77"), &json!("engine of ada")));
        let pets: Vec<_> = archive["pets"].as_array().unwrap().iter().map(|pet| pet["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(pets, [rex.id.to_string(), gone.id.to_string()]);
        let place = &archive["pets"][0];
        assert_eq!((&place["city"], &place["latitude"], &place["longitude"]), (&json!("Berlin"), &json!("52.520008"), &json!("13.404954")));
        assert!(archive["links"].to_string().contains("reset_password"), "{archive}");
        let activity = archive["activity"].as_array().unwrap();
        let last = activity.last().unwrap();
        assert_eq!((&last["action"], &last["by"], &last["ip"]), (&json!("sensitive_read_personal_data"), &json!("you"), &json!("203.0.113.77")));
        assert!(!archive.to_string().contains("$argon2"), "{archive}");

        let by_operator = serde_json::to_value(people.export(&operator(), id).await.unwrap()).unwrap();
        let last = by_operator["activity"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["by"], &last["ip"]), (&json!("staff"), &Value::Null));
        let bob = app.register("bob").await;
        assert!(matches!(people.export(&bob.caller, id).await, Err(AuthError::Forbidden)));
        assert_eq!(people.export_own(&bob.caller).await.unwrap().pets.len(), 0);
        app.clock.advance(Duration::from_secs(601));
        assert!(matches!(people.export_own(&ada).await, Err(AuthError::StepUpRequired)));
    }

    async fn what_refers_to_a_user_is_in_the_archive(app: TestApp) {
        let sql = match app.petspark.database().engine_name() {
            "sqlite" => "SELECT DISTINCT t.name FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND f.\"table\" = 'users' ORDER BY 1",
            _ => "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND confrelid = 'users'::regclass ORDER BY 1",
        };
        let tables: Vec<String> = match connect(app.petspark.settings()).await {
            Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
            Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
        };
        // A challenge lives for some minutes and says nothing that its session doesn't.
        let known = ["billing_customers", "billing_grants", "billing_operations", "billing_payments", "billing_subscriptions", "blocks", "favorites", "idempotency_keys", "one_time_tokens", "pets", "recovery_codes", "reports", "second_factor_challenges", "sessions", "totp_factors", "uploads"];
        let unknown: Vec<_> = tables.iter().filter(|table| !known.contains(&table.as_str())).collect();
        assert!(unknown.is_empty(), "add {unknown:?} to people::Archive, and then here");
        assert!(tables.len() >= 3);
    }

    async fn asvs_7_4_2_who_deletes_their_account_is_signed_out_and_cannot_come_back(app: TestApp) {
        let ada = app.register("ada").await;
        let (auth, people) = (app.petspark.auth(), app.petspark.people());
        let rex = app.petspark.pets().create(&ada.caller, PetFields::new("Rex", Species::Dog)).await.unwrap();
        let wrong = people.delete_own(&ada.caller, Password::new("not the password")).await;
        assert!(matches!(wrong, Err(AuthError::WrongPassword)));
        assert!(auth.authenticate(ada.signed_in.tokens.access.expose()).await.is_ok());
        let deleted = people.delete_own(&ada.caller, password()).await.unwrap();
        assert_eq!((deleted.sessions_ended, deleted.pets), (1, 1));
        assert_eq!(deleted.erase_at, Some(app.clock.now().after(30 * DAY)));
        let tokens = &ada.signed_in.tokens;
        assert!(matches!(auth.authenticate(tokens.access.expose()).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(auth.refresh(tokens.refresh.expose(), Origin::default()).await, Err(AuthError::RefreshInvalid)));
        let login = auth.login("ada@example.org", password(), Client::default()).await;
        assert!(matches!(login, Err(AuthError::WrongCredentials)));
        let bob = app.register("bob").await;
        assert!(app.petspark.pets().get(&bob.caller, rex.id).await.is_err());
        let mail = app.mail("ada@example.org", Template::AccountDeletionScheduled).await;
        assert!(mail.text.contains("December 2026"), "{}", mail.text);
        assert!(matches!(people.delete(&operator(), ada.id, When::Later, None, false).await, Err(AuthError::UserNotFound)));
    }

    async fn who_is_restored_has_everything_again_but_what_was_gone_before(app: TestApp) {
        let ada = app.register("ada").await;
        let (people, pets) = (app.petspark.people(), app.petspark.pets());
        let rex = pets.create(&ada.caller, PetFields::new("Rex", Species::Dog)).await.unwrap();
        let gone = pets.create(&ada.caller, PetFields::new("Gone", Species::Dog)).await.unwrap();
        pets.delete(&ada.caller, gone.id).await.unwrap();
        app.clock.advance(Duration::from_secs(1));
        people.delete_own(&ada.caller, password()).await.unwrap();
        let known = people.find(&operator(), "ADA@example.org").await.unwrap();
        assert_eq!(known.deleted_at, Some(app.clock.now()));
        assert!(matches!(people.restore(&ada.caller, ada.id, None).await, Err(AuthError::Forbidden)));
        people.restore(&operator(), ada.id, None).await.unwrap();
        assert!(matches!(people.restore(&operator(), ada.id, None).await, Err(AuthError::UserNotFound)));
        let session = app.petspark.auth().login("ada@example.org", password(), Client::default()).await.unwrap();
        let caller = app.petspark.auth().authenticate(session.tokens.access.expose()).await.unwrap();
        assert_eq!(pets.get(&caller, rex.id).await.unwrap().name, "Rex");
        assert!(pets.get(&caller, gone.id).await.is_err());
        // The day on which they would have been erased comes and goes.
        app.clock.advance(31 * DAY);
        let mails = app.mails().await;
        assert!(mails.iter().all(|mail| mail.template != Template::AccountDeleted));
        assert!(people.find(&operator(), "ada@example.org").await.is_ok());
    }

    async fn after_the_grace_period_nothing_is_left_of_a_person(app: TestApp) {
        let ada = registered(&app, "ada.byron@example.org").await;
        let (people, pets) = (app.petspark.people(), app.petspark.pets());
        let other = app.register("bob").await;
        let id = ada.user_id().unwrap();
        let change = ProfileChange { bio: Patch::Set("Poetical science".into()), location: Patch::Set("Ockham Park".into()), ..ProfileChange::default() };
        people.change_profile(&ada, change).await.unwrap();
        people.set_preferences(&ada, json!({"engine": "difference no 2"}).as_object().unwrap().clone()).await.unwrap();
        pets.create(&ada, PetFields::new("Puff of Ockham", Species::Cat)).await.unwrap();
        let anonymous = Caller::anonymous().from(origin());
        app.petspark.auth().forgot_password(&anonymous, "ada.byron@example.org").await.unwrap();
        app.run_jobs().await;
        people.delete_own(&ada, password()).await.unwrap();
        app.run_jobs().await;
        let traces = [
            "ada.byron", "Ada Byron", "203.0.113.77", "Analytical/1843", "engine of ada", "Poetical science", "Ockham Park",
            "difference no 2", "Puff of Ockham",
        ];
        for trace in traces {
            assert_ne!(occurrences(&app, trace).await, Vec::<String>::new(), "this test doesn't find {trace}");
        }
        // An hour before the end they are told.
        app.clock.advance(30 * DAY - Duration::from_secs(1800));
        app.mail("ada.byron@example.org", Template::AccountDeleted).await;
        assert!(people.find(&operator(), &id.to_string()).await.is_ok());
        app.clock.advance(Duration::from_secs(2 * 3600));
        app.run_jobs().await;
        for trace in traces {
            assert_eq!(occurrences(&app, trace).await, Vec::<String>::new(), "{trace} is still there");
        }
        // What happened is still known, of an id that is nobody's.
        assert_ne!(occurrences(&app, &format!("user:{id}")).await, Vec::<String>::new());
        assert!(matches!(people.find(&operator(), &id.to_string()).await, Err(AuthError::UserNotFound)));
        assert!(people.profile(&other.caller).await.is_ok());
        registered(&app, "ada.byron@example.org").await;
    }

    async fn an_operator_erases_somebody_at_once_deleted_before_or_not(app: TestApp) {
        let people = app.petspark.people();
        for deleted_before in [false, true] {
            let ada = registered(&app, "ada.byron@example.org").await;
            let id = ada.user_id().unwrap();
            let key = IdempotencyKey::parse("of ada.byron").unwrap();
            app.petspark.pets().create_once(&ada, PetFields::new("Rex", Species::Dog), Some(&key)).await.unwrap();
            assert_eq!(people.export(&operator(), id).await.unwrap().idempotency_keys[0].result["name"], "Rex");
            if deleted_before {
                people.delete(&operator(), id, When::After(DAY), Some("asked by letter"), false).await.unwrap();
            }
            let preview = people.preview_deletion(&operator(), id, When::Now, false).await.unwrap();
            assert_eq!(people.find(&operator(), "ada.byron@example.org").await.unwrap().user.id, id, "a preview erases nobody");
            let deleted = people.delete(&operator(), id, When::Now, None, false).await.unwrap();
            assert_eq!((deleted.erase_at, deleted.sessions_ended), (None, u64::from(!deleted_before)));
            assert_eq!(deleted, preview);
            // Mails that were still to be sent have nobody to go to, and for a while it is counted
            // how often accounts are made from an address, whosever they are.
            app.clock.advance(2 * DAY);
            app.run_jobs().await;
            assert_eq!(occurrences(&app, "ada.byron").await, Vec::<String>::new());
            assert_eq!(occurrences(&app, "203.0.113.77").await, Vec::<String>::new());
        }
        assert!(matches!(people.delete(&operator(), UserId::new(), When::Now, None, false).await, Err(AuthError::UserNotFound)));
    }

    async fn the_last_administrator_stays(app: TestApp) {
        let (auth, people) = (app.petspark.auth(), app.petspark.people());
        let ada = auth.create_user(&operator(), account("ada@example.org", Role::Admin)).await.unwrap().id;
        let session = auth.login("ada@example.org", password(), Client::default()).await.unwrap();
        let caller = auth.authenticate(session.tokens.access.expose()).await.unwrap();
        assert!(matches!(people.delete_own(&caller, password()).await, Err(AuthError::LastAdmin)));
        for when in [When::Later, When::Now] {
            assert!(matches!(people.delete(&operator(), ada, when, None, false).await, Err(AuthError::LastAdmin)));
        }
        let bob = auth.create_user(&operator(), account("bob@example.org", Role::Admin)).await.unwrap().id;
        let (operator, now) = (operator(), When::Now);
        let (first, second) = tokio::join!(
            people.delete(&operator, ada, now, None, false),
            people.delete(&operator, bob, now, None, false),
        );
        let refused = [&first, &second].into_iter().filter(|result| matches!(result, Err(AuthError::LastAdmin))).count();
        assert_eq!(refused, 1, "{first:?} {second:?}");
        let last = if first.is_err() { ada } else { bob };
        people.delete(&operator, last, now, None, true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_erased_is_not_in_the_free_pages_of_the_file_either() {
    let app = TestApp::open(Engine::Sqlite).await;
    let ada = registered(&app, "ada.byron@example.org").await;
    let bio = Patch::Set("Poetical science. ".repeat(50));
    let people = app.petspark.people();
    people.change_profile(&ada, ProfileChange { bio, ..ProfileChange::default() }).await.unwrap();
    let DatabaseUrl::Sqlite(path) = &app.petspark.settings().database.url else { panic!("not SQLite") };
    let is_there = |text: &str| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(path.with_extension("db-wal")).unwrap_or_default());
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(is_there("ada.byron") && is_there("Poetical") && is_there("203.0.113.77"));
    people.delete(&operator(), ada.user_id().unwrap(), When::Now, None, false).await.unwrap();
    app.clock.advance(2 * DAY);
    app.run_jobs().await;
    // The last to close the database writes its log back and removes it.
    app.petspark.close().await;
    for trace in ["ada.byron", "Poetical", "203.0.113.77"] {
        assert!(!is_there(trace), "{trace} is still in the file");
    }
}
