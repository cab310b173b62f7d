//! `pg_dump` and `pg_restore`: found, of a fitting release, and told where to go by their
//! environment, so that no password stands in a list of processes.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr as _;
use std::thread;

use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::program;

/// The two tools, of one release.
#[derive(Clone, Debug)]
pub(crate) struct PostgresTools {
    folder: Option<PathBuf>,
    /// As `pg_dump` says it, for example 15.18.
    pub(crate) version: String,
}

/// What is kept of what a tool said to say why it failed.
const SAID: u64 = 4096;

/// From this release on `pg_restore` sets `transaction_timeout`, which older servers don't know.
const SETS_TRANSACTION_TIMEOUT: u32 = 17;

impl PostgresTools {
    /// Finds the tools that are nearest to the server and not older: in `folder`, or else on the search path and
    /// where systems put them.
    ///
    /// # Errors
    /// For a person: which were found, and what is needed.
    pub(crate) fn for_dump(folder: Option<&Path>, server: &str) -> Result<Self, String> {
        Self::choose(all(folder), major(server).unwrap_or(0), u32::MAX)
    }

    /// The same for restoring: not older than what dumped it, and nothing that the server wouldn't understand.
    ///
    /// # Errors
    /// As [`PostgresTools::for_dump`].
    pub(crate) fn for_restore(folder: Option<&Path>, dumped_by: &str, server: &str) -> Result<Self, String> {
        let server = major(server).unwrap_or(u32::MAX);
        let most = if server >= SETS_TRANSACTION_TIMEOUT { u32::MAX } else { SETS_TRANSACTION_TIMEOUT - 1 };
        Self::choose(all(folder), major(dumped_by).unwrap_or(0), most)
    }

    fn choose(found: Vec<Self>, least: u32, most: u32) -> Result<Self, String> {
        let seen: Vec<_> = found.iter().map(|tools| tools.version.clone()).collect();
        let fits = |tools: &Self| major(&tools.version).is_some_and(|major| (least..=most).contains(&major));
        // Of those that are equally near the first one found.
        found.into_iter().filter(fits).min_by_key(|tools| major(&tools.version)).ok_or_else(|| {
            let seen = if seen.is_empty() { "none was found".to_owned() } else { format!("found: {}", seen.join(", ")) };
            let needed = match most {
                u32::MAX => format!("{least} or later"),
                most if most <= least => least.to_string(),
                most => format!("{least} to {most}"),
            };
            format!(
                "pg_dump and pg_restore of PostgreSQL {needed} are needed ({seen}); install postgresql-client of such a \
                 release, or name its folder by backup.postgres_tools"
            )
        })
    }

    /// A `pg_dump` that writes one schema, as it is in a snapshot, to its standard output.
    pub(crate) fn dump(&self, url: &str, schema: &str, snapshot: &str) -> Result<Running, String> {
        let mut command = self.command("pg_dump", url)?;
        command.args(["--format=custom", "--compress=0", "--no-owner", "--no-acl", "--no-password"]);
        command.args(["--lock-wait-timeout=30s", "--no-sync"]);
        command.arg(format!("--snapshot={snapshot}")).arg(format!("--schema={}", pattern(schema)));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Running::start(command, "pg_dump")
    }

    /// A `pg_restore` that reads from its standard input, and restores into a schema that is there,
    /// all of it or nothing.
    pub(crate) fn restore(&self, url: &str, schema: &str) -> Result<Running, String> {
        let mut command = self.command("pg_restore", url)?;
        command.args(["--format=custom", "--exit-on-error", "--single-transaction", "--no-owner", "--no-acl"]);
        let database = PgConnectOptions::from_str(url).map_err(|_| UNREADABLE.to_owned())?;
        command.arg("--no-password").arg(format!("--schema={schema}"));
        command.arg(format!("--dbname={}", database.get_database().unwrap_or_else(|| database.get_username())));
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Running::start(command, "pg_restore")
    }

    fn command(&self, tool: &str, url: &str) -> Result<Command, String> {
        let path = self.folder.as_ref().map_or_else(|| PathBuf::from(tool), |folder| folder.join(tool));
        let mut command = program::command(path, &[]);
        for name in ["PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGHOSTADDR", "PGTARGETSESSIONATTRS"] {
            command.env_remove(name);
        }
        // In English, whatever the operator speaks: see `ToolFailed`.
        command.env("LC_ALL", "C").envs(environment(url)?).stderr(Stdio::piped());
        Ok(command)
    }
}

const UNREADABLE: &str = "the address of the database can't be understood";

/// What libpq reads instead of an address.
fn environment(url: &str) -> Result<Vec<(&'static str, OsString)>, String> {
    let options = PgConnectOptions::from_str(url).map_err(|_| UNREADABLE.to_owned())?;
    let parsed = Url::parse(url).map_err(|_| UNREADABLE.to_owned())?;
    let host = options.get_socket().map_or_else(|| options.get_host().into(), |socket| socket.clone().into_os_string());
    let ssl_mode = match options.get_ssl_mode() {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    };
    let mut environment = vec![
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string().into()),
        ("PGUSER", options.get_username().into()),
        ("PGDATABASE", options.get_database().unwrap_or_else(|| options.get_username()).into()),
        ("PGSSLMODE", ssl_mode.into()),
        ("PGAPPNAME", "petspark-backup".into()),
    ];
    let query = |name: &str| parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let password = parsed.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    for (name, value) in [
        ("PGPASSWORD", password.or_else(|| query("password"))),
        ("PGSSLROOTCERT", query("sslrootcert").or_else(|| query("ssl-ca"))),
        ("PGSSLCERT", query("sslcert")),
        ("PGSSLKEY", query("sslkey")),
    ] {
        environment.extend(value.map(|value| (name, value.into())));
    }
    Ok(environment)
}

/// The same address with another database.
pub(crate) fn with_database(url: &str, database: &str) -> Result<String, String> {
    let mut parsed = Url::parse(url).map_err(|_| UNREADABLE.to_owned())?;
    let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().filter(|(name, _)| name != "dbname").collect();
    parsed.set_path(database);
    if pairs.is_empty() {
        parsed.set_query(None);
    } else {
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    // In a query a plus is a space to the one, and a plus to the other.
    Ok(parsed.to_string().replace('+', "%20"))
}

/// The same address with this schema, unless it is the default.
pub(crate) fn with_schema(url: &str, schema: &str) -> Result<String, String> {
    let mut parsed = Url::parse(url).map_err(|_| UNREADABLE.to_owned())?;
    let is_said =
        parsed.query_pairs().any(|(name, value)| name.starts_with("options") && value.contains("search_path"));
    if schema != "public" && !is_said {
        parsed.query_pairs_mut().append_pair("options", &format!("-csearch_path={schema}"));
    }
    Ok(parsed.to_string().replace('+', "%20"))
}

/// A tool at work. One that nobody waits for is ended.
pub(crate) struct Running {
    child: Child,
    name: &'static str,
    said: Option<thread::JoinHandle<String>>,
}

impl Running {
    fn start(mut command: Command, name: &'static str) -> Result<Self, String> {
        let mut child = command.spawn().map_err(|error| format!("can't start {name}: {error}"))?;
        let said = child.stderr.take().map(|from| thread::spawn(move || read_some(from)));
        Ok(Self { child, name, said })
    }

    /// What it writes.
    pub(crate) fn output(&mut self) -> Result<ChildStdout, String> {
        self.child.stdout.take().ok_or_else(|| format!("{} can't be read", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What it said, if it failed.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.name))?;
        let said = self.said.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() { Ok(()) } else { Err(format!("{} failed: {}", self.name, said.trim())) }
    }

    /// Feeds it on its standard input, and waits for its end.
    ///
    /// # Errors
    /// What it said, if it failed; or why there was no more to feed.
    pub(crate) fn feed(mut self, from: &mut impl Read) -> Result<(), ToolFailed> {
        let Some(mut into) = self.child.stdin.take() else {
            return Err(ToolFailed::Surroundings(format!("{} can't be fed", self.name)));
        };
        match std::io::copy(from, &mut into).and_then(|_| into.flush()) {
            // What it has may look like all there is: it must not end as if it were.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                let _ = self.child.kill();
                Err(ToolFailed::Input(error.to_string()))
            }
            _ => {
                drop(into);
                let status = self.child.wait();
                let was_killed = status.is_ok_and(|status| status.code().is_none());
                self.finish().map_err(|said| ToolFailed::of(said, was_killed))
            }
        }
    }
}

/// Whose fault it is that a tool failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolFailed {
    /// That of what it was fed with.
    Input(String),
    /// The server's, the disk's, the role's: about what it was fed with nothing is known.
    Surroundings(String),
}

/// What tool and server say when they can't go on, whatever it is that they are to restore.
const SURROUNDINGS: [&str; 22] = [
    "No space left on device",
    "could not extend file",
    "could not write to file",
    "Disk quota exceeded",
    "ERROR:  out of memory",
    "out of shared memory",
    "could not connect",
    "connection to server",
    "connection to database",
    "server closed the connection",
    "terminating connection",
    "the database system is",
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "permission denied",
    "must be owner of",
    "lock timeout",
    "SSL SYSCALL error",
    "SSL connection has been closed",
    "canceling statement due to",
    "unrecognized configuration parameter",
];

impl ToolFailed {
    fn of(said: String, was_killed: bool) -> Self {
        if was_killed || SURROUNDINGS.iter().any(|words| said.contains(words)) || is_foreign(&said) {
            Self::Surroundings(said)
        } else {
            Self::Input(said)
        }
    }
}

/// Whether the server complained in another language than English, which only the tool can be told to speak: what
/// it means isn't known then.
fn is_foreign(said: &str) -> bool {
    let any = |words: &[&str]| words.iter().any(|words| said.contains(words));
    any(&["could not execute query", "COPY failed"]) && !any(&["ERROR:", "FATAL:", "PANIC:"])
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_some(mut from: impl Read) -> String {
    let mut said = Vec::new();
    // The rest is read too: a tool that can't say more would wait for ever.
    let _ = (&mut from).take(SAID).read_to_end(&mut said);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

/// One schema of exactly this name.
fn pattern(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
}

fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Those that there are, in the order of their places.
fn all(folder: Option<&Path>) -> Vec<PostgresTools> {
    let found = |folder: Option<PathBuf>| version_of(&folder).map(|version| PostgresTools { folder, version });
    places(folder).into_iter().filter_map(found).collect()
}

/// `None` is the search path.
fn places(folder: Option<&Path>) -> Vec<Option<PathBuf>> {
    if let Some(folder) = folder {
        return vec![Some(folder.to_owned())];
    }
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"] {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(version) = major(name.trim_start_matches("postgresql@")) {
                versions.push((version, entry.path().join("bin")));
            }
        }
    }
    versions.sort_unstable();
    std::iter::once(None).chain(versions.into_iter().map(|(_, folder)| Some(folder))).collect()
}

fn version_of(folder: &Option<PathBuf>) -> Option<String> {
    let path = |tool: &str| folder.as_ref().map_or_else(|| PathBuf::from(tool), |folder| folder.join(tool));
    let version = |tool: &str| {
        let output = program::command(path(tool), &[]).arg("--version").stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    };
    let dump = version("pg_dump")?;
    version("pg_restore").filter(|restore| *restore == dump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_database() {
        for (url, other) in [
            ("postgres://u:p@h:5433/live", "postgres://u:p@h:5433/drill"),
            ("postgres://u@h/live?sslmode=require", "postgres://u@h/drill?sslmode=require"),
            ("postgres://u:p%40q@h/live?dbname=other", "postgres://u:p%40q@h/drill"),
            ("postgres://h?options=-csearch_path%3Dx", "postgres://h/drill?options=-csearch_path%3Dx"),
            ("postgres:///live?host=/run/pg", "postgres:///drill?host=%2Frun%2Fpg"),
        ] {
            assert_eq!(with_database(url, "drill").unwrap(), other);
        }
    }

    #[test]
    fn the_password_goes_by_the_environment() {
        let environment = environment("postgres://me:p%40ss@db:5433/live?sslmode=require").unwrap();
        let get = |name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_str().unwrap());
        assert_eq!(get("PGPASSWORD"), Some("p@ss"));
        assert_eq!((get("PGHOST"), get("PGPORT"), get("PGUSER")), (Some("db"), Some("5433"), Some("me")));
        assert_eq!((get("PGDATABASE"), get("PGSSLMODE")), (Some("live"), Some("require")));
    }

    #[test]
    fn tools_that_are_older_than_the_server_are_refused() {
        let refused = PostgresTools::for_dump(None, "99.1").unwrap_err();
        assert!(refused.contains("PostgreSQL 99 or later"), "{refused}");
    }

    #[test]
    fn the_tools_are_those_nearest_to_the_server_that_it_understands() {
        let found = |versions: &[&str]| {
            let found = |version: &&str| PostgresTools { folder: None, version: (*version).to_owned() };
            versions.iter().map(found).collect::<Vec<_>>()
        };
        let version = |chosen: Result<PostgresTools, String>| chosen.unwrap().version;
        assert_eq!(version(PostgresTools::choose(found(&["18.1", "15.3", "16.2"]), 15, u32::MAX)), "15.3");
        assert_eq!(version(PostgresTools::choose(found(&["18.1"]), 15, u32::MAX)), "18.1");
        assert_eq!(version(PostgresTools::choose(found(&["18.1", "16.2"]), 15, 16)), "16.2");
        let refused = PostgresTools::choose(found(&["18.1", "14.9"]), 15, 16).unwrap_err();
        assert!(refused.contains("PostgreSQL 15 to 16 are needed (found: 18.1, 14.9)"), "{refused}");
        let refused = PostgresTools::choose(found(&[]), 17, 16).unwrap_err();
        assert!(refused.contains("PostgreSQL 17 are needed (none was found)"), "{refused}");
    }
}
