//! Running an external command: what it is told, and how it ends. Secrets never go through its
//! arguments. One that is trusted has our environment and, in a private file, the database's whole
//! address; any other has neither secrets nor passwords.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::time::Duration;

use clap::ArgMatches;
use petspark_core::audit::record_program;
use petspark_core::config::DatabaseUrl;
use petspark_core::database::Database;
use petspark_core::{Clock, chain};
use tokio::task::JoinHandle;

use super::Program;
use super::connection::{PrivateFile, connection, secrets};
use crate::build_info;
use crate::context::Context;
use crate::exit::Exit;
use crate::plugin::Failure;
use crate::signals::Signals;

/// The arguments behind a program's name.
pub(crate) fn args_of(args: &ArgMatches) -> Vec<OsString> {
    args.get_many::<OsString>("").into_iter().flatten().cloned().collect()
}

/// A program that is told what it may know; the file is there as long as this is.
fn prepared(cx: &Context, program: &Program) -> Result<(Process, PrivateFile), Failure> {
    let refused = |error| program.refused(&error);
    let mut process = program.process();
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

/// Longest text that is taken from a program.
const MOST: usize = 1 << 20;
/// How often it is looked whether a program that has said all has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What a program told that only looks at something.
pub(super) struct Told {
    /// What it wrote to standard output.
    pub(super) text: String,
    pub(super) status: ExitStatus,
}

/// A program that is ended when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is neither there to be killed nor waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that only looks at something, until it has ended and nobody can write to its standard output.
///
/// # Errors
/// For a person: it can't be run, says too much, or doesn't end in time.
pub(super) async fn capture(cx: &Context, program: &Program, args: &[&str], limit: Duration) -> Result<Told, String> {
    let (mut process, _file) = prepared(cx, program).map_err(|failure| failure.message().to_owned())?;
    process.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = program.start(&mut process).map_err(|failure| failure.message().to_owned())?;
    let mut running = Running(started);
    let stdout = running.0.stdout.take();
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        // What can't be read any more ends it.
        let _ = stdout.map(|stdout| stdout.take(MOST as u64 + 1).read_to_end(&mut text));
        text
    });
    let ended = async {
        let text = read.await.map_err(|error| error.to_string())?;
        if text.len() > MOST {
            return Err(format!("it writes more than {} MiB", MOST >> 20));
        }
        loop {
            match running.0.try_wait().map_err(|error| error.to_string())? {
                Some(status) => return Ok(Told { text: String::from_utf8_lossy(&text).into_owned(), status }),
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    match tokio::time::timeout(limit, ended).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

/// How long a program has to end once its time is up, and again when it was killed.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a program with these arguments, and ends as it ends.
///
/// # Errors
/// That it can't be run; [`Context::late`] when its time is up, however it then ends, and whoever it leaves
/// behind.
pub(crate) async fn run(cx: &Context, program: &Program, args: &[OsString]) -> Result<Exit, Failure> {
    let refused = |error| program.refused(&error);
    let (mut process, _file) = prepared(cx, program)?;
    process.args(args);
    tokio::select! {
        () = record(cx, program) => {}
        () = cx.timed_out() => return Err(cx.late()),
    }

    // From here on Ctrl-C doesn't end us: the terminal sends it to the program as well, and how
    // that ends is how we end.
    let mut signals = Signals::listen().map_err(refused)?;
    let mut child = program.start(&mut process)?;
    let pid = child.id();
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    let mut limit = std::pin::pin!(cx.timed_out());
    loop {
        tokio::select! {
            biased;
            status = &mut ended => {
                let status = status.map_err(std::io::Error::other).flatten().map_err(refused)?;
                return Ok(exit_of(status));
            }
            () = &mut limit => {
                stop(pid, &mut ended).await;
                return Err(cx.late());
            }
            signal = signals.next() => if signal == Exit::Terminated { terminate(pid) },
        }
    }
}

/// Asks a program to end, and ends it if it doesn't.
async fn stop(pid: u32, ended: &mut JoinHandle<std::io::Result<ExitStatus>>) {
    let ways: [fn(u32); 2] = [terminate, kill];
    for end in ways {
        end(pid);
        if tokio::time::timeout(GRACE, &mut *ended).await.is_ok() {
            return;
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

#[cfg(unix)]
fn terminate(pid: u32) {
    send(pid, rustix::process::Signal::TERM);
}

#[cfg(unix)]
fn kill(pid: u32) {
    send(pid, rustix::process::Signal::KILL);
}

#[cfg(unix)]
fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended this very moment, and then there is nothing to do.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
fn terminate(_: u32) {}

#[cfg(not(unix))]
fn kill(_: u32) {}

/// Its own code; 128 and the signal's number if it was killed, as shells have it.
fn exit_of(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Other(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(Exit::Failed, Exit::Other)
}
