//! How backups are kept: where, how many, how old, with which tools, and when they were last proven.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Examined, Finding, Status};
use crate::backup::create::told;
use crate::backup::manifest::Manifest;
use crate::backup::owner::require_owner;
use crate::backup::target::{Note, Target, write_whole};
use crate::backup::{BackupError, Backups, drill, read_manifest};
use crate::clock::Timestamp;
use crate::config::{DatabaseUrl, Environment, Value as _};
use crate::database::{Direct, PostgresTools};
use crate::error::chain;
use crate::id::BackupId;
use crate::private;

/// Clocks of two machines may differ by that much.
pub(super) const SKEW: Duration = Duration::from_secs(300);

impl Backups {
    /// Whether there should be backups of our own, although none is there: they are made regularly, or there
    /// were some. `backup.min_keep` of 0 says that they were given up.
    pub(super) async fn had_own(&self) -> Result<bool, BackupError> {
        let settings = &self.settings().backup;
        if settings.min_keep == 0 {
            return Ok(false);
        }
        if settings.every.is_some() || self.folder().has_notes()? {
            return Ok(true);
        }
        // Whoever removed the folder didn't remove what the database was told. If it can't say, others check it.
        let last = self.last_operations().await.map(|last| last.backup);
        Ok(last.is_ok_and(|backup| backup.is_some()))
    }

    /// There is a place for backups, it can be written to, and it isn't the database's own disk.
    pub(super) fn is_configured(&self) -> Finding {
        let folder = &self.settings().backup.folder;
        let finding = Finding::pass("backup.configured", folder.display().to_string());
        if let Err(error) = require_owner(folder) {
            let observed = format!("{}: {}", folder.display(), told(&error));
            return Finding::pass("backup.configured", observed)
                .fail("a folder of whoever makes backups", "run this as its owner; see docs/OPERATING.md");
        }
        let probe = folder.join(".probe");
        let written = private::create_folder(folder)
            .map_err(BackupError::io)
            .and_then(|()| write_whole(&probe, b"petspark\n"))
            .and_then(|()| fs::remove_file(&probe).map_err(BackupError::io));
        if let Err(error) = written {
            let observed = format!("{}: {}", folder.display(), told(&error));
            return Finding::pass("backup.configured", observed)
                .fail("a folder that can be written to", "see backup.folder in docs/OPERATING.md");
        }
        let DatabaseUrl::Sqlite(database) = &self.settings().database.url else { return finding };
        if self.bucket().is_some() || device(folder) != device(database.parent().unwrap_or(Path::new("."))) {
            return finding;
        }
        let (expected, hint) = (
            "another disk than the database's, or a bucket as well",
            "set backup.folder to another disk, or backup.s3.bucket",
        );
        if self.settings().environment == Environment::Production {
            finding.fail(expected, hint)
        } else {
            finding.of(Status::Warn, expected, hint)
        }
    }

    /// PostgreSQL's tools are there, and not too old.
    pub(super) async fn has_tools(&self) -> Finding {
        let DatabaseUrl::Postgres(url) = &self.settings().database.url else {
            return Finding::pass("backup.tools", "zstd, age and SQLite are built in");
        };
        let version = async {
            let mut direct = Direct::postgres(url.expose()).await?;
            let version = direct.version().await;
            direct.close().await;
            version
        };
        match version.await {
            Err(fault) => Finding::pass("backup.tools", fault.chain()).of(
                Status::Error,
                "a server that answers",
                "the database is away, so its release isn't known",
            ),
            Ok(version) => match self.both_tools(&version).await {
                Ok(tools) => Finding::pass("backup.tools", format!("pg_dump {} for {version}", tools.version)),
                Err(error) => Finding::pass("backup.tools", chain(&error)).fail(
                    "pg_dump and pg_restore of the server's release",
                    "install postgresql-client of the same release as the server",
                ),
            },
        }
    }

    /// What dumps can also be restored into the same server.
    async fn both_tools(&self, server: &str) -> Result<PostgresTools, BackupError> {
        let dump = self.dump_tools(server).await?;
        self.restore_tools(&dump.version, server).await?;
        Ok(dump)
    }

    /// What the backups of these ids say of themselves, as far as nothing is known to be wrong with them.
    pub(super) async fn sound(&self, ids: &[BackupId], examined: &[Examined]) -> Result<Vec<Manifest>, BackupError> {
        let mut sound = Vec::new();
        for id in ids {
            let is_it = |one: &&Examined| one.manifest.as_ref().is_some_and(|examined| examined.id == *id);
            let is_known_bad = examined.iter().filter(is_it).any(|one| one.problem().is_some());
            let looked_at = self.look_at(self.folder(), *id).await?;
            sound.extend(looked_at.sound().filter(|_| !is_known_bad).cloned());
        }
        Ok(sound)
    }

    /// How many there are, how old the newest is, and when one was last proven.
    pub(super) async fn state(&self, ids: &[BackupId], sound: &[Manifest]) -> Result<Vec<Finding>, BackupError> {
        let (settings, now) = (&self.settings().backup, self.clock().now());
        let mut lost = Vec::new();
        for id in ids {
            let Ok(manifest) = read_manifest(self.folder(), *id).await? else { continue };
            if let Some(prev) = manifest.prev.filter(|prev| !ids.contains(prev))
                && self.folder().note(Note::Pruned, prev).await?.is_none()
            {
                lost.push(prev.to_string());
            }
        }
        let newest = sound.iter().max_by_key(|manifest| manifest.finished_at);
        let mut findings = vec![Finding {
            backup: newest.map(|manifest| manifest.id),
            ..fresh(newest.map(|manifest| manifest.finished_at), now, settings.max_age)
        }];
        let count = Finding::pass("backup.count", sound.len().to_string());
        findings.push(if (sound.len() as u64) < u64::from(settings.min_keep) {
            count.fail(format!("at least {}", settings.min_keep), "make more, by `backup create` or backup.every")
        } else if lost.is_empty() {
            count
        } else {
            let observed = format!("{}; gone, and not by pruning: {}", sound.len(), lost.join(", "));
            Finding::pass("backup.count", observed).of(Status::Warn, "all that weren't pruned", "who removed them?")
        });
        findings.push(self.is_proven(ids, now).await?);
        Ok(findings)
    }

    async fn is_proven(&self, ids: &[BackupId], now: Timestamp) -> Result<Finding, BackupError> {
        let settings = &self.settings().backup;
        let mut last: Option<(drill::Drill, Option<Timestamp>)> = None;
        for id in ids {
            let Some(drill) = drill::last(self.folder(), *id).await?.filter(|drill| drill.ok) else { continue };
            if last.as_ref().is_none_or(|(last, _)| last.finished_at < drill.finished_at) {
                let made = read_manifest(self.folder(), *id).await?.ok().map(|manifest| manifest.created_at);
                last = Some((drill, made));
            }
        }
        let expected = format!("one within {}", settings.drill_max_age.render());
        let hint = "restore the newest into a scratch database: `backup verify`";
        let Some((drill, made)) = last else {
            return Ok(Finding::pass("backup.drill", "no backup was ever proven").fail(expected, hint));
        };
        let observed = format!("{} proved {}", drill.finished_at, drill.backup_id);
        let finding = Finding::pass("backup.drill", observed).about(drill.backup_id, "folder");
        let is_old = |at: Timestamp| now.since(at) > settings.drill_max_age;
        if is_old(drill.finished_at) || made.is_none_or(is_old) || drill.finished_at > now.after(SKEW) {
            return Ok(finding.fail(expected, hint));
        }
        if drill.restore_seconds > settings.max_restore.as_secs_f64() {
            let expected = format!("restored within {}", settings.max_restore.render());
            return Ok(finding.of(Status::Warn, expected, "restoring takes longer than you said it may"));
        }
        Ok(finding)
    }

    /// The newest is in the bucket too.
    pub(super) async fn is_elsewhere(&self, newest: Option<BackupId>) -> Finding {
        let finding = |observed: String| Finding { target: "bucket", ..Finding::pass("backup.offsite", observed) };
        let Some(bucket) = self.bucket() else {
            let none = finding("no bucket is set".to_owned());
            let hint = "set backup.s3.bucket, or have another program copy backup.folder elsewhere";
            return match self.settings().environment {
                Environment::Production => none.fail("a copy on another machine", hint),
                Environment::Development => none.of(Status::Skip, "feature_off", ""),
            };
        };
        let Some(newest) = newest else {
            return finding("there is none".to_owned()).of(Status::Skip, "not_applicable", "");
        };
        let same = async {
            let (here, there) = (self.folder().manifest(newest).await?, bucket.manifest(newest).await?);
            Ok::<_, BackupError>(here == there)
        };
        match same.await {
            Ok(true) => finding("the newest is in the bucket".to_owned()).about(newest, Target::name(bucket)),
            Ok(false) => finding("the newest is not in the bucket".to_owned()).fail(
                "a copy of it",
                "was the bucket away? Make another, or copy this one there by hand, its manifest last",
            ),
            Err(error) => {
                finding(chain(&error)).of(Status::Error, "a bucket that answers", "see backup.s3 in the settings")
            }
        }
    }
}

/// Whether the newest was complete lately.
pub(super) fn fresh(newest: Option<Timestamp>, now: Timestamp, max_age: Duration) -> Finding {
    let expected = format!("within {}", max_age.render());
    let hint = "make one: `backup create`; and by itself: backup.every";
    let Some(at) = newest else {
        return Finding::pass("backup.fresh", "there is no good backup").fail(expected, hint);
    };
    let finding = Finding::pass("backup.fresh", at.to_string());
    if at > now.after(SKEW) {
        return finding.fail("not in the future", "whose clock is wrong, this one's or that of who made it?");
    }
    let age = now.since(at);
    if age > max_age {
        finding.fail(expected, hint)
    } else if age > max_age.mul_f32(0.8) {
        finding.of(Status::Warn, expected, hint)
    } else {
        finding
    }
}

/// Which disk, as far as the system tells.
fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::metadata(path).ok().map(|folder| folder.dev())
}
