//! Commands that are programs of their own: `petspark-cli-NAME` in a folder that the settings
//! name, or on the search path. Which there are, and which to trust, is decided here.

mod checks;
mod connection;
mod describe;
mod remembered;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use petspark_core::audit::fingerprint;
use petspark_core::config::Loader;

pub(crate) use checks::{Checker, check, checkers};
pub(crate) use describe::ask_one;
use describe::{Answer, Description, describe};
pub(crate) use run::{args_of, run};

use crate::app::is_reserved;
use crate::context::Context;
use crate::exit::Exit;
use crate::os;
use crate::plugin::Failure;
use crate::settings::PluginSettings;

/// Longest name of a command.
const MAX_NAME: usize = 32;

/// Whether this can be the name of a command: `^[a-z][a-z0-9-]{0,31}$`.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Where programs are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `plugins.dirs`.
    Configured,
    SearchPath,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured folder",
            Self::SearchPath => "search path",
        }
    }
}

/// A program that would be a command.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) source: Source,
    /// Why it must not be run.
    pub(crate) unsafe_because: Option<String>,
    /// Whether `plugins.allow` names others and not it: nobody expects anything of it.
    excluded: bool,
}

/// The first program of that name, if the name isn't ours.
///
/// # Errors
/// [`Exit::NotExecutable`] when it must not be run: then nothing further down is run instead.
pub(crate) fn find(cx: &Context, name: &str) -> Result<Option<Program>, Failure> {
    if !is_name(name) || is_taken(name, &cx.root) {
        return Ok(None);
    }
    let file = format!("{}-{name}", cx.root.get_name());
    let settings = settings(cx);
    let mut folders = folders(&settings).into_iter();
    let program = folders.find_map(|(source, folder)| program(&settings, source, &folder, file.clone(), name));
    match program {
        Some(Program { path, unsafe_because: Some(reason), .. }) => {
            Err(Failure::new(Exit::NotExecutable, format!("{} is not run: {reason}", path.display())))
        }
        program => Ok(program),
    }
}

/// Every program that looks like a command, in the order in which they are looked for.
pub(crate) fn all(cx: &Context) -> Vec<Program> {
    let prefix = format!("{}-", cx.root.get_name());
    let mut programs = Vec::new();
    let settings = settings(cx);
    for (source, folder) in folders(&settings) {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = files
            .filter_map(|file| file.file_name().to_str()?.strip_prefix(&prefix).map(str::to_owned))
            .filter(|name| is_name(name))
            .collect();
        names.sort();
        let found = |name: String| program(&settings, source, &folder, format!("{prefix}{name}"), &name);
        programs.extend(names.into_iter().filter_map(found));
    }
    programs
}

/// Adds the commands that would be run: to the help with what they say of themselves, and to what
/// a typo may have meant.
pub(crate) fn declare(cx: &Context) -> clap::Command {
    let root = cx.root.clone();
    let mut programs = BTreeMap::new();
    for program in all(cx).into_iter().filter(|program| !is_taken(&program.name, &root)) {
        programs.entry(program.name.clone()).or_insert(program);
    }
    programs.retain(|_, program| program.unsafe_because.is_none());
    if programs.is_empty() {
        return root;
    }
    let header = root.get_styles().get_header();
    let paths: Vec<_> = programs.values().map(|program| &*program.path).collect();
    let answers = describe(root.get_name(), &paths, describe::LIMIT);
    let width = programs.keys().map(String::len).max().unwrap_or(0);
    let line = |(name, answer): (&String, Answer)| {
        let about = answer.description().map(|it| it.about).unwrap_or_default();
        format!("\n  {}", format!("{name:width$}  {about}").trim_end())
    };
    let list: String = programs.keys().zip(answers).map(line).collect();
    let help = format!("{header}External commands:{header:#}{list}");
    // Hidden: they are listed by themselves.
    root.after_help(help).subcommands(programs.into_keys().map(|name| clap::Command::new(name).hide(true)))
}

/// Whether the name belongs to a built-in command, also one that was left out, to a plug-in, or
/// will one day.
pub(crate) fn is_taken(name: &str, root: &clap::Command) -> bool {
    let is_built_in = || crate::commands::all().iter().any(|plugin| plugin.command().get_name() == name);
    root.find_subcommand(name).is_some() || is_reserved(name) || is_built_in()
}

/// Where to look; problems with settings are for the program that is found, or for `config check`.
fn settings(cx: &Context) -> PluginSettings {
    match cx.sources() {
        Ok(sources) => PluginSettings::read(&mut Loader::new(sources)),
        Err(_) => PluginSettings { dirs: Vec::new(), path: false, trusted: Vec::new(), allow: Vec::new() },
    }
}

/// Whether there is a search path that programs could be on, and it isn't looked at because we are root.
pub(crate) fn ignores_search_path(cx: &Context) -> bool {
    settings(cx).path && os::is_root() && os::variable("PATH").is_some()
}

/// The configured folders, and the search path without entries that mean the working folder or
/// depend on it. Root runs what somebody put into a configured folder, never what lies on a path.
fn folders(settings: &PluginSettings) -> Vec<(Source, PathBuf)> {
    let configured = settings.dirs.iter().map(|folder| (Source::Configured, folder.clone()));
    let path =
        if settings.path && !os::is_root() { os::variable("PATH").unwrap_or_default() } else { Default::default() };
    let on_path = std::env::split_paths(&path).map(|folder| (Source::SearchPath, folder));
    configured.chain(on_path).filter(|(_, folder)| folder.is_absolute()).collect()
}

fn program(settings: &PluginSettings, source: Source, folder: &Path, file: String, name: &str) -> Option<Program> {
    let path = folder.join(file);
    if !path.is_file() {
        return None;
    }
    let allowed = allowed(settings, name);
    let unsafe_because = untrusted(&path, folder).or_else(|| not_allowed(settings, &path, allowed));
    let excluded = !settings.allow.is_empty() && allowed.is_none();
    Some(Program { name: name.to_owned(), path, source, unsafe_because, excluded })
}

/// The digest that the settings allow a program of this name.
fn allowed<'a>(settings: &'a PluginSettings, name: &str) -> Option<&'a str> {
    settings.allow.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
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

/// Why it isn't one of those that the settings allow, if they name any.
fn not_allowed(settings: &PluginSettings, path: &Path, allowed: Option<&str>) -> Option<String> {
    if settings.allow.is_empty() {
        return None;
    }
    let Some(allowed) = allowed else {
        return Some("plugins.allow doesn't name it".to_owned());
    };
    match std::fs::read(path) {
        Ok(bytes) if allowed == format!("sha256:{}", fingerprint(&bytes)) => None,
        Ok(_) => Some("it has another SHA-256 than plugins.allow says".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(not(unix))]
fn untrusted(_: &Path, _: &Path) -> Option<String> {
    None
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
}
