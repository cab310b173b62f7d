//! Saying what a backup is of and what is in it, once everything was copied.

use super::NewBackup;
use super::copy::Copied;
use crate::backup::manifest::{Manifest, ManifestEncryption, ManifestFile, ManifestMedia, ManifestMigrations, SCHEMA};
use crate::backup::pipe::Written;
use crate::backup::settings::BackupMedia;
use crate::backup::{BackupError, Backups, keys};
use crate::id::BackupId;
use crate::text::hex;

impl Backups {
    pub(super) async fn describe(
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
        if let Some(listed) = copied.said.inventory {
            (objects, bytes) = (listed.objects, listed.bytes);
            files.push(file("media.zst", "media_inventory", listed.written));
        }
        Ok(Manifest {
            schema: SCHEMA.to_owned(),
            id,
            created_at: copied.created_at,
            finished_at: self.clock().now(),
            label: new.label.clone(),
            environment: self.settings().environment,
            app: env!("CARGO_PKG_VERSION").to_owned(),
            database: copied.database,
            migrations: migrations(&copied.said.history, copied.said.contents.schema_sha256),
            tables: copied.said.contents.tables,
            snapshot: copied.snapshot,
            files,
            media: ManifestMedia { mode, objects, bytes, lacking: Vec::new(), problem: None },
            encryption,
            keys_required: copied.said.keys_required,
            tools: copied.tools,
            prev: self.folder().ids().await?.pop(),
            manifest_sha256: String::new(),
        })
    }
}

/// How far a schema is, as manifests say it.
pub(in crate::backup) fn migrations(history: &[(i64, String, String)], schema_sha256: String) -> ManifestMigrations {
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

/// The name of the file with the database.
pub(super) fn database_file(is_encrypted: bool) -> &'static str {
    if is_encrypted { "database.age" } else { "database.zst" }
}
