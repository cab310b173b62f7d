//! The first administrator.

use crate::support::{Place, on_both};

on_both! {
    fn the_first_administrator_is_made_once_and_chooses_their_own_password(place) {
        place.ok("migrate run");
        place.user("bob@example.org", "");
        place.run("admin bootstrap --email bob@example.org").expect(5).says("already an account");
        let made = place.ok("admin bootstrap --email Ada@example.org --json").json();
        assert_eq!((&made["schema"], &made["email"]), (&"petspark.admin.bootstrap/v1".into(), &"ada@example.org".into()));
        assert!(made["link"].as_str().unwrap().contains("#token=pst_"));
        assert_eq!(place.ok("user show ada@example.org --json").json()["role"], "admin");
        place.run("admin bootstrap --email eve@example.org").expect(5).says("administrator already");
        place.run("user show eve@example.org").expect(4);
        place.run("admin bootstrap --email nonsense").expect(5);
        place.run("admin bootstrap").expect(2).says("--email");
    }
}

#[test]
fn an_empty_folder_becomes_an_installation_with_an_administrator() {
    let place = Place::sqlite();
    place.run("admin bootstrap --email nonsense").expect(2).says("email");
    place.ok("admin bootstrap --email ada@example.org").says("this once only");
}
