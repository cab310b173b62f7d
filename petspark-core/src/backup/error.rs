//! Why something about backups can't be done.

use std::path::PathBuf;

use crate::auth::Denied;
use crate::config::ByteSize;
use crate::error::{Fault, failure};
use crate::id::BackupId;
use crate::media::objects::ObjectError;
use crate::{
    config::Value as _,
    database::{MigrationError, NotClosed},
};

/// Why something about backups can't be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// No such backup, or none at all.
    #[error("there is no such backup")]
    NotFound,
    /// Somebody else is backing up, restoring or pruning.
    #[error("another process is at the backups of this database")]
    Locked,
    /// It would not fit.
    #[error("{} has {} free, and this needs about {}", .path.display(), ByteSize(*.free).render(), ByteSize(*.needed).render())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// PostgreSQL's tools are missing or too old.
    #[error("{0}")]
    Tools(String),
    /// A setting, or a file that one names, is no good.
    #[error("{0}")]
    Settings(String),
    /// The backup isn't what was written: incomplete, changed, or made of something damaged.
    #[error("backup {id} is no good: {problem}")]
    Damaged {
        /// Which.
        id: BackupId,
        /// What is wrong with it.
        problem: String,
    },
    /// The newest was to have the files of uploads, and has none: older ones may have the only copies.
    #[error("backup {id} was to have the files of uploads, and has a list only ({problem}); nothing was removed")]
    WithoutFiles {
        /// Which.
        id: BackupId,
        /// Why.
        problem: String,
    },
    /// The database itself is damaged, and a backup of it would be.
    #[error("the database is damaged, so no backup was made: {0}")]
    Source(String),
    /// It is encrypted, and no key was given: it may be all right.
    #[error("{0}")]
    NoKey(String),
    /// It is encrypted, and not for the keys that were given.
    #[error("{0}")]
    Key(String),
    /// A newer release made it.
    #[error("backup {id} was made by a newer release: it has migration {version}, and this build ends at {known}")]
    Newer {
        /// Which.
        id: BackupId,
        /// Its last migration.
        version: i64,
        /// The last one that this build has.
        known: i64,
    },
    /// There is something already where it should be restored to.
    #[error("{0}")]
    Occupied(String),
    /// The server runs on the database that would be replaced.
    #[error("a server, or something else, has {0} open; stop it first")]
    InUse(String),
    /// The backup is complete in the folder, and not in the bucket.
    #[error("backup {id} is complete in the folder, but can't be copied to the bucket: {reason}")]
    NotCopied {
        /// Which.
        id: BackupId,
        /// Why not.
        reason: String,
    },
    /// What would be written to the folder of backups could be read by nobody but who writes it.
    #[error(
        "{} belongs to the user with the number {owner}, and this runs as {us}: what is written there now would be in \
         the way of the server's own backups. Run it as that user: sudo -u '#{owner}' ...", .folder.display()
    )]
    NotOwner {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The restored database can't be migrated, or what is to be backed up is no database yet.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl BackupError {
    pub(super) fn io(error: std::io::Error) -> Self {
        Self::Fault(Fault::unavailable(error))
    }
}

impl From<NotClosed> for BackupError {
    fn from(not_closed: NotClosed) -> Self {
        match not_closed {
            NotClosed::InUse(who) => Self::InUse(who),
            NotClosed::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<ObjectError> for BackupError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Fault(fault) => Self::Fault(fault),
            error => Self::Fault(Fault::unavailable(error)),
        }
    }
}

failure! {
    BackupError,
    own {
        NotFound => (Kind::NotFound, "BACKUP_NOT_FOUND"),
        Locked => (Kind::Conflict, "BACKUP_LOCKED"),
        NoSpace { .. } => (Kind::Unavailable, "BACKUP_NO_SPACE"),
        Tools(_) => (Kind::Unavailable, "BACKUP_TOOLS"),
        Settings(_) => (Kind::Invalid, "BACKUP_SETTINGS"),
        Damaged { .. } => (Kind::Unprocessable, "BACKUP_DAMAGED"),
        Source(_) => (Kind::Unprocessable, "BACKUP_DAMAGED"),
        Key(_) => (Kind::Invalid, "BACKUP_KEY"),
        NoKey(_) => (Kind::Invalid, "BACKUP_NO_KEY"),
        Newer { .. } => (Kind::Conflict, "BACKUP_NEWER"),
        Occupied(_) => (Kind::Conflict, "BACKUP_OCCUPIED"),
        InUse(_) => (Kind::Conflict, "BACKUP_IN_USE"),
        NotCopied { .. } => (Kind::Unavailable, "BACKUP_NOT_COPIED"),
        NotOwner { .. } => (Kind::Conflict, "BACKUP_NOT_OWNER"),
        WithoutFiles { .. } => (Kind::Conflict, "BACKUP_WITHOUT_FILES"),
    },
    asks { Denied(denied), Migration(error), Fault(fault) }
}
