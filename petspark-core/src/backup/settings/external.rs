//! Another program that backs the database up: which, where it keeps what, and what it needs to know.

use std::path::PathBuf;

use crate::config::Loader;
use crate::database::text_enum;
use crate::program;

text_enum! {
    /// Another program that backs the database up, whose archive can be looked at.
    pub enum ExternalTool {
        /// pgBackRest.
        PgBackRest = "pgbackrest",
        /// Barman.
        Barman = "barman",
        /// Litestream.
        Litestream = "litestream",
        /// WAL-G.
        WalG = "wal-g",
    }
}

impl ExternalTool {
    /// The variables of the environment that it has its settings in, beside those of any program.
    pub(in crate::backup) fn needs(self) -> &'static [&'static str] {
        match self {
            Self::PgBackRest => &["PGBACKREST_*"],
            Self::Barman => &["BARMAN_*", "AWS_*", "AZURE_*", "GOOGLE_*"],
            Self::Litestream => &["LITESTREAM_*", "AWS_*", "AZURE_*", "GOOGLE_*"],
            Self::WalG => &["WALG_*", "WALE_*", "AWS_*", "AZURE_*", "GOOGLE_*", "SWIFT_*", "OS_*"],
        }
    }
}

/// Where another program has its backups of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Which.
    pub tool: ExternalTool,
    /// What it calls the database.
    pub name: String,
    /// The program, if it isn't on the search path by its name.
    pub program: Option<PathBuf>,
}

impl External {
    /// Declares and reads them; `None` if nobody else makes backups.
    pub(super) fn read(from: &mut Loader) -> Option<Self> {
        let tool = from.find(
            "backup.external",
            None,
            "Another program whose backups of the database `backup check` looks at, by that program: pgbackrest, barman, litestream or wal-g.",
        );
        let name: Option<String> = from.find(
            "backup.external_name",
            None,
            "What it calls the database: pgBackRest's stanza, Barman's server, for litestream the database's path or the replica's URL, for WAL-G its file of settings. Never with a password.",
        );
        let program =
            from.find("backup.external_program", None, "That program, if it isn't on the search path by its name.");
        let tool = tool?;
        let name = name.filter(|name| !name.is_empty() && !name.starts_with('-'));
        if name.as_deref().is_some_and(program::has_secret) {
            // It is an argument of that program: for everybody on this machine to read.
            from.problem(
                "backup.external_name",
                "has a password or a key in it, which everybody on the machine could read while the program runs; that \
                 belongs into the program's own settings",
            );
            return None;
        }
        if name.is_none() {
            from.problem("backup.external_name", "is missing, and backup.external says who has backups");
        }
        Some(Self { tool, name: name?, program })
    }
}
