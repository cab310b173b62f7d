//! The exit codes, and the one place that decides which error gets which.

use std::process::ExitCode;

use petspark_core::{Failure, Kind};

/// How the process ends. The numbers are part of the interface: scripts and monitors rely on them.
///
/// ```
/// use petspark_cli::Exit;
/// let all = [
///     (Exit::Done, 0), (Exit::Failed, 1), (Exit::Usage, 2), (Exit::Config, 3), (Exit::NotFound, 4),
///     (Exit::Conflict, 5), (Exit::Unconfirmed, 6), (Exit::Unreachable, 7), (Exit::Locked, 8),
///     (Exit::ChecksFailed, 10), (Exit::OnlyWarnings, 11), (Exit::ChecksIncomplete, 12),
///     (Exit::BackupInvalid, 20), (Exit::BackupStale, 21),
///     (Exit::NotExecutable, 126), (Exit::Interrupted, 130), (Exit::Terminated, 143), (Exit::Other(64), 64),
/// ];
/// for (exit, code) in all {
///     assert_eq!(exit.code(), code);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: an unexpected failure.
    Failed,
    /// 2: the command line, or a value on it, can't be right.
    Usage,
    /// 3: the settings are invalid.
    Config,
    /// 4: what the command is about doesn't exist.
    NotFound,
    /// 5: at odds with what is stored: it exists already, migrations are pending, not allowed.
    Conflict,
    /// 6: a confirmation is needed and was not given; nothing was done.
    Unconfirmed,
    /// 7: the database or another thing that is needed is away, busy or taken.
    Unreachable,
    /// 8: another process holds the lock.
    Locked,
    /// 10: at least one check failed that must not; files of uploads are missing or damaged.
    ChecksFailed,
    /// 11: checks warned, and `--strict` was said.
    OnlyWarnings,
    /// 12: no check failed, and at least one could not be carried out.
    ChecksIncomplete,
    /// 20: a backup is no good: changed, incomplete, not to be read with the keys that are there; or a database
    /// that is to be backed up or copied is damaged.
    BackupInvalid,
    /// 21: the backups are good, but too old, too few, or not proven lately.
    BackupStale,
    /// 126: an external command that can't or mustn't be run.
    NotExecutable,
    /// 130: stopped by SIGINT (Ctrl-C).
    Interrupted,
    /// 143: stopped by SIGTERM.
    Terminated,
    /// An external command's own code, passed through, and a plug-in's: use 64 and above.
    Other(u8),
}

impl Exit {
    /// The number that the parent process sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Unconfirmed => 6,
            Self::Unreachable => 7,
            Self::Locked => 8,
            Self::ChecksFailed => 10,
            Self::OnlyWarnings => 11,
            Self::ChecksIncomplete => 12,
            Self::BackupInvalid => 20,
            Self::BackupStale => 21,
            Self::NotExecutable => 126,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Other(code) => code,
        }
    }

    /// The exit code for an error of the library: by its kind, but for those that deserve their own.
    #[must_use]
    pub fn of(error: &dyn Failure) -> Self {
        match (error.code(), error.kind()) {
            ("CONFIG_INVALID", _) => Self::Config,
            ("MIGRATION_LOCKED" | "BACKUP_LOCKED", _) => Self::Locked,
            ("BACKUP_DAMAGED" | "BACKUP_KEY" | "COPY_DAMAGED", _) => Self::BackupInvalid,
            (_, Kind::Invalid) => Self::Usage,
            (_, Kind::NotFound) => Self::NotFound,
            (_, Kind::Conflict | Kind::Outdated | Kind::Unauthenticated | Kind::Forbidden) => Self::Conflict,
            (_, Kind::RateLimited | Kind::Unavailable) => Self::Unreachable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
