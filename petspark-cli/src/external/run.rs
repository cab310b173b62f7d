//! Running an external command: what it is told, and how it ends. Secrets never go through its
//! arguments. One that is trusted has our environment and, in a private file, the database's whole
//! address; any other has neither secrets nor passwords.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus, Stdio};
use std::time::Duration;

use clap::ArgMatches;
use petspark_core::audit::record_program;
use petspark_core::config::{DatabaseUrl, Loader, Resolved, Settings};
use petspark_core::database::Database;
use petspark_core::{Clock, JobId, chain};
use serde::Serialize;

use super::Program;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::plugin::Failure;
use crate::settings::PluginSettings;
use crate::signals::Signals;
use crate::{build_info, settings};

/// The arguments behind a program's name.
pub(crate) fn args_of(args: &ArgMatches) -> Vec<OsString> {
    args.get_many::<OsString>("").into_iter().flatten().cloned().collect()
}

/// A program that is told what it may know; the file is there as long as this is.
fn prepared(cx: &Context, program: &Program) -> Result<(Process, PrivateFile), Failure> {
    let refused = |error| refused(program, &error);
    let mut process = Process::new(&program.path);
    let connection = connection(cx, &program.name)?;
    if !connection.trusted {
        for name in secrets()? {
            process.env_remove(name);
        }
        // Or else a call back would go to the embedded default: to the wrong database.
        process.env("DATABASE_URL", &connection.database_url);
    }
    let file = PrivateFile::write(&connection).map_err(refused)?;
    process.env("PETSPARK_BIN", std::env::current_exe().map_err(refused)?);
    process.env("PETSPARK_VERSION", build_info::VERSION);
    process.env("PETSPARK_ENV", cx.environment().as_str());
    process.env("PETSPARK_FORMAT", cx.format().as_str());
    process.env("PETSPARK_COLOR", cx.options.color.to_string());
    process.env("PETSPARK_NO_INPUT", if cx.options.no_input { "1" } else { "0" });
    process.env("PETSPARK_PLUGIN_API", "1");
    process.env("PETSPARK_CONNECTION_FILE", &file.path);
    if let Some(config) = &cx.options.config {
        process.env("PETSPARK_CONFIG", std::path::absolute(config).map_err(refused)?);
    }
    Ok((process, file))
}

fn refused(program: &Program, error: &std::io::Error) -> Failure {
    Failure::new(Exit::NotExecutable, format!("can't run {}: {error}", program.path.display()))
}

/// Longest text that is taken from a program.
const MOST: u64 = 1 << 20;

/// Runs a program that only looks at something, and gives what it writes to standard output.
///
/// # Errors
/// For a person: it can't be run, or doesn't end in time.
pub(super) async fn capture(cx: &Context, program: &Program, args: &[&str], limit: Duration) -> Result<String, String> {
    let (mut process, _file) = prepared(cx, program).map_err(|failure| failure.message().to_owned())?;
    process.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process.spawn().map_err(|error| refused(program, &error).message().to_owned())?;
    let stdout = child.stdout.take();
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        // What can't be read any more ends it.
        let _ = stdout.map(|stdout| stdout.take(MOST).read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let text = tokio::time::timeout(limit, read).await;
    // It has said what it had to, or is too late.
    let _ = child.kill();
    let _ = child.wait();
    match text {
        Ok(text) => text.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

/// Runs a program with these arguments, and ends as it ends.
pub(crate) async fn run(cx: &Context, program: &Program, args: &[OsString]) -> Result<Exit, Failure> {
    let refused = |error| refused(program, &error);
    let (mut process, _file) = prepared(cx, program)?;
    process.args(args);
    record(cx, program).await;

    // From here on Ctrl-C doesn't end us: the terminal sends it to the program as well, and how
    // that ends is how we end.
    let mut signals = Signals::listen().map_err(refused)?;
    let mut child = process.spawn().map_err(refused)?;
    let pid = child.id();
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    let mut limit = std::pin::pin!(cx.timed_out());
    let mut is_late = false;
    loop {
        tokio::select! {
            () = &mut limit, if !is_late => {
                is_late = true;
                terminate(pid);
            }
            status = &mut ended => {
                let status = status.map_err(std::io::Error::other).flatten().map_err(refused)?;
                return Ok(exit_of(status));
            }
            signal = signals.next() => if signal == Exit::Terminated { terminate(pid) },
        }
    }
}

/// How long a program waits for its row in the audit log.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes down that it is run, where there is a database to write it to. One that is away holds nobody up:
/// the program may be there to mend it.
async fn record(cx: &Context, program: &Program) {
    let Ok(loaded) = cx.settings() else { return };
    let mut settings = loaded.core.database.clone();
    settings.connect_timeout = settings.connect_timeout.min(PATIENCE);
    if matches!(&settings.url, DatabaseUrl::Sqlite(path) if !path.exists()) {
        return;
    }
    let recorded = async {
        let bytes = std::fs::read(&program.path).map_err(|error| error.to_string())?;
        let database = Database::open(&settings).await.map_err(|error| chain(&error))?;
        let now = Clock::system().now();
        let recorded = record_program(&database, now, &cx.caller(), &program.name, &bytes).await;
        database.close().await;
        recorded.map_err(|error| chain(&error))
    };
    let recorded = tokio::time::timeout(PATIENCE, recorded).await;
    if let Err(reason) = recorded.unwrap_or_else(|_| Err("the database doesn't answer".to_owned())) {
        tracing::warn!(command = program.name, reason, "the audit log doesn't have that this is run");
    }
}

/// What the file holds. Adding fields is compatible.
#[derive(Serialize)]
struct Connection {
    schema: &'static str,
    environment: &'static str,
    data_dir: PathBuf,
    engine: &'static str,
    /// Without a password unless the command is trusted.
    database_url: String,
    trusted: bool,
    format: &'static str,
    /// By key; secrets are redacted.
    settings: std::collections::BTreeMap<&'static str, String>,
}

/// Settings are read, but problems with them are the program's own.
fn connection(cx: &Context, name: &str) -> Result<Connection, Failure> {
    let mut loader = Loader::new(cx.sources()?);
    let settings = Settings::read(&mut loader);
    let trusted = PluginSettings::read(&mut loader).trusted.iter().any(|trusted| trusted == name);
    let (engine, database_url) = match &settings.database.url {
        DatabaseUrl::Postgres(url) if trusted => ("postgres", url.expose().to_owned()),
        DatabaseUrl::Postgres(url) => ("postgres", without_password(url.expose())),
        // As seen from any folder.
        DatabaseUrl::Sqlite(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            ("sqlite", format!("sqlite://{}", path.display()))
        }
    };
    let shown = |setting: Resolved| Some((setting.key, setting.value?));
    let resolved = settings::load(cx.sources()?).map(|loaded| loaded.resolved).unwrap_or_default();
    Ok(Connection {
        schema: "petspark.plugin.connection/v1",
        environment: settings.environment.as_str(),
        data_dir: std::path::absolute(&settings.data_dir).unwrap_or(settings.data_dir),
        engine,
        database_url,
        trusted,
        format: match cx.format() {
            Format::Table => "table",
            other => other.as_str(),
        },
        settings: resolved.into_iter().filter_map(shown).collect(),
    })
}

/// `postgres://user:password@host/name?password=x` without what is secret in it.
fn without_password(url: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let place = match rest.rsplit_once('@') {
        Some((user, place)) => format!("{}@{place}", user.split(':').next().unwrap_or_default()),
        None => rest.to_owned(),
    };
    let is_open = |option: &&str| !option.is_empty() && !option.to_ascii_lowercase().starts_with("password");
    let options: Vec<_> = options.split('&').filter(is_open).collect();
    let separator = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{place}{separator}{}", options.join("&"))
}

/// A file that nobody else can read, and that is gone when this is dropped.
struct PrivateFile {
    path: PathBuf,
}

impl PrivateFile {
    fn write(connection: &Connection) -> std::io::Result<Self> {
        // A name that nobody knows before; and if somebody did, it would not be opened.
        let path = std::env::temp_dir().join(format!("petspark-{}.json", JobId::new()));
        let text = serde_json::to_vec(connection)?;
        let mut options = OpenOptions::new();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file: File = options.open(&path)?;
        let written = Self { path };
        file.write_all(&text)?;
        Ok(written)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // The program may have removed it itself.
    let _ = std::fs::remove_file(path);
}

/// The names of all environment variables that hold a secret or say where one is.
fn secrets() -> Result<Vec<String>, Failure> {
    let declared = settings::defaults()?.resolved;
    let names = declared.iter().filter(|setting| setting.secret).flat_map(|setting| {
        let long = format!("PETSPARK__{}", setting.key.replace('.', "__").to_uppercase());
        setting.env.map(str::to_owned).into_iter().chain([long])
    });
    Ok(names.flat_map(|name| [format!("{name}_FILE"), name]).collect())
}

#[cfg(unix)]
fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended this very moment, and then there is nothing to do.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_: u32) {}

/// Its own code; 128 and the signal's number if it was killed, as shells have it.
fn exit_of(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Other(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(Exit::Failed, Exit::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_password() {
        for (url, told) in [
            ("postgres://me:hunter2@db:5432/petspark", "postgres://me@db:5432/petspark"),
            ("postgres://me:hun@ter2@db/petspark?sslmode=require", "postgres://me@db/petspark?sslmode=require"),
            ("postgresql://db/petspark?password=hunter2", "postgresql://db/petspark"),
            ("postgres:///petspark?host=/run&user=me&password=x", "postgres:///petspark?host=/run&user=me"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }

    #[test]
    fn every_secret_is_kept_from_external_commands() {
        let names = secrets().unwrap();
        for name in [
            "DATABASE_URL",
            "JWT_SECRET",
            "JWT_SECRET_FILE",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "STRIPE_SECRET_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "SMTP_URL",
            "SMTP_URL_FILE",
            "PETSPARK__AUTH__JWT_SECRET",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
