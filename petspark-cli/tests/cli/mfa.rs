use petspark_core::auth::{Client, Password};
use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::testing::totp_code;
use petspark_core::{Clock, PetSpark};

use crate::support::{Place, block_on};

/// Signs in as the user and sets up an authenticator app, as they would over HTTP.
fn enrol(place: &Place, email: &str, password: &str) {
    let mut settings = Settings::in_folder(place.path().join("petspark-data"));
    settings.database.url = DatabaseUrl::Sqlite(place.path().join("petspark-data/petspark.db"));
    block_on(async {
        let petspark = PetSpark::open(settings).await.unwrap();
        let auth = petspark.auth();
        let signed_in = auth.login(email, Password::new(password), Client::default()).await.unwrap();
        let caller = auth.authenticate(signed_in.tokens.access.expose()).await.unwrap();
        let secret = auth.begin_totp(&caller).await.unwrap().secret;
        auth.confirm_totp(&caller, &totp_code(&secret, Clock::system().now())).await.unwrap();
        petspark.close().await;
    });
}

#[test]
fn a_lost_second_factor_is_listed_and_reset_once_confirmed() {
    let place = Place::sqlite();
    let made = place.user("ada@example.org", "");
    assert!(place.ok("mfa list ada@example.org --json").json()["factors"].as_array().unwrap().is_empty());
    let nothing = place.ok("mfa reset ada@example.org --reason lost --json").json();
    assert_eq!((&nothing["changed"], &nothing["sessions_ended"]), (&false.into(), &0.into()));
    enrol(&place, "ada@example.org", made["password"].as_str().unwrap());
    let factors = place.ok("mfa list ada@example.org --json").json();
    assert_eq!((&factors["factors"][0]["kind"], &factors["factors"][1]["left"]), (&"totp".into(), &10.into()));

    place.run("mfa reset ada@example.org").expect(2).says("--reason");
    place.run("mfa reset ada@example.org --reason lost").expect(6).says("--yes");
    let preview = place.ok("mfa reset ada@example.org --reason lost --dry-run --json").json();
    assert_eq!(
        (&preview["changed"], &preview["dry_run"], &preview["sessions_ended"]),
        (&false.into(), &true.into(), &1.into())
    );
    let reset = place.ok("mfa reset ada@example.org --reason lost --yes --json").json();
    assert_eq!((&reset["changed"], &reset["sessions_ended"]), (&true.into(), &1.into()));
    assert!(place.ok("mfa list ada@example.org --json").json()["factors"].as_array().unwrap().is_empty());
    place.run("mfa list nobody@example.org").expect(4);
}
