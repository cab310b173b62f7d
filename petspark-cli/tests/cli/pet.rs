//! Pets by the operator's hand, and all of them out and in.

use std::fs;

use petspark_core::config::DatabaseUrl;
use sqlx::{Connection as _, Executor as _};

use crate::support::{Place, block_on, on_both};

/// As if there were users only.
fn remove_pets(place: &Place) {
    block_on(async {
        match place.settings().database.url {
            DatabaseUrl::Sqlite(path) => {
                let url = format!("sqlite://{}", path.display());
                sqlx::SqliteConnection::connect(&url).await.unwrap().execute("DELETE FROM pets").await.map(drop)
            }
            DatabaseUrl::Postgres(url) => {
                sqlx::PgConnection::connect(url.expose()).await.unwrap().execute("DELETE FROM pets").await.map(drop)
            }
        }
        .unwrap();
    });
}

on_both! {
    fn what_is_exported_in_either_form_can_be_imported_and_exported_again(place) {
        place.ok("migrate run");
        place.ok("seed --users 20 --pets 300 --yes");
        for (form, other) in [("ndjson", "csv"), ("csv", "ndjson")] {
            let exported = place.ok(&format!("pet export -o {form}-1.{form} --json")).json();
            assert_eq!(exported["pets"], 300);
            place.ok(&format!("pet export --as {other} -o {form}-2"));
            remove_pets(&place);
            let planned = place.ok(&format!("pet import {form}-1.{form} --dry-run --json")).json();
            assert_eq!((&planned["imported"], &planned["changed"]), (&300.into(), &false.into()));
            let done = place.ok(&format!("pet import {form}-1.{form} --json")).json();
            assert_eq!((&done["imported"], &done["skipped"], &done["invalid"]), (&300.into(), &0.into(), &0.into()));
            let first = fs::read_to_string(place.path().join(format!("{form}-1.{form}"))).unwrap();
            let second = fs::read_to_string(place.path().join(format!("{form}-2"))).unwrap();
            assert_eq!(place.ok(&format!("pet export --as {form}")).stdout, first);
            assert_eq!(place.ok(&format!("pet export --as {other}")).stdout, second);
            let again = place.ok(&format!("pet import {form}-1.{form} --json")).json();
            assert_eq!((&again["imported"], &again["skipped"]), (&0.into(), &300.into()));
        }
        place.run("pet export -o csv-1.csv").expect(5).says("is there already");
    }

    fn the_format_json_is_one_document_however_many_pets_there_are(place) {
        place.ok("migrate run");
        let printed = |line: &str| place.ok(line).stdout;
        assert_eq!((printed("pet export --json"), printed("pet export --format jsonl")), ("[]\n".to_owned(), String::new()));
        place.ok("seed --users 20 --pets 300 --yes");
        let lines = printed("pet export --format jsonl");
        let pets: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(pets.len(), 300);
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&printed("pet export --format json")).unwrap(), pets);
        // What was said of the form itself counts more, and a file is one that import takes.
        assert_eq!(printed("pet export --as ndjson --format json"), lines);
        place.ok("pet export -o pets.json --json");
        assert_eq!(fs::read_to_string(place.path().join("pets.json")).unwrap(), lines);
    }

    fn a_mistake_is_told_by_its_line_whatever_stands_around_it(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        let csv = "name,ownerEmail,species,personality,bio,latitude,longitude\n\
            Rex,ada@example.org,dog,calm; shy,\"two\nlines, and \"\"quotes\"\"\",52.5,13.4\n\
            Max,ada@example.org,dragon,,,north,\n\
            Tom,ada@example.org\n\
            Mia,ada@example.org,cat,\"[\"\"calm; brave\"\"]\",,,\n";
        let ran = place.run_with_input("pet import - --as csv --json", csv).expect(2);
        let done = ran.json();
        assert_eq!((&done["imported"], &done["invalid"]), (&2.into(), &2.into()), "{done:#}");
        let lines: Vec<_> = done["problems"].as_array().unwrap().iter().map(|problem| problem["line"].as_u64()).collect();
        assert_eq!(lines, [Some(4), Some(5)], "{done:#}");
        let ran = place.run_with_input("pet import - --as csv --strict", csv).expect(2).says("Line 4: latitude: must be a number");
        assert!(ran.stdout.contains("imported  0"), "{ran:?}");
        place.run_with_input("pet import - --as csv", "name,colour\n").expect(2).says("there is no column \"colour\"");
        place.run_with_input("pet import -", "{\"name\": \"Rex\"}\n").expect(2).says("Line 1: ownerId: is needed");
        let pets = place.ok("pet list --owner ada@example.org --sort name --json").json();
        let id = pets["pets"][1]["id"].as_str().unwrap();
        let rex = place.ok(&format!("pet show {id} --json")).json();
        assert_eq!((&rex["bio"], &rex["latitude"]), (&"two\nlines, and \"quotes\"".into(), &"52.5".into()));
        assert_eq!(rex["personality"], serde_json::json!(["calm", "shy"]));
    }

    fn a_pet_is_hidden_banned_deleted_restored_and_removed(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        let line = "{\"name\": \"Rex\", \"species\": \"dog\", \"ownerEmail\": \"ada@example.org\"}\n";
        place.run_with_input("pet import -", line).expect(0);
        let listed = place.ok("pet list --json").json();
        let id = listed["pets"][0]["id"].as_str().unwrap();
        let to = |line: &str| place.ok(&format!("{line} --json")).json()["to"].clone();
        assert_eq!(to(&format!("pet hide {id} --reason asked")), "hidden");
        place.run(&format!("pet ban {id} --reason biting")).expect(6).says("--yes");
        assert_eq!(to(&format!("pet ban {id} --reason biting --yes")), "banned");
        place.run(&format!("pet hide {id}")).expect(5);
        assert_eq!(to(&format!("pet unban {id}")), "active");
        place.ok(&format!("pet delete {id} --dry-run")).says("nothing was changed");
        place.run(&format!("pet delete {id}")).expect(6).says("--yes");
        assert_eq!(to(&format!("pet delete {id} --yes")), "deleted");
        assert_eq!(place.ok("pet purge --json --yes").json()["pets"], 0, "it can still be restored");
        assert_eq!(to(&format!("pet restore {id}")), "active");
        place.run(&format!("pet purge {id} --yes")).expect(6).says("--confirm Rex");
        assert_eq!(to(&format!("pet purge {id} --confirm Rex --reason law")), "gone");
        place.run(&format!("pet show {id}")).expect(4);
        let told = place.ok("audit list --action pet_status_changed --json").json();
        assert_eq!(told["entries"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn an_import_that_is_interrupted_keeps_what_it_stored_and_goes_on() {
    use std::io::Read as _;
    use std::process::Stdio;
    let place = Place::sqlite();
    place.ok("seed --users 20 --pets 60000");
    place.ok("pet export -o pets.ndjson");
    remove_pets(&place);
    let mut child = place.start("pet import pets.ndjson", Stdio::null());
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    crate::support::wait_for(&mut lines, "importing, in bytes: 10 %");
    crate::support::signal(&child, rustix::process::Signal::INT);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(crate::support::exit_code(child.wait().unwrap()), 130, "{rest}");
    assert!(rest.contains("the same command again goes on"), "{rest}");
    let done = place.ok("pet import pets.ndjson --json").json();
    let (imported, skipped) = (done["imported"].as_u64().unwrap(), done["skipped"].as_u64().unwrap());
    assert!(imported > 0 && skipped > 0, "{done}");
    assert_eq!(imported + skipped, 60000);
}
