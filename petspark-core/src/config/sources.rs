//! What settings are read from: flags, environment, `.env` and a TOML file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::problem::Problems;

/// What settings are read from. Tests and embedders fill it by hand.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Command-line flags by key: these win.
    pub flags: BTreeMap<String, String>,
    /// Environment variables.
    pub environment: HashMap<String, String>,
    /// Names of environment variables whose value is not UTF-8.
    pub unreadable: BTreeSet<String>,
    /// The text of a `.env` file, or why it can't be read; ignored in production.
    pub dotenv: Option<Result<String, String>>,
    /// A TOML file: its path and text.
    pub file: Option<(PathBuf, String)>,
}

impl Sources {
    /// This process's environment, the `.env` in the working folder, and the file that `config`
    /// or else `PETSPARK_CONFIG` names.
    ///
    /// # Errors
    /// [`Problems`] when a file that is there, or named, can't be read.
    pub fn of_process(config: Option<PathBuf>) -> Result<Self, Problems> {
        let mut sources = Self::default();
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let variables = std::env::vars_os();
        for (name, value) in variables {
            // A name that isn't UTF-8 is none of ours.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(sources.environment.insert(name, value)),
                Err(_) => drop(sources.unreadable.insert(name)),
            }
        }
        sources.dotenv = match read_text(Path::new(".env")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => Some(read.map_err(|error| error.to_string())),
        };
        if sources.unreadable.contains("PETSPARK_CONFIG") {
            let origin = Origin::Environment("PETSPARK_CONFIG".to_owned());
            return Err(Problems::one("PETSPARK_CONFIG", origin, "is not valid UTF-8".to_owned()));
        }
        let named = sources.environment.get("PETSPARK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = config.or(named) {
            match read_text(&path) {
                Ok(text) => sources.file = Some((path, text)),
                Err(error) => {
                    return Err(Problems::one(
                        "PETSPARK_CONFIG",
                        Origin::File(path),
                        format!("can't be read: {error}"),
                    ));
                }
            }
        }
        Ok(sources)
    }
}

/// More than any settings, in bytes; a device gives for ever.
const MOST: u64 = 1 << 20;

pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than a megabyte"));
    }
    Ok(text)
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// The `.env` file, by this name.
    DotEnv(String),
    /// The environment, by this name.
    Environment(String),
    /// A file that `NAME_FILE` in the environment points to.
    SecretFile(String, PathBuf),
    /// A command-line flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::DotEnv(name) => write!(f, ".env {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::SecretFile(name, path) => write!(f, "{name} {}", path.display()),
            Self::Flag => f.write_str("flag"),
        }
    }
}
