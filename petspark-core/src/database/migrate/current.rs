//! Whether a database is at what this build needs, or beyond it and still of use to it. Whether it is asked that,
//! and what happens then, is up to whoever opens it.

use sqlx::query_scalar;

use super::{Migration, MigrationError, MigrationState, Migrations, State};
use crate::database::{history, on_reader};
use crate::error::Fault;

impl Migrations<'_> {
    /// Fails unless the database has exactly what this build needs, or more that lets it work.
    ///
    /// # Errors
    /// [`MigrationError::Pending`], [`MigrationError::Newer`], [`MigrationError::TooOld`] and
    /// [`MigrationError::Modified`].
    pub async fn require_current(&self) -> Result<(), MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        refuse_too_old(&states)?;
        match (states.iter().filter(|state| state.is_pending()).count(), newest(&states)) {
            (0, _) => Ok(()),
            (_, Some(newest)) if newest.state == State::Unknown => {
                Err(MigrationError::Newer { newest: newest.name.clone() })
            }
            (count, _) => Err(MigrationError::Pending { count }),
        }
    }

    /// What newer releases applied that this build doesn't have.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when the history can't be read.
    pub async fn newer(&self) -> Result<Vec<MigrationState>, MigrationError> {
        let mut states = self.read().await?;
        states.retain(|state| state.state == State::Unknown);
        Ok(states)
    }

    /// Whether nobody has an account yet: there is nothing to lose, whatever is applied.
    pub(super) async fn is_unused(&self) -> Result<bool, Fault> {
        if !history::exists(self.0, "users").await? {
            return Ok(true);
        }
        let used: bool =
            on_reader!(self.0, conn => query_scalar("SELECT EXISTS (SELECT 1 FROM users)").fetch_one(conn).await)?;
        Ok(!used)
    }
}

pub(super) fn refuse_modified(states: &[MigrationState]) -> Result<(), MigrationError> {
    match states.iter().find(|state| state.state == State::Modified) {
        Some(state) => Err(MigrationError::Modified { name: state.name.clone() }),
        None => Ok(()),
    }
}

/// A step that takes something away, or means something else by it, is nothing that a build of before can work with.
pub(super) fn refuse_too_old(states: &[MigrationState]) -> Result<(), MigrationError> {
    let unknown = || states.iter().filter(|state| state.state == State::Unknown);
    let needed = unknown().map(|state| state.oldest_build).max().unwrap_or(0);
    match unknown().find(|state| state.version == needed) {
        // Also if this is a build of another branch, which has a higher number and not that step.
        Some(step) => Err(MigrationError::TooOld { needed: step.name.clone() }),
        None if needed > Migration::newest_of_build() => Err(MigrationError::TooOld { needed: needed.to_string() }),
        None => Ok(()),
    }
}

/// The newest that was applied.
pub(super) fn newest(states: &[MigrationState]) -> Option<&MigrationState> {
    states.iter().rfind(|state| !state.is_pending())
}
