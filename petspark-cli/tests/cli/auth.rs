//! `auth` and `mail` at the terminal. What they count and send is tested in the library.

use crate::support::{Place, on_both};

on_both! {
    fn accounts_are_counted_and_what_is_over_is_cleared_away(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "--role admin --verified");
        place.user("bob@example.org", "");
        let stats = place.ok("auth stats --json").json();
        assert_eq!((&stats["users"], &stats["unverified"], &stats["administrators"]), (&2.into(), &1.into(), &1.into()));
        let plan = place.ok("auth gc --dry-run --json").json();
        assert_eq!((&plan["changed"], &plan["dry_run"], &plan["dead_jobs"]), (&false.into(), &true.into(), &0.into()));
        assert_eq!(place.ok("auth gc --json").json()["changed"], false, "nothing to ask about");
    }

    fn a_mail_is_sent_at_once_and_its_file_is_named(place) {
        place.ok("migrate run");
        let sent = place.ok("mail test --to ada@example.org --json").json();
        let mail = std::fs::read_to_string(place.path().join(sent["file"].as_str().unwrap())).unwrap();
        assert!(mail.contains("To: ada@example.org"), "{mail}");
        place.run("mail test --to nonsense").expect(2).says("to:");
        place.run("mail test").expect(2).says("--to");
    }
}

#[test]
fn a_mail_server_that_is_not_there_is_named_as_the_reason() {
    let place = Place::sqlite();
    place.ok("migrate run");
    // Port 1: nobody listens there.
    let place = place.with("SMTP_URL", "smtp://127.0.0.1:1");
    place.run("mail test --to ada@example.org").expect(7).says("no connection to the mail server");
}
