//! Applies the embedded migrations once, however many processes start at the same moment, and
//! says what has been applied.
//!
//! sqlx's own migrator is not used: its SQLite lock does nothing, and on PostgreSQL a failing
//! migration leaves the advisory lock held by a pooled connection.

mod apply;
mod baseline;
mod current;
mod error;
mod steps;
mod visible;

pub use error::MigrationError;
pub use steps::Migration;

use std::time::Duration;

use current::{newest, refuse_modified, refuse_too_old};
use steps::MIGRATIONS;

use super::history::{self, Applied};
use super::lock::{Holder, Lock};
use super::{Database, copy, replacing};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Fault;

/// How one migration stands in one database.
#[derive(Clone, Debug)]
pub struct MigrationState {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Where it is on its way.
    pub state: State,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// How long it took.
    pub took: Option<Duration>,
    /// The SHA-256 of its SQL, in hexadecimal: of what was applied, else of what this build has.
    pub checksum: String,
    /// The newest migration that a build has to have, at least, to work with the schema since.
    pub oldest_build: i64,
}

impl MigrationState {
    /// Whether it is still to be applied.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending | State::Running | State::Interrupted)
    }
}

/// What became of the holder of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// Nothing: it can't be proven to be gone, or is no longer the holder.
    LeftAlone,
    /// Its server process was told to end, and hasn't yet.
    Told,
    /// Its connection was ended, and the lock is free.
    Ended,
}

/// What to apply.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Nothing above this number; `None` is all there is.
    pub to: Option<i64>,
    /// Also what is older than something that was applied already.
    pub out_of_order: bool,
    /// Nothing, if something was applied before and somebody has an account: see [`MigrationError::Pending`]. A first
    /// start that was killed goes on.
    pub only_new: bool,
    /// Who asks, for the audit log; the system itself writes nothing down.
    pub by: Option<Caller>,
    /// Why, in their words.
    pub reason: Option<String>,
}

crate::database::text_enum! {
    /// Where a migration is on its way.
    pub enum State {
        /// In this build, and not yet in the database.
        Pending = "pending",
        /// In this build, and being applied at this moment.
        Running = "running",
        /// In this build, and begun by a process that died over it. Nothing is left of it: a step is
        /// one transaction. It is pending.
        Interrupted = "interrupted",
        /// In both, and the same.
        Applied = "applied",
        /// In both, and the SQL in this build is not what was applied.
        Modified = "modified",
        /// In the database only: a newer release has been here.
        Unknown = "unknown",
    }
}

/// The migrations of one database. The second says whether the copy asks, whose own mark it is that
/// keeps others from it.
#[derive(Clone, Copy, Debug)]
pub struct Migrations<'a>(&'a Database, bool);

impl<'a> Migrations<'a> {
    pub(super) fn of(database: &'a Database) -> Self {
        Self(database, false)
    }

    pub(super) fn of_copy(database: &'a Database) -> Self {
        Self(database, true)
    }

    pub(super) fn database(&self) -> &'a Database {
        self.0
    }

    /// Every migration that the build or the database knows, by number.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when the history can't be read.
    pub async fn status(&self) -> Result<Vec<MigrationState>, MigrationError> {
        let mut states = self.read().await?;
        let begun = history::begun(self.0).await?;
        if states.iter().any(|state| state.state == State::Pending && begun.contains(&state.version)) {
            let now = if Lock::look(self.0).await?.is_some() { State::Running } else { State::Interrupted };
            for state in &mut states {
                if state.state == State::Pending && begun.contains(&state.version) {
                    state.state = now;
                }
            }
        }
        Ok(states)
    }

    /// Refuses what is no database yet, because its restoring or copying didn't come to its end.
    pub(crate) async fn require_whole(&self) -> Result<(), MigrationError> {
        if let Some(half) = replacing::of(self.0).await? {
            return Err(MigrationError::HalfRestored(half));
        }
        if !self.1 && copy::is_unfinished(self.0).await? {
            return Err(MigrationError::HalfCopied);
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<MigrationState>, MigrationError> {
        self.require_whole().await?;
        let applied = history::read(self.0).await;
        if !applied.as_ref().is_ok_and(|rows| !rows.is_empty()) {
            self.require_visible().await?;
        }
        let applied = applied?;
        let mut states: Vec<_> = MIGRATIONS.iter().map(|step| self.state(step, &applied)).collect();
        let unknown = applied.iter().filter(|row| !MIGRATIONS.iter().any(|step| step.version == row.version));
        states.extend(unknown.map(|row| MigrationState {
            version: row.version,
            name: row.name.clone(),
            state: State::Unknown,
            applied_at: Some(row.applied_at),
            took: Some(row.took()),
            checksum: row.checksum.clone(),
            oldest_build: row.oldest_build(),
        }));
        states.sort_by_key(|state| state.version);
        Ok(states)
    }

    fn state(&self, step: &Migration, applied: &[Applied]) -> MigrationState {
        let row = applied.iter().find(|row| row.version == step.version);
        let checksum = step.checksum(self.0);
        MigrationState {
            version: step.version,
            name: step.name.to_owned(),
            state: match row {
                None => State::Pending,
                Some(row) if row.checksum == checksum => State::Applied,
                Some(_) => State::Modified,
            },
            applied_at: row.map(|row| row.applied_at),
            took: row.map(Applied::took),
            checksum: row.map_or(checksum, |row| row.checksum.clone()),
            oldest_build: step.oldest_build,
        }
    }

    /// Whether a step was applied, by its number.
    pub(crate) async fn has(&self, version: i64) -> Result<bool, Fault> {
        Ok(history::read(self.0).await?.iter().any(|row| row.version == version))
    }

    /// What [`Migrations::run_as`] would apply, in its order.
    ///
    /// # Errors
    /// The same that it would refuse.
    pub async fn plan(&self, run: &Run) -> Result<Vec<&'static Migration>, MigrationError> {
        let states = self.read().await?;
        refuse_modified(&states)?;
        refuse_too_old(&states)?;
        if let Some(to) = run.to.filter(|to| !MIGRATIONS.iter().any(|step| step.version == *to)) {
            return Err(MigrationError::NoSuchVersion(to));
        }
        let is_pending = |step: &&Migration| states.iter().any(|s| s.version == step.version && s.is_pending());
        let wanted = |step: &&Migration| run.to.is_none_or(|to| step.version <= to);
        let pending: Vec<_> = MIGRATIONS.iter().filter(is_pending).filter(wanted).collect();
        if let (Some(step), Some(newest), false) = (pending.first(), newest(&states), run.out_of_order)
            && step.version < newest.version
        {
            let newest_name = newest.name.clone();
            return Err(match newest.state {
                State::Unknown => MigrationError::Newer { newest: newest_name },
                _ => MigrationError::OutOfOrder { name: step.name.to_owned(), newest: newest_name },
            });
        }
        if run.only_new && !pending.is_empty() && newest(&states).is_some() && !self.is_unused().await? {
            return Err(MigrationError::Pending { count: pending.len() });
        }
        Ok(pending)
    }

    /// Who is migrating, or copying, at this moment.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when that can't be found out.
    pub async fn lock_holder(&self) -> Result<Option<Holder>, MigrationError> {
        Ok(Lock::look(self.0).await?)
    }

    /// Ends the connection of a holder who [is gone](Holder::is_gone), and with it the lock and what was
    /// under way, when the server hasn't noticed yet. Whoever may be at work is left alone.
    ///
    /// # Errors
    /// [`MigrationError::Fault`] when PostgreSQL doesn't let us.
    pub async fn unlock(&self, holder: &Holder, by: &Caller, now: Timestamp) -> Result<Unlocked, MigrationError> {
        if !holder.is_gone() {
            return Ok(Unlocked::LeftAlone);
        }
        let has_log = history::exists(self.0, "audit_log").await?;
        let mut tx = self.0.begin().await?;
        let Some(ended) = Lock::end(&mut tx, holder).await? else { return Ok(Unlocked::LeftAlone) };
        if has_log {
            let event = Event::new(Action::MigrationUnlocked).detail("holder", holder.to_string());
            audit::record(&mut tx, now, by, event).await?;
        }
        tx.commit().await?;
        Ok(if ended { Unlocked::Ended } else { Unlocked::Told })
    }
}
