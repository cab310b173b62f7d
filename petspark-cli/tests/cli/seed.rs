use std::io::{BufReader, Read as _};
use std::process::Stdio;

use petspark_core::testing::TestApp;
use rustix::process::Signal;

use crate::support::{Place, Ran, exit_code, on_both, signal, wait_for};

on_both! {
    fn seeding_makes_what_is_asked_for_and_a_second_time_nothing(place) {
        place.ok("migrate run");
        let first = place.ok("seed --users 30 --pets 70 --json").json();
        assert_eq!((&first["users_added"], &first["pets_added"]), (&30.into(), &70.into()));
        let again = place.ok("seed --users 30 --pets 70 --yes --json").json();
        assert_eq!((&again["users_added"], &again["pets_added"]), (&0.into(), &0.into()));
        let more = place.ok("seed --users 30 --pets 80 --yes --json").json();
        assert_eq!((&more["users_added"], &more["pets_added"]), (&0.into(), &10.into()));
    }

    fn the_first_signal_stops_behind_a_batch_and_the_same_command_makes_the_rest(place) {
        place.ok("migrate run");
        for (kind, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            // So many that it can't be done before the signal arrives.
            let mut child = place.start("seed --users 20000 --pets 180000 --yes", Stdio::null());
            let mut lines = BufReader::new(child.stderr.take().unwrap());
            wait_for(&mut lines, "seeding: 10 %");
            signal(&child, kind);
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            assert_eq!(exit_code(child.wait().unwrap()), code, "{rest}");
            assert!(rest.contains("the same command again makes the rest"), "{rest}");
        }
        let finished = place.ok("seed --users 20000 --pets 30000 --yes --json").json();
        assert_eq!((&finished["users_added"], &finished["interrupted"]), (&0.into(), &false.into()));
        let again = place.ok("seed --users 20000 --pets 30000 --yes --json").json();
        assert_eq!((&again["users_added"], &again["pets_added"]), (&0.into(), &0.into()));
    }
}

#[test]
fn a_database_with_users_needs_a_yes_and_a_dry_run_does_nothing() {
    let place = Place::sqlite();
    place.ok("migrate run");
    place.ok("seed --users 5 --pets 5 --dry-run").says("nothing was done");
    assert_eq!(place.ok("user list --json").json()["users"].as_array().unwrap().len(), 0);
    place.ok("seed --users 5 --pets 5");
    place.run("seed --users 5 --pets 5 --seed 2").expect(6).says("--yes");
    place.ok("seed --users 5 --pets 5 --seed 2 --yes");
    assert_eq!(place.ok("user list --json").json()["users"].as_array().unwrap().len(), 10);
}

#[test]
fn production_is_confirmed_by_its_name_and_yes_is_not_enough() {
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let place = Place::sqlite().with("PETSPARK_ENV", "production").with("JWT_SECRET", strong);
    place.ok("migrate run");
    for line in ["seed --users 1", "seed --users 1 --yes", "seed --users 1 --confirm prod"] {
        place.run(line).expect(6).says("--confirm production");
    }
    place.ok("seed --users 1 --confirm production");
}

#[test]
fn all_invented_users_have_the_password_that_was_given() {
    let place = Place::sqlite();
    place.run_with_input("seed --users 2 --pets 0 --password-stdin", "short\n").expect(2).says("at least 8");
    place.write("password", TestApp::PASSWORD);
    place.ok("seed --users 2 --pets 0 --password-file password");
    let users = place.ok("user list --json").json();
    let email = users["users"][0]["email"].as_str().unwrap().to_owned();
    crate::support::block_on(async {
        let settings = petspark_core::config::Settings::in_folder(place.path().join("petspark-data"));
        let petspark = petspark_core::PetSpark::open(settings).await.unwrap();
        let password = petspark_core::auth::Password::new(TestApp::PASSWORD);
        petspark.auth().login(&email, password, petspark_core::auth::Client::default()).await.unwrap();
        petspark.close().await;
    });
}

#[test]
fn progress_is_a_line_for_every_tenth_when_nobody_watches() {
    let ran = Place::sqlite().ok("seed --users 1000 --pets 9000");
    let lines: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("seeding:")).collect();
    assert_eq!(lines.len(), 10, "{ran:#?}");
    assert_eq!(lines[9], "seeding: 100 % (10000 of 10000)");
    assert_eq!(Place::sqlite().ok("seed --users 1000 --quiet").stderr, "");
}

#[test]
fn pets_without_owners_are_impossible() {
    let ran: Ran = Place::sqlite().run("seed --users 0 --pets 1");
    ran.expect(2).says("there must be users if there are pets");
    Place::sqlite().run("seed --users -1").expect(2);
    Place::sqlite().run("seed --users 10000001").expect(2).says("10000000");
    Place::sqlite().ok("seed --users 0 --pets 0");
}
