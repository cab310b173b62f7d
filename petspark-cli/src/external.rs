//! Commands that are programs of their own: `petspark-cli-NAME` on the search path. Which to
//! trust is decided here; they get no secret from us.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus};

use clap::ArgMatches;
use petspark_core::config::{Environment, Loader, Settings};

use crate::app::is_reserved;
use crate::context::Context;
use crate::exit::Exit;
use crate::plugin::Failure;
use crate::signals::Signals;
use crate::{build_info, os, settings};

/// Longest name of a command.
const MAX_NAME: usize = 32;

/// Whether this can be the name of a command: `^[a-z][a-z0-9-]{0,31}$`.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A program on the search path that would be a command.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Why it must not be run.
    pub(crate) unsafe_because: Option<String>,
}

/// The first program of that name on the search path, if the name isn't ours.
///
/// # Errors
/// [`Exit::NotExecutable`] when it must not be run: then nothing further down the path is run instead.
pub(crate) fn find(app: &str, name: &str, root: &clap::Command) -> Result<Option<Program>, Failure> {
    if !is_name(name) || is_taken(name, root) {
        return Ok(None);
    }
    let program = folders().into_iter().find_map(|folder| program(&folder, format!("{app}-{name}"), name));
    match program {
        Some(Program { path, unsafe_because: Some(reason), .. }) => {
            Err(Failure::new(Exit::NotExecutable, format!("{} is not run: {reason}", path.display())))
        }
        program => Ok(program),
    }
}

/// Every program on the search path that looks like a command, in the order of the path.
pub(crate) fn all(app: &str) -> Vec<Program> {
    let prefix = format!("{app}-");
    let mut programs = Vec::new();
    for folder in folders() {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = files
            .filter_map(|file| file.file_name().to_str()?.strip_prefix(&prefix).map(str::to_owned))
            .filter(|name| is_name(name))
            .collect();
        names.sort();
        programs.extend(names.into_iter().filter_map(|name| program(&folder, format!("{prefix}{name}"), &name)));
    }
    programs
}

/// Adds the commands that would be run: by name to the help, and to what a typo may have meant.
pub(crate) fn declare(root: clap::Command) -> clap::Command {
    let programs = all(root.get_name()).into_iter().filter(|program| program.unsafe_because.is_none());
    let names: BTreeSet<_> = programs.map(|program| program.name).filter(|name| !is_taken(name, &root)).collect();
    if names.is_empty() {
        return root;
    }
    let header = root.get_styles().get_header();
    let list: String = names.iter().map(|name| format!("\n  {name}")).collect();
    let help = format!("{header}External commands:{header:#}{list}");
    // Hidden: clap would give them a description, and we don't ask the programs for theirs.
    root.after_help(help).subcommands(names.into_iter().map(|name| clap::Command::new(name).hide(true)))
}

/// Whether the name belongs to a built-in command, a plug-in, or will one day.
pub(crate) fn is_taken(name: &str, root: &clap::Command) -> bool {
    root.find_subcommand(name).is_some() || is_reserved(name)
}

/// The search path without entries that mean the working folder or depend on it.
fn folders() -> Vec<PathBuf> {
    let path = os::variable("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

fn program(folder: &Path, file: String, name: &str) -> Option<Program> {
    let path = folder.join(file);
    if !path.is_file() {
        return None;
    }
    let unsafe_because = untrusted(&path, folder);
    Some(Program { name: name.to_owned(), path, unsafe_because })
}

/// Why somebody else could have put this program there, or why it can't be run. A link is
/// followed: where it stands and what it leads to are both looked at.
#[cfg(unix)]
fn untrusted(path: &Path, folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) => return Some(error.to_string()),
    };
    let us = rustix::process::geteuid().as_raw();
    for place in [folder, real.parent().unwrap_or(folder), &real] {
        let about = match place.metadata() {
            Ok(about) => about,
            Err(error) => return Some(format!("{}: {error}", place.display())),
        };
        if about.mode() & 0o022 != 0 {
            return Some(format!("{} can be changed by others; chmod go-w", place.display()));
        }
        if about.uid() != 0 && about.uid() != us {
            return Some(format!("{} belongs to another user than root or you", place.display()));
        }
    }
    let executable = real.metadata().is_ok_and(|about| about.mode() & 0o111 != 0);
    (!executable).then(|| "it isn't executable; chmod +x".to_owned())
}

#[cfg(not(unix))]
fn untrusted(_: &Path, _: &Path) -> Option<String> {
    None
}

/// Runs a program with the arguments behind its name, and ends as it ends.
pub(crate) async fn run(cx: &Context, program: &Program, args: &ArgMatches) -> Result<Exit, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(Exit::NotExecutable, format!("can't run {}: {error}", program.path.display()))
    };
    let args = args.get_many::<OsString>("").into_iter().flatten();
    let mut process = Process::new(&program.path);
    process.args(args);
    for name in secrets()? {
        process.env_remove(name);
    }
    process.env("PETSPARK_BIN", std::env::current_exe().map_err(refused)?);
    process.env("PETSPARK_VERSION", build_info::VERSION);
    process.env("PETSPARK_ENV", environment(cx)?.as_str());
    process.env("PETSPARK_FORMAT", cx.format().as_str());
    process.env("PETSPARK_PLUGIN_API", "1");
    if let Some(config) = &cx.options.config {
        process.env("PETSPARK_CONFIG", std::path::absolute(config).map_err(refused)?);
    }

    // From here on Ctrl-C doesn't end us: the terminal sends it to the program as well, and how
    // that ends is how we end.
    let mut signals = Signals::listen().map_err(refused)?;
    let mut child = process.spawn().map_err(refused)?;
    let pid = child.id();
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            status = &mut ended => {
                let status = status.map_err(std::io::Error::other).flatten().map_err(refused)?;
                return Ok(exit_of(status));
            }
            signal = signals.next() => if signal == Exit::Terminated { terminate(pid) },
        }
    }
}

/// What the program will think it runs in: settings are read, but problems with them are its own.
fn environment(cx: &Context) -> Result<Environment, Failure> {
    Ok(Settings::read(&mut Loader::new(cx.sources()?)).environment)
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
    fn a_name_is_short_and_plain() {
        for right in ["a", "hello", "x-1", &"a".repeat(32)] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["", "-a", "1a", "A", "a_b", "a/b", "../a", "ä", &"a".repeat(33)] {
            assert!(!is_name(wrong), "{wrong}");
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
