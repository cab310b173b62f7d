//! Accounts from elsewhere: their passwords go on working and get stronger, and what is wrong
//! with a line is said of that line.

use petspark_core::Caller;
use petspark_core::auth::{AuthError, Client, Imported, Password};
use petspark_core::testing::{TestApp, on_both};
use serde_json::json;

use crate::sql::{Direct, connect};

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

async fn import(app: &TestApp, lines: &[String], dry_run: bool) -> Imported {
    let mut import = app.petspark.auth().import(&operator(), dry_run).unwrap();
    for line in lines {
        import.add(line.as_bytes()).await.unwrap();
    }
    import.finish().await.unwrap()
}

async fn signs_in(app: &TestApp, email: &str, password: &str) -> bool {
    match app.petspark.auth().login(email, Password::new(password), Client::default()).await {
        Ok(_) => true,
        Err(AuthError::WrongCredentials) => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn stored_hash(app: &TestApp, email: &str) -> String {
    let sql = "SELECT password_hash FROM users WHERE email = $1";
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).bind(email).fetch_one(&mut connection).await.unwrap(),
        Direct::Postgres(mut connection) => {
            sqlx::query_scalar(sql).bind(email).fetch_one(&mut connection).await.unwrap()
        }
    }
}

/// Of `correct horse`, made elsewhere: by Python's bcrypt 5 and argon2-cffi 25: Argon2 with the
/// parameters of the backend before this one, and with less than ours.
const BCRYPT: &str = "$2b$05$22PTByYpzCGU9vA0doZfzupGF2ZLEujSH3qRwiCno5wrsc8cuPEFC";
const STRONGER: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$hpA3wS1im1qXai94ohk5jA$+NBi0iBVV2Vd50A+oTvnl0cbWIjHkM8Sz0AgTSTm1So";
const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$kV6vpPP/i9/1TS84YD24Wg$CKckKhfDH4uzfR0LFhdxP6nyATxpRioN/CTtmKcqgxA";

on_both! {
    async fn imported_passwords_work_and_the_weak_are_hashed_anew(app: TestApp) {
        let lines = [("bcrypt", BCRYPT), ("bcrypt-y", &BCRYPT.replacen("$2b$", "$2y$", 1)), ("stronger", STRONGER), ("weaker", WEAKER)]
            .map(|(name, hash)| json!({"email": format!("{name}@Example.org"), "passwordHash": hash, "emailVerified": true}).to_string());
        let done = import(&app, &lines, false).await;
        assert_eq!((done.imported, &done.problems), (4, &Vec::new()));
        for (name, is_kept) in [("bcrypt", false), ("bcrypt-y", false), ("stronger", true), ("weaker", false)] {
            let email = format!("{name}@example.org");
            let before = stored_hash(&app, &email).await;
            assert!(!signs_in(&app, &email, "Correct horse").await);
            assert_eq!(stored_hash(&app, &email).await, before, "a wrong password changes nothing");
            assert!(signs_in(&app, &email, "correct horse").await, "{name}");
            let after = stored_hash(&app, &email).await;
            assert_eq!(after == before, is_kept, "{name}: {after}");
            assert!(is_kept || after.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{after}");
            assert!(signs_in(&app, &email, "correct horse").await, "{name}");
            assert!(!signs_in(&app, &email, "correct horse ").await);
        }
    }

    async fn every_line_that_cannot_be_is_told_by_its_number_and_the_others_are_imported(app: TestApp) {
        app.register("ada").await;
        let lines: Vec<String> = [
            r#"{"email": "first@example.org", "displayName": "First", "role": "moderator", "createdAt": "2020-02-29T12:00:00Z"}"#,
            "",
            r#"{"email": "ADA@example.org"}"#,
            r#"{"email": "First@Example.org"}"#,
            "nonsense",
            r#"{"email": "nobody"}"#,
            r#"{"email": "a@example.org", "passwordHash": "5f4dcc3b5aa765d61d8327deb882cf99"}"#,
            r#"{"email": "b@example.org", "password": "hunter22"}"#,
            r#"{"email": "c@example.org", "emailVerified": "s3cret"}"#,
            r#"{"email": "d@example.org", "createdAt": "2100-01-01T00:00:00Z"}"#,
            r#"{"email": "e@example.org", "displayName": "nul \u0000"}"#,
            r#"{"email": "last@example.org"}"#,
        ].map(str::to_owned).to_vec();
        let planned = import(&app, &lines, true).await;
        assert!(app.petspark.auth().get_user(&operator(), "first@example.org").await.is_err(), "a dry run stores nothing");
        let done = import(&app, &lines, false).await;
        assert_eq!(done, planned);
        assert_eq!((done.lines, done.imported, done.duplicates, done.invalid), (11, 2, 2, 7));
        assert_eq!(done.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        let told = format!("{:?}", done.problems);
        assert!(!told.contains("5f4dcc") && !told.contains("hunter22") && !told.contains("s3cret"), "{told}");
        let first = app.petspark.auth().get_user(&operator(), "first@example.org").await.unwrap();
        assert_eq!((first.display_name.as_str(), first.role.as_str(), first.email_verified_at), ("First", "moderator", None));
        assert_eq!(first.created_at.to_string(), "2020-02-29T12:00:00Z");
        let again = import(&app, &lines, false).await;
        assert_eq!((again.imported, again.duplicates, again.invalid), (0, 4, 7));
    }

    async fn an_import_of_any_size_goes_in_batches(app: TestApp) {
        let lines: Vec<String> = (0..1201).map(|n| json!({"email": format!("user{}@example.org", n % 1200)}).to_string()).collect();
        for dry_run in [true, false] {
            let done = import(&app, &lines, dry_run).await;
            assert_eq!((done.imported, done.duplicates), (1200, 1));
            assert_eq!(done.problems[0].line, 1201);
        }
        assert_eq!(app.petspark.auth().count_users(&operator()).await.unwrap(), 1200);
        let ada = app.register("ada").await;
        assert!(matches!(app.petspark.auth().import(&ada.caller, true), Err(AuthError::Forbidden)));
    }
}
