//! The handle that opens everything and hands out the services.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Audit, Retain};
use crate::auth::{Auth, ExpiredTokens, PurgeThrottles, RequestedLinks, is_damaged};
use crate::backup::{Backups, MakeBackup, RunDrill};
use crate::billing::{self, Billing, Entitled, Limits};
use crate::clock::Clock;
use crate::config::{DatabaseUrl, Environment, Settings};
use crate::dashboard::{Dashboard, Fold};
use crate::database::{Database, Migration, MigrationError, OpenError, Run};
use crate::error::{Fault, failure};
use crate::idempotency;
use crate::jobs::{Jobs, RemoveDead};
use crate::mail::{Mailer, OldMails};
use crate::media::objects::ObjectStore;
use crate::media::{self, Media};
use crate::moderation::Moderation;
use crate::people::{Erasure, Farewell, People};
use crate::pets::{self, Pets};
use crate::seed::Seeds;

/// PetSpark, opened. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct PetSpark(Arc<Inner>);

struct Inner {
    settings: Settings,
    database: Database,
    auth: Auth,
    people: People,
    pets: Pets,
    media: Media,
    moderation: Moderation,
    billing: Billing,
    dashboard: Dashboard,
    jobs: Jobs,
    mail: Mailer,
    audit: Audit,
    backups: Backups,
    clock: Clock,
}

/// What to do about a database that lacks migrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Migrate {
    /// Apply them to an embedded SQLite file that is new, and in development to any. Refuse to open
    /// one with data that lacks some in production, and a PostgreSQL anywhere: there, when to
    /// migrate and what to go back to is the operator's decision.
    #[default]
    EmbeddedOnly,
    /// Apply them.
    Always,
    /// Open as it is; for tools that look at migrations.
    Never,
}

/// PetSpark can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database can't be reached.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Its schema is not what this build needs.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The secret that signs tokens is missing or weak, and this is production.
    #[error("JWT_SECRET {0}")]
    SigningSecret(String),
    /// The file that keeps this secret is damaged.
    #[error("can't prepare the signing key: {0}")]
    DamagedSecret(String),
    /// The signing key can't be read or made, or doesn't work.
    #[error("can't prepare the signing key: {}", .0.chain())]
    Auth(Fault),
    /// Uploads can't be kept like this: a setting lacks, or is no good.
    #[error("{0}")]
    Objects(String),
    /// Payments can't work like this: a key is none, or no secret for webhooks is there.
    #[error("{0}")]
    Billing(String),
    /// Backups can't be kept like this: a setting lacks, or is no good.
    #[error("{0}")]
    Backups(String),
    /// Mails can't be sent like this: a setting lacks, or a text or certificate is no good.
    #[error("{0}")]
    Mail(String),
}

failure! {
    StartError,
    own {
        SigningSecret(_) => (Kind::Invalid, "CONFIG_INVALID"),
        DamagedSecret(_) => (Kind::Invalid, "CONFIG_INVALID"),
        Mail(_) => (Kind::Invalid, "CONFIG_INVALID"),
        Objects(_) => (Kind::Invalid, "CONFIG_INVALID"),
        Billing(_) => (Kind::Invalid, "CONFIG_INVALID"),
        Backups(_) => (Kind::Invalid, "CONFIG_INVALID"),
    },
    asks { Database(error), Migration(error), Auth(fault) }
}

/// How long a starting process waits for another one that is migrating.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(60);

/// A file is the only copy of what is in it: in production nothing but a new one is migrated unasked.
async fn migrate_embedded(database: &Database, settings: &Settings, clock: &Clock) -> Result<(), MigrationError> {
    let is_development = settings.environment != Environment::Production;
    let run = Run { only_new: !is_development, ..Run::default() };
    let applied = database.migrations().run_as(&run, clock.now(), MIGRATION_PATIENCE).await?;
    if is_development && !applied.is_empty() && applied.len() < Migration::all().len() {
        tracing::info!(
            count = applied.len(),
            "migrated without being asked, because this is development; production wants `migrate run --backup-first`"
        );
    }
    Ok(())
}

impl PetSpark {
    /// Opens what `settings` describe; an embedded database is made, and [`Migrate::EmbeddedOnly`]
    /// says when one that is there is migrated.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(settings: Settings) -> Result<Self, StartError> {
        Self::open_with(settings, Migrate::default(), Clock::system()).await
    }

    /// The same with a say in migrations and in what time it is.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open_with(settings: Settings, migrate: Migrate, clock: Clock) -> Result<Self, StartError> {
        // Loaded settings were checked for this already; those that an embedder built were not.
        if let Some(problem) = settings.auth.signing_problem(settings.environment) {
            return Err(StartError::SigningSecret(problem));
        }
        let database = Database::open(&settings.database).await?;
        let embedded = matches!(settings.database.url, DatabaseUrl::Sqlite(_));
        match migrate {
            Migrate::Always => drop(database.migrations().run(clock.now(), MIGRATION_PATIENCE).await?),
            Migrate::EmbeddedOnly if embedded => migrate_embedded(&database, &settings, &clock).await?,
            Migrate::EmbeddedOnly => database.migrations().require_current().await?,
            Migrate::Never => {}
        }
        Self::over(settings, database, clock)
    }

    fn over(settings: Settings, database: Database, clock: Clock) -> Result<Self, StartError> {
        let auth = Auth::open(database.clone(), clock.clone(), settings.auth.clone(), &settings.data_dir).map_err(
            |fault| if is_damaged(&fault) { StartError::DamagedSecret(fault.chain()) } else { StartError::Auth(fault) },
        )?;
        let people = People::open(database.clone(), clock.clone(), auth.clone(), settings.people.clone());
        let free = Limits {
            photos_per_pet: settings.media.max_photos,
            storage_bytes: settings.media.max_bytes.0,
            pets: settings.pets.max_pets,
        };
        let entitled = Entitled::open(database.clone(), clock.clone(), free, &settings.billing);
        let (db, at, of) = (database.clone(), clock.clone(), settings.pets.clone());
        let pets = Pets::open(db, at, auth.cursors(), entitled.clone(), of);
        let jobs = Jobs::open(database.clone(), clock.clone(), auth.cursors(), &settings);
        jobs.handle(PurgeThrottles::new(database.clone(), clock.clone(), &settings.auth.throttle));
        let mail =
            Mailer::open(database.clone(), clock.clone(), &settings, auth.link_tokens()).map_err(StartError::Mail)?;
        jobs.handle(mail.clone());
        jobs.handle(OldMails::new(&settings.data_dir, clock.clone()));
        jobs.handle(RemoveDead { db: database.clone(), clock: clock.clone() });
        jobs.handle(RequestedLinks::new(auth.clone()));
        jobs.handle(ExpiredTokens::new(auth.clone()));
        jobs.handle(Erasure(people.clone()));
        jobs.handle(Farewell(people.clone()));
        jobs.handle(pets::Purge(pets.clone()));
        jobs.handle(pets::Refold(database.clone()));
        jobs.handle(idempotency::Purge { db: database.clone(), clock: clock.clone() });
        let objects = ObjectStore::open(&settings.objects).map_err(StartError::Objects)?;
        let links = media::Links::new(auth.media_signer(), &settings.media);
        let (db, at, of) = (database.clone(), clock.clone(), settings.media.clone());
        let media = Media::open(db, at, auth.cursors(), pets.clone(), entitled.clone(), objects, links, of)
            .map_err(StartError::Objects)?;
        jobs.handle(media::Process(media.clone()));
        jobs.handle(media::Sweep(media.clone()));
        jobs.handle(media::Remake(media.clone()));
        #[cfg(feature = "hook")]
        jobs.handle(media::Ask(media.clone()));
        let (db, at, of) = (database.clone(), clock.clone(), settings.moderation.clone());
        let moderation = Moderation::open(db, at, auth.cursors(), pets.clone(), media.clone(), of);
        let billing = Billing::open(database.clone(), clock.clone(), auth.cursors(), entitled, &settings)
            .map_err(StartError::Billing)?;
        jobs.handle(billing::Process(billing.clone()));
        billing::handle(&billing, &jobs);
        jobs.handle(billing::Sweep(billing.clone()));
        jobs.handle(billing::Reconcile(billing.clone()));
        let dashboard = Dashboard::open(database.clone(), clock.clone());
        jobs.handle(Fold(dashboard.clone()));
        let audit = Audit::open(database.clone(), clock.clone(), auth.cursors());
        jobs.handle(Retain { db: database.clone(), clock: clock.clone(), settings: settings.audit.clone() });
        let backups = Backups::open(&settings, Some(database.clone()), clock.clone())
            .map_err(|error| StartError::Backups(error.to_string()))?;
        jobs.handle(MakeBackup(backups.clone()));
        jobs.handle(RunDrill(backups.clone()));
        Ok(Self(Arc::new(Inner {
            settings,
            database,
            auth,
            people,
            pets,
            media,
            moderation,
            billing,
            dashboard,
            jobs,
            mail,
            audit,
            backups,
            clock,
        })))
    }

    /// Accounts, sessions, tokens.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// What is kept about people: profiles, archives, deleting it all.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.0.people
    }

    /// Pets.
    #[must_use]
    pub fn pets(&self) -> &Pets {
        &self.0.pets
    }

    /// Photos and documents.
    #[must_use]
    pub fn media(&self) -> &Media {
        &self.0.media
    }

    /// What was reported, and what moderators decide on it.
    #[must_use]
    pub fn moderation(&self) -> &Moderation {
        &self.0.moderation
    }

    /// Payments, and what people may have because of them.
    #[must_use]
    pub fn billing(&self) -> &Billing {
        &self.0.billing
    }

    /// How many there are of everything.
    #[must_use]
    pub fn dashboard(&self) -> &Dashboard {
        &self.0.dashboard
    }

    /// Work that is done later.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Mails, and whether they leave.
    #[must_use]
    pub fn mail(&self) -> &Mailer {
        &self.0.mail
    }

    /// Who did what.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Backups, and whether they are any good.
    #[must_use]
    pub fn backups(&self) -> &Backups {
        &self.0.backups
    }

    /// Demonstration data.
    #[must_use]
    pub fn seeds(&self) -> Seeds<'_> {
        Seeds::of(self)
    }

    /// The database underneath: whether it answers, and its migrations.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// What this was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where the services read the time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Ends gracefully: statements in flight finish, then all connections are closed.
    pub async fn close(&self) {
        self.0.database.close().await;
    }
}
