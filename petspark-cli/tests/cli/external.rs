use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Place, Ran, exit_code, signal, wait_for};

/// A place whose `bin` folder is the search path, behind entries that must be skipped.
fn with_path() -> Place {
    let place = Place::sqlite();
    std::fs::create_dir(place.path().join("bin")).unwrap();
    mode(&place.path().join("bin"), 0o755);
    let path = format!(":.:bin:{}", place.path().join("bin").display());
    place.with("PATH", &path)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The same, where programs in `bin` are commands: for root they are so in configured folders only.
fn place() -> Place {
    let place = with_path();
    let bin = place.path().join("bin");
    if is_root() { place.with("PETSPARK__PLUGINS__DIRS", bin.to_str().unwrap()) } else { place }
}

fn program(place: &Place, name: &str, script: &str) {
    let path = place.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    mode(&path, 0o755);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_program_on_the_search_path_is_a_command_and_its_exit_code_is_ours() {
    let place = place();
    program(&place, "petspark-cli-hello", r#"for arg; do echo "[$arg]"; done; echo oops >&2; exit 77"#);
    let ran = Ran::of(place.command(["hello", "--json", "a b", "", "-c", "--", "x"]).output().unwrap()).expect(77);
    assert_eq!(ran.stdout, "[--json]\n[a b]\n[]\n[-c]\n[--]\n[x]\n");
    assert_eq!(ran.stderr, "oops\n");
}

#[test]
fn the_search_path_is_for_everybody_but_root() {
    let place = with_path();
    program(&place, "petspark-cli-hello", "echo hello");
    let place = place.with("PETSPARK__PLUGINS__PATH", "true");
    let ran = place.run("hello");
    assert_eq!((ran.code, &*ran.stdout), if is_root() { (2, "") } else { (0, "hello\n") }, "{ran:#?}");
    assert_eq!(place.ok("plugin list --json").json()["plugins"].as_array().unwrap().is_empty(), is_root());
    assert_eq!(place.ok("plugin list").stderr.contains("Root runs nothing from the search path"), is_root());
    let unwanted = place.run_with(&[("PETSPARK__PLUGINS__PATH", "false")], "plugin list").expect(0);
    assert_eq!(unwanted.stderr, "", "nobody asked for the search path");
    let bin = place.path().join("bin").display().to_string();
    assert_eq!(place.with("PETSPARK__PLUGINS__DIRS", &bin).ok("hello").stdout, "hello\n");
}

#[test]
fn that_a_program_was_run_is_in_the_audit_log() {
    let place = place();
    program(&place, "petspark-cli-hello", "exit 77");
    place.run("hello").expect(77);
    assert!(!place.path().join("petspark-data").exists(), "nothing is made for it");
    place.ok("migrate run");
    place.run("hello --secret hunter2").expect(77);
    let told = place.ok("audit list --action sys_plugin_exec --json").json();
    let [entry] = &told["entries"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!(
        (&entry["details"]["command"], entry["details"]["sha256"].as_str().unwrap().len()),
        (&"hello".into(), 64)
    );
    assert!(entry["actor"].as_str().unwrap().starts_with("cli:") && !told.to_string().contains("hunter2"), "{told}");
    // A database that is away holds nobody up.
    let away = place.with("DATABASE_URL", "postgres://me@127.0.0.1:1/petspark");
    away.run("hello").expect(77).says("the audit log doesn't have");
}

#[test]
fn it_is_told_who_calls_and_how_but_no_secret() {
    let place = place()
        .with("DATABASE_URL", "postgres://me:hunter2@db/petspark")
        .with("JWT_SECRET_FILE", "/run/secrets/jwt")
        .with("AWS_SECRET_ACCESS_KEY", "hunter3")
        .with("STRIPE_SECRET_KEY", "hunter4")
        .with("SMTP_URL", "smtp://me:hunter5@mail")
        .with("PETSPARK__AUTH__JWT_SECRET", "hunter6")
        .with("PETSPARK__PLUGINS__PATH", "true")
        .with("HARMLESS", "yes");
    place.write("petspark.toml", "");
    program(&place, "petspark-cli-hello", "/usr/bin/env");
    let told = Ran::of(
        place.command(["-c", "petspark.toml", "--format", "jsonl", "--env", "production", "hello"]).output().unwrap(),
    )
    .expect(0)
    .stdout;
    for line in [
        &format!("PETSPARK_BIN={}", env!("CARGO_BIN_EXE_petspark-cli")),
        &format!("PETSPARK_VERSION={}", env!("CARGO_PKG_VERSION")),
        &format!("PETSPARK_CONFIG={}", place.path().join("petspark.toml").display()),
        "PETSPARK_ENV=production",
        "PETSPARK_FORMAT=jsonl",
        "PETSPARK_PLUGIN_API=1",
        "PETSPARK_COLOR=auto",
        "PETSPARK_NO_INPUT=0",
        "DATABASE_URL=postgres://me@db/petspark",
        "HARMLESS=yes",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    assert!(!told.contains("hunter") && !told.contains("SECRET_FILE"), "{told}");
}

/// What the file says that a program is told of, its mode, and whether it is there afterwards.
fn connection(place: &Place) -> (serde_json::Value, String, bool) {
    program(
        place,
        "petspark-cli-hello",
        "/usr/bin/stat -c %a \"$PETSPARK_CONNECTION_FILE\"; echo \"$PETSPARK_CONNECTION_FILE\"; \
         /bin/cat \"$PETSPARK_CONNECTION_FILE\"",
    );
    let told = place.ok("hello").stdout;
    let mut lines = told.splitn(3, '\n');
    let (mode, path) = (lines.next().unwrap().to_owned(), lines.next().unwrap().to_owned());
    (serde_json::from_str(lines.next().unwrap()).unwrap(), mode, Path::new(&path).exists())
}

#[test]
fn the_connection_is_told_in_a_private_file_that_is_gone_afterwards() {
    let place = place().with("DATABASE_URL", "postgres://me:hunter2@db/petspark").with("JWT_SECRET", "hunter3");
    let (told, mode, is_there) = connection(&place);
    assert_eq!((&*mode, is_there), ("600", false));
    assert_eq!(told["schema"], "petspark.plugin.connection/v1");
    assert_eq!((&told["engine"], &told["trusted"]), (&"postgres".into(), &false.into()));
    assert_eq!(told["database_url"], "postgres://me@db/petspark");
    assert_eq!(told["settings"]["http.port"], "3000");
    assert!(!told.to_string().contains("hunter"), "{told}");
    let place = place.with("PETSPARK__PLUGINS__TRUSTED", "other,hello");
    let (told, mode, is_there) = connection(&place);
    assert_eq!((&*mode, is_there), ("600", false));
    assert_eq!((&told["trusted"], &told["database_url"]), (&true.into(), &"postgres://me:hunter2@db/petspark".into()));
    assert!(!told["settings"].to_string().contains("hunter"), "{told}");
    let place = place.with("DATABASE_URL", "sqlite://here/petspark.db");
    let file = place.path().join("here/petspark.db");
    assert_eq!(connection(&place).0["database_url"], format!("sqlite://{}", file.display()));
}

#[test]
fn configured_folders_come_first_and_production_looks_nowhere_else() {
    let place = place();
    let folder = place.path().join("ours");
    std::fs::create_dir(&folder).unwrap();
    mode(&folder, 0o755);
    program(&place, "petspark-cli-hello", "echo path");
    program(&place, "petspark-cli-other", "echo path");
    std::fs::write(folder.join("petspark-cli-hello"), "#!/bin/sh\necho configured\n").unwrap();
    mode(&folder.join("petspark-cli-hello"), 0o755);
    assert_eq!(place.ok("hello").stdout, "path\n");
    let list = |first: &Path| match is_root() {
        true => format!("{},{}", first.display(), place.path().join("bin").display()),
        false => first.display().to_string(),
    };
    let dirs = list(&folder);
    let place = place.with("PETSPARK__PLUGINS__DIRS", &dirs);
    assert_eq!(place.ok("hello").stdout, "configured\n");
    let list = place.ok("plugin list --json").json();
    assert_eq!(list["plugins"][0]["source"], "configured folder");
    assert_eq!(place.ok("--env production hello").stdout, "configured\n");
    if !is_root() {
        place.run("--env production other").expect(2);
    }
    assert_eq!(place.ok("other").stdout, "path\n");
    mode(&folder, 0o777);
    place.run("hello").expect(126).says("changed by others");
    place.with("PETSPARK__PLUGINS__DIRS", "ours").run("config check").expect(3);
}

#[test]
fn a_program_that_describes_itself_is_shown_with_it_and_one_that_hangs_holds_nobody_up() {
    let place = place();
    let cache = place.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let place = place.with("XDG_CACHE_HOME", cache.to_str().unwrap());
    let describe = r#"[ "$1" = --petspark-describe ] && echo asked >&2 && echo '{"api":1,"name":"hello","version":"2.1","about":"Greets\u001b[2J","usage":"hello [NAME]"}' && echo . >> "${0%/*}/../asked""#;
    program(&place, "petspark-cli-hello", describe);
    program(&place, "petspark-cli-hangs", "exec /bin/sleep 60");
    program(&place, "petspark-cli-odd", "echo '{\"api\":2,\"about\":\"From the future\"}'");
    // Asked by name there is time; what it says is remembered.
    let described = place.ok("plugin describe hello --json").json();
    assert_eq!((&described["version"], &described["usage"]), (&"2.1".into(), &"hello [NAME]".into()));
    let asked = || std::fs::read_to_string(place.path().join("asked")).unwrap().len();
    let before = asked();
    let started = std::time::Instant::now();
    let help = place.ok("--help").stdout;
    assert!(help.ends_with("\n\nExternal commands:\n  hangs\n  hello  Greets [2J\n  odd\n"), "{help}");
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "waited for the one that hangs");
    assert_eq!(asked(), before, "not asked again");
    let file = cache.join("petspark/petspark-cli-commands.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Another program of that name is asked what it is.
    program(&place, "petspark-cli-hello", "echo '{\"api\":1,\"about\":\"Another one\"}'");
    assert_eq!(place.ok("plugin describe hello --json").json()["about"], "Another one");
    assert!(place.ok("--help").stdout.contains("hello  Another one\n"));
    std::fs::write(&file, "nonsense").unwrap();
    place.ok("--help");
    place.run("plugin describe odd").expect(1).says("--petspark-describe");
    place.run("plugin describe nobody").expect(4);
}

#[test]
fn the_sample_of_the_examples_calls_back() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugins/petspark-cli-newcomers");
    let place = place();
    let path = format!("{}:/usr/bin:/bin", place.path().join("bin").display());
    let place = place.with("PATH", &path);
    let copy = place.path().join("bin/petspark-cli-newcomers");
    std::fs::copy(sample, &copy).unwrap();
    mode(&copy, 0o755);
    place.user("ada@example.org", "");
    place.user("bob@example.org", "");
    assert_eq!(place.ok("newcomers 7").stdout, "2 people registered in the last 7 days\n");
    let told = place.ok("--json newcomers").json();
    assert_eq!((&told["schema"], &told["count"]), (&"example.newcomers/v1".into(), &2.into()));
    place.run("newcomers soon").expect(64).says("whole number");
    // Asked by name there is more time than the help has, and it is remembered.
    let cache = place.path().to_str().unwrap().to_owned();
    let place = place.with("XDG_CACHE_HOME", &cache);
    assert_eq!(place.ok("plugin describe newcomers --json").json()["about"], "Count who registered lately");
    assert!(place.ok("--help").stdout.contains("newcomers  Count who registered lately"));
}

#[test]
fn a_program_that_others_could_change_is_not_run() {
    let place = place();
    program(&place, "petspark-cli-hello", "echo hello");
    let file = place.path().join("bin/petspark-cli-hello");
    for (path, unsafe_mode, safe_mode, reason) in [
        (file.clone(), 0o777, 0o755, "changed by others"),
        (file.clone(), 0o775, 0o755, "changed by others"),
        (place.path().join("bin"), 0o777, 0o755, "changed by others"),
        (file.clone(), 0o644, 0o755, "isn't executable"),
    ] {
        mode(&path, unsafe_mode);
        place.run("hello").expect(126).says(reason).says("petspark-cli-hello");
        mode(&path, safe_mode);
    }
    place.ok("hello");
}

#[test]
fn a_link_is_followed_before_it_is_trusted() {
    let place = place();
    let elsewhere = place.write("open/tool", "#!/bin/sh\necho hello\n");
    mode(&elsewhere, 0o755);
    mode(elsewhere.parent().unwrap(), 0o777);
    std::os::unix::fs::symlink(&elsewhere, place.path().join("bin/petspark-cli-hello")).unwrap();
    place.run("hello").expect(126).says("open can be changed by others");
    mode(elsewhere.parent().unwrap(), 0o755);
    place.ok("hello");
}

#[test]
fn every_folder_above_a_program_is_looked_at_and_above_what_a_link_leads_to() {
    let place = Place::sqlite();
    let folder = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        mode(&path, 0o755);
        path
    };
    let (outer, inner, bin) = (folder("outer"), folder("outer/inner"), folder("outer/inner/bin"));
    let tool = place.write("outer/inner/bin/petspark-cli-hello", "#!/bin/sh\necho \"$0\"\n");
    mode(&tool, 0o755);
    let run = |dirs: &Path| place.run_with(&[("PETSPARK__PLUGINS__DIRS", dirs.to_str().unwrap())], "hello");
    // By links: of the folder, and of the program.
    let (by_folder, by_link) = (folder("by").join("folder"), folder("links"));
    std::os::unix::fs::symlink("../outer/inner/../inner/bin", &by_folder).unwrap();
    std::os::unix::fs::symlink(&tool, by_link.join("petspark-cli-hello")).unwrap();
    let real = std::fs::canonicalize(&tool).unwrap();
    for dirs in [&bin, &by_folder, &by_link] {
        assert_eq!(run(dirs).expect(0).stdout, format!("{}\n", real.display()), "what was looked at is what is run");
        for (above, unsafe_mode) in [(&outer, 0o777), (&inner, 0o775), (&bin, 0o1777)] {
            mode(above, unsafe_mode);
            run(dirs).expect(126).says(&format!("{} can be changed by others", above.display()));
            mode(above, 0o755);
        }
        // As /tmp is: what is ours there others can't take away.
        mode(&outer, 0o1777);
        run(dirs).expect(0);
        mode(&outer, 0o755);
        if is_root() {
            std::os::unix::fs::chown(&outer, Some(65_534), None).unwrap();
            run(dirs).expect(126).says("outer belongs to another user");
            std::os::unix::fs::chown(&outer, Some(0), None).unwrap();
        }
    }
    let above = by_folder.parent().unwrap();
    mode(above, 0o777);
    run(&by_folder).expect(126).says("by can be changed by others");
    std::os::unix::fs::symlink("petspark-cli-circle", bin.join("petspark-cli-circle")).unwrap();
    assert_eq!(run(&bin).expect(0).stderr, "");
}

#[test]
fn a_configured_folder_that_is_not_there_is_told() {
    let place = with_path();
    let dirs = format!("{},{}", place.path().join("nowhere").display(), place.path().join("bin").display());
    let place = place.with("PETSPARK__PLUGINS__DIRS", &dirs);
    program(&place, "petspark-cli-hello", "echo hello");
    for line in ["plugin list", "check --list", "check --only config.*"] {
        let told = place.run(line).stderr;
        assert!(told.contains("nowhere, and no command is found there: No such file"), "{line}: {told}");
        assert!(!told.contains("bin,"), "{line}: {told}");
    }
    assert_eq!(place.ok("hello").stderr, "");
}

#[test]
fn the_file_with_the_connection_that_a_killed_tool_left_goes_with_the_next_command() {
    let place = place();
    let place = {
        let temporary = place.path().display().to_string();
        place.with("TMPDIR", &temporary)
    };
    program(&place, "petspark-cli-hello", "echo \"$PETSPARK_CONNECTION_FILE\"; read line; :");
    let start = || {
        let mut child = place.start("hello", Stdio::piped());
        let mut path = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut path).unwrap();
        (child, std::path::PathBuf::from(path.trim_end()))
    };
    let ((mut killed, left), (mut working, used)) = (start(), start());
    signal(&killed, Signal::KILL);
    assert_eq!(exit_code(killed.wait().unwrap()), 137);
    let stray = place.write("petspark-notes.json", "");
    assert!(left.exists() && used.exists());
    place.ok("hello");
    assert!(!left.exists() && used.exists() && stray.exists());
    drop((killed.stdin.take(), working.stdin.take()));
    assert_eq!(exit_code(working.wait().unwrap()), 0);
    assert!(!used.exists());
}

#[test]
fn what_the_system_cannot_run_is_126() {
    let place = place();
    let path = place.write("bin/petspark-cli-hello", "#!/no/such/interpreter\n");
    mode(&path, 0o755);
    place.run("hello").expect(126).says("can't run");
}

#[test]
fn a_built_in_or_reserved_name_is_never_given_away() {
    let place = place();
    for name in ["version", "backup", "backup-now", "login", "help"] {
        program(&place, &format!("petspark-cli-{name}"), "echo stolen");
    }
    assert!(!place.ok("version").stdout.contains("stolen"));
    assert!(!place.run("backup").expect(2).stdout.contains("stolen"));
    for line in ["backup-now", "login"] {
        place.run(line).expect(2).says("unrecognized subcommand");
    }
}

#[test]
fn relative_entries_of_the_search_path_and_odd_names_are_skipped() {
    let place = with_path().with("PATH", ":.:bin");
    program(&place, "petspark-cli-hello", "echo hello");
    std::fs::copy(place.path().join("bin/petspark-cli-hello"), place.path().join("petspark-cli-hello")).unwrap();
    place.run("hello").expect(2);
    for line in ["Hello", "hello_you", "../hello", "1hello"] {
        place.run(line).expect(2);
    }
}

#[test]
fn the_list_says_which_are_run_and_why_others_are_not() {
    let place = place();
    let second = place.path().join("second");
    std::fs::create_dir(&second).unwrap();
    mode(&second, 0o755);
    let (bin, second_text) = (place.path().join("bin").display().to_string(), second.display().to_string());
    let place = match is_root() {
        true => place.with("PETSPARK__PLUGINS__DIRS", &format!("{bin},{second_text}")),
        false => place.with("PATH", &format!("{bin}:{second_text}")),
    };
    for name in ["fine", "open", "user"] {
        program(&place, &format!("petspark-cli-{name}"), "");
    }
    mode(&place.path().join("bin/petspark-cli-open"), 0o777);
    std::fs::copy(place.path().join("bin/petspark-cli-fine"), second.join("petspark-cli-fine")).unwrap();
    let list = place.ok("plugin list --json").json();
    let states: Vec<_> = list["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["name"].as_str().unwrap().to_owned(), found["state"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [("fine", "ok"), ("open", "unsafe"), ("user", "shadowed"), ("fine", "shadowed")];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
}

#[test]
fn help_lists_them_by_name_and_a_typo_is_told_of_them() {
    let place = place();
    let heading = "External commands:";
    assert!(!place.ok("--help").stdout.contains(heading));
    for name in ["hello", "open", "user", "backup", "a-list"] {
        program(&place, &format!("petspark-cli-{name}"), "echo ran");
    }
    mode(&place.path().join("bin/petspark-cli-open"), 0o777);
    for line in ["--help", "-h", "help"] {
        let help = place.ok(line).stdout;
        assert!(help.ends_with("\n\nExternal commands:\n  a-list\n  hello\n"), "{help}");
    }
    place.run("").expect(2).says(heading);
    assert!(!place.ok("user --help").stdout.contains(heading));
    assert!(!place.ok("man").stdout.contains("hello"), "a manual page is not for one machine");
    place.run("helo").expect(2).says("'hello'");
    place.run("hello --help").expect(0);
}

#[test]
fn help_of_an_external_command_is_its_own() {
    let place = place();
    program(&place, "petspark-cli-hello", "echo \"hello $*\"; exit 77");
    assert_eq!(place.run("help hello").expect(77).stdout, "hello --help\n");
    assert_eq!(place.run("--no-input help hello").expect(77).stdout, "hello --help\n");
    place.run("help nobody").expect(2).says("'nobody'");
    place.run("user help hello").expect(2);
    assert!(place.ok("help user").stdout.contains("Usage"));
    mode(&place.path().join("bin/petspark-cli-hello"), 0o777);
    place.run("help hello").expect(126).says("changed by others");
}

#[test]
fn with_an_allow_list_only_those_programs_are_commands_and_only_as_they_are() {
    let place = place();
    program(&place, "petspark-cli-hello", "echo hello");
    program(&place, "petspark-cli-zebra", "echo zebra");
    let bytes = std::fs::read(place.path().join("bin/petspark-cli-hello")).unwrap();
    let allowed = format!("hello=sha256:{}", petspark_core::audit::fingerprint(&bytes));
    let place = place.with("PETSPARK__PLUGINS__ALLOW", &allowed);
    assert_eq!(place.ok("hello").stdout, "hello\n");
    place.run("zebra").expect(126).says("plugins.allow doesn't name it");
    assert!(!place.ok("--help").stdout.contains("zebra"));
    program(&place, "petspark-cli-hello", "echo changed");
    place.run("hello").expect(126).says("another SHA-256");
    let place = place.with("PETSPARK__PLUGINS__ALLOW", "hello=md5:1");
    place.run("hello").expect(126);
    assert!(place.run("config check").expect(3).stdout.contains("plugins.allow"));
}

#[test]
fn what_a_program_checks_joins_the_checks() {
    let place = place();
    let describe =
        r#"if [ "$1" = --petspark-describe ]; then echo '{"api":1,"about":"Clinic","checks":true}'; exit; fi"#;
    let lines = r#"echo '{"id":"room","status":"pass","title":"There is room","observed":"3 beds"}'
echo '{"id":"x.clinic.staff","status":"fail","observed":"nobody","expected":"somebody","hint":"call","items":["2.3"]}'
echo '{"id":"late","severity":"warn","status":"fail","observed":"late"}'
echo '{"id":"gone","status":"skip","observed":"no x-ray"}'
echo '{"summary":{"count":4}}'; exit 10"#;
    program(
        &place,
        "petspark-cli-clinic",
        &format!("{describe}\n[ \"$*\" = 'check --format jsonl' ] || exit 3\n{lines}"),
    );
    program(&place, "petspark-cli-hello", "echo hello");
    let ran = place.run("check --only x.* --json");
    let found = ran.json();
    let found: Vec<_> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (check["id"].as_str().unwrap(), check["status"].as_str().unwrap()))
        .collect();
    // In development what is an error in production warns.
    let expected =
        [("x.clinic.room", "pass"), ("x.clinic.staff", "warn"), ("x.clinic.late", "warn"), ("x.clinic.gone", "skip")];
    assert_eq!((found, ran.code), (expected.to_vec(), 0));
    place.run("check --only x.clinic.gone --require x.clinic.gone").expect(10);
    let one = place.ok("check --only x.clinic.room --json").json();
    assert_eq!(one["checks"].as_array().unwrap().len(), 1);
    place.run("check --only x.clinic.rom").expect(2).says("there is no check x.clinic.rom");
    let listed = place.ok("check --list --only x.* --json").json();
    assert_eq!(listed["checks"][0]["id"], "x.clinic.*");
    // One that doesn't answer as it should was not carried out, which is no pass.
    for odd in
        ["echo nonsense", "exit 1", r#"echo '{"id":"a/b","status":"pass"}'"#, r#"echo '{"id":"a","status":"fine"}'"#]
    {
        program(&place, "petspark-cli-clinic", &format!("{describe}\n{odd}"));
        let ran = place.run("check --only x.clinic.* --json").expect(12);
        assert_eq!(ran.json()["checks"][0]["id"], "x.clinic.answer", "{odd}");
        place.run("check --only x.clinic.room").expect(12);
    }
}

#[test]
fn a_program_killed_by_a_signal_is_128_and_its_number() {
    let place = place();
    program(&place, "petspark-cli-hello", "kill -9 $$");
    place.run("hello").expect(137);
}

#[test]
fn being_told_to_end_is_passed_on() {
    let place = place();
    // The trap proves that it was asked, and how it ends is how we end.
    program(&place, "petspark-cli-hello", "trap 'exit 9' TERM; echo ready; while :; do read line || wait; done");
    let mut child = place.start("hello", Stdio::piped());
    wait_for(&mut std::io::BufReader::new(child.stdout.take().unwrap()), "ready");
    signal(&child, Signal::TERM);
    // Whatever the shell was waiting for, it gets.
    drop(child.stdin.take());
    assert_eq!(exit_code(child.wait().unwrap()), 9);
}

#[test]
fn a_program_whose_time_is_up_is_ended_and_that_is_7_however_it_ends() {
    use std::io::Read as _;
    let place = place();
    for script in [
        // It ends well when it is asked, and leaves somebody behind who has its output open.
        "trap 'exit 0' TERM\n/bin/sleep 30 2> /dev/null &\nwait $!",
        // It doesn't hear.
        "trap '' TERM\nexec /bin/sleep 30",
    ] {
        program(&place, "petspark-cli-hello", script);
        let mut child = place.start("--timeout 1s hello", Stdio::null());
        let code = exit_code(child.wait().unwrap());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(code, 7, "{script}: {told}");
        assert!(told.contains("not done within 1s"), "{script}: {told}");
    }
    program(&place, "petspark-cli-hello", "exit 77");
    place.run("--timeout 1m hello").expect(77);
}

/// As a program that has checks describes itself.
const HAS_CHECKS: &str =
    r#"if [ "$1" = --petspark-describe ]; then echo '{"api":1,"about":"Clinic","checks":true}'; exit; fi"#;

const ROOM: &str = r#"echo '{"id":"room","status":"pass","observed":"3 beds"}'"#;

#[test]
fn checks_are_never_lost_without_a_word() {
    let place = place();
    std::fs::create_dir(place.path().join("cache")).unwrap();
    let cache = place.path().join("cache").display().to_string();
    let place = place.with("XDG_CACHE_HOME", &cache);
    let file = place.path().join("bin/petspark-cli-clinic");
    let answers = |more: &[(&str, &str)], why: &str| {
        let ran = place.run_with(more, "check --only x.* --json").expect(12).json();
        let last = ran["checks"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["id"], &last["status"]), (&"x.clinic.answer".into(), &"error".into()), "{ran}");
        assert!(last["observed"].as_str().unwrap().contains(why), "{why}: {ran}");
        ran["checks"].as_array().unwrap().len() - 1
    };
    program(&place, "petspark-cli-clinic", &format!("{HAS_CHECKS}\n{ROOM}"));
    assert_eq!(place.ok("check --only x.* --json").json()["checks"][0]["id"], "x.clinic.room");

    // It is not to be trusted any more.
    mode(&file, 0o777);
    answers(&[], "can be changed by others");
    mode(&file, 0o755);
    answers(&[("PETSPARK__PLUGINS__ALLOW", "other=sha256:00")], "plugins.allow doesn't name it");
    answers(&[("PETSPARK__PLUGINS__ALLOW", "clinic=sha256:00")], "another SHA-256");

    // It tells too much, or dies over it; what it told counts.
    let many = format!("i=0; while [ $i -lt 201 ]; do {ROOM}; i=$((i+1)); done");
    for (then, why, told) in [
        (many.as_str(), "more than 200 checks", 200),
        (&format!("{ROOM}\nkill -9 $$"), "SIGKILL", 1),
        (&format!("{ROOM}\nexit 3"), "exit status: 3", 1),
        (&format!("{ROOM}\necho nonsense"), "nonsense", 1),
    ] {
        program(&place, "petspark-cli-clinic", &format!("{HAS_CHECKS}\n{then}"));
        assert_eq!(answers(&[], why), told, "{then}");
    }
    program(&place, "petspark-cli-clinic", &format!("{HAS_CHECKS}\n{ROOM}\nexit 10"));
    place.ok("check --only x.*");

    // It doesn't say any more what it is.
    program(&place, "petspark-cli-clinic", "echo hello");
    answers(&[], "doesn't answer --petspark-describe any more");
    program(&place, "petspark-cli-clinic", "exec /bin/sleep 60");
    answers(&[], "doesn't say within 2 s");
    place.run("check --list --only x.clinic.*").expect(0);
    // Nor has it ever, as far as anybody remembers.
    let nowhere = [("XDG_CACHE_HOME", "/nowhere")];
    answers(&nowhere, "doesn't say within 2 s");
}

#[test]
fn a_program_that_can_not_be_asked_may_have_checks() {
    let place = place().with("XDG_CACHE_HOME", "/nowhere");
    let file = place.path().join("bin/petspark-cli-clinic");
    for (text, why) in [
        ("#!/usr/bin/env nowhere-to-be-found\n", "ended with 127"),
        ("#!/nowhere/to/be/found\n", "can't run"),
        ("no program at all", "can't run"),
        ("#!/bin/sh\necho '{\"api\":1,'\n", "isn't what it should be"),
        ("#!/bin/sh\necho '{\"api\":2,\"about\":\"\"}'\n", "another release"),
    ] {
        std::fs::write(&file, text).unwrap();
        mode(&file, 0o755);
        let ran = place.run("check --only x.* --json").expect(12).json();
        assert_eq!(ran["checks"][0]["id"], "x.clinic.answer", "{text}");
        assert!(ran["checks"][0]["observed"].as_str().unwrap().contains(why), "{text}: {ran}");
    }
}

#[test]
fn a_program_that_never_said_that_it_has_checks_has_none() {
    let place = place();
    std::fs::create_dir(place.path().join("cache")).unwrap();
    let cache = place.path().join("cache").display().to_string();
    let place = place.with("XDG_CACHE_HOME", &cache);
    let none = |more: &[(&str, &str)]| place.run_with(more, "check --only x.*").expect(2).says("there is no check x.*");
    program(&place, "petspark-cli-clinic", "echo hello");
    none(&[]);
    none(&[("PETSPARK__PLUGINS__ALLOW", "other=sha256:00")]);
    program(&place, "petspark-cli-clinic", "echo '{\"api\":1,\"about\":\"Clinic\"}'");
    none(&[]);
    // Also when it can't say so again.
    mode(&place.path().join("bin/petspark-cli-clinic"), 0o777);
    none(&[]);
    mode(&place.path().join("bin/petspark-cli-clinic"), 0o755);
    program(&place, "petspark-cli-clinic", "exec /bin/sleep 60");
    none(&[]);
}
