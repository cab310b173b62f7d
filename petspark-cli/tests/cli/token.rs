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

    fn what_is_no_token_ends_nothing(place) {
        place.ok("migrate run");
        for nonsense in ["", "nonsense", "psr_AAAA", "a.b.c"] {
            place.run_with_input("token revoke --yes", nonsense).expect(2).says("no token");
        }
        place.run("token revoke nowhere --yes").expect(2).says("nowhere");
    }
}
