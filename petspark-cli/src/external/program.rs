//! A program that would be a command: where it was found, whether it may be run, and how it is started, which is not
//! before it was looked at once more.

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};

use super::trust::{self, Allowed};
use crate::exit::Exit;
use crate::plugin::Failure;
use crate::settings::PluginSettings;

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

/// See the [module](self).
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) source: Source,
    /// What is run for it, behind all links, or why nothing is.
    real: Result<PathBuf, String>,
    allowed: Allowed,
}

impl Program {
    /// The file of that name in a folder, if there is one.
    pub(super) fn find(
        settings: &PluginSettings,
        source: Source,
        folder: &Path,
        file: String,
        name: &str,
    ) -> Option<Self> {
        let path = folder.join(file);
        if !path.is_file() {
            return None;
        }
        let digest = |entry: &String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        let allowed = match settings.allow.iter().find_map(digest) {
            Some(digest) => Allowed::As(digest),
            None if settings.allow.is_empty() => Allowed::Any,
            None => Allowed::Others,
        };
        let real = trust::look(&path, &allowed);
        Some(Self { name: name.to_owned(), path, source, real, allowed })
    }

    /// Why it must not be run.
    pub(crate) fn unsafe_because(&self) -> Option<&str> {
        self.real.as_ref().err().map(String::as_str)
    }

    /// Whether `plugins.allow` names others and not it: nobody expects anything of it.
    pub(super) fn is_excluded(&self) -> bool {
        matches!(self.allowed, Allowed::Others)
    }

    /// What is to be started: the program itself, which is told by which name it was found.
    pub(super) fn process(&self) -> Process {
        let mut process = Process::new(self.real.as_ref().unwrap_or(&self.path));
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut process, &self.path);
        process
    }

    /// Starts it, if it is still what it was when it was found.
    pub(super) fn start(&self, process: &mut Process) -> Result<Child, Failure> {
        let real = trust::look(&self.path, &self.allowed).map_err(|reason| self.not_run(&reason))?;
        if self.real.as_ref() != Ok(&real) {
            return Err(self.not_run("it is another file than a moment ago"));
        }
        process.spawn().map_err(|error| self.refused(&error))
    }

    /// It must not be run.
    pub(super) fn not_run(&self, reason: &str) -> Failure {
        Failure::new(Exit::NotExecutable, format!("{} is not run: {reason}", self.path.display()))
    }

    /// It can't be run.
    pub(super) fn refused(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::NotExecutable, format!("can't run {}: {error}", self.path.display()))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use petspark_core::audit::fingerprint;

    use super::*;

    const SCRIPT: &str = "#!/bin/sh\nexit 77\n";

    fn script(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(program: &Program) -> Result<i32, String> {
        let started = program.start(&mut program.process());
        started.map_err(|failure| failure.message().to_owned()).map(|mut child| child.wait().unwrap().code().unwrap())
    }

    #[test]
    fn what_changed_since_it_was_found_is_not_started() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let find = |allow: Vec<String>| {
            let settings = PluginSettings { dirs: Vec::new(), path: false, trusted: Vec::new(), allow };
            Program::find(&settings, Source::Configured, folder, "hello".to_owned(), "hello").unwrap()
        };
        script(folder, "one", SCRIPT);
        script(folder, "two", SCRIPT);
        symlink("one", folder.join("hello")).unwrap();
        let digest = fingerprint(SCRIPT.as_bytes());
        let (by_place, by_digest) = (find(Vec::new()), find(vec![format!("hello=sha256:{digest}")]));
        assert_eq!((start(&by_place), start(&by_digest)), (Ok(77), Ok(77)));

        script(folder, "one", "#!/bin/sh\nexit 78\n");
        assert!(start(&by_digest).unwrap_err().contains("another SHA-256"));
        assert_eq!(start(&by_place), Ok(78));
        std::fs::remove_file(folder.join("hello")).unwrap();
        symlink("two", folder.join("hello")).unwrap();
        assert!(start(&by_place).unwrap_err().contains("another file than a moment ago"));
        std::fs::set_permissions(folder.join("two"), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(start(&by_place).unwrap_err().contains("can be changed by others"));
    }
}
