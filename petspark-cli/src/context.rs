//! What a command is given: the global options, and settings and PetSpark itself, which are
//! opened when first asked for - `completions` needs neither.

use std::sync::OnceLock;

use petspark_core::config::{Problems, Sources};
use petspark_core::{Caller, Migrate, PetSpark};
use tokio::sync::OnceCell;

use crate::exit::Exit;
use crate::options::{Format, Options};
use crate::plugin::Failure;
use crate::settings::{self, Loaded};
use crate::{logging, os};

/// What a command is given to work with.
pub struct Context {
    pub(crate) options: Options,
    pub(crate) root: clap::Command,
    /// Commands of the embedder's own, by name.
    pub(crate) own_commands: Vec<String>,
    settings: OnceLock<Loaded>,
    petspark: OnceCell<PetSpark>,
}

impl Context {
    pub(crate) fn new(options: Options, root: clap::Command, own_commands: Vec<String>) -> Self {
        Self { options, root, own_commands, settings: OnceLock::new(), petspark: OnceCell::new() }
    }

    /// How data will be written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.options.format
    }

    /// The whole command line as clap knows it, plug-ins included.
    #[must_use]
    pub fn command(&self) -> &clap::Command {
        &self.root
    }

    /// Who is asking: whoever started this process.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::operator(os::operator())
    }

    /// The settings, read once. Logging starts here.
    ///
    /// # Errors
    /// [`Exit::Config`] with every problem.
    pub fn settings(&self) -> Result<&Loaded, Failure> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let loaded = settings::load(self.sources()?)?;
        logging::start(&loaded.log, &self.options, false);
        Ok(self.settings.get_or_init(|| loaded))
    }

    /// PetSpark, opened once: an embedded database is made and migrated, a PostgreSQL that
    /// lacks migrations is refused.
    ///
    /// # Errors
    /// As [`Context::settings`], and when the database can't be opened.
    pub async fn petspark(&self) -> Result<&PetSpark, Failure> {
        let settings = self.settings()?;
        let open = || async {
            let petspark =
                PetSpark::open_with(settings.core.clone(), Migrate::EmbeddedOnly, petspark_core::Clock::system());
            Ok::<_, Failure>(petspark.await?)
        };
        self.petspark.get_or_try_init(open).await
    }

    /// Asks for a yes before something that can be mended with some effort. `given` is whether
    /// the command line says it already, by `flag`.
    ///
    /// # Errors
    /// [`Exit::Unconfirmed`] unless somebody says yes.
    pub fn confirm(&self, what: &str, flag: &str, given: bool) -> Result<(), Failure> {
        crate::prompt::confirm(&self.options, what, flag, given)
    }

    /// Asks for a name to be typed before something that can't be mended. `given` is what
    /// `--confirm` says.
    ///
    /// # Errors
    /// [`Exit::Unconfirmed`] unless it is `name`.
    pub fn confirm_by_name(&self, what: &str, name: &str, given: Option<&str>) -> Result<(), Failure> {
        crate::prompt::confirm_by_name(&self.options, what, name, given)
    }

    /// Flags, environment and files, not looked at yet.
    pub(crate) fn sources(&self) -> Result<Sources, Problems> {
        let mut sources = Sources::of_process(self.options.config.clone())?;
        if let Some(environment) = self.options.environment {
            sources.flags.insert("environment".to_owned(), environment.to_string());
        }
        Ok(sources)
    }

    /// Ends what was opened.
    pub(crate) async fn close(&self) {
        if let Some(petspark) = self.petspark.get() {
            petspark.close().await;
        }
    }
}

/// Why nothing was done.
pub(crate) fn unconfirmed(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unconfirmed, format!("{message}; nothing was done"))
}
