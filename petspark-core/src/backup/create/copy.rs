//! Copying a database as it is at one moment, with everything that is said about it, into the files of a
//! backup. Who gets a turn, and when a backup is complete, is for [`super`] to say.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::describe::database_file;
use super::require_space;
use crate::auth::sealed_with;
use crate::backup::manifest::ManifestDatabase;
use crate::backup::pipe::{self, Written};
use crate::backup::settings::BackupMedia;
use crate::backup::target::blocking;
use crate::backup::{BackupError, Backups};
use crate::clock::Timestamp;
use crate::database::{Contents, Direct, PostgresTools};
use crate::error::Fault;
use crate::media::read_inventory;
use crate::private;

/// What was copied, before it is described.
pub(super) struct Copied {
    pub(super) created_at: Timestamp,
    pub(super) database: ManifestDatabase,
    pub(super) said: Said,
    pub(super) snapshot: Option<String>,
    pub(super) kind: &'static str,
    pub(super) written: Written,
    pub(super) tools: BTreeMap<String, String>,
}

/// What is in a copy.
pub(super) struct Said {
    pub(super) contents: Contents,
    pub(super) history: Vec<(i64, String, String)>,
    pub(super) inventory: Option<Listed>,
    /// Names of the keys that something in it is sealed with.
    pub(super) keys_required: Vec<String>,
}

/// The list of uploads.
pub(super) struct Listed {
    pub(super) written: Written,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Backups {
    pub(super) async fn copy_sqlite(
        &self,
        path: &Path,
        staged: &Path,
        work: &Path,
        mode: BackupMedia,
    ) -> Result<Copied, BackupError> {
        let mut live = Direct::sqlite(path, true).await?;
        let bytes = live.bytes().await?;
        require_space(work, bytes.saturating_mul(3) / 2)?;
        require_space(staged, bytes.saturating_mul(3) / 2)?;
        let copy = work.join("database.sqlite");
        // SQLite would let everybody read a file of its own making.
        private::open(&copy, OpenOptions::new().write(true).create_new(true)).map_err(BackupError::io)?;
        let created_at = self.clock().now();
        live.copy_to(&copy).await?;
        live.close().await;
        let mut direct = Direct::sqlite(&copy, true).await?;
        let file = File::open(&copy).map_err(BackupError::io)?;
        let length = file.metadata().map_err(BackupError::io)?.len();
        // Nobody writes to it any more: it is packed while it is read.
        let (read, written) = tokio::join!(self.read(&mut direct, staged, work, mode), self.pack(file, length, staged));
        let (server_version, born_at) = (direct.version().await?, direct.born_at().await?);
        direct.close().await;
        let (said, written) = (read?, written?);
        Ok(Copied {
            created_at,
            database: ManifestDatabase {
                engine: "sqlite".to_owned(),
                server_version: server_version.clone(),
                schema: "main".to_owned(),
                bytes,
                born_at,
            },
            said,
            snapshot: None,
            kind: "sqlite",
            written,
            tools: BTreeMap::from([("sqlite".to_owned(), server_version)]),
        })
    }

    pub(super) async fn dump_postgres(
        &self,
        url: &str,
        staged: &Path,
        work: &Path,
        mode: BackupMedia,
    ) -> Result<Copied, BackupError> {
        let mut live = Direct::postgres(url).await?;
        let (server_version, schema, bytes) = (live.version().await?, live.schema().await?, live.bytes().await?);
        let tools = self.dump_tools(&server_version).await?;
        require_space(staged, bytes)?;
        let born_at = live.born_at().await?;
        let created_at = self.clock().now();
        let snapshot = live.hold_still().await?.unwrap_or_default();
        let mut dump = tools.dump(url, &schema, &snapshot).map_err(BackupError::Tools)?;
        let output = dump.output().map_err(BackupError::Tools)?;
        // The tool reads the same moment in a session of its own, while we count.
        let (written, read) = tokio::join!(self.pack(output, bytes, staged), self.read(&mut live, staged, work, mode));
        let ended = blocking(move || dump.finish().map_err(|said| Fault::unavailable(said).into())).await;
        live.close().await;
        // Of several failures the first caused the others: a disk that is full ends the tool, which can't say why, and
        // with our own reader goes the moment that the tool reads.
        let (written, said) = (written?, read?);
        ended?;
        Ok(Copied {
            created_at,
            database: ManifestDatabase { engine: "postgres".to_owned(), server_version, schema, bytes, born_at },
            said,
            snapshot: Some(snapshot),
            kind: "pg_custom",
            written,
            tools: BTreeMap::from([("pg_dump".to_owned(), tools.version)]),
        })
    }

    /// Everything that is said about a database; a damaged one is refused.
    async fn read(
        &self,
        from: &mut Direct,
        staged: &Path,
        work: &Path,
        mode: BackupMedia,
    ) -> Result<Said, BackupError> {
        let contents = Contents::examine(from).await?.map_err(BackupError::Source)?;
        let history = from.history().await?;
        // A backup may be made because these are yet to come.
        let has = |name: &str| contents.tables.iter().any(|table| table.name == name);
        let (has_uploads, has_sealed) = (has("uploads"), has("totp_factors") && has("signing_keys"));
        let inventory = match mode {
            BackupMedia::Inventory | BackupMedia::Full if has_uploads => {
                Some(self.list_uploads(from, staged, work).await?)
            }
            _ => None,
        };
        let keys_required = if has_sealed { sealed_with(from).await? } else { Vec::new() };
        Ok(Said { contents, history, inventory, keys_required })
    }

    async fn list_uploads(&self, from: &mut Direct, staged: &Path, work: &Path) -> Result<Listed, BackupError> {
        let list = work.join("media.jsonl");
        let file = private::open(&list, OpenOptions::new().write(true).create_new(true)).map_err(BackupError::io)?;
        let mut file = BufWriter::new(file);
        let (mut objects, mut bytes) = (0, 0);
        read_inventory(from, |kept| {
            (objects, bytes) = (objects + 1, bytes + kept.size);
            let line = serde_json::to_string(&kept).map_err(Fault::internal)?;
            writeln!(file, "{line}").map_err(Fault::unavailable)
        })
        .await?;
        file.into_inner().map_err(|error| BackupError::io(error.into_error()))?;
        let place = staged.join("media.zst");
        // It has ids and checksums only, so that the server itself can look for what is missing.
        let packed = blocking(move || {
            let from = File::open(&list).map_err(BackupError::io)?;
            Ok(pipe::pack(from, &place, &[])?)
        });
        Ok(Listed { written: packed.await?, objects, bytes })
    }

    async fn pack(
        &self,
        from: impl std::io::Read + Send + 'static,
        bytes: u64,
        staged: &Path,
    ) -> Result<Written, BackupError> {
        let from = self.watcher().part("packing, in bytes", bytes).of(from);
        let recipients = self.settings().backup.recipients.clone();
        let path = staged.join(database_file(!recipients.is_empty()));
        blocking(move || Ok(pipe::pack(from, &path, &recipients)?)).await
    }

    /// Tools that can dump what such a server has.
    pub(in crate::backup) async fn dump_tools(&self, server: &str) -> Result<PostgresTools, BackupError> {
        let (folder, server) = (self.settings().backup.postgres_tools.clone(), server.to_owned());
        blocking(move || PostgresTools::for_dump(folder.as_deref(), &server).map_err(BackupError::Tools)).await
    }

    /// Tools that can restore what a `pg_dump` of that release wrote into such a server.
    pub(in crate::backup) async fn restore_tools(
        &self,
        dumped_by: &str,
        server: &str,
    ) -> Result<PostgresTools, BackupError> {
        let folder = self.settings().backup.postgres_tools.clone();
        let (dumped_by, server) = (dumped_by.to_owned(), server.to_owned());
        let find = move || PostgresTools::for_restore(folder.as_deref(), &dumped_by, &server);
        blocking(move || find().map_err(BackupError::Tools)).await
    }
}
