//! Every setting of the program in one registry - library, server, log - so that commands agree
//! on what is known, and an unknown key is refused by all of them.

use petspark_core::config::{Loader, Problems, Resolved, Settings, Sources};

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
    /// Each setting with its value as text and where that came from.
    pub resolved: Vec<Resolved>,
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
    let resolved = loader.finish()?;
    Ok(Loaded {
        core,
        #[cfg(feature = "serve")]
        http,
        log,
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
