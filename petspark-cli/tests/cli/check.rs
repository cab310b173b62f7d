//! `check`: what it looks at, and that its exit code is the truth.

use crate::support::{Place, Ran, block_on, on_both};

/// The results by id.
fn status<'a>(results: &'a serde_json::Value, id: &str) -> &'a str {
    let all = results["checks"].as_array().unwrap();
    all.iter().find(|result| result["id"] == id).unwrap()["status"].as_str().unwrap()
}

const STRONG: &str = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";

/// With what production wants to be set.
pub(crate) fn in_production(place: Place) -> Place {
    place.with("PETSPARK_ENV", "production").with("JWT_SECRET", STRONG)
}

/// Runs SQL on the place's database, as somebody with a shell would.
#[allow(clippy::disallowed_methods, reason = "SQL of these tests")]
pub(crate) fn tamper(place: &Place, sql: &'static str) {
    use sqlx::Connection as _;
    block_on(async {
        match place.database_url() {
            Some(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            None => {
                let url = format!("sqlite://{}", place.path().join("petspark-data/petspark.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    });
}

on_both! {
    fn a_sound_installation_passes_and_one_that_lacks_an_index_does_not(place) {
        let place = in_production(place);
        place.ok("migrate run");
        let results = place.run("check --json").expect(0).json();
        assert_eq!(results["schema"], "petspark.check/v1");
        for id in ["config.complete", "db.connect", "db.migrations", "db.schema", "db.indexes", "db.foreign_keys", "media.store"] {
            assert_eq!(status(&results, id), "pass", "{id}: {results}");
        }
        assert_eq!(status(&results, "mail.transport"), "warn");
        place.run("check --strict").expect(11).says("SMTP_URL");
        tamper(&place, "DROP INDEX sessions_user_id_idx");
        let ran = place.run("check --json").expect(10);
        let results = ran.json();
        assert_eq!((status(&results, "db.indexes"), status(&results, "db.foreign_keys")), ("fail", "fail"));
        assert_eq!((status(&results, "db.schema"), status(&results, "db.connect")), ("pass", "pass"));
        let ran = place.run("check --only db.indexes").expect(10).says("migrate verify");
        assert!(ran.stdout.contains("sessions_user_id_idx"), "{ran:#?}");
        place.run("check --skip db.indexes,db.foreign_keys").expect(0);
        // At a desk the same is worth a warning.
        let place = place.with("PETSPARK_ENV", "development");
        assert_eq!(status(&place.run("check --json").expect(0).json(), "db.indexes"), "warn");
    }

    fn what_is_pending_fails_and_is_told(place) {
        let place = in_production(place);
        place.ok("migrate run --to 19");
        place.run("check --only db.migrations").expect(10).says("migrate run");
        assert_eq!(status(&place.run("check --json").expect(10).json(), "db.schema"), "skip");
        place.run("check --only db.schema --require db.schema").expect(10);
    }
}

#[test]
fn what_cannot_be_looked_at_is_neither_well_nor_ill() {
    let place = Place::sqlite().with("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/petspark");
    let place = in_production(place).with("PETSPARK__DATABASE__CONNECT_TIMEOUT", "50ms");
    let ran = place.run("check --only db.migrations").expect(12);
    assert!(ran.stdout.contains("127.0.0.1:1/petspark") && !ran.stdout.contains("hunter2"), "{ran:#?}");
    place.run("check --only db.*").expect(10);
}

#[test]
fn wrong_settings_are_one_failure_and_make_the_rest_unknown() {
    let place = Place::sqlite().with("PETSPARK__DATABASE__BUSY_TIMEOUT", "soon");
    let ran = place.run("check --json").expect(10);
    let results = ran.json();
    assert_eq!((status(&results, "config.complete"), status(&results, "db.connect")), ("fail", "error"));
}

#[test]
fn checks_are_listed_and_chosen_by_id() {
    let place = Place::sqlite();
    let listed = place.ok("check --list --json").json();
    assert_eq!(listed["checks"][0]["id"], "config.complete");
    assert_eq!(place.ok("doctor --list --json").json(), listed);
    assert_eq!(place.ok("check --list --only db.* --json").json()["checks"].as_array().unwrap().len(), 6);
    for line in ["check --only nonsense", "check --skip db", "check --require x.*"] {
        place.run(line).expect(2).says("there is no check");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "looking at what there is leaves no trace");
}

#[test]
fn json_lines_are_a_check_a_line() {
    let place = Place::sqlite();
    place.ok("migrate run");
    let Ran { stdout, .. } = place.ok("check --format jsonl");
    let lines: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["summary"]["count"], lines.len() - 1);
    assert!(lines[0]["duration_ms"].is_u64());
}

#[cfg(feature = "serve")]
#[test]
fn a_check_says_what_it_answers_and_where_it_is_explained() {
    let place = Place::sqlite();
    let guide = crate::docs::document("docs/OPERATING.md");
    let (_, section) = guide.split_once("\n### What check looks at\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for check in place.ok("check --list --json").json()["checks"].as_array().unwrap() {
        let id = check["id"].as_str().unwrap();
        assert!(section.contains(&format!("| `{id}` |")), "{id} is not in the guide");
        assert!(check["docs_url"].as_str().unwrap().ends_with("/docs/OPERATING.md#what-check-looks-at"), "{check}");
        let items = check["items"].as_array().unwrap();
        assert!(!items.is_empty() || ["mail.transport", "billing.events"].contains(&id), "{check}");
    }
    let run = place.run("check --only config.complete --json").json();
    assert_eq!((&run["checks"][0]["items"][0], run["checks"][0]["docs_url"].is_string()), (&"1.1".into(), true));
}

#[test]
fn the_mail_server_is_reached_without_a_mail_and_one_that_is_away_is_told() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::sqlite().with("SMTP_URL", &format!("smtp://{}", server.local_addr().unwrap()));
    let heard = std::thread::spawn(move || {
        let mut stream = BufReader::new(server.accept().unwrap().0);
        stream.get_mut().write_all(b"220 ready\r\n").unwrap();
        let (mut heard, mut line) = (Vec::new(), String::new());
        while stream.read_line(&mut line).unwrap() > 0 {
            heard.push(line.split_whitespace().next().unwrap().to_owned());
            let answer: &[u8] = if line.starts_with("QUIT") { b"221 bye\r\n" } else { b"250 go on\r\n" };
            // Who said good-bye need not wait for the answer.
            let _ = stream.get_mut().write_all(answer);
            line.clear();
        }
        heard
    });
    let results = place.run("check --only mail.transport --json").expect(0).json();
    assert_eq!(status(&results, "mail.transport"), "pass", "{results}");
    assert_eq!(heard.join().unwrap(), ["EHLO", "NOOP", "QUIT"]);
    let results = place.run("check --only mail.transport --json").expect(0).json();
    assert_eq!(status(&results, "mail.transport"), "warn");
    assert!(results["checks"][0]["observed"].as_str().unwrap().contains("no connection"), "{results}");
}
