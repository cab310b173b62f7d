//! What a backup says of itself: `manifest.json`, written last, with a digest of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::settings::BackupMedia;
use crate::clock::Timestamp;
use crate::config::Environment;
use crate::database::TableContents;
use crate::error::Fault;
use crate::id::BackupId;
use crate::text::hex;

/// Its form; adding fields is compatible.
pub(super) const SCHEMA: &str = "petspark.backup/v1";
/// Its file.
pub(super) const FILE: &str = "manifest.json";
/// Longer ones are none.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// What a backup is of, and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `petspark.backup/v1`.
    pub schema: String,
    /// Which.
    pub id: BackupId,
    /// The moment that it shows.
    pub created_at: Timestamp,
    /// When it was complete.
    pub finished_at: Timestamp,
    /// In the operator's words.
    pub label: Option<String>,
    /// Of which environment.
    pub environment: Environment,
    /// The release of PetSpark that made it.
    pub app: String,
    /// The database.
    pub database: ManifestDatabase,
    /// How far its schema was.
    pub migrations: ManifestMigrations,
    /// Every table.
    pub tables: Vec<TableContents>,
    /// What PostgreSQL called the moment.
    pub snapshot: Option<String>,
    /// Every file beside the manifest.
    pub files: Vec<ManifestFile>,
    /// What it has of uploads.
    pub media: ManifestMedia,
    /// Who can decrypt it; `None` if it isn't encrypted.
    pub encryption: Option<ManifestEncryption>,
    /// Names of the secrets without which parts of the data can't be read.
    pub keys_required: Vec<String>,
    /// The programs that made it, with their releases.
    pub tools: BTreeMap<String, String>,
    /// The backup before it.
    pub prev: Option<BackupId>,
    /// SHA-256 of all the rest, in canonical form.
    #[serde(default)]
    pub manifest_sha256: String,
}

/// The database that was backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDatabase {
    /// `sqlite` or `postgres`.
    pub engine: String,
    /// Its release.
    pub server_version: String,
    /// PostgreSQL's schema; `main` on SQLite.
    pub schema: String,
    /// What it took on the disk.
    pub bytes: u64,
    /// When the installation was made, by which backups of two in one folder are told apart; older backups
    /// don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born_at: Option<Timestamp>,
}

/// How far a schema is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMigrations {
    /// The last one.
    pub version: i64,
    /// How many.
    pub count: u64,
    /// SHA-256 of all their numbers and checksums.
    pub sha256: String,
    /// SHA-256 of the schema itself.
    pub schema_sha256: String,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name.
    pub path: String,
    /// `sqlite`, `pg_custom` or `media_inventory`.
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The length of what it holds, decrypted and decompressed.
    pub plain_bytes: u64,
    /// The SHA-256 of that.
    pub plain_sha256: String,
}

/// What a backup has of uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMedia {
    /// How much.
    pub mode: BackupMedia,
    /// Objects in the inventory.
    pub objects: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Objects that a full backup lacks: the store didn't have them as the database says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
    /// Why a backup that was to be a full one has the list only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who can decrypt a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEncryption {
    /// `age-x25519`.
    pub alg: String,
    /// Their public keys.
    pub recipients: Vec<String>,
    /// A few bytes for trying a key.
    pub canary: String,
}

impl ManifestMedia {
    /// It has the files of uploads.
    pub(super) fn has_files(&self) -> bool {
        self.mode == BackupMedia::Full
    }

    /// It was to have them, whatever became of that.
    pub(super) fn was_to_have_files(&self) -> bool {
        self.has_files() || self.problem.is_some()
    }
}

impl Manifest {
    /// All rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// All bytes that are kept of it, but for the manifest's own.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file with the database.
    #[must_use]
    pub fn database_file(&self) -> Option<&ManifestFile> {
        self.files.iter().find(|file| matches!(&*file.kind, "sqlite" | "pg_custom"))
    }

    /// The file with the list of uploads.
    #[must_use]
    pub fn inventory_file(&self) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.kind == "media_inventory")
    }

    /// Its text, with the digest in it.
    pub(super) fn seal(&mut self) -> Result<Vec<u8>, Fault> {
        self.manifest_sha256.clear();
        self.manifest_sha256 = digest(&serde_json::to_value(&*self).map_err(Fault::internal)?);
        let mut text = serde_json::to_vec_pretty(self).map_err(Fault::internal)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads one that says it is `id`'s.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(id: BackupId, text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|_| "the manifest is not JSON".to_owned())?;
        let digest = digest(&value);
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| format!("the manifest can't be understood: {error}"))?;
        if manifest.schema != SCHEMA {
            return Err(format!("the manifest is of another form, {}", manifest.schema.escape_debug()));
        }
        if manifest.manifest_sha256 != digest {
            return Err("the manifest was changed: its own digest differs".to_owned());
        }
        if manifest.id != id {
            return Err(format!("the manifest is that of backup {}", manifest.id));
        }
        Ok(manifest)
    }
}

/// Digest of the canonical form: no spaces, names in the order of their bytes.
fn digest(manifest: &Value) -> String {
    let mut text = String::new();
    write(manifest, true, &mut text);
    hex(&Sha256::digest(text))
}

fn write(value: &Value, is_root: bool, into: &mut String) {
    match value {
        Value::Object(fields) => {
            // serde_json keeps this or that order, depending on what else is in the build.
            let fields: BTreeMap<_, _> =
                fields.iter().filter(|(name, _)| !is_root || *name != "manifest_sha256").collect();
            into.push('{');
            for (n, (name, value)) in fields.into_iter().enumerate() {
                into.push_str(if n == 0 { "" } else { "," });
                into.push_str(&Value::from(name.as_str()).to_string());
                into.push(':');
                write(value, false, into);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (n, item) in items.iter().enumerate() {
                into.push_str(if n == 0 { "" } else { "," });
                write(item, false, into);
            }
            into.push(']');
        }
        plain => into.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of nothing in particular.
    pub(in crate::backup) fn manifest_made_at(at: Timestamp) -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            id: BackupId::new(),
            created_at: at,
            finished_at: at,
            label: Some("ünïcode \"quoted\"\n".to_owned()),
            environment: Environment::Development,
            app: "0.1.0".to_owned(),
            database: ManifestDatabase {
                engine: "sqlite".to_owned(),
                server_version: "3.50.0".to_owned(),
                schema: "main".to_owned(),
                bytes: 4096,
                born_at: None,
            },
            migrations: ManifestMigrations {
                version: 1,
                count: 1,
                sha256: String::new(),
                schema_sha256: String::new(),
            },
            tables: vec![TableContents { name: "pets".to_owned(), rows: 3, digest: "sha256:00".to_owned() }],
            snapshot: None,
            files: Vec::new(),
            media: ManifestMedia {
                mode: BackupMedia::Nothing,
                objects: 0,
                bytes: 0,
                lacking: Vec::new(),
                problem: None,
            },
            encryption: None,
            keys_required: Vec::new(),
            tools: BTreeMap::new(),
            prev: None,
            manifest_sha256: String::new(),
        }
    }

    #[test]
    fn a_manifest_that_differs_in_one_bit_is_refused() {
        let mut manifest = manifest_made_at(Timestamp::from_micros(1_795_802_400_123_456));
        let text = manifest.seal().unwrap();
        assert_eq!(Manifest::open(manifest.id, &text).unwrap(), manifest);
        for at in 0..text.len() - 1 {
            for bit in [0, 3, 6] {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                assert!(Manifest::open(manifest.id, &changed).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(Manifest::open(BackupId::new(), &text).unwrap_err().contains("that of backup"));
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_fields_and_covers_those_that_are_not_known() {
        let mut manifest = manifest_made_at(Timestamp::from_micros(0));
        let text = manifest.seal().unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        let reversed: Vec<_> = value.as_object().unwrap().iter().map(|(k, v)| format!("{k:?}:{v}")).rev().collect();
        let reversed = format!("{{{}}}", reversed.join(","));
        assert_eq!(Manifest::open(manifest.id, reversed.as_bytes()).unwrap(), manifest);
        let more = format!("{{\"more\":1,{}", &reversed[1..]);
        assert!(Manifest::open(manifest.id, more.as_bytes()).is_err());
    }
}
