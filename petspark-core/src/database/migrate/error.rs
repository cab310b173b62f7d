//! Why migrating can't be done or went wrong.

use std::time::Duration;

use crate::database::HalfRestored;
use crate::database::lock::{Holder, NotTaken};
use crate::database::schema_lock::Difference;
use crate::error::{Fault, Kind, failure};

/// Migrating can't be done or went wrong. What was applied before stays; the failing step left nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Another process is migrating and did not finish in time.
    #[error("another process has been migrating this database for more than {}s{}", .waited.as_secs(), told(.holder))]
    Locked {
        /// How long we waited.
        waited: Duration,
        /// Who it is, as far as they can be known.
        holder: Option<Holder>,
    },
    /// The connection is a pooler's, which lends another one for every transaction: a lock would
    /// hold nobody off.
    #[error(
        "this connection leads through a pooler that lends connections by the transaction, which can't hold a lock; migrate over a connection to PostgreSQL itself, or to the pooler in session mode"
    )]
    Pooled,
    /// A step is to be applied that is older than one that was.
    #[error(
        "migration {name} is pending and older than {newest}, which was applied already; it may not fit what came after it: look at its SQL, then allow it by --allow-out-of-order"
    )]
    OutOfOrder {
        /// Which.
        name: String,
        /// The newest that was applied.
        newest: String,
    },
    /// A step is to be applied, and a newer release was here that applied others.
    #[error(
        "this database was migrated by a newer release, which applied {newest}; this build doesn't have that: replace it by that release, or go back to the backup from before by `backup restore`"
    )]
    Newer {
        /// The newest that was applied.
        newest: String,
    },
    /// A newer release was here, and left a schema that this build can't work with.
    #[error(
        "this database was migrated by a newer release, and a build that lacks migration {needed}, as this one does, can't work with it any more: use a release that has it, or go back to the backup from before by `backup restore`"
    )]
    TooOld {
        /// What a build has to have, at least.
        needed: String,
    },
    /// The role doesn't see the schema, or may not read the history.
    #[error("{0}; grant it that, or connect as the role that owns the tables")]
    NotAllowed(String),
    /// The schema is not what the migrations of this build make.
    #[error("the schema is not what the migrations make: {}", listed(.0))]
    Differs(Vec<Difference>),
    /// There is no such migration.
    #[error("there is no migration {0}")]
    NoSuchVersion(i64),
    /// A migration in the database is not the one in this build.
    #[error("migration {name} was applied with other SQL than this build has; use the build that applied it")]
    Modified {
        /// Which.
        name: String,
    },
    /// A restoring of this schema didn't come to its end.
    #[error("this database is half restored: {0}")]
    HalfRestored(HalfRestored),
    /// A copy to this database didn't come to its end.
    #[error("this database holds an unfinished copy of another one; let `petspark-cli migrate copy` come to its end")]
    HalfCopied,
    /// The server found migrations to apply, and may not apply them by itself.
    #[error("{}; run `petspark-cli migrate run --backup-first`, or start with --migrate", pending(*.count))]
    Pending {
        /// How many.
        count: usize,
    },
    /// A step failed, and was undone.
    #[error("migration {name} failed and was undone: {reason}; {}", before(.applied))]
    Failed {
        /// Which.
        name: String,
        /// What the database said.
        reason: String,
        /// Whose fault that is.
        kind: Kind,
        /// Steps that were applied before it, and stay.
        applied: Vec<String>,
    },
    /// A step was to be committed, and the answer to that was lost.
    #[error("what became of migration {name} was lost with the connection ({reason}): {}", found(*.is_applied))]
    Unsettled {
        /// Its number.
        version: i64,
        /// Which.
        name: String,
        /// What was told instead of an answer.
        reason: String,
        /// Whose fault that is.
        kind: Kind,
        /// It is, as was found out since; else that could not be found out.
        is_applied: bool,
        /// Steps that are known to be applied, and stay.
        applied: Vec<String>,
    },
    /// The history can't be read or written.
    #[error("the database doesn't answer as it should: {}", .0.chain())]
    Fault(#[from] Fault),
}

impl MigrationError {
    /// Whether the database is, or may be, no longer what it was before.
    #[must_use]
    pub fn has_applied(&self) -> bool {
        match self {
            Self::Failed { applied, .. } => !applied.is_empty(),
            Self::Unsettled { .. } => true,
            _ => false,
        }
    }
}

failure! {
    MigrationError,
    own {
        Locked { .. } => (Kind::Conflict, "MIGRATION_LOCKED"),
        Modified { .. } => (Kind::Conflict, "MIGRATION_MODIFIED"),
        HalfRestored(_) => (Kind::Conflict, "DATABASE_HALF_RESTORED"),
        HalfCopied => (Kind::Conflict, "DATABASE_HALF_COPIED"),
        Pending { .. } => (Kind::Conflict, "MIGRATION_PENDING"),
        Failed { kind, .. } => (*kind, "MIGRATION_FAILED"),
        Unsettled { kind, .. } => (*kind, "MIGRATION_UNSETTLED"),
        Pooled => (Kind::Conflict, "MIGRATION_POOLED"),
        OutOfOrder { .. } => (Kind::Conflict, "MIGRATION_OUT_OF_ORDER"),
        Newer { .. } => (Kind::Conflict, "MIGRATION_NEWER"),
        TooOld { .. } => (Kind::Conflict, "MIGRATION_NEWER"),
        // As of a connection that is refused.
        NotAllowed(_) => (Kind::Unavailable, "DATABASE_NOT_ALLOWED"),
        Differs(_) => (Kind::Conflict, "SCHEMA_DIFFERS"),
        NoSuchVersion(_) => (Kind::NotFound, "MIGRATION_UNKNOWN"),
    },
    asks { Fault(fault) }
}

fn told(holder: &Option<Holder>) -> String {
    holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default()
}

fn found(is_applied: bool) -> &'static str {
    if is_applied {
        "it was applied; `petspark-cli migrate run` goes on with what comes behind it, if anything does"
    } else {
        "it was applied or undone as a whole, `petspark-cli migrate status` tells which once the database answers"
    }
}

fn before(applied: &[String]) -> String {
    match applied {
        [] => "nothing was applied".to_owned(),
        applied => format!("what came before it was applied: {}", applied.join(", ")),
    }
}

fn pending(count: usize) -> String {
    if count == 1 { "1 migration is pending".to_owned() } else { format!("{count} migrations are pending") }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<NotTaken> for MigrationError {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Held { waited, holder } => Self::Locked { waited, holder },
            NotTaken::Pooled => Self::Pooled,
            NotTaken::Fault(fault) => Self::Fault(fault),
        }
    }
}
