//! Commands that are programs of their own: `petspark-cli-NAME` in a folder that the settings
//! name, or on the search path. Which there are is decided here, which to trust in `trust`.

mod checks;
mod connection;
mod describe;
mod program;
mod remembered;
mod run;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;

use petspark_core::config::Loader;

pub(crate) use checks::{Checker, check, checkers};
pub(crate) use describe::ask_one;
use describe::{Answer, Description, describe};
pub(crate) use program::{Program, Source};
pub(crate) use run::{args_of, run};

use crate::app::is_reserved;
use crate::context::Context;
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
    let program = folders.find_map(|(source, folder)| Program::find(&settings, source, &folder, file.clone(), name));
    match program.as_ref().and_then(|program| Some(program.not_run(program.unsafe_because()?))) {
        Some(refused) => Err(refused),
        None => Ok(program),
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
        let found = |name: String| Program::find(&settings, source, &folder, format!("{prefix}{name}"), &name);
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
    programs.retain(|_, program| program.unsafe_because().is_none());
    if programs.is_empty() {
        return root;
    }
    let header = root.get_styles().get_header();
    let asked: Vec<_> = programs.values().collect();
    let answers = describe(root.get_name(), &asked, describe::LIMIT);
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

/// Which of the configured folders can't be looked into, and why: their commands and checks are lost.
pub(crate) fn missing_folders(cx: &Context) -> Vec<String> {
    let unread = |folder: PathBuf| {
        let reason = match std::fs::read_dir(&folder) {
            _ if !folder.is_absolute() => "it isn't absolute".to_owned(),
            Ok(_) => return None,
            Err(error) => error.to_string(),
        };
        Some(format!("plugins.dirs names {}, and no command is found there: {reason}", folder.display()))
    };
    settings(cx).dirs.into_iter().filter_map(unread).collect()
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
