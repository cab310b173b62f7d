//! Why a copy can't be begun, or can't go on.

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::database::{Database, MigrationError, OpenError};
use crate::error::{Fault, failure};

/// Copying can't be begun, or can't go on. What was copied stays, and a new call goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Copying goes from SQLite to PostgreSQL.
    #[error("a copy goes from sqlite://... to postgres://..., not otherwise")]
    Engines,
    /// There is no such file.
    #[error("there is no database at {}", .0.display())]
    NoSource(PathBuf),
    /// A server, or another tool, has the source open, and could write to it.
    #[error("{} is in use by another process; stop the server and whatever else has it open", .0.display())]
    SourceInUse(PathBuf),
    /// The source is damaged: an index may hide rows, and a copy of it would lack them.
    #[error(
        "{} is damaged: {}. Nothing takes a copy of it for an installation: mend it (REINDEX mends an index, the last good \
         backup the rest), and copy it into an empty database",
        .path.display(), .found.join("; ")
    )]
    Damaged {
        /// The source.
        path: PathBuf,
        /// What is wrong with it.
        found: Vec<String>,
    },
    /// One of the two can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the two isn't at the migrations of this build, or is locked.
    #[error("the {side}, {place}: {}", told(.error))]
    Migration {
        /// `source` or `target`.
        side: &'static str,
        /// Where it is.
        place: String,
        /// What is wrong.
        error: Box<MigrationError>,
    },
    /// The target has rows that no copy put there.
    #[error("the target's table {table} has rows already; copy into an empty database")]
    NotEmpty {
        /// The first such table.
        table: String,
    },
    /// A server is connected to the target, and would write to it.
    #[error("a server, or something else of PetSpark's, is connected to the target ({sessions}); stop it first")]
    TargetInUse {
        /// How many sessions.
        sessions: String,
    },
    /// There is no schema in the target, or none that this role may make tables in.
    #[error(
        "in the target there is no schema that this role may make tables in: make one, allow the role USAGE and CREATE on \
         it, and name it in the address (options=-csearch_path%3D...) unless it is public"
    )]
    NoSchema,
    /// Only the owner of the target's tables can copy.
    #[error(
        "the target's table {table} belongs to {owner}, and only they can take its triggers and indexes away while it is filled; copy as {owner}"
    )]
    NotOwner {
        /// The first such table.
        table: String,
        /// Whose it is.
        owner: String,
    },
    /// The target holds the beginning of a copy of another installation.
    #[error("the target holds an unfinished copy of another installation; copy into an empty database")]
    OtherSource,
    /// The copy is complete, and the source went on.
    #[error(
        "the target has had a complete copy of this installation since {since}, and the source is not what it was then: \
         what was written to it since isn't in the target; copy into an empty database"
    )]
    SourceChanged {
        /// When the copy was complete.
        since: Timestamp,
    },
    /// The two schemas don't fit.
    #[error("table {table}: {reason}")]
    Unfitting {
        /// Which.
        table: String,
        /// What doesn't fit.
        reason: String,
    },
    /// A row can't be copied as it is.
    #[error("table {table}, row {row}: {reason}")]
    Row {
        /// Which table.
        table: String,
        /// The row's primary key.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The databases can't be read or written.
    #[error("can't copy {what}: {}", .fault.chain())]
    Fault {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        fault: Fault,
    },
}

failure! {
    CopyError,
    own {
        Engines => (Kind::Invalid, "COPY_ENGINES"),
        NoSource(_) => (Kind::NotFound, "COPY_NO_SOURCE"),
        SourceInUse(_) => (Kind::Conflict, "COPY_SOURCE_IN_USE"),
        Damaged { .. } => (Kind::Unprocessable, "COPY_DAMAGED"),
        NotEmpty { .. } => (Kind::Conflict, "COPY_NOT_EMPTY"),
        TargetInUse { .. } => (Kind::Conflict, "COPY_TARGET_IN_USE"),
        NoSchema => (Kind::Conflict, "COPY_NO_SCHEMA"),
        NotOwner { .. } => (Kind::Conflict, "COPY_NOT_OWNER"),
        OtherSource => (Kind::Conflict, "COPY_OTHER_SOURCE"),
        SourceChanged { .. } => (Kind::Conflict, "COPY_SOURCE_CHANGED"),
        Unfitting { .. } => (Kind::Conflict, "COPY_UNFITTING"),
        Row { .. } => (Kind::Conflict, "COPY_ROW"),
    },
    asks { Open(error), Migration { error, .. }, Fault { fault, .. } }
}

/// `migrate run` acts on the database of the settings, which need not be this one.
fn told(error: &MigrationError) -> String {
    match error {
        MigrationError::Pending { count } => {
            format!(
                "{count} migrations are pending; run `petspark-cli migrate run` with DATABASE_URL set to its address"
            )
        }
        error => error.to_string(),
    }
}

/// For `map_err`: what was being done when that happened.
pub(super) fn during<E: Into<Fault>>(what: impl Into<String>) -> impl FnOnce(E) -> CopyError {
    let what = what.into();
    move |error| CopyError::Fault { what, fault: error.into() }
}

/// For `map_err`: which of the two it was.
pub(super) fn at(side: &'static str, database: &Database) -> impl FnOnce(MigrationError) -> CopyError {
    let place = database.target();
    move |error| CopyError::Migration { side, place, error: Box::new(error) }
}
