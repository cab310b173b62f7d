//! The audit log at the terminal: filters, pages, and the file that is made of it.

use serde_json::Value;

use crate::support::{Place, on_both};

fn actions(ran: &crate::support::Ran) -> Vec<String> {
    let entries = ran.json()["entries"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

/// Two users and a suspension.
fn some_history(place: &Place) {
    place.ok("migrate run");
    place.user("ada@example.org", "");
    place.user("bob@example.org", "");
    place.ok("user suspend ada@example.org --reason spam");
}

on_both! {
    fn entries_are_filtered_by_who_what_whom_and_when(place) {
        some_history(&place);
        let list = |filter: &str| actions(&place.ok(&format!("audit list --json {filter}")));
        assert_eq!(list(""), ["authn_login_lock", "user_created", "user_created", "sys_schema_migrated"]);
        assert_eq!(list("--subject ada@example.org"), ["authn_login_lock", "user_created"]);
        assert_eq!(list("--action user_created --subject bob@example.org"), ["user_created"]);
        let all = place.ok("audit list --json").json();
        let actor = all["entries"][0]["actor"].as_str().unwrap();
        assert!(actor.starts_with("cli:"), "{actor}");
        assert_eq!(list(&format!("--actor {actor}")).len(), 4);
        assert!(list("--actor ada@example.org").is_empty());
        let last = all["entries"][0]["at"].as_str().unwrap();
        assert_eq!(list(&format!("--since {last}")), ["authn_login_lock"]);
        assert_eq!(list(&format!("--until {last}")), ["user_created", "user_created", "sys_schema_migrated"]);
        let first = place.ok("audit list --limit 2 --json").json();
        let rest = list(&format!("--limit 2 --cursor {}", first["next_cursor"].as_str().unwrap()));
        assert_eq!(rest, ["user_created", "sys_schema_migrated"]);
        place.run("audit list --action nonsense").expect(2);
        place.run("audit list --since yesterday").expect(2);
        place.run("audit list --subject nobody@example.org").expect(4);
    }

    fn the_log_becomes_a_file_of_lines_for_its_owner_only(place) {
        use std::os::unix::fs::PermissionsExt as _;
        some_history(&place);
        let lines = |text: &str| text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        let printed = lines(&place.ok("audit export").stdout);
        let listed = place.ok("audit list --json").json();
        assert_eq!(printed.iter().rev().collect::<Vec<_>>(), listed["entries"].as_array().unwrap().iter().collect::<Vec<_>>());
        let report = place.ok("audit export --action user_created -o log.jsonl --json").json();
        assert_eq!(report["entries"], 2);
        let file = place.path().join("log.jsonl");
        assert_eq!(lines(&std::fs::read_to_string(&file).unwrap()), printed[1..3]);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        place.run("audit export -o log.jsonl").expect(5).says("is there already");
        assert_eq!(place.ok("audit export --action user_erased").stdout, "");
        assert_eq!(place.ok("audit export --json").json(), Value::Array(printed));
        assert_eq!(place.ok("audit export --action user_erased --json").json(), Value::Array(Vec::new()));
    }
}
