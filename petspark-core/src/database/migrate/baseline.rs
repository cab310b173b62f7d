//! The schema as it is against what the migrations make, and taking over a database that has it
//! without their history.

use std::time::Duration;

use super::steps::MIGRATIONS;
use super::{MigrationError, MigrationState, Migrations, refuse_modified, refuse_too_old};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::history;
use crate::database::lock::{Lock, Locked};
use crate::database::schema::Schema;
use crate::database::schema_lock::{Difference, SchemaLock};

impl Migrations<'_> {
    /// The schema as it is, in the words of the lock file.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when it can't be read.
    pub async fn schema(&self) -> Result<SchemaLock, MigrationError> {
        Ok(Schema::read(self.0).await?.lock())
    }

    /// What the live schema lacks of what the migrations of this build make, or has otherwise:
    /// tables, columns with their types, keys, indexes, triggers. Tables and plain indexes that
    /// somebody added are theirs.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when it can't be read.
    pub async fn verify(&self) -> Result<Vec<Difference>, MigrationError> {
        Ok(Schema::read(self.0).await?.differences(&SchemaLock::of_build(self.0)?))
    }

    /// Writes down every migration of this build as applied, in a database that has their schema
    /// and no history, or not all of it: one that was restored without, or made by other means.
    /// Says which were written down. Nothing is changed but the history.
    ///
    /// # Errors
    /// [`MigrationError::Differs`] unless the schema is exactly what the migrations make, and as
    /// [`Migrations::run`].
    pub async fn baseline(
        &self,
        by: &Caller,
        reason: Option<&str>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let mut lock = Lock::take(self.0, now, patience).await?;
        let result = self.baseline_locked(&mut lock.locked(), by, reason, now, patience).await;
        lock.release().await;
        result
    }

    async fn baseline_locked(
        &self,
        lock: &mut Locked<'_>,
        by: &Caller,
        reason: Option<&str>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        refuse_too_old(&states)?;
        let differences = self.verify().await?;
        if !differences.is_empty() {
            return Err(MigrationError::Differs(differences));
        }
        let missing: Vec<_> = MIGRATIONS
            .iter()
            .filter(|step| states.iter().any(|state| state.version == step.version && state.is_pending()))
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        self.prepare_history(lock, patience).await?;
        let mut tx = lock.begin(self.0).await?;
        let mut written = Vec::new();
        for step in &missing {
            written.push(history::record(&mut tx, step, step.checksum(self.0), now, Duration::ZERO).await?);
        }
        let names: Vec<_> = missing.iter().map(|step| step.name).collect();
        let event = Event::new(Action::SchemaBaselined).because(reason).detail("migrations", names);
        audit::record(&mut tx, now, by, event).await?;
        tx.commit().await?;
        Ok(missing.into_iter().map(|step| self.state(step, &written)).collect())
    }
}
