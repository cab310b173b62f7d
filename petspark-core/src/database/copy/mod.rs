//! Moves a grown-up embedded installation to PostgreSQL: every row of every table of ours, in
//! batches that are committed together with how far they got, so that whatever ends it, the same
//! call again goes on; and in the end both sides are read again and compared.
//!
//! Which tables there are, in which order and with which types comes from the catalogues of the
//! two databases, not from here.

mod digest;
mod error;
mod mark;
mod open;
mod plan;
mod row;
mod run;
mod source;
mod target;

pub use digest::Digest;
pub use error::CopyError;

use super::{Database, Migrations};
use crate::clock::Timestamp;
use crate::config::DatabaseSettings;
use mark::Complete;
pub(super) use mark::is_unfinished;
use source::Source;

/// A table and how far it is.
#[derive(Clone, Debug)]
pub struct TableState {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them are copied by now.
    pub copied: u64,
}

/// What is being done to a table at the moment.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Copied, or read once more on both sides and compared.
    pub comparing: bool,
    /// Which table.
    pub table: &'a str,
    /// Rows done of all tables, each counted once for copying and once for comparing.
    pub done: u64,
}

/// A table as it was found in the end on both sides.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// How many rows the source has, counted without its indexes.
    pub rows: u64,
    /// What the source has.
    pub source: Digest,
    /// What the target has.
    pub target: Digest,
}

impl Compared {
    /// Whether every row of the one is in the other, value by value.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target && self.source.rows == self.rows
    }
}

/// What became of a copy.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Rows that this call copied.
    pub rows: u64,
    /// Every table, once all was copied and compared.
    pub tables: Vec<Compared>,
    /// It was told to stop; the same call again goes on.
    pub interrupted: bool,
    /// There was nothing to do: an earlier call came to its end then, and the source is what it was.
    pub complete_since: Option<Timestamp>,
}

/// A copy that can be made: both ends are open, and nothing was changed yet. As long as it lives
/// nobody else can open the source.
pub struct InstallationCopy {
    source: Source,
    target: Database,
    to: DatabaseSettings,
    tables: Vec<TableState>,
    left_out: Vec<String>,
    /// The target lacks migrations, and has no rows yet.
    unmigrated: bool,
    complete: Option<Complete>,
}

impl InstallationCopy {
    /// Those of the target, which the mark of this copy keeps everybody else from.
    fn migrations(&self) -> Migrations<'_> {
        Migrations::of_copy(&self.target)
    }

    /// What there is to copy, in its order.
    #[must_use]
    pub fn tables(&self) -> &[TableState] {
        &self.tables
    }

    /// Tables of the source that aren't PetSpark's, and stay behind.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether the target's migrations are run first, because it lacks some and has no rows yet.
    #[must_use]
    pub fn migrates_target(&self) -> bool {
        self.unmigrated
    }

    /// When an earlier call copied and compared all of this; then there is nothing left to do but to look
    /// whether the source is still the same.
    #[must_use]
    pub fn complete_since(&self) -> Option<Timestamp> {
        self.complete.as_ref().map(|complete| complete.at)
    }

    /// How far [`Step::done`] will count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tables.iter().map(|table| table.rows * 2 - table.copied.min(table.rows)).sum()
    }

    /// Looks the source all over, as [`run`](Self::run) does when the target works and the source would be idle.
    ///
    /// # Errors
    /// [`CopyError::Damaged`].
    pub async fn look_over(&mut self) -> Result<(), CopyError> {
        self.source.require_undamaged().await
    }

    /// What is connected to the target after this is not ours; the next statement connects again.
    async fn disconnect(&mut self) -> Result<(), CopyError> {
        self.target.close().await;
        self.target = Database::open(&self.to).await?;
        Ok(())
    }

    /// Lets go of both ends.
    pub async fn close(self) {
        self.source.close().await;
        self.target.close().await;
    }
}
