//! `moderation` at the terminal. What a decision does is tested in the library.

use crate::support::on_both;

on_both! {
    fn tasks_are_listed_and_what_is_none_is_told(place) {
        place.ok("migrate run");
        for status in ["", "--status open", "--status taken", "--status decided"] {
            let listed = place.ok(&format!("moderation list {status} --json")).json();
            assert_eq!((&listed["schema"], &listed["tasks"]), (&"petspark.moderation.list/v1".into(), &serde_json::json!([])));
        }
        for id in ["01937b5e-0000-7000-8000-000000000000", "nonsense"] {
            place.run(&format!("moderation take {id}")).expect(4).says("no such moderation task");
            place.run(&format!("moderation decide {id} --decision rejected --reason x --yes")).expect(4);
        }
        place.run("moderation decide x --decision maybe --reason x").expect(2);
        place.run("moderation decide x --decision approved").expect(2).says("--reason");
    }
}
