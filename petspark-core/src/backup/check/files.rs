//! One backup by itself: its manifest, its files, who can read it, and whether it is ours.

use super::{Finding, Status};
use crate::auth::sealing_key_names;
use crate::backup::manifest::{FILE, Manifest};
use crate::backup::target::{Target, blocking};
use crate::backup::{BackupError, Backups, IdentityKey, create, keys, pipe, read_manifest};
use crate::clock::Timestamp;
use crate::config::Environment;
use crate::database::{Direct, Migration};
use crate::id::BackupId;

/// What is known of a backup that was looked at.
pub(in crate::backup) struct Examined {
    pub(in crate::backup) id: BackupId,
    pub(in crate::backup) findings: Vec<Finding>,
    /// If it can be read.
    pub(in crate::backup) manifest: Option<Manifest>,
}

/// Tables that every database of ours has.
pub(super) const REQUIRED: [&str; 4] = ["petspark_migrations", "users", "sessions", "pets"];
/// Fewer rows than that may come and go.
const FEW: u64 = 100;

impl Examined {
    /// Why it is no good, if it isn't.
    pub(in crate::backup) fn problem(&self) -> Option<String> {
        let failed: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.status == Status::Fail && finding.id == "backup.valid")
            .collect();
        let problems: Vec<_> = failed.iter().map(|finding| finding.observed.clone()).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl Backups {
    /// Reads all of a backup once.
    pub(in crate::backup) async fn examine(
        &self,
        target: &Target,
        id: BackupId,
        keys: &[IdentityKey],
    ) -> Result<Examined, BackupError> {
        let manifest = match read_manifest(target, id).await? {
            Ok(manifest) => manifest,
            Err(problem) => {
                let finding = Finding::pass("backup.valid", problem)
                    .fail("a manifest as it was written", "this backup can't be trusted; make another")
                    .about(id, target.name());
                return Ok(Examined { id, findings: vec![finding], manifest: None });
            }
        };
        let mut findings = self.files(target, &manifest).await?;
        findings.extend(self.tables(target, &manifest).await?);
        findings.push(self.is_ours(&manifest, self.born_at().await));
        findings.push(self.is_encrypted(&manifest));
        findings.push(self.has_keys(&manifest, keys));
        let findings = findings.into_iter().map(|finding| finding.about(id, target.name())).collect();
        Ok(Examined { id, findings, manifest: Some(manifest) })
    }

    /// Every file is there and is what was written; nothing else is.
    async fn files(&self, target: &Target, manifest: &Manifest) -> Result<Vec<Finding>, BackupError> {
        let there = target.files(manifest.id).await?;
        let mut problems = Vec::new();
        for (name, _) in &there {
            if name != FILE && !manifest.files.iter().any(|file| file.path == *name) {
                problems.push(format!("{name} does not belong to it"));
            }
        }
        if manifest.database_file().is_none() {
            problems.push("it has no database".to_owned());
        }
        let part = self.watcher().part("reading, in bytes", manifest.bytes());
        for file in &manifest.files {
            let size = there.iter().find(|(name, _)| *name == file.path).map(|(_, size)| *size);
            match size {
                None => problems.push(format!("{} is missing", file.path)),
                Some(0) => problems.push(format!("{} is empty", file.path)),
                Some(size) if size != file.bytes => {
                    problems.push(format!("{} has {size} bytes instead of {}", file.path, file.bytes));
                }
                Some(_) => {
                    let work = &self.settings().backup.work_folder;
                    let Some(opened) = target.open(manifest.id, &file.path, work).await? else {
                        problems.push(format!("{} is missing", file.path));
                        continue;
                    };
                    let opened = part.of(opened);
                    let measured = blocking(move || pipe::measure(opened).map_err(BackupError::io)).await?;
                    if measured.sha256 != file.sha256 {
                        problems.push(format!("{} was changed: its SHA-256 differs", file.path));
                    }
                }
            }
        }
        if problems.is_empty() {
            return Ok(vec![Finding::pass("backup.valid", format!("{} bytes as they were written", manifest.bytes()))]);
        }
        let hint = "this backup can't be restored as it is; look for a copy, and make another";
        Ok(problems
            .into_iter()
            .map(|problem| Finding::pass("backup.valid", problem).fail("every file as it was written", hint))
            .collect())
    }

    /// Every table that should be is there, and none has shrunk a lot since the backup before.
    async fn tables(&self, target: &Target, manifest: &Manifest) -> Result<Vec<Finding>, BackupError> {
        let mut findings = Vec::new();
        for name in REQUIRED.iter().filter(|name| !manifest.tables.iter().any(|table| table.name == **name)) {
            findings.push(
                Finding::pass("backup.valid", format!("the table {name} is missing"))
                    .fail("every table of PetSpark", "was this made of the right database?"),
            );
        }
        let Some(prev) = manifest.prev else { return Ok(findings) };
        // One that can't be read is nothing to compare with.
        let Ok(Ok(prev)) = read_manifest(target, prev).await else { return Ok(findings) };
        for before in prev.tables.iter().filter(|table| table.rows >= FEW) {
            let now = manifest.tables.iter().find(|table| table.name == before.name).map_or(0, |table| table.rows);
            if now < before.rows / 2 {
                let observed = format!("{} has {now} rows, and {} in the backup before", before.name, before.rows);
                findings.push(Finding::pass("backup.valid", observed).of(
                    Status::Warn,
                    "at least half as many",
                    "find out who removed them, and pin the backup before: `backup pin`",
                ));
            }
        }
        Ok(findings)
    }

    /// When this installation was made; a host that only proves backups has none.
    async fn born_at(&self) -> Option<Timestamp> {
        let mut direct = Direct::open(&self.settings().database.url).await.ok()?;
        let born_at = direct.born_at().await;
        direct.close().await;
        born_at.ok().flatten()
    }

    /// It is of this installation and environment, and of a schema that this build knows.
    fn is_ours(&self, manifest: &Manifest, born_at: Option<Timestamp>) -> Finding {
        let known = Migration::all().last().map_or(0, |step| step.version);
        let migrations = &manifest.migrations;
        let finding = Finding::pass(
            "backup.schema",
            format!("migration {} of {}, {}", migrations.version, manifest.database.engine, manifest.environment),
        );
        if manifest.environment != self.settings().environment {
            return finding.fail(
                self.settings().environment.as_str(),
                "this is a backup of another environment; don't restore it here",
            );
        }
        if let (Some(ours), Some(theirs)) = (born_at, manifest.database.born_at)
            && ours != theirs
        {
            let observed = format!("of the installation that was made at {theirs}");
            return Finding::pass("backup.schema", observed).fail(
                format!("of this one, made at {ours}"),
                "each installation needs a backup.folder of its own; after a move to another database make a backup",
            );
        }
        if migrations.version > known {
            return finding
                .fail(format!("at most migration {known}"), "restore it by the release that made it, or a newer one");
        }
        let of_ours = Migration::history(&manifest.database.engine, migrations.version);
        if create::migrations(&of_ours, String::new()).sha256 != migrations.sha256 {
            return finding.fail("the migrations of this build", "this was made by a build with other migrations");
        }
        finding
    }

    fn is_encrypted(&self, manifest: &Manifest) -> Finding {
        let wanted: Vec<_> = self.settings().backup.recipients.iter().map(ToString::to_string).collect();
        let finding = |observed: &str| Finding::pass("backup.encrypted", observed);
        match &manifest.encryption {
            Some(encryption) if wanted.is_empty() || encryption.recipients == wanted => {
                finding(&format!("for {}", encryption.recipients.join(", ")))
            }
            Some(encryption) => finding(&format!("for {}", encryption.recipients.join(", "))).fail(
                format!("for {}", wanted.join(", ")),
                "backup.recipients was changed since; the next backup will be for those",
            ),
            None if !wanted.is_empty() => finding("not encrypted")
                .fail("encrypted for backup.recipients", "the next backup will be; remove this one when it can go"),
            None if self.settings().environment == Environment::Production => finding("not encrypted").fail(
                "encrypted in production",
                "make a key by `backup key generate`, and set backup.recipients to its public half",
            ),
            None => finding("not encrypted").of(Status::Skip, "feature_off", ""),
        }
    }

    /// The keys that were given open it, and we have the secrets that its data needs.
    fn has_keys(&self, manifest: &Manifest, given: &[IdentityKey]) -> Finding {
        let sealing = match sealing_key_names(&self.settings().auth, &self.settings().data_dir) {
            Err(fault) if !manifest.keys_required.is_empty() => {
                return Finding::pass("backup.keys", fault.chain()).of(
                    Status::Error,
                    "secrets that can be read",
                    "run this as the user that the server runs as; which secrets the data needs is in the manifest",
                );
            }
            sealing => sealing.unwrap_or_default(),
        };
        let lacking: Vec<_> = manifest.keys_required.iter().filter(|name| !sealing.contains(name)).cloned().collect();
        if !lacking.is_empty() {
            return Finding::pass("backup.keys", format!("needs {}", lacking.join(", "))).fail(
                "every secret that its data needs",
                "put the JWT_SECRET or auth.encryption_key of that time behind the present one, after a comma",
            );
        }
        let Some(encryption) = &manifest.encryption else {
            return Finding::pass("backup.keys", "needs no private key");
        };
        if given.is_empty() {
            return Finding::pass("backup.keys", "no private key was given").of(
                Status::Skip,
                "no_identity",
                "drills must prove it, where the key is",
            );
        }
        if keys::opens_canary(given, &encryption.canary, &manifest.id.to_string()) {
            return Finding::pass("backup.keys", "the key opens it");
        }
        Finding::pass("backup.keys", "E_KEY: none of the keys opens it")
            .fail(format!("the key of {}", encryption.recipients.join(" or ")), "look for the right --identity-file")
    }
}
