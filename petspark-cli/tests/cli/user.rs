use petspark_core::testing::TestApp;

use crate::support::{Place, Ran, on_both};

on_both! {
    fn somebody_who_is_locked_out_is_helped_by_a_link_that_is_printed_once(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        let first = place.ok("user reset-link ada@example.org --json").json();
        let second = place.ok("user reset-link ada@example.org --json").json();
        let link = first["link"].as_str().unwrap();
        assert!(link.contains("/reset-password#token=pst_"), "{link}");
        assert_ne!(first["link"], second["link"]);
        assert_eq!(place.ok("user reset-link ada@example.org --send --json").json().get("link"), None);
        let invited = place.ok("user invite bob@example.org --name Bob --role moderator --json").json();
        assert!(invited["link"].as_str().unwrap().contains("#token=pst_"));
        assert_eq!(place.ok("user show bob@example.org --json").json()["role"], "moderator");
        place.run("user invite bob@example.org --name Bob").expect(5);
        place.run("user reset-link nobody@example.org").expect(4);
    }

    fn an_operator_sets_address_and_password_by_the_rules_for_everybody(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        place.run("user set-email ada@example.org ada@new.example.org").expect(6).says("--yes");
        place.run("user set-email ada@example.org nonsense --yes").expect(2).says("email");
        assert_eq!(place.ok("user set-email ada@example.org ada@new.example.org --yes --json").json()["email"], "ada@new.example.org");
        place.run("user show ada@example.org").expect(4);
        place.ok("user verify-email ada@new.example.org").says("counts as proven");
        place.ok("user verify-email ada@new.example.org").says("nothing was changed");
        let command = "user set-password ada@new.example.org";
        assert_eq!(place.ok(&format!("{command} --dry-run --json")).json()["dry_run"], true);
        place.run(&format!("{command} --generate")).expect(6).says("--yes");
        place.run_with_input(&format!("{command} --password-stdin --yes"), "short\n").expect(2).says("at least 8");
        place.run_with_input(&format!("{command} --password-stdin --yes"), "a dog that likes trains\n").expect(0);
        assert!(place.ok(&format!("{command} --generate --yes --json")).json()["password"].is_string());
    }

    fn a_user_is_made_found_by_id_and_by_address_and_listed(place) {
        place.ok("migrate run");
        let ada = place.user("Ada@Example.org", "--name Ada --role moderator --verified");
        assert_eq!(ada["changed"], true);
        assert_eq!(ada["email"], "ada@example.org");
        assert_eq!(ada["password"].as_str().unwrap().len(), 24);
        for selector in [ada["id"].as_str().unwrap(), "ADA@example.org"] {
            let shown = place.ok(&format!("user show {selector} --json")).json();
            assert_eq!(shown["schema"], "petspark.user.show/v1");
            assert_eq!((&shown["id"], &shown["name"], &shown["role"]), (&ada["id"], &"Ada".into(), &"moderator".into()));
            assert!(shown["email_verified_at"].is_string());
        }
        place.user("bob@example.org", "");
        assert_eq!(emails(&place.ok("user list --json")), ["bob@example.org", "ada@example.org"]);
        assert_eq!(emails(&place.ok("user list --role moderator --status active --json")), ["ada@example.org"]);
        assert_eq!(emails(&place.ok("user list --status banned --json")), [""; 0]);
    }

    fn those_are_listed_who_are_new_or_never_proved_their_address(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "--verified");
        place.user("bob@example.org", "");
        assert_eq!(emails(&place.ok("user list --unverified --json")), ["bob@example.org"]);
        let made = place.ok("user show ada@example.org --json").json();
        let after = made["created_at"].as_str().unwrap();
        assert_eq!(emails(&place.ok(&format!("user list --created-after {after} --json"))), ["bob@example.org"]);
        assert_eq!(emails(&place.ok("user list --since 1h --json")), ["bob@example.org", "ada@example.org"]);
        assert_eq!(emails(&place.ok("user list --created-after 2100-01-01 --json")), [""; 0]);
        place.run("user list --created-after yesterday").expect(2).says("2026-11-23");
    }

    fn what_an_operator_wants_to_know_of_a_user_is_in_one_place(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        place.ok("user lock ada@example.org --reason spam --until 2100-01-01T00:00:00Z");
        let shown = place.ok("user show ada@example.org --json").json();
        assert_eq!((&shown["status"], &shown["status_reason"]), (&"suspended".into(), &"spam".into()));
        assert_eq!(shown["suspended_until"], "2100-01-01T00:00:00Z");
        for (name, nothing) in [("sessions", "[]"), ("throttles", "[]"), ("last_login_at", "null"), ("totp_since", "null"), ("recovery_codes_left", "0")] {
            assert_eq!(shown[name].to_string(), nothing, "{name}");
        }
        place.ok("user unlock ada@example.org");
        assert_eq!(place.ok("user show ada@example.org --json").json()["status"], "active");
    }

    fn a_list_goes_on_where_its_cursor_says(place) {
        place.ok("migrate run");
        for name in ["a", "b", "c"] {
            place.user(&format!("{name}@example.org"), "");
        }
        let first = place.ok("user list --limit 2 --json").says("").json();
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = place.ok(&format!("user list --limit 2 --json --cursor {cursor}"));
        assert_eq!(emails(&rest), ["a@example.org"]);
        assert!(rest.json().get("next_cursor").is_none());
        place.run("user list --cursor nonsense").expect(2).says("cursor");
        place.run(&format!("user list --role admin --cursor {cursor}")).expect(2).says("not a cursor of this list");
    }

    fn an_address_is_taken_once(place) {
        place.ok("migrate run");
        let first = place.user("ada@example.org", "");
        place.run("user create ADA@example.org --generate").expect(5).says("already an account");
        let again = place.ok("user create ada@example.org --generate --role admin --if-not-exists --json").json();
        assert_eq!((&again["changed"], &again["id"], &again["role"]), (&false.into(), &first["id"], &"user".into()));
        assert!(again.get("password").is_none(), "a password that nobody has must not be shown");
    }

    fn ten_processes_at_once_make_one_account(place) {
        place.ok("migrate run");
        let children: Vec<_> = (0..10)
            .map(|_| place.start("user create ada@example.org --generate --json", std::process::Stdio::null()))
            .collect();
        let ran: Vec<Ran> = children.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap())).collect();
        assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1, "{ran:#?}");
        assert_eq!(ran.iter().filter(|ran| ran.code == 5).count(), 9, "{ran:#?}");
        assert_eq!(emails(&place.ok("user list --json")), ["ada@example.org"]);
    }

    fn a_role_is_changed_and_the_last_administrator_stays_one(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "--role admin");
        for options in ["", "--dry-run"] {
            place.run(&format!("user set-role ada@example.org user {options}")).expect(5).says("last active administrator");
        }
        let preview = place.ok("user set-role ada@example.org user --force --dry-run --json").json();
        assert_eq!((&preview["changed"], &preview["dry_run"]), (&false.into(), &true.into()));
        assert_eq!(place.ok("user show ada@example.org --json").json()["role"], "admin");
        let forced = place.ok("user set-role ada@example.org user --force --json").json();
        assert_eq!((&forced["changed"], &forced["from"], &forced["to"]), (&true.into(), &"admin".into(), &"user".into()));
        assert_eq!(place.ok("user set-role ada@example.org user --json").json()["changed"], false);
        assert_eq!(place.ok("user show ada@example.org --json").json()["role"], "user");
        place.run("user set-role nobody@example.org admin").expect(4);
        place.run("user set-role ada@example.org king").expect(2).says("moderator");
    }
}

#[test]
fn a_new_role_ends_the_sessions_and_says_how_many() {
    use petspark_core::config::{DatabaseUrl, Settings};
    use petspark_core::{PetSpark, auth::Client, auth::Password};
    let place = Place::sqlite();
    let made = place.user("ada@example.org", "");
    let mut settings = Settings::in_folder(place.path().join("petspark-data"));
    settings.database.url = DatabaseUrl::Sqlite(place.path().join("petspark-data/petspark.db"));
    crate::support::block_on(async {
        let petspark = PetSpark::open(settings).await.unwrap();
        for _ in 0..2 {
            let password = Password::new(made["password"].as_str().unwrap());
            petspark.auth().login("ada@example.org", password, Client::default()).await.unwrap();
        }
        petspark.close().await;
    });
    assert_eq!(place.ok("user set-role ada@example.org moderator --dry-run --json").json()["sessions_ended"], 2);
    assert_eq!(place.ok("user set-role ada@example.org moderator --json").json()["sessions_ended"], 2);
}

#[test]
fn a_password_comes_from_a_file_or_from_standard_input_and_never_from_the_command_line() {
    let place = Place::sqlite();
    place.write("password", &format!("{}\nsecond line\n", TestApp::PASSWORD));
    place.ok("user create a@example.org --password-file password");
    place.run_with_input("user create b@example.org --password-stdin", TestApp::PASSWORD).expect(0);
    let shown =
        place.run_with_input("user create c@example.org --password-file -", "correct horse battery\n").expect(0);
    assert!(!shown.stdout.contains("password"), "only a generated password is shown: {shown:#?}");
    place.run("user create d@example.org --password hunter22").expect(2);
    place.run("user create d@example.org --password-file password --generate").expect(2);
    place.run("user create d@example.org --password-file missing").expect(2).says("can't read a password");
    place.run_with_input("user create d@example.org --password-stdin", "").expect(2).says("at least 8 characters");
    place.run_with_input("user create d@example.org --password-stdin", "1234567\n").expect(2).says("at least 8");
    let none = place.run("user create d@example.org").expect(2);
    for option in ["--password-file", "--password-stdin", "--generate"] {
        assert!(none.stderr.contains(option), "{none:#?}");
    }
    place.run("user show d@example.org").expect(4);
}

#[test]
fn nonsense_is_refused_with_its_field() {
    let place = Place::sqlite();
    place.run("user create nonsense --generate").expect(2).says("email: must be an e-mail address");
    place.run("user create a@example.org --generate --name \u{202e}x").expect(2).says("displayName");
    place.run("user list --limit 0").expect(2).says("--limit");
    place.run("user list --limit 101").expect(2).says("--limit");
    place.ok("migrate run");
    place.run("user show 00000000-0000-0000-0000-000000000000").expect(4);
    place.run("user show nonsense").expect(4);
}

fn emails(ran: &Ran) -> Vec<String> {
    let users = ran.json()["users"].as_array().unwrap().clone();
    users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_role_is_given_with_a_reason_and_in_production_not_without() {
    let place = Place::sqlite();
    place.user("ada@example.org", "");
    place.ok("user set-role ada@example.org moderator --reason on-call");
    let told = place.ok("audit list --action authz_change --json").json();
    assert_eq!(told["entries"][0]["reason"], "on-call");
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let place = place.with("PETSPARK_ENV", "production").with("JWT_SECRET", strong);
    place.run("user set-role ada@example.org user").expect(2).says("production needs --reason");
    place.ok("user set-role ada@example.org user --dry-run");
    place.ok("user set-role ada@example.org user --reason off-duty");
    place.run("session revoke --all --confirm all").expect(2).says("production needs --reason");
    place.ok("session revoke --all --confirm all --reason leak");
}
