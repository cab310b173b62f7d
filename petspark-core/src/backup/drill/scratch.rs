//! The scratch databases of drills: made, claimed while a drill is alive, and dropped when one was killed;
//! and the settings that services are opened with on them.

use std::path::PathBuf;

use crate::auth::stored_jwt_secret;
use crate::backup::manifest::Manifest;
use crate::backup::restore::Place;
use crate::backup::scratch::Scratch;
use crate::backup::{BackupError, Backups};
use crate::config::{DatabaseUrl, Settings};
use crate::database::scratch::{self, Claim};
use crate::error::Fault;
use crate::id::BackupId;

/// What the names of their databases begin with.
const SCRATCH: &str = "petspark_drill_";
/// And of those that are to stay.
const KEPT: &str = "petspark_kept_drill_";

impl Backups {
    /// Drops scratch databases of drills that were killed. One that can't be dropped is in nobody's way.
    pub(in crate::backup) async fn drop_dead_drills(&self) {
        let settings = self.settings();
        let base = settings.backup.drill_database.as_ref().unwrap_or(&settings.database.url);
        let DatabaseUrl::Postgres(url) = base else { return };
        match scratch::drop_unclaimed(url.expose(), SCRATCH).await {
            Ok(0) => {}
            Ok(databases) => tracing::info!(databases, "scratch databases were dropped that killed drills had left"),
            Err(fault) => tracing::warn!(reason = fault.chain(), "nobody looked for what killed drills left"),
        }
    }

    /// A new database, that can be no other than a scratch one; on PostgreSQL with a claim to it, which
    /// ends with this process: what nobody claims is dropped by the next drill.
    pub(super) async fn scratch(
        &self,
        manifest: &Manifest,
        name: BackupId,
        keep: bool,
        work: &Scratch,
    ) -> Result<(Place, Option<Claim>), BackupError> {
        if manifest.database.engine == "sqlite" {
            return Ok((Place::File(work.0.join("drill.sqlite")), None));
        }
        let settings = self.settings();
        let base = settings.backup.drill_database.as_ref().unwrap_or(&settings.database.url);
        let DatabaseUrl::Postgres(url) = base else {
            let problem = "this is a backup of PostgreSQL: set backup.drill_database_url for drills";
            return Err(BackupError::Settings(problem.to_owned()));
        };
        let beginning = if keep { KEPT } else { SCRATCH };
        let database = format!("{beginning}{}", name.to_string().replace('-', ""));
        let claim = match Claim::to(url.expose(), &database).await {
            Ok(claim) => Some(claim),
            Err(fault) => {
                tracing::warn!(reason = fault.chain(), "the scratch database can't be claimed, nor dropped later");
                None
            }
        };
        Ok((Place::make_database(url.expose(), &database, &manifest.database.schema).await?, claim))
    }

    /// The defaults, in a folder of the drill's own, and nothing of the server's but what reading the
    /// data needs.
    pub(super) fn scratch_settings(&self, url: DatabaseUrl, folder: PathBuf) -> Result<Settings, Fault> {
        let live = self.settings();
        let mut settings = Settings::in_folder(folder);
        settings.database = live.database.clone();
        settings.database.url = url;
        settings.auth.encryption_key = live.auth.encryption_key.clone();
        settings.auth.jwt_secret = Some(match &live.auth.jwt_secret {
            Some(secret) => secret.clone(),
            None => stored_jwt_secret(&live.data_dir)?,
        });
        Ok(settings)
    }
}
