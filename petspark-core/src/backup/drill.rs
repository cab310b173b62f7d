//! The drill: a backup is restored into a scratch database, compared with its manifest, migrated to
//! this build, and used. A backup that came through is proven; what came of it is noted beside it.
//!
//! The services that are opened on the scratch database hold no credentials for mail or payments:
//! their settings are the defaults, with what is needed added, not the server's with something left out.

mod compare;
mod scratch;
mod verdict;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::owner::require_owner;
use super::restore::{self, Place};
use super::scratch::Scratch;
use super::target::{Note, Target};
use super::{BackupError, Backups, IdentityKey, OperationKind, find, store};
use crate::auth::{Client, NewAccount, Password, Permission, Registered, lacking_secrets};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Failure, Fault, Kind, chain};
use crate::id::BackupId;
use crate::page::PageRequest;
use crate::pets::PetFilter;
use crate::petspark::{Migrate, PetSpark};
use crate::secret::Secret;
pub(super) use verdict::last;

/// What came of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// Which backup was restored.
    pub backup_id: BackupId,
    /// Whether it is proven.
    pub ok: bool,
    /// How far it came, if it isn't: `files`, `restore`, `contents`, `migrate`, `secrets`, `services`, `media`.
    pub phase: Option<String>,
    /// What was wrong.
    pub problem: Option<String>,
    /// Bytes of the database.
    pub bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// How long restoring took, with decrypting.
    pub restore_seconds: f64,
    /// How long comparing took.
    pub compare_seconds: f64,
    /// How long migrating took.
    pub migrate_seconds: f64,
    /// Objects of uploads that were looked for.
    pub media_objects: u64,
    /// The release that did it.
    pub app: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What the names of folders begin with that drills work in.
pub(super) const DRILL: &str = "petspark-drill-";
/// And of those that are to stay.
const KEPT: &str = "kept-drill-";

/// Where a drill stopped.
enum Stop {
    /// What is wrong with the backup.
    At(&'static str, String),
    /// What is wrong with what it needs, and isn't part of it.
    Around(&'static str, String),
    /// What kept it from being tried.
    Untried(BackupError),
}

impl Stop {
    /// A server that went away says nothing about the backup.
    fn by(error: &dyn Failure, phase: &'static str, problem: String) -> Self {
        match error.kind() {
            Kind::Unavailable => Self::Untried(Fault::unavailable(problem).into()),
            _ => Self::At(phase, problem),
        }
    }
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Self {
        Self::Untried(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Untried(fault.into())
    }
}

impl Backups {
    /// Proves a backup, or shows that it is no good: see the module. `keep` leaves the scratch
    /// database where it is.
    ///
    /// # Errors
    /// [`BackupError::NotFound`]; [`BackupError::Key`] if none of the keys opens it;
    /// [`BackupError::NotOwner`]; [`BackupError::Fault`] and [`BackupError::Tools`] if it can't be tried.
    /// That a backup is no good is no error, but what came of it.
    pub async fn verify(
        &self,
        caller: &Caller,
        id: Option<BackupId>,
        in_bucket: bool,
        keys: &[IdentityKey],
        keep: bool,
    ) -> Result<Drill, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let target = self.target(in_bucket)?;
        if matches!(target, Target::Folder(_)) {
            // What comes of it is noted there.
            require_owner(&self.settings().backup.folder)?;
        }
        let id = find(target, id).await?;
        let started_at = self.clock().now();
        let mut drill = Drill {
            backup_id: id,
            ok: false,
            phase: None,
            problem: None,
            bytes: 0,
            rows: 0,
            restore_seconds: 0.0,
            compare_seconds: 0.0,
            migrate_seconds: 0.0,
            media_objects: 0,
            app: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            finished_at: started_at,
        };
        let done = self.run_drill(target, id, keys, keep, &mut drill).await;
        drill.finished_at = self.clock().now();
        // What is wrong around the backup is no verdict on it, and takes no earlier one's place.
        let is_verdict = !matches!(done, Err(Stop::Around(..)));
        match done {
            Ok(()) => drill.ok = true,
            Err(Stop::At(phase, problem) | Stop::Around(phase, problem)) => {
                (drill.phase, drill.problem) = (Some(phase.to_owned()), Some(problem));
            }
            Err(Stop::Untried(error)) => {
                let details = serde_json::json!({ "problem": chain(&error) });
                self.log(OperationKind::Drill, Some(id), false, details, started_at).await;
                return Err(error);
            }
        }
        if is_verdict {
            let text = serde_json::to_vec_pretty(&drill).map_err(Fault::internal)?;
            target.put_note(Note::Drill, id, text).await?;
        }
        self.log(OperationKind::Drill, Some(id), drill.ok, store::details(&drill), started_at).await;
        Ok(drill)
    }

    async fn run_drill(
        &self,
        target: &Target,
        id: BackupId,
        keys: &[IdentityKey],
        keep: bool,
        drill: &mut Drill,
    ) -> Result<(), Stop> {
        let examined = self.examine(target, id, keys).await?;
        let manifest = match (examined.problem(), examined.manifest) {
            (None, Some(manifest)) => manifest,
            (Some(_), _) if self.was_pruned(target, id).await => return Err(BackupError::NotFound.into()),
            (problem, _) => return Err(Stop::At("files", problem.unwrap_or_default())),
        };
        restore::require_key(&manifest, keys)?;
        restore::require_known(&manifest)?;
        let name = BackupId::new();
        self.clear_leftovers()?;
        let beginning = if keep { KEPT } else { DRILL };
        let work = Scratch::new(self.settings().backup.work_folder.join(format!("{beginning}{name}")))?;
        self.drop_dead_drills().await;
        let (place, claim) = self.scratch(&manifest, name, keep, &work).await?;
        let ran = self.run_in(&place, target, &manifest, keys, &work, drill).await;
        if keep {
            tracing::info!(place = place.told(), "the scratch database is kept");
            if matches!(place, Place::File(_)) {
                // It is in there.
                std::mem::forget(work);
            }
        } else if let Err(fault) = place.remove().await {
            tracing::warn!(place = place.told(), reason = fault.chain(), "the scratch database could not be removed");
        }
        if let Some(claim) = claim {
            claim.release().await;
        }
        ran
    }

    async fn run_in(
        &self,
        place: &Place,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
        work: &Scratch,
        drill: &mut Drill,
    ) -> Result<(), Stop> {
        let at = |phase: &'static str| {
            move |error: BackupError| match error {
                BackupError::Damaged { problem, .. } => Stop::At(phase, problem),
                error => Stop::Untried(error),
            }
        };
        let started = Instant::now();
        self.restore_into(place, target, manifest, keys).await.map_err(at("restore"))?;
        drill.restore_seconds = started.elapsed().as_secs_f64();
        drill.bytes = manifest.database_file().map_or(0, |file| file.plain_bytes);
        let started = Instant::now();
        drill.rows = place.compare(manifest).await.map_err(at("contents"))?;
        self.compare_inventory(place, target, manifest, work).await.map_err(at("media"))?;
        drill.compare_seconds = started.elapsed().as_secs_f64();
        let settings = self.scratch_settings(place.url(), work.0.clone())?;
        let started = Instant::now();
        let opened = PetSpark::open_with(settings, Migrate::Always, self.clock().clone()).await;
        let petspark = opened.map_err(|error| Stop::by(&error, "migrate", chain(&error)))?;
        drill.migrate_seconds = started.elapsed().as_secs_f64();
        let used = async {
            let lacking = lacking_secrets(petspark.settings()).await?;
            if !lacking.is_empty() {
                let problem = format!("no secret that is set opens what {} sealed", lacking.join(", "));
                return Err(Stop::Around("secrets", problem));
            }
            self.use_it(&petspark).await
        };
        let used = used.await;
        petspark.close().await;
        used?;
        drill.media_objects = self.find_media(target, manifest, keys).await?;
        Ok(())
    }

    /// Signs somebody up and in, and asks for pets.
    async fn use_it(&self, petspark: &PetSpark) -> Result<(), Stop> {
        let stopped =
            |what: &str, error: &dyn Failure| Stop::by(error, "services", format!("{what}: {}", chain(error)));
        let email = format!("drill-{}@drill.invalid", BackupId::new());
        let password = Secret::generate()?;
        let account = NewAccount {
            email: email.clone(),
            password: Password::new(password.expose()),
            display_name: "Drill".to_owned(),
        };
        let registered = petspark.auth().register(account, Client::default()).await;
        let Registered::SignedIn(_) = registered.map_err(|error| stopped("registering", &error))? else {
            return Err(Stop::At("services", "registering: nobody was signed in".to_owned()));
        };
        let signed_in = petspark.auth().login(&email, Password::new(password.expose()), Client::default()).await;
        let signed_in = signed_in.map_err(|error| stopped("signing in", &error))?;
        let caller = petspark.auth().authenticate(signed_in.tokens.access.expose()).await;
        let caller = caller.map_err(|error| stopped("the access token", &error))?;
        let pets = petspark.pets().list(&caller, PetFilter::default(), &PageRequest::default()).await;
        pets.map(drop).map_err(|error| stopped("listing pets", &error))
    }
}
