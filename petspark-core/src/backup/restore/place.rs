//! A place that a backup is restored to: a file, or a schema of a PostgreSQL database.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use super::file::{SIDE_FILES, with_ending};
use crate::backup::BackupError;
use crate::config::{DatabaseUrl, Value as _};
use crate::database::{Direct, scratch, with_database, with_schema};
use crate::error::Fault;
use crate::secret::Secret;

/// See the [module](self).
#[derive(Clone)]
pub(in crate::backup) enum Place {
    File(PathBuf),
    Database { url: String, schema: String },
}

impl Place {
    /// Makes a database beside another one, with an empty schema.
    pub(in crate::backup) async fn make_database(base: &str, name: &str, schema: &str) -> Result<Self, BackupError> {
        let live =
            PgConnectOptions::from_str(base).map_err(|_| Fault::internal("an address that can't be understood"))?;
        // By its making it can't be another name; whoever changes that meets this.
        if !name.contains("drill") || live.get_database() == Some(name) {
            return Err(Fault::internal(format!("{name} is no name of a scratch database")).into());
        }
        // A role that may not says nothing about the backup, either.
        scratch::create_database(base, name).await.map_err(Fault::unavailable)?;
        let url = with_schema(&with_database(base, name).map_err(Fault::internal)?, schema).map_err(Fault::internal)?;
        let place = Self::Database { url, schema: schema.to_owned() };
        place.make_schema().await?;
        Ok(place)
    }

    /// A database that somebody named; it is made if it isn't there.
    pub(super) async fn find_database(url: &str, schema: &str) -> Result<Self, BackupError> {
        scratch::create_missing_database(url).await?;
        let url = with_schema(url, schema).map_err(Fault::internal)?;
        let place = Self::Database { url, schema: schema.to_owned() };
        place.make_schema().await?;
        Ok(place)
    }

    pub(super) async fn make_schema(&self) -> Result<(), BackupError> {
        let Self::Database { url, schema } = self else { return Ok(()) };
        Ok(scratch::create_schema(url, schema).await?)
    }

    /// There is nothing that could be lost.
    pub(super) async fn require_free(&self) -> Result<(), BackupError> {
        let is_free = match self {
            Self::File(path) => !path.try_exists().map_err(BackupError::io)?,
            Self::Database { url, .. } => scratch::is_empty(url).await?,
        };
        if is_free {
            return Ok(());
        }
        Err(BackupError::Occupied(format!("there is a database at {} already; nothing was done", self.told())))
    }

    pub(in crate::backup) fn url(&self) -> DatabaseUrl {
        match self {
            Self::File(path) => DatabaseUrl::Sqlite(path.clone()),
            Self::Database { url, .. } => DatabaseUrl::Postgres(Secret::new(url.as_str())),
        }
    }

    /// Where it is, without a password.
    pub(in crate::backup) fn told(&self) -> String {
        self.url().render()
    }

    /// The release of the server.
    pub(super) async fn version(&self) -> Result<String, BackupError> {
        let mut direct = Direct::open(&self.url()).await?;
        let version = direct.version().await;
        direct.close().await;
        Ok(version?)
    }

    /// Removes what was restored, and leaves a database that somebody else made.
    pub(super) async fn undo(&self) -> Result<(), Fault> {
        match self {
            Self::File(path) => {
                for ending in SIDE_FILES.into_iter().chain(["", ".lock"]) {
                    let _ = fs::remove_file(with_ending(path, ending));
                }
                Ok(())
            }
            Self::Database { url, schema } => {
                scratch::drop_schema(url, schema).await?;
                scratch::create_schema(url, schema).await
            }
        }
    }

    /// Removes a scratch database.
    pub(in crate::backup) async fn remove(&self) -> Result<(), Fault> {
        match self {
            // It goes with its folder.
            Self::File(_) => Ok(()),
            Self::Database { url, .. } => scratch::drop_database(url).await,
        }
    }
}
