//! Ending what a token belongs to.

use crate::serve::start;
use crate::session::{me, register};
use crate::support::{on_both, signal};

on_both! {
    fn a_token_that_turned_up_somewhere_ends_its_session(place) {
        let place = place.unlimited();
        let (server, address) = start(&place, "--migrate");
        let token = register(&address, "ada");
        let plan = place.run_with_input("token revoke --dry-run --json", &format!("Bearer {token}\n")).expect(0).json();
        assert_eq!((&plan["changed"], &plan["dry_run"]), (&false.into(), &true.into()));
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
        place.run_with_input("token inspect", key).expect(5).says("apikey revoke clinic");
    }

    fn what_is_no_token_ends_nothing(place) {
        place.ok("migrate run");
        for nonsense in ["", "nonsense", "psr_AAAA", "a.b.c"] {
            place.run_with_input("token revoke --yes", nonsense).expect(2).says("no token");
        }
        place.run("token revoke nowhere --yes").expect(2).says("nowhere");
    }
}
