//! `backup` at the terminal: exit codes, what is asked and refused, and what is left when a process
//! is killed or a disk is full. What a check finds is tested in the library.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Place, Ran, on_both, signal};

/// The folder of the backups of a place.
fn folder(place: &Place) -> PathBuf {
    place.path().join("petspark-data/backups")
}

fn with_people(place: Place) -> Place {
    let place = place.with("PETSPARK__BACKUP__MIN_KEEP", "1");
    place.ok("migrate run");
    place.user("ada@example.org", "");
    place.user("bob@example.org", "");
    place
}

fn create(place: &Place) -> String {
    place.ok("backup create --json").json()["id"].as_str().unwrap().to_owned()
}

/// What `--confirm` wants to hear.
pub(crate) fn name(place: &Place) -> String {
    match place.database_url() {
        None => "petspark.db".to_owned(),
        Some(url) => url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned(),
    }
}

fn emails(place: &Place) -> usize {
    place.ok("user list --json").json()["users"].as_array().unwrap().len()
}

on_both! {
    fn the_first_backup_is_made_proven_and_good(place) {
        let place = with_people(place);
        place.run("backup verify").expect(4).says("no such backup");
        place.run("backup check").expect(21);
        let id = create(&place);
        // Good, and not proven yet.
        place.run("backup check").expect(21);
        let drill = place.ok("backup verify latest --json").json();
        assert_eq!((drill["ok"].as_bool(), drill["backup_id"].as_str()), (Some(true), Some(&*id)));
        place.ok("backup check --metrics-file backup.prom");
        let figures = place.path().join("backup.prom");
        assert!(fs::read_to_string(&figures).unwrap().contains("petspark_backup_check_status{id=\"backup.valid\""));
        assert_eq!(fs::metadata(&figures).unwrap().permissions().mode() & 0o777, 0o644);
        let list = place.ok("backup list --json").json();
        assert!(list["backups"][0]["proven_at"].is_string());
        assert_eq!(place.ok(&format!("backup show {id} --json")).json()["id"], *id);
        let mode = fs::metadata(folder(&place).join(&id).join("manifest.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads it");
    }

    fn a_changed_backup_is_20_wherever_it_is_met(place) {
        let place = with_people(place);
        let id = create(&place);
        let file = folder(&place).join(&id).join("database.zst");
        let mut bytes = fs::read(&file).unwrap();
        bytes[50] ^= 1;
        fs::write(&file, bytes).unwrap();
        place.run("backup check").expect(20);
        place.run("backup verify").expect(20);
        place.run(&format!("backup restore {id} --to elsewhere/new.db")).expect(20).says("was changed");
        assert!(!place.path().join("elsewhere").exists());
        fs::write(folder(&place).join(&id).join("manifest.json"), "{}").unwrap();
        place.run("backup show").expect(20);
        place.run("backup prune --yes").expect(20).says("nothing was removed");
        assert!(place.ok("backup list").stdout.contains("the manifest"));
    }

    fn a_deleted_user_comes_back_in_place(place) {
        let place = with_people(place);
        let id = create(&place);
        place.ok("user delete bob@example.org --hard --confirm bob@example.org");
        assert_eq!(emails(&place), 1);
        let line = format!("backup restore {id} --in-place");
        place.run(&line).expect(6).says(&format!("--confirm {}", name(&place)));
        place.run(&format!("{line} --confirm another")).expect(6);
        assert_eq!(emails(&place), 1, "nothing was done");
        let ran = place.ok(&format!("{line} --confirm {} --json", name(&place))).json();
        assert!(ran["safety_backup"].is_string() && ran["set_aside"].is_string(), "{ran}");
        assert_eq!(emails(&place), 2);
        place.ok("backup pin latest");
        place.ok("backup prune --yes");
    }

    fn why_backups_were_restored_or_removed_is_in_the_audit_log(place) {
        let place = with_people(place)
            .with("PETSPARK__BACKUP__KEEP_LAST", "1")
            .with("PETSPARK__BACKUP__KEEP_DAILY", "0")
            .with("PETSPARK__BACKUP__KEEP_WEEKLY", "0")
            .with("PETSPARK__BACKUP__KEEP_MONTHLY", "0");
        create(&place);
        create(&place);
        place.ok("backup prune --yes --reason spring");
        let told = place.ok("audit list --action sys_backups_pruned --json").json();
        assert_eq!(told["entries"][0]["reason"], "spring");
        place.ok(&format!("backup restore latest --in-place --confirm {} --reason ticket-4711", name(&place)));
        let told = place.ok("audit list --action sys_backup_restored --json").json();
        assert_eq!(told["entries"][0]["reason"], "ticket-4711");
    }

    fn without_the_files_that_it_was_to_have_a_backup_is_7_and_nothing_is_pruned(place) {
        let place = with_people(place).with("PETSPARK__BACKUP__MEDIA", "full").with("PETSPARK__BACKUP__KEEP_LAST", "1");
        create(&place);
        crate::media::uploaded(&place);
        let no_folder = place.write("no-folder", "").display().to_string();
        let dead = [("PETSPARK__MEDIA__FOLDER", &*no_folder)];
        let made = place.run_with(&dead, "backup create --json").expect(7).json();
        assert!(made["media_problem"].is_string(), "{made}");
        for line in ["backup prune --dry-run", "backup prune --yes"] {
            place.run_with(&dead, line).expect(5).says("nothing was removed");
        }
        let checked = place.run_with(&dead, "backup check --json").expect(21).json();
        let failed = |finding: &&serde_json::Value| finding["id"] == "backup.media.full" && finding["status"] == "fail";
        assert_eq!(checked["findings"].as_array().unwrap().iter().filter(failed).count(), 1, "{checked}");
        create(&place);
        place.ok("backup prune --yes");
    }

    fn a_full_backup_gives_uploads_back(place) {
        let place = with_people(place);
        let photo = crate::media::uploaded(&place);
        let made = place.ok("backup create --media full --json").json();
        assert!(made["media_objects"].as_u64().unwrap() > 1, "{made}");
        place.ok("backup verify");
        std::fs::remove_dir_all(place.settings().objects.folder).unwrap();
        place.run("media verify --all").expect(10).says(&photo.id.to_string());
        let alone = place.ok("backup restore latest --media-only --reason fire --json").json();
        assert_eq!(alone["media_objects"], made["media_objects"]);
        place.ok("media verify --all");
        std::fs::remove_dir_all(place.settings().objects.folder).unwrap();
        let line = format!("backup restore latest --in-place --confirm {} --media --json", name(&place));
        assert_eq!(place.ok(&line).json()["media_objects"], made["media_objects"]);
        place.ok("media verify --all");
        create(&place);
        place.run("backup restore latest --to elsewhere.db --media").expect(2).says("it isn't a full one");
        place.run("backup restore latest --media-only").expect(2).says("it isn't a full one");
        place.run("backup restore latest --media-only --in-place").expect(2);
    }

    fn a_killed_backup_leaves_nothing_that_looks_like_one(place) {
        let place = with_people(place);
        place.ok("seed --users 100 --pets 6000 --yes");
        for _ in 0..3 {
            let mut child = place.start("backup create", Stdio::null());
            let partial = |path: &PathBuf| {
                fs::read_dir(path).into_iter().flatten().flatten().any(|e| {
                    e.file_name().to_string_lossy().starts_with(".partial-")
                })
            };
            while !partial(&folder(&place)) && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            signal(&child, Signal::KILL);
            child.wait().unwrap();
            for listed in place.ok("backup list --json").json()["backups"].as_array().unwrap() {
                assert!(listed["problem"].is_null(), "{listed}");
            }
        }
        let id = create(&place);
        assert_eq!(place.ok("backup verify --json").json()["backup_id"], *id);
    }

    fn a_full_disk_leaves_nothing_that_looks_like_one(place) {
        let place = with_people(place);
        place.ok("seed --users 100 --pets 8000 --yes");
        // Files end at 100 KiB, and writing more is an error, as on a disk that is full.
        let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" backup create";
        let mut command = place.command::<&str>([]);
        let program = command.get_program().to_owned();
        let envs: Vec<_> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        command = std::process::Command::new("bash");
        command.args(["-c", script]).arg(program).env_clear().envs(envs).current_dir(place.path());
        let ran = Ran::of(command.output().unwrap());
        assert!(matches!(ran.code, 1 | 7), "{ran:#?}");
        // Which disk it was SQLite doesn't say; a tool whose output can't be written says nothing at all.
        assert!(place.database_url().is_none() || ran.stderr.contains("File too large"), "{ran:#?}");
        assert_eq!(place.ok("backup list --json").json()["backups"].as_array().unwrap().len(), 0);
        assert_eq!(fs::read_dir(folder(&place)).unwrap().count(), 0);
        assert_eq!(fs::read_dir(place.path().join("petspark-data/backup-work")).unwrap().count(), 0);
        create(&place);
    }
}

#[test]
fn a_backup_that_lacks_a_file_keeps_no_place_of_a_whole_one() {
    let place = with_people(Place::sqlite())
        .with("PETSPARK__BACKUP__KEEP_LAST", "2")
        .with("PETSPARK__BACKUP__KEEP_DAILY", "0")
        .with("PETSPARK__BACKUP__KEEP_WEEKLY", "0")
        .with("PETSPARK__BACKUP__KEEP_MONTHLY", "0");
    let (whole, lacking, newest) = (create(&place), create(&place), create(&place));
    fs::remove_file(folder(&place).join(&lacking).join("media.zst")).unwrap();
    assert!(place.ok("backup list").stdout.contains("media.zst is missing"));
    let checked = place.run("backup check --all").expect(20).stdout;
    assert!(checked.lines().any(|line| line.starts_with(&lacking) && line.contains("media.zst")), "{checked}");
    place.ok("backup prune --yes");
    for id in [whole, lacking, newest] {
        assert!(folder(&place).join(&id).exists(), "{id}");
    }
}

#[test]
fn what_is_left_to_be_done_is_told_of_the_place_that_was_restored_to() {
    let place = with_people(Place::sqlite());
    crate::media::uploaded(&place);
    crate::check::tamper(
        &place,
        "CREATE TRIGGER nobody_tells BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'nobody tells'); END",
    );
    place.ok("backup create --media full");
    // A file where the store of uploads should be.
    let place = place.with("PETSPARK__MEDIA__FOLDER", "blocked/media");
    place.write("blocked", "");
    let beside = place.run("backup restore latest --to beside.db --media").expect(7);
    let beside = beside
        .says("The live database was not touched. The backup was restored to sqlite://beside.db")
        .says("this is left to be done: its audit log can't be told")
        .says("files of uploads are missing in their store")
        .says("--media-only` goes on with them, with DATABASE_URL leading there");
    assert!(!beside.stderr.contains("WAS replaced"), "{beside:#?}");
    let in_place = place.run("backup restore latest --in-place --confirm petspark.db").expect(7);
    let in_place = in_place.says("The database WAS replaced, and this is left to be done: its audit log can't be told");
    assert!(!in_place.stderr.contains("not touched") && !in_place.stderr.contains("DATABASE_URL"), "{in_place:#?}");
}

#[test]
fn production_wants_to_know_why_the_live_database_is_replaced() {
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let place = with_people(Place::sqlite()).with("PETSPARK_ENV", "production").with("JWT_SECRET", strong);
    create(&place);
    place.run("backup restore latest --in-place --confirm petspark.db").expect(2).says("production needs --reason");
    let blank = ["backup", "restore", "latest", "--in-place", "--confirm", "petspark.db", "--reason", " "];
    Ran::of(place.command(blank).output().unwrap()).expect(2).says("production needs --reason");
    place.ok("backup restore latest --to beside.db");
    place.ok("backup restore latest --in-place --confirm petspark.db --reason ticket");
}

#[test]
fn how_far_it_is_is_told_unless_nobody_wants_to_know() {
    let place = with_people(Place::sqlite());
    place.ok("backup create").says("packing, in bytes: 100 %");
    place.ok("backup verify --json").says("reading, in bytes: 100 %").says("restoring, in bytes: 100 %");
    place.ok("backup restore latest --to new.db").says("restoring, in bytes: 100 %");
    assert!(!place.ok("backup create -q").stderr.contains("bytes"));
}

#[test]
fn another_programs_archive_is_looked_at_by_that_program() {
    let place = with_people(Place::sqlite())
        .with("PETSPARK__BACKUP__EXTERNAL", "litestream")
        .with("PETSPARK__BACKUP__EXTERNAL_PROGRAM", "/nowhere/litestream");
    place.run("backup check").expect(3).says("backup.external_name");
    let place = place.with("PETSPARK__BACKUP__EXTERNAL_NAME", "/var/lib/petspark/petspark.db");
    let ran = place.run("backup check").expect(7);
    assert!(ran.stdout.contains("can't start /nowhere/litestream"), "{ran:#?}");
    let told = place.run("backup check --json").expect(7).json();
    assert_eq!(
        (&told["findings"][0]["items"][0], &told["findings"][0]["target"]),
        (&"2.3".into(), &"litestream".into())
    );
}

#[test]
fn a_place_that_nobody_may_write_to_is_not_called_in_use() {
    let place = with_people(Place::sqlite());
    create(&place);
    // Not even root makes files there.
    place.run("backup restore latest --to /proc/new.db").expect(7).says("/proc/new.db");
}

/// The folder of a `pg_restore` that kills whoever started it before, or after, it restores.
fn killing(place: &Place, before: &str, after: &str) -> String {
    for tool in ["pg_dump", "pg_restore"] {
        let real = format!("\"$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/{tool}\" \"$@\"");
        let kill = format!("case \"$*\" in *--version*) exec {real};; esac\n{before}\n{real}\n{after}");
        let text = if tool == "pg_dump" { format!("exec {real}") } else { kill };
        let path = place.write(&format!("killing/{tool}"), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    place.path().join("killing").display().to_string()
}

#[test]
fn a_restoring_in_place_that_was_killed_is_seen_and_begins_anew() {
    let mut place = with_people(Place::postgres());
    let id = create(&place);
    place.ok("user delete bob@example.org --hard --confirm bob@example.org");
    let line = format!("backup restore {id} --in-place --confirm {}", name(&place));
    for (before, after) in [("kill -9 $PPID; exit 1", ""), ("", "kill -9 $PPID")] {
        let tools = killing(&place, before, after);
        place = place.with("PETSPARK__BACKUP__POSTGRES_TOOLS", &tools);
        place.run(&line).expect(128 + 9);
        for line in ["user list", "migrate status", "migrate run", "user create cy@example.org --generate"] {
            place.run(line).expect(5).says("half restored").says("begins anew").says("RENAME TO");
        }
    }
    killing(&place, "", "");
    let restored = place.run(&line).expect(0).says("put back first").says("petspark_before_");
    let told = place.ok("audit list --action sys_backup_restored --json").json();
    assert_eq!((emails(&place), told["entries"].as_array().unwrap().len()), (2, 1), "{restored:?}");
    // The safety backup is one of what was there before all this.
    let safety = place.ok("backup list --json").json()["backups"][0]["id"].as_str().unwrap().to_owned();
    place.ok(&format!("backup restore {safety} --in-place --confirm {}", name(&place)));
    assert_eq!(emails(&place), 1);
}

#[test]
fn whenever_a_restoring_in_place_is_killed_there_is_a_whole_database() {
    let place = with_people(Place::sqlite());
    place.ok("seed --users 100 --pets 4000 --yes");
    let id = create(&place);
    let people = emails(&place);
    let line = format!("backup restore {id} --in-place --without-safety-backup --confirm petspark.db");
    let data = place.path().join("petspark-data");
    for seen in ["restoring", "restoring-wal", "restoring.lock", "before-"] {
        let mut child = place.start(&line, Stdio::null());
        let is_there = || {
            let mut names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.any(|name| name.contains(seen))
        };
        while !is_there() && child.try_wait().unwrap().is_none() {
            assert!(data.join("petspark.db").exists(), "a server that starts now would make an empty one");
        }
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        assert_eq!(emails(&place), people);
        for entry in fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            if path.display().to_string().contains("before-") {
                fs::remove_file(path).unwrap();
            }
        }
    }
    place.ok(&line);
    let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("restoring")).count(), 0);
    let told = place.ok("audit list --action sys_backup_restored --json").json();
    assert_eq!(told["entries"].as_array().unwrap().len(), 1);
}

/// A program that writes down what it has of the environment.
fn telling(place: &Place, name: &str, then: &str) -> PathBuf {
    let told = place.path().join("told");
    let path = place.write(name, &format!("#!/bin/sh\n/usr/bin/env >> '{}'\n{then}\n", told.display()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const OURS: [(&str, &str); 3] = [
    ("JWT_SECRET", "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2"),
    ("SMTP_URL", "smtp://me:hunter2@127.0.0.1:1"),
    ("PETSPARK__AUTH__ENCRYPTION_KEY", "9c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5"),
];

fn assert_open(told: &str) {
    for (name, secret) in OURS {
        assert!(!told.contains(name) && !told.contains(secret), "{name}: {told}");
    }
    assert!(!told.contains("DATABASE_URL"), "{told}");
}

#[test]
fn another_program_gets_its_own_settings_and_none_of_our_secrets() {
    let place = with_people(Place::sqlite());
    let program = telling(&place, "tools/litestream", "exit 1");
    let place = OURS.into_iter().fold(place, |place, (name, secret)| place.with(name, secret));
    let place = place
        .with("PETSPARK__BACKUP__EXTERNAL", "litestream")
        .with("PETSPARK__BACKUP__EXTERNAL_PROGRAM", program.to_str().unwrap())
        .with("PETSPARK__BACKUP__EXTERNAL_NAME", "s3://bucket/petspark")
        .with("LITESTREAM_ACCESS_KEY_ID", "theirs");
    place.run("backup check").expect(7);
    let told = fs::read_to_string(place.path().join("told")).unwrap();
    assert!(told.contains("LITESTREAM_ACCESS_KEY_ID=theirs"), "{told}");
    assert_open(&told);
    // What goes to it as an argument, everybody can read.
    for name in ["sftp://me:hunter2@host/db", "s3://bucket/db?secret-access-key=hunter2"] {
        let ran = place.run_with(&[("PETSPARK__BACKUP__EXTERNAL_NAME", name)], "backup check").expect(3);
        assert!(ran.stderr.contains("backup.external_name") && !ran.stderr.contains("hunter2"), "{ran:#?}");
    }
}

#[test]
fn pg_dump_gets_what_it_needs_and_none_of_our_secrets() {
    let place = with_people(Place::postgres());
    for tool in ["pg_dump", "pg_restore"] {
        let real = format!("exec \"$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/{tool}\" \"$@\"");
        telling(&place, &format!("tools/{tool}"), &real);
    }
    let tools = place.path().join("tools");
    let place = OURS.into_iter().fold(place, |place, (name, secret)| place.with(name, secret));
    let place = place.with("PATH", "/usr/bin:/bin").with("PETSPARK__BACKUP__POSTGRES_TOOLS", tools.to_str().unwrap());
    create(&place);
    let told = fs::read_to_string(place.path().join("told")).unwrap();
    assert!(told.contains("PGDATABASE=") && told.contains("PATH=/usr/bin:/bin"), "{told}");
    assert_open(&told);
}

#[test]
fn a_second_backup_at_the_same_time_is_8() {
    let place = with_people(Place::sqlite());
    let path = place.path().join("petspark-data/petspark.db.backup.lock");
    let lock = fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    lock.lock().unwrap();
    place.run("backup create").expect(8).says("another process");
    place.run("backup prune --dry-run").expect(8);
    drop(lock);
    create(&place);
}

#[cfg(feature = "serve")]
#[test]
fn in_place_while_the_server_runs_is_5() {
    let place = with_people(Place::sqlite());
    create(&place);
    let (mut server, _) = crate::serve::start(&place, "");
    let line = "backup restore latest --in-place --confirm petspark.db";
    place.run(line).expect(5).says("stop it first");
    create(&place);
    signal(&server, Signal::TERM);
    server.wait().unwrap();
    place.ok(line);
}

#[test]
fn a_key_is_made_for_its_owner_only_and_is_needed() {
    let place = with_people(Place::sqlite());
    let made = place.ok("backup key generate -o key --json");
    let recipient = made.json()["recipient"].as_str().unwrap().to_owned();
    assert!(!made.stdout.contains("SECRET") && !made.stderr.contains("SECRET"));
    assert_eq!(fs::metadata(place.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    place.run("backup key generate -o key").expect(2).says("can't write the key");
    assert!(place.ok("backup key show key").stdout.contains(&recipient));
    let place = place.with("PETSPARK__BACKUP__RECIPIENTS", &recipient);
    create(&place);
    place.run("backup verify").expect(2).says("--identity-file");
    place.run("backup restore latest --to new.db").expect(2).says("--identity-file");
    place.ok("backup key generate -o other");
    place.run("backup verify --identity-file other").expect(20).says(&recipient);
    place.run("backup check --identity-file other").expect(20);
    place.run("backup verify --identity-file nowhere").expect(2).says("nowhere");
    place.ok("backup verify --identity-file key");
    place.ok("backup restore latest --to new.db --identity-file key");
    place.run("backup restore latest --to new.db --identity-file key").expect(5).says("nothing was done");
    place.ok("user list");
    let wrong = place.with("PETSPARK__BACKUP__RECIPIENTS", "AGE-SECRET-KEY-1HUNTER2");
    let refused = wrong.run("backup list").expect(3).says("backup.recipients");
    assert!(!refused.stderr.contains("HUNTER2"));
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_told() {
    let place = with_people(Place::sqlite());
    create(&place);
    for to in ["postgres://me:hunter2@db/petspark", "postgres://me@db/petspark?password=hunter2"] {
        let ran = place.run(&format!("backup restore latest --to {to}")).expect(2).says("PGPASSWORD");
        assert!(!ran.stderr.contains("hunter2"));
    }
    place.run("backup restore latest").expect(2);
    place.run("backup restore latest --to x --in-place").expect(2);
    place.run("backup restore nonsense --to x").expect(2);
    place.run("backup show 01980000-0000-7000-8000-000000000000").expect(4);
    place.run("backup list --target bucket").expect(2).says("backup.s3.bucket");
}

#[test]
fn backups_are_there_when_the_database_is_not() {
    let place = with_people(Place::sqlite());
    create(&place);
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(place.path().join(format!("petspark-data/petspark.db{ending}")));
    }
    place.ok("backup list");
    place.ok("backup verify");
    place.ok("backup check");
    let ran = place.ok("backup restore latest --in-place --confirm petspark.db --json").json();
    assert!(ran["safety_backup"].is_null() && ran["set_aside"].is_null(), "{ran}");
    assert_eq!(emails(&place), 2);
}
