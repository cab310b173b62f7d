//! Making a backup: a copy of one moment, looked over, packed, described, and only then visible.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::drill::DRILL;
use super::manifest::{self, Manifest, ManifestDatabase, ManifestEncryption, ManifestFile, ManifestMedia};
use super::manifest::{ManifestMigrations, SCHEMA};
use super::pipe::{self, Written};
use super::settings::BackupMedia;
use super::target::{PARTIAL, Target, blocking, folder_names, sync_folder, write_whole};
use super::{BackupError, Backups, keys};
use crate::audit::{self, Action, Event};
use crate::auth::{Permission, sealing_key_names};
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::config::DatabaseUrl;
use crate::database::{Contents, Direct, PostgresTools, Turn};
use crate::error::Fault;
use crate::id::BackupId;
use crate::media::read_inventory;
use crate::private;
use crate::text::hex;

/// A backup to be made.
#[derive(Clone, Debug, Default)]
pub struct NewBackup {
    /// In the operator's words.
    pub label: Option<String>,
    /// What to have of uploads, if not what the settings say.
    pub media: Option<BackupMedia>,
    /// Whether it stays, whatever the rules say.
    pub pin: bool,
}

/// What was copied, before it is described.
struct Copied {
    created_at: Timestamp,
    database: ManifestDatabase,
    contents: Contents,
    history: Vec<(i64, String, String)>,
    snapshot: Option<String>,
    kind: &'static str,
    written: Written,
    inventory: Option<Listed>,
    tools: BTreeMap<String, String>,
}

/// The list of uploads.
struct Listed {
    written: Written,
    objects: u64,
    bytes: u64,
}

/// A folder that is gone with whoever works in it, unless it was renamed.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Result<Self, BackupError> {
        private::create_folder(&path).map_err(BackupError::io)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was renamed isn't there; one that can't be removed is found by the next backup.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Backups {
    /// Makes a backup of the database as it is at one moment, while others go on to write.
    ///
    /// # Errors
    /// [`BackupError::Locked`], [`BackupError::NoSpace`], [`BackupError::Tools`],
    /// [`BackupError::Source`]; [`BackupError::NotCopied`] if only the bucket lacks it.
    pub async fn create(&self, caller: &Caller, new: &NewBackup) -> Result<Manifest, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let started = self.clock().now();
        let turn = self.take_turn().await?;
        let made = self.make(new).await;
        turn.release().await;
        let id = made.as_ref().ok().map(|manifest| manifest.id);
        self.log_backup(&made, started).await;
        if let (Some(id), Some(db)) = (id, self.database()) {
            let event = Event::new(Action::BackupCreated).detail("backup", id.to_string());
            // A database that lacks migrations can be backed up, and can't be told of it.
            if let Err(fault) = audit::record_now(db, self.clock().now(), caller, event).await {
                tracing::warn!(reason = fault.chain(), "the backup is not in the audit log");
            }
        }
        made
    }

    /// Makes a backup and reads it again: what changes the database may begin only after that.
    ///
    /// # Errors
    /// As [`Backups::create`]; [`BackupError::Damaged`] if it isn't what was written.
    pub async fn create_and_read(&self, caller: &Caller, new: &NewBackup) -> Result<Manifest, BackupError> {
        let made = self.create(caller, new).await?;
        let examined = self.examine(self.folder(), made.id, &[]).await?;
        match examined.problem() {
            None => Ok(made),
            Some(problem) => Err(BackupError::Damaged { id: made.id, problem }),
        }
    }

    /// Nobody else may be at the backups of this database.
    pub(super) async fn take_turn(&self) -> Result<Turn, BackupError> {
        Turn::take(&self.settings().database.url).await?.ok_or(BackupError::Locked)
    }

    pub(super) async fn make(&self, new: &NewBackup) -> Result<Manifest, BackupError> {
        let settings = &self.settings().backup;
        self.clear_leftovers()?;
        let id = BackupId::new();
        let staged = Scratch::new(settings.folder.join(format!("{PARTIAL}{id}")))?;
        let work = Scratch::new(settings.work_folder.join(id.to_string()))?;
        let mode = new.media.unwrap_or(settings.media);
        let copied = match &self.settings().database.url {
            DatabaseUrl::Sqlite(path) => self.copy_sqlite(path, &staged.0, &work.0, mode).await?,
            DatabaseUrl::Postgres(url) => self.dump_postgres(url.expose(), &staged.0, &work.0, mode).await?,
        };
        let mut manifest = self.describe(id, new, mode, copied).await?;
        if let (BackupMedia::Full, Some(file)) = (mode, manifest.inventory_file()) {
            // After the database; what was deleted meanwhile is noted as lacking.
            manifest.media.lacking = self.keep_media(&staged.0.join(&file.path), id).await?;
            manifest.finished_at = self.clock().now();
        }
        let text = manifest.seal()?;
        write_whole(&staged.0.join(manifest::FILE), &text)?;
        sync_folder(&staged.0).map_err(BackupError::io)?;
        if new.pin {
            self.pin(id, true).await?;
        }
        let place = settings.folder.join(id.to_string());
        fs::rename(&staged.0, &place)
            .and_then(|()| sync_folder(&settings.folder))
            .map_err(|error| BackupError::io(private::told(&place, &error)))?;
        if let Some(bucket) = self.bucket() {
            self.copy_to(bucket, &manifest, &place).await?;
        }
        Ok(manifest)
    }

    async fn copy_to(&self, bucket: &Target, manifest: &Manifest, place: &Path) -> Result<(), BackupError> {
        let names: Vec<&str> = manifest.files.iter().map(|file| &*file.path).collect();
        let sent = async {
            if let (BackupMedia::Full, Target::Bucket(store)) = (manifest.media.mode, bucket) {
                self.send_media(store, manifest).await?;
            }
            bucket.receive(manifest.id, place, &names).await
        };
        sent.await.map_err(|error| match error {
            BackupError::Fault(fault) => BackupError::NotCopied { id: manifest.id, reason: fault.chain() },
            error => error,
        })
    }

    async fn copy_sqlite(
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
        let server_version = direct.version().await?;
        direct.close().await;
        let ((contents, history, inventory), written) = (read?, written?);
        Ok(Copied {
            created_at,
            database: ManifestDatabase {
                engine: "sqlite".to_owned(),
                server_version: server_version.clone(),
                schema: "main".to_owned(),
                bytes,
            },
            contents,
            history,
            snapshot: None,
            kind: "sqlite",
            written,
            inventory,
            tools: BTreeMap::from([("sqlite".to_owned(), server_version)]),
        })
    }

    async fn dump_postgres(
        &self,
        url: &str,
        staged: &Path,
        work: &Path,
        mode: BackupMedia,
    ) -> Result<Copied, BackupError> {
        let mut live = Direct::postgres(url).await?;
        let (server_version, schema, bytes) = (live.version().await?, live.schema().await?, live.bytes().await?);
        let tools = self.tools(&server_version).await?;
        require_space(staged, bytes)?;
        let created_at = self.clock().now();
        let snapshot = live.hold_still().await?.unwrap_or_default();
        let mut dump = tools.dump(url, &schema, &snapshot).map_err(BackupError::Tools)?;
        let output = dump.output().map_err(BackupError::Tools)?;
        // The tool reads the same moment in a session of its own, while we count.
        let (written, read) = tokio::join!(self.pack(output, bytes, staged), self.read(&mut live, staged, work, mode));
        let ended = blocking(move || dump.finish().map_err(|said| Fault::unavailable(said).into())).await;
        live.close().await;
        // What the tool said explains more than that there was nothing to read.
        ended?;
        let ((contents, history, inventory), written) = (read?, written?);
        Ok(Copied {
            created_at,
            database: ManifestDatabase { engine: "postgres".to_owned(), server_version, schema, bytes },
            contents,
            history,
            snapshot: Some(snapshot),
            kind: "pg_custom",
            written,
            inventory,
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
    ) -> Result<(Contents, Vec<(i64, String, String)>, Option<Listed>), BackupError> {
        let damage = from.damage().await?;
        if !damage.is_empty() {
            return Err(BackupError::Source(damage.join("; ")));
        }
        let (contents, history) = (Contents::read(from).await?, from.history().await?);
        let has_uploads = contents.tables.iter().any(|table| table.name == "uploads");
        let inventory = match mode {
            BackupMedia::Inventory | BackupMedia::Full if has_uploads => {
                Some(self.list_uploads(from, staged, work).await?)
            }
            _ => None,
        };
        Ok((contents, history, inventory))
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

    async fn describe(
        &self,
        id: BackupId,
        new: &NewBackup,
        mode: BackupMedia,
        copied: Copied,
    ) -> Result<Manifest, BackupError> {
        let recipients = &self.settings().backup.recipients;
        let encryption = if recipients.is_empty() {
            None
        } else {
            Some(ManifestEncryption {
                alg: "age-x25519".to_owned(),
                recipients: recipients.iter().map(ToString::to_string).collect(),
                canary: keys::make_canary(recipients, &id.to_string())?,
            })
        };
        let file = |path: &str, kind: &str, written: Written| ManifestFile {
            path: path.to_owned(),
            kind: kind.to_owned(),
            bytes: written.stored.bytes,
            sha256: written.stored.sha256,
            plain_bytes: written.plain.bytes,
            plain_sha256: written.plain.sha256,
        };
        let mut files = vec![file(database_file(encryption.is_some()), copied.kind, copied.written)];
        let (mut objects, mut bytes) = (0, 0);
        if let Some(listed) = copied.inventory {
            (objects, bytes) = (listed.objects, listed.bytes);
            files.push(file("media.zst", "media_inventory", listed.written));
        }
        let sealing = sealing_key_names(&self.settings().auth, &self.settings().data_dir)?;
        Ok(Manifest {
            schema: SCHEMA.to_owned(),
            id,
            created_at: copied.created_at,
            finished_at: self.clock().now(),
            label: new.label.clone(),
            environment: self.settings().environment,
            app: env!("CARGO_PKG_VERSION").to_owned(),
            database: copied.database,
            migrations: migrations(&copied.history, copied.contents.schema_sha256),
            tables: copied.contents.tables,
            snapshot: copied.snapshot,
            files,
            media: ManifestMedia { mode, objects, bytes, lacking: Vec::new() },
            encryption,
            keys_required: sealing.into_iter().take(1).collect(),
            tools: copied.tools,
            prev: self.folder().ids().await?.pop(),
            manifest_sha256: String::new(),
        })
    }

    pub(super) async fn tools(&self, server_version: &str) -> Result<PostgresTools, BackupError> {
        let (folder, version) = (self.settings().backup.postgres_tools.clone(), server_version.to_owned());
        blocking(move || PostgresTools::find(folder.as_deref(), &version).map_err(BackupError::Tools)).await
    }

    /// Removes what processes left that were killed. Nobody else makes backups of this database: we have
    /// the lock. But a folder may be that of several, and a drill may be going on: what is young there stays.
    fn clear_leftovers(&self) -> Result<(), BackupError> {
        let settings = &self.settings().backup;
        for (folder, beginning) in [(&settings.work_folder, DRILL), (&settings.folder, PARTIAL)] {
            for name in folder_names(folder)? {
                let path = folder.join(&name);
                let changed = fs::metadata(&path).and_then(|folder| folder.modified()).map(Timestamp::from);
                let is_old = changed.is_ok_and(|at| self.clock().now().since(at) > DAY);
                let is_ours = folder == &settings.work_folder && name.parse::<BackupId>().is_ok();
                if is_ours || (name.starts_with(beginning) && is_old) {
                    drop(Scratch(path));
                }
            }
        }
        Ok(())
    }
}

/// How far a schema is, as manifests say it.
pub(super) fn migrations(history: &[(i64, String, String)], schema_sha256: String) -> ManifestMigrations {
    use sha2::{Digest as _, Sha256};
    let digest = history
        .iter()
        .fold(Sha256::new(), |digest, (version, _, checksum)| digest.chain_update(format!("{version} {checksum}\n")));
    ManifestMigrations {
        version: history.last().map_or(0, |(version, _, _)| *version),
        count: history.len() as u64,
        sha256: hex(&digest.finalize()),
        schema_sha256,
    }
}

fn database_file(is_encrypted: bool) -> &'static str {
    if is_encrypted { "database.age" } else { "database.zst" }
}

/// Refuses what would not fit, before a disk is full.
pub(super) fn require_space(path: &Path, needed: u64) -> Result<(), BackupError> {
    let free = free_bytes(path)?;
    if free < needed {
        return Err(BackupError::NoSpace { path: path.to_owned(), free, needed });
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Result<u64, BackupError> {
    let disk = rustix::fs::statvfs(path).map_err(|error| BackupError::io(private::told(path, &error.into())))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
