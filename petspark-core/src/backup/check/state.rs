//! How backups are kept: where, how many, how old, with which tools, and when they were last proven.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Examined, Finding, Status};
use crate::backup::create::told;
use crate::backup::manifest::Manifest;
use crate::backup::owner::require_owner;
use crate::backup::target::{Note, Target, write_whole};
use crate::backup::{BackupError, Backups, Listed, read_manifest};
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
    pub(super) async fn had_own(&self) -> bool {
        let settings = &self.settings().backup;
        if settings.min_keep == 0 {
            return false;
        }
        if settings.every.is_some() || self.folder().has_notes().unwrap_or(true) {
            return true;
        }
        // Whoever removed the folder didn't remove what the database was told. If it can't say, others check it.
        let last = self.last_operations().await.map(|last| last.backup);
        last.is_ok_and(|backup| backup.is_some())
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
    pub(super) async fn sound(&self, target: &Target, ids: &[BackupId], examined: &[Examined]) -> Vec<Manifest> {
        let mut sound = Vec::new();
        for id in ids {
            let is_known_bad = examined.iter().any(|one| one.id == *id && one.problem().is_some());
            // What can't be asked is told where each is looked at.
            let Ok(looked_at) = self.look_at(target, *id).await else { continue };
            sound.extend(looked_at.sound().filter(|_| !is_known_bad).cloned());
        }
        sound
    }

    /// How many there are, how old the newest is, and when one was last proven.
    pub(super) async fn state(&self, target: &Target, ids: &[BackupId], sound: &[Manifest]) -> Vec<Finding> {
        let (settings, now) = (&self.settings().backup, self.clock().now());
        let mut lost = Vec::new();
        for id in ids {
            let Ok(Ok(manifest)) = read_manifest(target, *id).await else { continue };
            if let Some(prev) = manifest.prev.filter(|prev| !ids.contains(prev))
                && target.note(Note::Pruned, prev).await.is_ok_and(|note| note.is_none())
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
        let findings = findings.into_iter().map(|finding| Finding { target: target.name(), ..finding });
        findings.chain([self.is_proven(now).await]).collect()
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
        let here = self.look_at(self.folder(), newest).await.ok().and_then(|here| here.manifest);
        let observed = match self.look_at(bucket, newest).await {
            Err(error) => {
                let away = finding(told(&error));
                return away.of(Status::Error, "a bucket that answers", "see backup.s3 in the settings");
            }
            Ok(Listed { problem: Some(problem), .. }) => {
                format!("the newest is not all right in the bucket: {problem}")
            }
            Ok(there) if here.is_some() && there.manifest != here => "what is in the bucket is another".to_owned(),
            Ok(_) => return finding("the newest is in the bucket".to_owned()).about(newest, Target::name(bucket)),
        };
        finding(observed).about(newest, Target::name(bucket)).fail(
            "a copy of it",
            "was the bucket away? Make another, or copy this one there by hand, its manifest last; and see what \
             removes files there",
        )
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
