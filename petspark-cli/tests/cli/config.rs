use crate::support::Place;

#[test]
fn every_problem_is_listed_at_once() {
    let place = Place::sqlite()
        .with("DATABASE_URL", "mysql://user:hunter2@host/db")
        .with("LOG_LEVEL", "loud")
        .with("PETSPARK__AUTH__REFRESH_GRAZE", "10s");
    let checked = place.run("config check --json").expect(3);
    let keys: Vec<_> = checked.json()["problems"].as_array().unwrap().iter().map(|p| p["key"].clone()).collect();
    assert_eq!(keys, ["database.url", "log.level", "auth.refresh_graze"]);
    assert!(!format!("{checked:?}").contains("hunter2"));
    for line in ["config check", "config show", "user list", "migrate status"] {
        let ran = place.run(line).expect(3);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        for part in ["database.url", "log.level", "did you mean auth.refresh_grace?"] {
            assert!(all.contains(part), "{line}: {all}");
        }
    }
    assert!(!place.path().join("petspark-data").exists(), "nothing may be made with settings that are wrong");
}

#[test]
fn valid_settings_are_said_to_be_valid() {
    let place = Place::sqlite();
    place.ok("config check").says("valid");
    assert_eq!(place.ok("config check --json").json()["problems"].as_array().unwrap().len(), 0);
    assert!(!place.path().join("petspark-data").exists());
}

#[test]
fn a_value_is_shown_with_its_origin_and_a_secret_is_not() {
    let place = Place::sqlite()
        .with("JWT_SECRET", "hunter2-hunter2")
        .with("DATABASE_URL", "postgres://me:hunter3@localhost/petspark");
    let file = place.write("petspark.toml", "[database]\nmax_connections = 7\n");
    let shown = place.run("config show --env development --json -c petspark.toml").expect(0);
    assert!(!shown.stdout.contains("hunter"), "{shown:#?}");
    let setting = |key: &str| {
        let all = shown.json()["settings"].as_array().unwrap().clone();
        all.into_iter().find(|setting| setting["key"] == key).unwrap()
    };
    assert_eq!(setting("environment")["origin"], "flag");
    assert_eq!(setting("database.max_connections")["value"], "7");
    assert_eq!(setting("database.max_connections")["origin"], "file petspark.toml");
    assert_eq!(setting("auth.jwt_secret")["value"], "[redacted]");
    assert_eq!(setting("auth.jwt_secret")["origin"], "environment JWT_SECRET");
    assert_eq!(setting("database.url")["value"], "postgres://[redacted]@localhost/petspark");
    assert_eq!(setting("log.format")["value"], "auto");
    let place = place.with("PETSPARK_CONFIG", file.to_str().unwrap());
    assert!(place.ok("config show").stdout.contains("7"));
}

#[test]
fn a_missing_or_broken_settings_file_is_named() {
    let place = Place::sqlite();
    place.run("config show -c nowhere.toml").expect(3).says("nowhere.toml");
    place.write("broken.toml", "[database\n");
    place.run("config show -c broken.toml").expect(3).says("not valid TOML");
    place.write("unknown.toml", "[databse]\nurl = 'x'\n");
    place.run("user list -c unknown.toml").expect(3).says("databse.url");
}

#[test]
fn production_needs_a_signing_secret() {
    Place::sqlite().run("config check --env production").expect(3);
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    Place::sqlite().with("JWT_SECRET", strong).with("PETSPARK_ENV", "production").ok("config check");
}

#[test]
fn commands_that_need_no_settings_do_not_read_them() {
    let place = Place::sqlite().with("DATABASE_URL", "nonsense").with("PETSPARK_CONFIG", "/nowhere");
    for line in ["version", "completions bash", "man", "config template", "plugin list", "--help", "user --help", "-V"]
    {
        place.ok(line);
    }
}

#[cfg(feature = "serve")]
#[test]
fn the_example_at_the_repository_root_is_what_the_command_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example");
    let printed = Place::sqlite().ok("config template").stdout;
    if crate::golden::updating() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), printed, "run the tests with PETSPARK_UPDATE_GOLDEN=1");
}

#[test]
fn the_template_as_it_is_changes_nothing() {
    let place = Place::sqlite();
    let before = place.ok("config show").stdout;
    place.write(".env", &place.ok("config template").stdout);
    assert_eq!(place.ok("config show").stdout, before);
}

#[test]
fn folders_of_backups_that_are_also_something_else_are_refused() {
    let place = Place::sqlite().with("PETSPARK__BACKUP__WORK_FOLDER", "petspark-data/../petspark-data/backups");
    std::fs::create_dir_all(place.path().join("petspark-data/backups")).unwrap();
    place.run("migrate status").expect(3).says("backup.work_folder").says("is the folder of backups");
    let place = Place::sqlite().with("PETSPARK__BACKUP__FOLDER", "./petspark-data");
    place.run("migrate status").expect(3).says("backup.folder").says("uploads");
}

#[test]
fn a_settings_file_without_an_end_is_refused() {
    Place::sqlite().run("-c /dev/zero migrate status").expect(3).says("larger than a megabyte");
}
