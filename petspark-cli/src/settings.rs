//! Every setting of the program in one registry - library, server, log - so that commands agree
//! on what is known, and an unknown key is refused by all of them.

use std::path::PathBuf;

use petspark_core::config::{Environment, Loader, Problems, Resolved, Setting, Settings, Sources};

use crate::logging::LogSettings;

/// The settings of the whole program.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The library's.
    pub core: Settings,
    /// The server's.
    #[cfg(feature = "serve")]
    pub http: petspark_http::HttpSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Which programs may be commands.
    pub plugins: PluginSettings,
    /// Each setting with its value as text and where that came from.
    pub resolved: Vec<Resolved>,
}

/// Which programs may be commands.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// Folders that are looked into first.
    pub dirs: Vec<PathBuf>,
    /// Whether the search path is looked into.
    pub path: bool,
    /// Commands that are told secrets: the database's whole address.
    pub trusted: Vec<String>,
    /// If any is named, only these are commands: `NAME=sha256:` and the digest of the program.
    pub allow: Vec<String>,
}

impl PluginSettings {
    /// Declares and reads them.
    #[must_use]
    pub fn read(from: &mut Loader) -> Self {
        let environment = from.environment();
        Self {
            dirs: from.get(Setting {
                key: "plugins.dirs",
                env: None,
                default: Vec::new(),
                about: "Folders with programs petspark-cli-NAME that are commands, before the search path; absolute, separated by commas.",
            }),
            path: from.get(Setting {
                key: "plugins.path",
                env: None,
                default: environment == Environment::Development,
                about: "Whether programs on the search path are commands too; in production they aren't unless this is true.",
            }),
            trusted: from.get(Setting {
                key: "plugins.trusted",
                env: None,
                default: Vec::new(),
                about: "Names of such commands that are given the database's address with its password, in a private file.",
            }),
            allow: from.get(Setting {
                key: "plugins.allow",
                env: None,
                default: Vec::new(),
                about: "If set, only these programs are commands: NAME=sha256:DIGEST of the program, separated by commas.",
            }),
        }
    }

    fn check(&self, problems: &mut Loader) {
        if let Some(dir) = self.dirs.iter().find(|dir| !dir.is_absolute()) {
            problems.problem("plugins.dirs", format!("must be absolute, and {} is not", dir.display()));
        }
        let is_right = |entry: &&String| {
            entry.split_once("=sha256:").is_some_and(|(name, digest)| {
                let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                !name.is_empty() && digest.len() == 64 && digest.chars().all(is_digit)
            })
        };
        if let Some(entry) = self.allow.iter().find(|entry| !is_right(entry)) {
            let problem = format!("must be made of NAME=sha256: and 64 digits of 0-9 and a-f, and {entry} is not");
            problems.problem("plugins.allow", problem);
        }
    }
}

/// Reads all settings from `sources`.
///
/// # Errors
/// Every problem there is, not only the first.
pub fn load(sources: Sources) -> Result<Loaded, Problems> {
    let mut loader = Loader::new(sources);
    let core = Settings::read(&mut loader);
    #[cfg(feature = "serve")]
    let http = petspark_http::HttpSettings::read(&mut loader);
    let log = LogSettings::read(&mut loader, core.environment);
    let plugins = PluginSettings::read(&mut loader);
    plugins.check(&mut loader);
    let resolved = loader.finish()?;
    Ok(Loaded {
        core,
        #[cfg(feature = "serve")]
        http,
        log,
        plugins,
        resolved,
    })
}

/// Every setting at its default.
///
/// # Errors
/// None that a user could cause: the defaults are valid.
pub fn defaults() -> Result<Loaded, Problems> {
    load(Sources::default())
}
