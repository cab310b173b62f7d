//! What people and scripts see, word by word. After a change that is meant, run the tests once
//! with `PETSPARK_UPDATE_GOLDEN=1`, and look at the difference before it lands.
#![cfg_attr(not(feature = "serve"), allow(dead_code, reason = "the files are those of the whole program"))]

use std::fmt::Write as _;

use crate::support::{Place, Ran};

pub(crate) fn updating() -> bool {
    #[allow(clippy::disallowed_methods, reason = "a switch of the tests")]
    std::env::var_os("PETSPARK_UPDATE_GOLDEN").is_some()
}

#[track_caller]
fn check(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if updating() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "{path} differs; see the top of golden.rs");
}

/// A command and all it did, as a terminal would have it.
fn transcript(into: &mut String, line: &str, ran: &Ran) {
    write!(into, "$ petspark-cli {line}\n{}", ran.stdout).unwrap();
    for line in ran.stderr.lines() {
        writeln!(into, "[stderr] {line}").unwrap();
    }
    write!(into, "[exit {}]\n\n", ran.code).unwrap();
}

#[cfg(feature = "serve")]
#[test]
fn the_help_of_every_command() {
    let mut text = String::new();
    help_of(&Place::sqlite(), "", &mut text);
    check("help.txt", &text);
}

/// Finds the sub-commands by the help itself.
fn help_of(place: &Place, command: &str, text: &mut String) {
    let line = format!("{command} --help").trim().to_owned();
    let ran = place.ok(&line);
    transcript(text, &line, &ran);
    let commands =
        ran.stdout.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        help_of(place, format!("{command} {name}").trim(), text);
    }
}

#[cfg(feature = "serve")]
#[test]
fn the_settings() {
    let place = Place::sqlite();
    let mut text = String::new();
    for line in ["config show", "config check", "config check --json"] {
        let ran = place.ok(line);
        transcript(&mut text, line, &ran);
    }
    // How many depends on the machine.
    let cores = |line: &&str| !line.starts_with("auth.hash_concurrency") && !line.starts_with("database.max_conn");
    check("config.txt", &text.lines().filter(cores).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn what_commands_print() {
    let place = Place::sqlite();
    let mut text = String::new();
    for line in [
        "version",
        "version --json",
        "migrate status",
        "migrate run --dry-run",
        "user list",
        "migrate run",
        "migrate status",
        "migrate status --json",
        "migrate run",
        "migrate run --json",
        "migrate verify",
        "migrate verify --json",
        "migrate baseline",
        "migrate unlock",
        "migrate unlock --json",
        "check",
        "check --list --json",
        "check --only db.connect --json",
        "user create ada@example.org --generate --name Ada --role admin",
        "user create bob@example.org --generate --json",
        "user create bob@example.org --generate --if-not-exists",
        "user create bob@example.org --generate --if-not-exists --json",
        "user list",
        "user list --limit 1",
        "user list --json",
        "user list --limit 1 --format jsonl",
        "user show ada@example.org",
        "user show ada@example.org --json",
        "user list --unverified --created-after 2100-01-01",
        "user set-role bob@example.org moderator --dry-run",
        "user set-role bob@example.org moderator",
        "user set-role bob@example.org moderator",
        "user suspend bob@example.org --reason spam --until 7d",
        "user unsuspend bob@example.org",
        "user ban bob@example.org --reason spam --dry-run --json",
        "user logout bob@example.org --yes",
        "user set-role ada@example.org user --force --json",
        "apikey create billing --scope users:read,pets:read",
        "apikey list",
        "apikey rotate billing --overlap 1h",
        "apikey revoke billing --dry-run",
        "apikey revoke billing --yes",
        "user delete bob@example.org --grace 7d --dry-run",
        "user delete bob@example.org --grace 7d --yes",
        "user restore bob@example.org",
        "user delete bob@example.org --hard --confirm bob@example.org --json",
        "auth stats",
        "auth stats --json",
        "auth gc --dry-run",
        "auth gc --json",
        "admin bootstrap --email root@example.org",
        "admin bootstrap --email root@example.org --json",
        "seed --users 3 --pets 5 --dry-run",
        "seed --users 3 --pets 5 --yes",
        "seed --users 3 --pets 5 --yes --json",
        "pet list --limit 2",
        "pet list --species dog --near -33.9,151.2 --json",
        "pet purge --dry-run",
        "pet export --as csv -o pets.csv --json",
        "pet import pets.csv",
        "backup list",
        "backup check",
        "backup prune --dry-run",
        "billing status",
        "billing status --json",
        "billing grant ada@example.org --plan pro --reason prize --dry-run",
        "billing grant ada@example.org --plan pro --reason prize",
        "billing events",
        "billing replay --all-dead",
        "plugin list",
        "plugin list --json",
    ] {
        let ran = place.run(line);
        transcript(&mut text, line, &ran);
    }
    check("output.txt", &redacted(&text));
}

#[test]
fn what_is_said_of_mistakes() {
    let place = Place::sqlite();
    place.user("ada@example.org", "--role admin");
    let mut text = String::new();
    for line in [
        "nonsense",
        "usr",
        "user lst",
        "user create",
        "user create ada@example.org",
        "user create ada@example.org --generate",
        "user create ada --generate --name",
        "user create ada --generate",
        "user show nobody@example.org",
        "user set-role ada@example.org user",
        "user set-role ada@example.org king",
        "billing",
        "billing sync",
        "billing grant ada@example.org --plan platinum --reason prize",
        "billing revoke-grant nonsense --reason over --yes",
        "billing replay evt_nothing",
        "billing refund pi_nothing --reason broken",
        "user list --limit 1000",
        "user delete nobody@example.org",
        "user delete ada@example.org",
        "user delete ada@example.org --hard --force",
        "user restore nobody@example.org",
        "user import nowhere.jsonl",
        "pet show nonsense",
        "pet hide 01980000-0000-7000-8000-000000000000",
        "pet ban 01980000-0000-7000-8000-000000000000",
        "pet list --species dragon",
        "pet list --near 91,0",
        "pet list --radius 5",
        "pet list --near 0,0 --radius 501",
        "pet list --owner nobody@example.org",
        "pet export --as xml",
        "pet import nowhere.csv",
        "seed",
        "seed --users 0",
        "migrate run --lock-timeout 60",
        "backup",
        "backup show",
        "backup verify 01980000-0000-7000-8000-000000000000",
        "backup restore latest",
        "backup restore latest --to postgres://me:hunter2@db/x",
        "backup check --all latest",
        "backup key generate",
        "migrate run --to 4711",
        "migrate copy",
        "migrate copy --to postgres://me:secret@db/petspark",
        "migrate copy --to sqlite://other.db --yes",
        "migrate copy --from sqlite://nowhere.db --to postgres://db/petspark",
        "check --only nonsense",
        "plugin describe nobody",
        "config show -c nowhere.toml",
        "completions tcsh",
    ] {
        let ran = place.run(line);
        assert_ne!(ran.code, 0, "{ran:#?}");
        transcript(&mut text, line, &ran);
    }
    let wrong = Place::sqlite().with("PETSPARK_ENV", "staging").with("PETSPARK__LOG__FORMT", "json");
    let ran = wrong.run("user list");
    transcript(&mut text, "user list", &ran);
    check("mistakes.txt", &redacted(&text));
}

/// Without what differs from run to run: ids, times, passwords, cursors, builds; and with the
/// same space between columns, whose width depends on them.
fn redacted(text: &str) -> String {
    let line = |line: &str| {
        let content = line.trim_start();
        let indent = &line[..line.len() - content.len()];
        let columns: Vec<_> = content.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        format!("{indent}{}\n", without_build(&redact_words(&columns.join("  "))))
    };
    text.lines().map(line).collect()
}

fn redact_words(line: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let mut result = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len()).max(c.len_utf8());
        let (word, behind) = rest.split_at(end);
        result.push_str(kind_of(word).unwrap_or(word));
        rest = behind;
    }
    result
}

fn kind_of(word: &str) -> Option<&'static str> {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if word.parse::<petspark_core::UserId>().is_ok() {
        Some("<id>")
    } else if word.starts_with("20") && word.contains('T') && word.ends_with('Z') {
        Some("<time>")
    } else if word.strip_suffix("ms").is_some_and(is_number) {
        Some("<took>")
    } else if word.len() == 24 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        Some("<password>")
    } else if word.starts_with("psk_") && word.len() == 68 {
        Some("<api key>")
    } else if word.starts_with("pst_") {
        Some("<token>")
    } else if word.len() > 100 && word.starts_with('A') {
        Some("<cursor>")
    } else {
        None
    }
}

fn without_build(line: &str) -> String {
    for label in ["commit  ", "rust  ", "\"commit\": ", "\"rust\": ", "\"took_ms\": ", "\"duration_ms\": "] {
        if line.starts_with(label) {
            return format!("{label}<redacted>");
        }
    }
    line.to_owned()
}
