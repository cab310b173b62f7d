//! `throttle` at the terminal. What is counted, and how, is tested in the library.

use crate::support::on_both;

on_both! {
    fn throttles_are_listed_and_lifted(place) {
        place.ok("migrate run");
        place.user("ada@example.org", "");
        let listed = place.ok("throttle list --user ada@example.org --refused --json").json();
        assert_eq!((&listed["schema"], &listed["throttles"]), (&"petspark.throttle.list/v1".into(), &serde_json::json!([])));
        for which in ["ada@example.org", "nobody@example.org", "--ip 203.0.113.5", "--ip 2001:db8::/32", "--all --yes"] {
            let cleared = place.ok(&format!("throttle clear {which} --json")).json();
            assert_eq!((&cleared["changed"], &cleared["cleared"]), (&false.into(), &0.into()));
        }
        place.ok("throttle clear --all --dry-run").says("nothing was changed");
        place.run("throttle clear --all --no-input").expect(6).says("--yes");
        place.run("throttle clear").expect(2);
        place.run("throttle clear ada@example.org --all").expect(2);
        place.run("throttle clear --ip nonsense").expect(2).says("203.0.113.0/24");
        place.run("throttle clear nonsense").expect(2);
        place.run("throttle clear 01937b5e-0000-7000-8000-000000000000").expect(4);
        let audited = place.ok("audit list --action throttle_cleared --json").json();
        assert_eq!(audited["entries"].as_array().map(Vec::len), Some(5), "{audited}");
    }
}
