use crate::support::{Place, on_both};

on_both! {
    fn a_key_is_made_promoted_and_retired(place) {
        place.ok("migrate run");
        place.ok("key list").says("JWT_SECRET signs");
        let made = place.ok("key generate jwt --json").json();
        assert_eq!((&made["schema"], &made["changed"]), (&"petspark.key.generate/v1".into(), &true.into()));
        let kid = made["made"]["kid"].as_str().unwrap();
        assert_eq!((&made["made"]["state"], &made["made"]["algorithm"]), (&"next".into(), &"EdDSA".into()));
        place.run(&format!("key promote {kid}")).expect(5).says("ten minutes");
        let preview = place.ok(&format!("key promote {kid} --force --dry-run --json")).json();
        assert_eq!((&preview["changed"], &preview["promoted"]["kid"]), (&false.into(), &kid.into()));
        assert_eq!(place.ok("key list --json").json()["keys"][0]["state"], "next");
        place.ok(&format!("key promote {kid} --force"));
        place.run(&format!("key retire {kid}")).expect(5).says("promote another");
        place.run(&format!("key retire {kid} --force")).expect(6).says(&format!("--confirm {kid}"));
        place.run(&format!("key retire {kid} --force --confirm yes")).expect(6);
        place.ok(&format!("key retire {kid} --force --dry-run"));
        assert_eq!(place.ok("key list --json").json()["keys"][0]["state"], "active");
        place.ok(&format!("key retire {kid} --force --confirm {kid}"));
        let listed = place.ok("key list --json").json();
        assert_eq!(listed["keys"][0]["state"], "retired");
        assert!(listed["keys"][0].get("private_key").is_none());
        place.run("key promote ed-0000000000000000").expect(4);
    }

    fn rotation_is_for_a_timer(place) {
        place.ok("migrate run");
        let first = place.ok("key rotate jwt --json").json();
        assert!(first["made"]["kid"].is_string());
        let again = place.ok("key rotate --json").json();
        assert_eq!((&again["changed"], &again["made"]), (&false.into(), &serde_json::Value::Null));
        place.run("key rotate --overlap 1m").expect(2).says("960 s");
        place.run("key rotate --overlap soon").expect(2);
        place.run("key rotate media").expect(2);
    }

    fn what_no_secret_opens_is_told_before_somebody_takes_one_away(place) {
        let (old, new) = ("5c1e0d7fa9384b62b0f7c4d2e8816a3594cb7d0f2e6a41c8", "0b6f3f6a91d24c58b7e2aa01f39d5e47c8126bd07f4e93a5");
        place.ok("migrate run");
        place.run_with(&[("JWT_SECRET", old)], "key generate").expect(0);
        let lacking = place.run_with(&[("JWT_SECRET", new)], "key rotate --json").expect(0).says("auth.secrets");
        assert_eq!((&lacking.json()["unopened"], &lacking.json()["resealed"]), (&1.into(), &0.into()));
        let both = format!("{new},{old}");
        let done = place.run_with(&[("JWT_SECRET", &both)], "key rotate --json").expect(0);
        assert_eq!((&done.json()["unopened"], &done.json()["resealed"]), (&0.into(), &1.into()));
        assert!(!done.stderr.contains("auth.secrets"), "{}", done.stderr);
        let told = place.ok("audit list --action sensitive_update_sealed_secrets --json").json();
        assert_eq!(told["entries"].as_array().unwrap().len(), 2, "{told}");
    }
}

#[test]
fn a_secret_for_the_settings_needs_no_database() {
    let place = Place::sqlite();
    let secret = place.ok("key generate secret").stdout;
    assert_eq!((secret.trim().len(), secret.lines().count()), (64, 1));
    assert_ne!(secret, place.ok("key generate secret").stdout);
    assert!(!place.path().join("petspark-data").exists());
    let production = Place::sqlite().with("PETSPARK_ENV", "production").with("JWT_SECRET", secret.trim());
    production.ok("config check");
}

#[test]
fn a_token_is_taken_apart_without_its_signature() {
    use petspark_core::PetSpark;
    use petspark_core::auth::{Client, Password};
    use petspark_core::config::{DatabaseUrl, Settings};
    let place = Place::sqlite();
    let made = place.user("ada@example.org", "");
    let mut settings = Settings::in_folder(place.path().join("petspark-data"));
    settings.database.url = DatabaseUrl::Sqlite(place.path().join("petspark-data/petspark.db"));
    let token = crate::support::block_on(async {
        let petspark = PetSpark::open(settings).await.unwrap();
        let password = Password::new(made["password"].as_str().unwrap());
        let signed_in = petspark.auth().login("ada@example.org", password, Client::default()).await.unwrap();
        petspark.close().await;
        signed_in.tokens.access.expose().to_owned()
    });
    let signature = token.rsplit('.').next().unwrap();
    let whole = place.run_with_input("token inspect --json", &format!("Bearer {token}\n")).expect(0);
    let report = whole.json();
    assert_eq!((&report["accepted"], &report["claims"]["sub"]), (&true.into(), &made["id"]));
    assert!(report["rules"].as_array().unwrap().iter().all(|rule| rule["verdict"] == "pass"), "{report}");
    place.write("token", &token[..token.len() - 6]);
    let cut = place.run("token inspect token").expect(5);
    assert!(cut.stdout.contains("signature   fail (wrong)"), "{cut:#?}");
    for ran in [whole, cut] {
        assert!(!ran.stdout.contains(&signature[..20]) && !ran.stderr.contains(&signature[..20]), "{ran:#?}");
    }
    place.run_with_input("token inspect", "").expect(2);
    place.run("token inspect nowhere").expect(2).says("can't read a token");
}
