//! An installation with some data and two backups, and what it takes to tamper with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use petspark_core::backup::{Backups, Checked, Finding, Manifest, NewBackup, Status};
use petspark_core::config::{DatabaseUrl, Settings};
use petspark_core::media::objects::ObjectStore;
use petspark_core::pets::{PetFields, Species};
use petspark_core::testing::TestApp;
use petspark_core::{Caller, Clock, UserId};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::sql::execute;

pub(super) fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

pub(super) struct Lab {
    pub(super) app: TestApp,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) backups: Backups,
    ada: UserId,
}

impl Lab {
    /// Three people with a pet each, and two photos of whose objects the store has all.
    pub(super) async fn new(app: TestApp) -> Self {
        let settings = app.petspark.settings().clone();
        Self::with(app, settings).await
    }

    pub(super) async fn with(app: TestApp, settings: Settings) -> Self {
        let mut ids = Vec::new();
        for name in ["ada", "bob", "cy"] {
            let user = app.register(name).await;
            ids.push(user.id);
            let pet = PetFields::new(format!("Rex of {name}'s, \"the\u{e9}\" \\ {{1}}"), Species::Dog);
            app.petspark.pets().create(&user.caller, pet).await.unwrap();
        }
        // Objects have the time of the system: a backup that is to know them is made after that.
        let clock = Clock::manual(Clock::system().now());
        clock.advance(Duration::from_secs(3600));
        let backups = Backups::open(&settings, Some(app.petspark.database().clone()), clock.clone()).unwrap();
        let lab = Self { app, settings, clock, backups, ada: ids[0] };
        for n in 0..2 {
            lab.add_upload(n).await;
        }
        lab
    }

    /// The n-th upload: its row, and its object in the store.
    pub(super) async fn add_upload(&self, n: u8) {
        let key = self.object(n);
        let bytes = Bytes::from(vec![n; 1000]);
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("0198000000007000800000000000000{n}");
        let sql = format!(
            "INSERT INTO uploads (id, owner_id, purpose, status, file_name, content_type, size, sha256, stored_bytes, \
                 expires_at, created_at, updated_at) \
             SELECT {}, id, 'document', 'approved', 'x.pdf', 'application/pdf', 1000, {}, 1000, created_at, created_at, \
                 created_at \
             FROM users WHERE email = 'ada@example.org'",
            self.bytes(&id, true),
            self.bytes(&digest, false)
        );
        execute(&self.settings, &sql).await;
        self.store().put(&key.parse().unwrap(), bytes).await.unwrap();
    }

    /// A literal for bytes or an id.
    fn bytes(&self, hex: &str, is_id: bool) -> String {
        match (self.app.petspark.database().engine_name(), is_id) {
            ("sqlite", _) => format!("x'{hex}'"),
            (_, true) => format!("'{hex}'::uuid"),
            (_, false) => format!("'\\x{hex}'::bytea"),
        }
    }

    /// The name of the object of an upload.
    pub(super) fn object(&self, n: u8) -> String {
        format!("{}/01980000-0000-7000-8000-00000000000{n}/original.pdf", self.ada)
    }

    pub(super) fn store(&self) -> ObjectStore {
        ObjectStore::open(&self.settings.objects).unwrap()
    }

    /// The same backups by other settings.
    pub(super) fn another(&self, change: impl FnOnce(&mut Settings)) -> Backups {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Backups::open(&settings, None, self.clock.clone()).unwrap()
    }

    pub(super) async fn create(&self) -> Manifest {
        self.clock.advance(Duration::from_secs(60));
        self.backups.create(&operator(), &NewBackup::default()).await.unwrap()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.settings.backup.folder
    }

    pub(super) fn file(&self, of: &Manifest, name: &str) -> PathBuf {
        self.folder().join(of.id.to_string()).join(name)
    }

    pub(super) fn database_file(&self, of: &Manifest) -> PathBuf {
        self.file(of, &of.database_file().unwrap().path)
    }

    /// Has the manifest say of another database what only restoring it can find out.
    pub(super) fn claim_other_contents(&self, of: &Manifest) {
        reseal(&self.file(of, "manifest.json"), |manifest| match self.settings.database.url {
            DatabaseUrl::Sqlite(_) => manifest["files"][0]["plain_sha256"] = Value::from("00"),
            DatabaseUrl::Postgres(_) => manifest["tables"][0]["digest"] = Value::from("sha256:00"),
        });
    }

    /// Names in the folder of backups that look like one.
    pub(super) async fn ids(&self) -> usize {
        self.backups.list(&operator(), false).await.unwrap().len()
    }
}

/// The findings of a check that aren't as they should be.
pub(super) fn bad(checked: &Checked) -> Vec<&Finding> {
    checked.findings.iter().filter(|finding| matches!(finding.status, Status::Fail | Status::Error)).collect()
}

/// Changes bytes of a file.
pub(super) fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Changes a manifest as somebody would who knows how its digest is made.
pub(super) fn reseal(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut manifest);
    manifest.as_object_mut().unwrap().remove("manifest_sha256");
    let digest = sha256(canonical(&manifest).as_bytes());
    manifest["manifest_sha256"] = Value::from(digest);
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort();
            let fields: Vec<_> = names
                .iter()
                .map(|name| format!("{}:{}", Value::from(name.as_str()), canonical(&fields[*name])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

/// Copies a folder with all that is in it.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}
