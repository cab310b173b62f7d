//! Deleting, restoring, erasing, exporting and importing users from the terminal.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Place, on_both};

on_both! {
    fn a_deleted_user_is_gone_until_restored_and_then_erased_by_name(place) {
        place.ok("migrate run");
        let ada = place.user("ada@example.org", "");
        let preview = place.ok("user delete ada@example.org --dry-run --json").json();
        assert_eq!((&preview["changed"], &preview["dry_run"], &preview["id"]), (&false.into(), &true.into(), &ada["id"]));
        place.run("user delete ada@example.org").expect(6).says("--yes");
        place.ok("user show ada@example.org");
        let deleted = place.ok("user delete ADA@example.org --yes --reason asked --json").json();
        assert_eq!((&deleted["schema"], &deleted["changed"]), (&"petspark.user.delete/v1".into(), &true.into()));
        assert!(deleted["erase_at"].is_string());
        place.run("user show ada@example.org").expect(4);
        place.run("user delete ada@example.org --yes").expect(5).says("deleted already");
        place.run("user create ada@example.org --generate").expect(5).says("already an account");
        assert_eq!(place.ok("user restore ada@example.org --json").json()["changed"], true);
        assert_eq!(place.ok("user restore ada@example.org --json").json()["changed"], false);
        place.ok("user show ada@example.org");
        for wrong in ["", "--yes", "--confirm eve@example.org"] {
            place.run(&format!("user delete ada@example.org --hard {wrong}")).expect(6).says("--confirm ada@example.org");
        }
        place.ok("user show ada@example.org");
        let erased = place.ok("user delete ada@example.org --hard --confirm ada@example.org --json").json();
        assert_eq!(erased["erase_at"], serde_json::Value::Null);
        place.run("user restore ada@example.org").expect(4);
        place.run("user delete ada@example.org --yes").expect(4);
        assert_eq!(place.ok("user delete ada@example.org --yes --ignore-missing --json").json()["changed"], false);
        place.user("ada@example.org", "");
    }

    fn an_archive_is_written_to_standard_output_or_to_a_new_file_of_ones_own(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "--name Ada");
        let archive = place.ok("user export ada@example.org").json();
        assert_eq!((&archive["format"], &archive["profile"]["displayName"]), (&"petspark.archive/v1".into(), &"Ada".into()));
        assert_eq!(place.ok("user export ada@example.org -o ada.json --json").json()["file"], "ada.json");
        let path = place.path().join("ada.json");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(written["account"], archive["account"]);
        place.run("user export ada@example.org -o ada.json").expect(5).says("is there already");
        place.run("user export nobody@example.org").expect(4);
    }

    fn an_import_reports_by_line_and_can_be_repeated(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        let good = "{\"email\": \"bob@example.org\", \"passwordHash\": \"$2b$10$22PTByYpzCGU9vA0doZfzupGF2ZLEujSH3qRwiCno5wrsc8cuPEFC\"}\n";
        place.write("good.jsonl", &format!("{good}{{\"email\": \"ada@example.org\"}}\n"));
        let planned = place.ok("user import good.jsonl --dry-run --json").json();
        assert_eq!((&planned["changed"], &planned["imported"], &planned["duplicates"]), (&false.into(), &1.into(), &1.into()));
        place.run("user show bob@example.org").expect(4);
        let done = place.ok("user import good.jsonl --json").json();
        assert_eq!((&done["changed"], &done["imported"], &done["problems"][0]["line"]), (&true.into(), &1.into(), &2.into()));
        place.ok("user show bob@example.org");
        assert_eq!(place.ok("user import good.jsonl --json").json()["changed"], false);
        let bad = place.run_with_input("user import -", "nonsense\n\u{feff}{}\n").expect(2);
        assert!(bad.stderr.contains("Line 1: is not valid JSON") && bad.stderr.contains("Line 2:"), "{bad:#?}");
        place.run("user import missing.jsonl").expect(2).says("missing.jsonl");
    }
}

#[test]
fn production_wants_to_know_why_somebody_is_deleted() {
    let place = Place::sqlite()
        .with("PETSPARK_ENV", "production")
        .with("JWT_SECRET", "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2");
    place.ok("migrate run");
    place.user("ada@example.org", "");
    place.run("user delete ada@example.org --yes").expect(2).says("--reason");
    place.ok("user delete ada@example.org --yes --reason asked");
}

#[test]
fn the_last_administrator_is_deleted_by_force_only() {
    let place = Place::sqlite();
    place.user("ada@example.org", "--role admin");
    for options in ["--yes", "--dry-run", "--hard --confirm ada@example.org"] {
        place.run(&format!("user delete ada@example.org {options}")).expect(5).says("last active administrator");
    }
    place.ok("user delete ada@example.org --yes --force");
}
