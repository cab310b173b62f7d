//! What a command is given: the global options, and settings and PetSpark itself, which are
//! opened when first asked for - `completions` needs neither. Whether a database that isn't there
//! is made, or one that lacks migrations is migrated, is decided here for all commands.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use petspark_core::config::{DatabaseUrl, Environment, Loader, Problems, Settings, Sources, Value as _};
use petspark_core::database::{Database, MigrationError, Run};
use petspark_core::{Caller, Clock, Migrate, PetSpark, StartError};
use tokio::sync::OnceCell;

use crate::exit::Exit;
use crate::options::{Format, Options};
use crate::plugin::{Failure, Plugin};
use crate::settings::{self, Loaded};
use crate::{logging, os};

/// What to do about an embedded database that isn't there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it: the command would be of no use otherwise.
    Make,
    /// Say so. Who looks at something, or only wants to know what would be done, leaves no trace
    /// in what may be the wrong folder.
    Refuse,
}

/// What a command is given to work with.
pub struct Context {
    pub(crate) options: Options,
    pub(crate) root: clap::Command,
    /// Every command, and behind the first so many those of the embedder's own.
    plugins: Vec<Arc<dyn Plugin>>,
    built_in: usize,
    settings: OnceLock<Loaded>,
    petspark: OnceCell<PetSpark>,
    started: Instant,
}

impl Context {
    pub(crate) fn new(options: Options, root: clap::Command, plugins: Vec<Arc<dyn Plugin>>, built_in: usize) -> Self {
        let (settings, petspark) = (OnceLock::new(), OnceCell::new());
        Self { options, root, plugins, built_in, settings, petspark, started: Instant::now() }
    }

    /// Every command there is.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(|plugin| &**plugin)
    }

    /// The commands that aren't built in.
    pub(crate) fn own_plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins[self.built_in..].iter().map(|plugin| &**plugin)
    }

    /// Gives plug-ins a PetSpark that was just opened.
    pub(crate) fn tell_opened(&self, petspark: &PetSpark) {
        self.plugins().for_each(|plugin| plugin.opened(petspark));
    }

    /// Which environment this is, also when other settings are no good.
    pub(crate) fn environment(&self) -> Environment {
        match self.settings.get() {
            Some(settings) => settings.core.environment,
            // What can't be read is looked at as strictly as possible.
            None => self
                .sources()
                .map_or(Environment::Production, |sources| Settings::read(&mut Loader::new(sources)).environment),
        }
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
        let config = self.options.config.as_deref().map(|path| path.display().to_string());
        tracing::debug!(environment = %loaded.core.environment, config, "settings read");
        Ok(self.settings.get_or_init(|| loaded))
    }

    /// PetSpark, opened once, over a database that is there and up to date. Nothing is made and
    /// nothing migrated: see [`Context::petspark_or_new`] for that.
    ///
    /// # Errors
    /// As [`Context::settings`]; [`Exit::NotFound`] when there is no database, [`Exit::Conflict`]
    /// when it lacks migrations; and when it can't be opened.
    pub async fn petspark(&self) -> Result<&PetSpark, Failure> {
        self.petspark.get_or_try_init(|| self.open(Missing::Refuse)).await
    }

    /// The same for a command that writes the first data there is: in development, an embedded database that isn't
    /// there, or that nobody has an account in, is made ready. Any other that lacks migrations is refused here, too,
    /// and so is a PostgreSQL.
    ///
    /// # Errors
    /// As [`Context::petspark`], but for a missing database.
    pub async fn petspark_or_new(&self) -> Result<&PetSpark, Failure> {
        // In production it would be made in the wrong folder sooner than in a new one.
        let is_production = self.settings()?.core.environment == Environment::Production;
        let missing = if is_production { Missing::Refuse } else { Missing::Make };
        self.petspark.get_or_try_init(|| self.open(missing)).await
    }

    async fn open(&self, missing: Missing) -> Result<PetSpark, Failure> {
        let settings = &self.settings()?.core;
        let embedded = matches!(settings.database.url, DatabaseUrl::Sqlite(_));
        let mut migrate = Migrate::EmbeddedOnly;
        let is_there = matches!(&settings.database.url, DatabaseUrl::Sqlite(path) if path.try_exists().unwrap_or(true));
        if embedded && (missing == Missing::Refuse || is_there) {
            // Before anything else is opened, because that would make a signing key.
            let database = self.database(missing).await?;
            let lacking = match missing {
                Missing::Refuse => database.migrations().require_current().await.map(|()| 0),
                // One that somebody uses is migrated by whoever says so, after a backup; any other is as good as none.
                Missing::Make => {
                    let only_new = Run { only_new: true, ..Run::default() };
                    database.migrations().plan(&only_new).await.map(|steps| steps.len())
                }
            };
            database.close().await;
            if lacking.map_err(|error| self.unmigrated(error))? == 0 {
                migrate = Migrate::Never;
            }
        }
        let opened = PetSpark::open_with(settings.clone(), migrate, Clock::system()).await;
        let petspark = opened.map_err(|error| match error {
            StartError::Migration(error) => self.unmigrated(error),
            error => error.into(),
        })?;
        self.tell_opened(&petspark);
        let database = petspark.database();
        // For `-v`: whoever runs a command at the wrong place sees it here.
        tracing::info!(engine = database.engine_name(), target = database.target(), "database opened");
        Ok(petspark)
    }

    /// The database alone, whichever migrations it has; the caller closes it.
    pub(crate) async fn database(&self, missing: Missing) -> Result<Database, Failure> {
        let settings = &self.settings()?.core.database;
        if let (Missing::Refuse, DatabaseUrl::Sqlite(path)) = (missing, &settings.url) {
            // Other errors than that it isn't there are told better by opening it.
            if let Ok(false) = path.try_exists() {
                let makers = if cfg!(feature = "serve") {
                    "`migrate run` or `serve` makes one"
                } else {
                    "`migrate run` makes one"
                };
                let message = format!("there is no database at {}; {makers}", path.display());
                return Err(Failure::new(Exit::NotFound, message));
            }
        }
        Ok(Database::open(settings).await?)
    }

    /// The library's own message is for the server, and names an option that only `serve` has.
    pub(crate) fn unmigrated(&self, error: MigrationError) -> Failure {
        match error {
            MigrationError::Pending { count } => {
                let (migrations, tool) =
                    (if count == 1 { "migration is" } else { "migrations are" }, self.root.get_name());
                Failure::new(Exit::of(&error), format!("{count} {migrations} pending; run `{tool} migrate run`"))
            }
            error => error.into(),
        }
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

    /// Waits until `--timeout` is over; for ever if there is none.
    pub(crate) async fn timed_out(&self) {
        match self.options.timeout {
            Some(limit) => tokio::time::sleep(limit.saturating_sub(self.started.elapsed())).await,
            None => std::future::pending().await,
        }
    }

    /// What the operator is told then.
    pub(crate) fn late(&self) -> Failure {
        let limit = self.options.timeout.unwrap_or_default().render();
        Failure::new(
            Exit::Unreachable,
            format!("not done within {limit}, and given up: what was begun may be half done"),
        )
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
