//! Ending what a token belongs to.

use crate::serve::start;
use crate::session::{me, register};
use crate::support::{Place, on_both, signal};

on_both! {
    fn a_token_that_turned_up_somewhere_ends_its_session(place) {
        let place = place.unlimited();
        let (server, address) = start(&place, "--migrate");
        let token = register(&address, "ada");
        let plan = place.run_with_input("token revoke --dry-run --json", &format!("Bearer {token}\n")).expect(0).json();
        assert_eq!((&plan["changed"], &plan["dry_run"]), (&false.into(), &true.into()));
        let user = place.ok("user show ada@example.org --json").json()["id"].clone();
        let report = place.run_with_input("token inspect --json", &token).expect(0).json();
        assert_eq!((&plan["user"], &report["user"], &report["session"]), (&user, &user, &plan["session"]));
        place.run_with_input("token revoke", &format!("authorization: bearer {token}\r\n")).expect(6).says("--yes");
        place.run_with_input("token revoke", &format!("\"{token}\"")).expect(6).says("--yes");
        assert_eq!(me(&address, &token), 200, "nothing was done so far");
        let file = place.write("token", &token);
        let revoked = place.ok(&format!("token revoke {} --reason leaked --yes --json", file.display())).json();
        assert_eq!((&revoked["changed"], &revoked["session"]), (&true.into(), &plan["session"]));
        place.run_with_input("token revoke - --yes", &token).expect(4);
        let audited = place.ok("audit list --action session_revoked --json").json();
        assert_eq!(audited["entries"][0]["reason"], "leaked");
        signal(&server, rustix::process::Signal::TERM);
    }

    fn an_api_key_that_turned_up_is_named(place) {
        place.ok("migrate run");
        let made = place.ok("apikey create clinic --scope pets:read --json").json();
        let key = made["token"].as_str().unwrap();
        place.run_with_input("token revoke --yes", key).expect(2).says("apikey revoke clinic");
        let report = place.run_with_input("token inspect --json", key).expect(0).json();
        assert_eq!((&report["kind"], &report["api_key"], &report["accepted"]), (&"api_key".into(), &"clinic".into(), &true.into()));
        place.ok("apikey revoke clinic --yes");
        let ended = place.run_with_input("token inspect", key).expect(5);
        assert!(!ended.stderr.contains("apikey revoke"), "{ended:#?}");
    }

    fn what_is_no_token_ends_nothing(place) {
        place.ok("migrate run");
        for nonsense in ["", "nonsense", "psr_AAAA", "a.b.c"] {
            place.run_with_input("token revoke --yes", nonsense).expect(2).says("no token");
        }
        place.run("token revoke nowhere --yes").expect(2).says("can't read a token");
        // Whatever should have brought one says nothing about it.
        place.run_with_input("token inspect", "\n").expect(2).says("no token");
        for (token, kind) in [("psr_AAAA", "refresh"), ("psk_AAAA", "api_key"), ("a.b.c", "access")] {
            assert_eq!(place.run_with_input("token inspect --json", token).expect(5).json()["kind"], kind);
        }
    }
}

#[test]
fn a_secret_that_is_given_as_an_argument_is_not_repeated() {
    let place = Place::sqlite();
    for line in [
        "token inspect eyJhbGciOi.hunter2.x",
        "token inspect - hunter2",
        "token revoke --yes=hunter2",
        "token revoke --token=hunter2",
        "token hunter2",
        "--no-input -c hunter.toml token inspect a hunter2",
        "user create ada@example.org hunter2",
        "user create ada@example.org --password-stdin=hunter2",
        "user create ada@example.org --password hunter2",
        "user create ada@example.org --password-file hunter2",
        "user set-password ada@example.org hunter2",
        "seed hunter2",
        "migrate copy postgres://me:hunter2@db/petspark",
        "backup verify latest hunter2",
    ] {
        let ran = place.run(line).expect(2);
        assert!(!ran.stderr.contains("hunter2") && ran.stderr.len() > 50, "{line}: {ran:#?}");
    }
    // What is no secret is, and what was meant is told.
    place.run("token inspct").expect(2).says("'inspct'").says("'inspect'");
    place.run("user create ada@example.org --genrate").expect(2).says("'--genrate'").says("'--generate'");
    place.run("token inspect --keep-sessions").expect(2).says("'--keep-sessions'");
    place.run("user show ada@example.org hunter").expect(2).says("'hunter'");
    let unreadable = place.path().to_str().unwrap();
    place.run(&format!("token inspect {unreadable}")).expect(2).says(unreadable);
}
