//! A place to run the binary in, and what came of it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use petspark_core::Secret;
use petspark_core::config::{DatabaseUrl, Settings};
use tempfile::TempDir;

/// An empty folder, and perhaps an empty PostgreSQL schema, to run commands in.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// With the embedded default.
    pub(crate) fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// With a schema of its own.
    pub(crate) fn postgres() -> Self {
        let url = block_on(petspark_core::testing::new_postgres_schema());
        Self::sqlite().with("DATABASE_URL", &url)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For tests that ask more than one address may.
    pub(crate) fn unlimited(self) -> Self {
        self.with("PETSPARK__RATE_LIMIT__ENABLED", "false")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database_url(&self) -> Option<&str> {
        self.environment.iter().find(|(name, _)| name == "DATABASE_URL").map(|(_, url)| url.as_str())
    }

    /// For tests that do by the library what an operator can't.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::in_folder(self.path().join("petspark-data"));
        if let Some(url) = self.database_url() {
            settings.database.url = DatabaseUrl::Postgres(Secret::new(url));
        }
        settings
    }

    /// Writes a file that others can't change.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, ready to be started here.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_petspark-cli"));
        command.args(args).env_clear().current_dir(self.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a line of words.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line.split_whitespace()).output().unwrap())
    }

    /// The same with more in the environment, instead of what is there by those names.
    pub(crate) fn run_with(&self, more: &[(&str, &str)], line: &str) -> Ran {
        let mut command = self.command(line.split_whitespace());
        Ran::of(command.envs(more.iter().copied()).output().unwrap())
    }

    /// The same with something on standard input.
    pub(crate) fn run_with_input(&self, line: &str, input: &str) -> Ran {
        let mut child = self.start(line, Stdio::piped());
        // It may refuse without reading, and then the pipe is gone.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Starts a line of words, and leaves it running.
    pub(crate) fn start(&self, line: &str, stdin: Stdio) -> Child {
        let mut command = self.command(line.split_whitespace());
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs what must succeed.
    pub(crate) fn ok(&self, line: &str) -> Ran {
        self.run(line).expect(0)
    }

    /// Makes a user.
    pub(crate) fn user(&self, email: &str, options: &str) -> serde_json::Value {
        self.ok(&format!("user create {email} --generate --json {options}")).json()
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: exit_code(output.status),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Checks that this is among what was said to the operator.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The code as a shell has it.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Reads lines until one has this in it, and gives that one.
pub(crate) fn wait_for(lines: &mut impl std::io::BufRead, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let start = seen.len();
        assert!(lines.read_line(&mut seen).unwrap() > 0, "{text:?} never came, but:\n{seen}");
        if seen[start..].contains(text) {
            return seen[start..].to_owned();
        }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Declares tests that run on both engines, each in a place of its own.
macro_rules! on_both {
    ($(fn $name:ident($place:ident) $body:block)+) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn test($place: $crate::support::Place) $body

            #[test]
            fn sqlite() {
                test($crate::support::Place::sqlite());
            }

            #[test]
            fn postgres() {

                test($crate::support::Place::postgres());
            }
        }
    )+ };
}
pub(crate) use on_both;
