use crate::check::{in_production, tamper};
use crate::support::{Place, on_both};

/// The number of the newest migration that this build has.
pub(crate) fn newest() -> i64 {
    petspark_core::database::Migration::all().last().unwrap().version
}

/// As if a newer release had applied that, which works with builds that have `oldest_build`.
pub(crate) fn apply_future(place: &Place, version: i64, oldest_build: i64) {
    let sql = format!(
        "INSERT INTO petspark_migrations (version, name, checksum, applied_at, took_ms, oldest_build) \
         SELECT {version}, '00{version}_future', 'x', applied_at, 0, {oldest_build} FROM petspark_migrations WHERE version = 1"
    );
    tamper(place, sql.leak());
}

/// As a first start leaves it that was ended before it could migrate.
pub(crate) fn make_empty(place: &Place) {
    if place.database_url().is_none() {
        place.write("petspark-data/petspark.db", "");
    }
}

on_both! {
    fn migrations_are_pending_then_applied_once(place) {
        make_empty(&place);
        let before = place.run("migrate status --json").expect(5).json();
        let steps = before["migrations"].as_array().unwrap();
        assert!(steps.len() >= 3 && steps.iter().all(|step| step["state"] == "pending"), "{before}");
        let sql = place.ok("migrate run --dry-run").stdout;
        assert!(sql.contains("-- 0001_users\n") && sql.contains("CREATE TABLE users"), "{sql}");
        place.run("migrate status").expect(5).says("pending");
        let applied = place.ok("migrate run --json").json();
        assert_eq!(applied["applied"].as_array().unwrap().len(), steps.len());
        assert_eq!(place.ok("migrate run --json").json()["applied"].as_array().unwrap().len(), 0);
        let after = place.ok("migrate status --json").json();
        for step in after["migrations"].as_array().unwrap() {
            assert_eq!(step["state"], "applied");
            assert!(step["applied_at"].is_string() && step["took_ms"].is_u64(), "{step}");
        }
    }

    fn a_schema_is_verified_and_can_be_written_down(place) {
        place.ok("migrate run --to 24");
        place.run("migrate verify").expect(5).says("1 migration is pending");
        place.ok("migrate run --reason release");
        assert_eq!(place.ok("migrate verify --json").json()["differences"].as_array().unwrap().len(), 0);
        let audit = place.ok("audit list --action sys_schema_migrated --json").json();
        assert_eq!(audit["entries"][0]["reason"], "release");
        tamper(&place, "DROP TABLE petspark_migrations");
        let planned = place.ok("migrate baseline --dry-run --json").json();
        assert!(planned["recorded"].as_array().unwrap().len() >= 20);
        place.run("migrate baseline").expect(6).says("--yes");
        place.run("migrate status").expect(5);
        place.ok("migrate baseline --yes --reason restored");
        place.ok("migrate status");
        place.ok("migrate baseline").says("already");
        tamper(&place, "DROP INDEX users_email_key");
        let found = place.run("migrate verify --json").expect(5).json();
        assert_eq!((&found["differences"][0]["kind"], &found["differences"][0]["table"]), (&"index".into(), &"users".into()));
        tamper(&place, "DROP TABLE petspark_migrations");
        place.run("migrate baseline --yes").expect(5).says("users_email_key");
    }

    fn no_command_migrates_a_database_with_data_on_its_way(place) {
        place.ok("migrate run");
        place.ok("user create eda@example.org --generate");
        // As if this release had one more.
        tamper(&place, "DELETE FROM petspark_migrations WHERE version = 25");
        for line in ["user create ada@example.org --generate", "user invite bob@example.org --name Bob", "admin bootstrap --email eve@example.org", "seed --yes"] {
            place.run(line).expect(5).says("1 migration is pending");
        }
        place.run("migrate status").expect(5);
    }

    // As a first start leaves it that was killed in the middle: `serve` goes on with it, too.
    fn a_file_in_which_nobody_has_an_account_is_made_ready_by_what_writes_the_first_data(place) {
        place.ok("migrate run --to 24");
        place.run("user list").expect(5).says("1 migration is pending");
        let created = place.run("user create ada@example.org --generate");
        if place.database_url().is_some() {
            created.expect(5).says("1 migration is pending");
        } else {
            created.expect(0);
            place.ok("migrate status");
        }
    }

    fn what_is_older_than_something_applied_wants_to_be_allowed(place) {
        place.ok("migrate run");
        tamper(&place, "DELETE FROM petspark_migrations WHERE version = 17; DROP INDEX pets_deleted_at_idx");
        for line in ["migrate run", "migrate run --dry-run"] {
            place.run(line).expect(5).says("0017_deleted_pets").says("--allow-out-of-order");
        }
        place.ok("migrate run --allow-out-of-order");
        place.ok("migrate verify");
        place.run("migrate run --to 4711").expect(4).says("4711");
    }

    fn a_backup_comes_first_when_it_is_asked_for_and_is_the_way_back(place) {
        place.ok("migrate run --backup-first").says("nothing to back up");
        assert_eq!(place.ok("backup list --json").json()["backups"].as_array().unwrap().len(), 0);
        // As if an older release had made it.
        let older = match place.database_url() {
            Some(_) => Place::postgres(),
            None => Place::sqlite(),
        };
        older.ok("migrate run --to 21");
        let plan = older.ok("migrate run --backup-first --dry-run").says("A backup would be made first");
        assert!(plan.stdout.contains("CREATE TABLE operations"), "{plan:#?}");
        assert_eq!(older.ok("backup list --json").json()["backups"].as_array().unwrap().len(), 0);
        let ran = older.ok("migrate run --backup-first").says("is of before").says("--in-place --confirm");
        let backups = older.ok("backup list --json").json();
        let manifest = &backups["backups"][0]["manifest"];
        assert_eq!(manifest["migrations"]["version"], 21);
        assert!(manifest["label"].as_str().unwrap().starts_with("before 00"), "{manifest}");
        older.ok("migrate status");
        older.ok("backup verify");
        // The line that was told, word by word.
        let (_, line) = ran.stderr.split_once("`petspark-cli ").unwrap();
        older.ok(line.split('`').next().unwrap());
        older.run("migrate status").expect(5).says("pending");
        older.ok("migrate run");
        older.ok("migrate run --backup-first").says("up to date");
        let made = older.ok("backup list --json").json()["backups"].as_array().unwrap().len();
        assert_eq!(made, 2, "the one before, and the safety backup of restoring it");
    }

    fn the_backup_before_migrating_is_pinned_and_told_also_in_json_and_when_it_is_quiet(place) {
        place.ok("migrate run --to 21");
        let id = place.ok("migrate run --to 22 --backup-first --json").json()["backup"].clone();
        let listed = place.ok("backup list --json").json();
        assert_eq!((&listed["backups"][0]["id"], &listed["backups"][0]["pinned"]), (&id, &true.into()));
        place.ok("migrate run --to 23 --backup-first -q").says("is of before");
        let lines = place.ok("migrate run --backup-first --format jsonl").stdout;
        let summary: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert!(summary["summary"]["backup"].is_string(), "{lines}");
    }

    fn a_backup_of_a_database_that_has_no_place_for_it_yet_warns_of_nothing(place) {
        // Before there was an audit log, and before what is done with backups was written down.
        place.ok("migrate run --to 4");
        for line in ["migrate run --to 21 --backup-first", "migrate run --backup-first", "backup create"] {
            let ran = place.ok(line);
            assert!(!ran.stderr.contains("WARN"), "{line}: {ran:#?}");
        }
        let told = place.ok("audit list --action sys_backup_created --json").json();
        assert_eq!(told["entries"].as_array().unwrap().len(), 2, "{told}");
    }

    fn what_a_newer_release_applied_is_told_and_no_reason_to_apply_older_steps_after_it(place) {
        place.ok("migrate run --to 24");
        apply_future(&place, 99, newest());
        place.run("migrate status").expect(5).says("0099_future").says("replace this build by that release");
        for line in ["migrate run", "migrate run --dry-run", "user list"] {
            let ran = place.run(line).expect(5).says("newer release").says("0099_future");
            assert!(!ran.stderr.contains("--allow-out-of-order"), "{line}: {ran:#?}");
        }
        let checked = place.run("check --only db.migrations --json").json();
        assert!(checked["checks"][0]["observed"].as_str().unwrap().contains("0099_future"), "{checked}");
        place.ok("migrate run --allow-out-of-order");
        place.ok("migrate status").says("A newer release was here").says("What this build needs is there");
        place.ok("user list");
    }

    fn what_a_newer_release_left_is_a_warning_as_long_as_this_one_can_work_with_it(place) {
        place.ok("migrate run");
        let status = |id: &str| place.run(&format!("check --json --only {id}")).json()["checks"][0]["status"].clone();
        assert_eq!(status("db.migrations.newer"), "pass");
        apply_future(&place, 98, newest());
        place.ok("migrate status").says("0098_future").says("it can work with what came after");
        place.run("check --strict --only db.migrations.newer").expect(11);
        assert_eq!((status("db.migrations"), status("db.schema")), ("pass".into(), "skip".into()));
        place.ok("user list");
        apply_future(&place, 99, 99);
        place.run("migrate status").expect(5).says("This build can't work with that any more").says("0099_future");
        for line in ["migrate run", "migrate run --dry-run", "migrate verify", "user list"] {
            place.run(line).expect(5).says("newer release").says("0099_future");
        }
        let place = in_production(place);
        place.run("check --only db.migrations").expect(10).says("Use that release");
    }

    fn which_builds_work_with_a_schema_is_in_its_backups(place) {
        place.ok("migrate run");
        place.ok("backup create");
        tamper(&place, "UPDATE petspark_migrations SET oldest_build = NULL");
        place.ok(&format!("backup restore latest --in-place --confirm {} --reason test", crate::backup::name(&place)));
        // A row that says nothing would be there twice.
        tamper(&place, "INSERT INTO petspark_migrations SELECT * FROM petspark_migrations WHERE oldest_build IS NULL");
    }

    fn without_a_good_backup_nothing_is_applied(place) {
        place.ok("migrate run --to 21");
        // A file where the folder should be.
        let place = place.with("PETSPARK__BACKUP__FOLDER", "blocked/backups");
        place.write("blocked", "");
        place.run("migrate run --backup-first").expect(7).says("nothing was applied");
        place.run("migrate status").expect(5).says("pending");
    }

    fn a_dry_run_says_what_is_locked_and_how_large_that_is(place) {
        place.ok("migrate run --to 20");
        let told = place.ok("migrate run --to 21 --dry-run").stdout;
        assert!(told.contains("\n-- locks users, "), "{told}");
        let pending = place.ok("migrate run --to 21 --dry-run --json").json();
        let locks = pending["pending"][0]["locks"].as_array().unwrap();
        let users = locks.iter().find(|lock| lock["table"] == "users").unwrap();
        let expected = if place.database_url().is_some() { "share row exclusive" } else { "writer" };
        assert_eq!(users["lock"], expected, "{pending}");
        place.run("migrate status").expect(5).says("pending");
    }

    fn what_is_beyond_the_last_step_that_was_asked_for_is_said(place) {
        place.ok("migrate run --to 20");
        let beyond = petspark_core::database::Migration::all().iter().filter(|step| step.version > 20).count();
        let told = format!("Nothing up to 0020 is pending; {beyond} migrations beyond it are.");
        let ran = place.ok("migrate run --to 20").says(&told);
        assert!(!ran.stderr.contains("up to date"), "{ran:#?}");
        assert_eq!(place.ok("migrate run --to 19 --json").json()["applied"].as_array().unwrap().len(), 0);
        place.ok("migrate run");
        place.ok("migrate run --to 20").says("The database is up to date.");
        place.ok("migrate run").says("The database is up to date.");
    }

    fn a_modified_migration_is_a_conflict(place) {
        place.ok("migrate run");
        tamper(&place, "UPDATE petspark_migrations SET checksum = 'x' WHERE version = 1");
        let status = place.run("migrate status --json").expect(5).json();
        assert_eq!(status["migrations"][0]["state"], "modified");
        place.run("migrate run").expect(5).says("0001_users");
        place.run("user list").expect(5).says("0001_users");
    }

    fn who_only_looks_is_refused_until_the_database_is_migrated(place) {
        make_empty(&place);
        for line in ["user list", "user show ada@example.org", "user set-role ada@example.org admin", "seed --dry-run"] {
            let ran = place.run(line).expect(5).says("migrations are pending; run `petspark-cli migrate run`\n");
            assert!(!ran.stderr.contains("--migrate"), "{ran:#?}");
        }
        place.run("migrate status").expect(5);
        assert!(!place.path().join("petspark-data/jwt-secret").exists());
        place.ok("migrate run");
        place.ok("user list");
    }
}

#[test]
fn a_postgresql_is_never_migrated_by_the_way() {
    let place = Place::postgres();
    for line in ["user create ada@example.org --generate", "seed --users 1"] {
        place.run(line).expect(5).says("run `petspark-cli migrate run`\n");
    }
}

/// What a role may not look into looks empty to it.
#[test]
fn a_role_that_may_not_look_into_the_schema_is_told_so_and_not_that_everything_is_pending() {
    let owner = Place::postgres();
    owner.ok("migrate run");
    let url = owner.database_url().unwrap().to_owned();
    let (address, schema) = url.split_once("search_path%3D").unwrap();
    let role = schema.replace("test_", "blind_");
    let by = |address: &str, schema: &str| {
        let (_, place) = address.split_once('@').unwrap();
        let url = format!("postgres://{role}:hunter2@{place}search_path%3D{schema}");
        Place::sqlite().with("DATABASE_URL", &url)
    };
    let do_as_owner = |sql: String| tamper(&owner, sql.leak());
    do_as_owner(format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'"));
    let blind = by(address, schema);
    for line in ["migrate status", "migrate run", "migrate run --dry-run", "user list"] {
        blind.run(line).expect(7).says(&format!("the role {role} lacks USAGE on the schema {schema}"));
        by(address, "nowhere").run(line).expect(7).says("sees no schema").says("(nowhere)");
    }
    do_as_owner(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"));
    blind.run("migrate status").expect(7).says("lacks SELECT on petspark_migrations");
    let blind = in_production(blind);
    blind.run("check --only db.migrations").expect(10).says("Grant it what it lacks");
    do_as_owner(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"));
    blind.ok("migrate status");
    do_as_owner(format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn who_only_looks_makes_nothing() {
    let place = Place::sqlite();
    for line in [
        "user list",
        "user show ada@example.org",
        "user set-role ada@example.org admin",
        "migrate status",
        "migrate run --dry-run",
        "seed --dry-run",
    ] {
        let ran = place.run(line).expect(4).says("there is no database at ./petspark-data/petspark.db; `migrate run`");
        assert_eq!(ran.stdout, "", "{line}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "{line}");
    }
}

#[test]
fn in_production_who_writes_first_makes_no_database_in_what_may_be_the_wrong_folder() {
    let place = in_production(Place::sqlite());
    for line in ["user create ada@example.org --generate", "admin bootstrap --email ada@example.org"] {
        place.run(line).expect(4).says("there is no database at ./petspark-data/petspark.db");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    place.ok("migrate run");
    place.ok("admin bootstrap --email ada@example.org").says("PUBLIC_WEB_URL is not set");
    place.ok("backup create").says("It is not encrypted");
}

#[test]
fn who_writes_first_makes_the_embedded_database_and_migrates_it() {
    for line in ["migrate run", "user create ada@example.org --generate", "seed --users 1"] {
        let place = Place::sqlite();
        place.ok(line);
        place.ok("migrate status");
    }
}

#[test]
fn the_migrations_are_linted_without_settings_or_database() {
    let place = Place::sqlite().with("PETSPARK_ENV", "nonsense");
    let findings = place.ok("migrate lint --json").json();
    let findings = findings["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["gravity"] == "warning") && !findings.is_empty(), "{findings:#?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
