//! Figures about backups in the text format of Prometheus, for the node exporter's folder of files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::check::Checked;
use super::create::told;
use super::target::{Target, write_whole};
use super::{BackupError, Backups, Drill, Manifest, OperationKind, Status, drill, store};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::config::DatabaseUrl;
use crate::error::chain;
use crate::private;

/// What is known of the backups of one place.
#[derive(Default)]
struct Seen {
    valid: u64,
    newest: Option<Manifest>,
    newest_with_files: Option<Timestamp>,
    proven: Option<Drill>,
}

impl Backups {
    /// What is known of the backups of every target, or of the bucket alone, and what a check found. A target that can't
    /// be asked is a figure too.
    ///
    /// # Errors
    /// [`BackupError::Denied`] unless an administrator asks; [`BackupError::Settings`] if there is no bucket.
    pub async fn metrics(
        &self,
        caller: &Caller,
        in_bucket: bool,
        checked: Option<&Checked>,
    ) -> Result<String, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let targets: Vec<&Target> = if in_bucket { vec![self.target(true)?] } else { self.targets().collect() };
        let database = match &self.settings().database.url {
            DatabaseUrl::Sqlite(_) => "sqlite",
            DatabaseUrl::Postgres(_) => "postgres",
        };
        let mut text = Text::default();
        let attempted = self.last_attempt().await;
        for target in targets {
            let labels = format!("database=\"{database}\",target=\"{}\"", target.name());
            let seen = self.see(target).await;
            if let Err(error) = &seen {
                tracing::warn!(target = target.name(), reason = told(error), "this target of backups can't be asked");
            }
            let is_up = f64::from(u8::from(seen.is_ok()));
            text.gauge("petspark_backup_target_up", "1 if its backups could be looked at.", &labels, is_up);
            let max_age = self.settings().backup.max_age.as_secs_f64();
            text.gauge("petspark_backup_rpo_seconds", "How old the newest may be.", &labels, max_age);
            // Of what can't be asked nothing is told, rather than that there is none.
            if let Ok(seen) = seen {
                text.attempt(&labels, attempted, seen.newest.as_ref());
                text.seen(&labels, &seen);
            }
        }
        if let Some(checked) = checked {
            text.checked(checked);
        }
        Ok(text.finish())
    }

    /// Looks at the backups as a check does, and writes figures about them, if they are wanted.
    pub(super) async fn tell_metrics(&self, caller: &Caller) {
        let Some(path) = &self.settings().backup.metrics_file else { return };
        let written = async {
            let checked = self.check(caller, None, false, &[], false).await?;
            write_metrics(path, &self.metrics(caller, false, Some(&checked)).await?)
        };
        if let Err(error) = written.await {
            tracing::warn!(reason = chain(&error), "no figures about backups could be written");
        }
    }

    async fn see(&self, target: &Target) -> Result<Seen, BackupError> {
        let mut seen = Seen::default();
        for id in target.ids().await? {
            let looked_at = self.look_at(target, id).await?;
            if let Some(manifest) = looked_at.sound() {
                seen.valid += 1;
                if manifest.media.has_files() {
                    seen.newest_with_files = Some(manifest.finished_at);
                }
                // One that lacks files of uploads which it was to have is no success.
                if manifest.media.problem.is_none() {
                    seen.newest = Some(manifest.clone());
                }
            }
            // One whose note can't be read proves nothing.
            if let Some(drill) = drill::last(target, id).await.ok().flatten().filter(|drill| drill.ok)
                && seen.proven.as_ref().is_none_or(|last| last.finished_at < drill.finished_at)
            {
                seen.proven = Some(drill);
            }
        }
        Ok(seen)
    }

    /// When somebody last tried to make one, however it went, as far as the database was told.
    async fn last_attempt(&self) -> Option<Timestamp> {
        let last = store::last(self.database()?, OperationKind::Backup, false).await;
        last.ok().flatten().map(|operation| operation.finished_at)
    }
}

/// Writes figures to a file that is never half there, and that everybody may read.
///
/// # Errors
/// [`BackupError::Fault`] if it can't be written.
pub fn write_metrics(path: &Path, text: &str) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt as _;
    // The exporter's, or a typing error: one of ours would be where nobody looks.
    let folder = private::folder_of(path);
    fs::metadata(folder).map_err(|error| BackupError::io(private::told(folder, &error)))?;
    write_whole(path, text.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(BackupError::io)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// All lines of a name stand together, as the format wants it.
#[derive(Default)]
struct Text(Vec<(&'static str, &'static str, String)>);

impl Text {
    /// When one was last tried to be made. What the newest says counts where the database can't.
    fn attempt(&mut self, labels: &str, told: Option<Timestamp>, newest: Option<&Manifest>) {
        let at = told.max(newest.map(|manifest| manifest.finished_at)).map_or(0.0, seconds);
        let help = "When one was last tried to be made, however that went; 0 if never.";
        self.gauge("petspark_backup_last_attempt_timestamp_seconds", help, labels, at);
    }

    fn seen(&mut self, labels: &str, seen: &Seen) {
        self.gauge(
            "petspark_backup_valid_count",
            "Backups whose manifest can be read, whose files are there, and that no drill found to be no good.",
            labels,
            seen.valid as f64,
        );
        // A figure that isn't there sets off no alert.
        let at = seen.newest.as_ref().map_or(0.0, |manifest| seconds(manifest.finished_at));
        let help = "When the newest was complete; 0 if there is none.";
        self.gauge("petspark_backup_last_success_timestamp_seconds", help, labels, at);
        if let Some(manifest) = &seen.newest {
            let took = manifest.finished_at.since(manifest.created_at).as_secs_f64();
            self.gauge("petspark_backup_duration_seconds", "How long the newest took.", labels, took);
            self.gauge("petspark_backup_size_bytes", "What the newest takes.", labels, manifest.bytes() as f64);
        }
        if let Some(at) = seen.newest_with_files {
            let help = "When the newest with the files of uploads was complete.";
            self.gauge("petspark_backup_media_last_success_timestamp_seconds", help, labels, seconds(at));
        }
        let at = seen.proven.as_ref().map_or(0.0, |drill| seconds(drill.finished_at));
        let help = "When one was last proven; 0 if never.";
        self.gauge("petspark_backup_drill_last_success_timestamp_seconds", help, labels, at);
        if let Some(drill) = &seen.proven {
            self.gauge("petspark_backup_drill_rows", "Rows that were restored then.", labels, drill.rows as f64);
            for (phase, took) in [
                ("restore", drill.restore_seconds),
                ("compare", drill.compare_seconds),
                ("migrate", drill.migrate_seconds),
            ] {
                let labels = format!("{labels},phase=\"{phase}\"");
                self.gauge("petspark_backup_drill_duration_seconds", "How long that took.", &labels, took);
            }
        }
    }

    fn checked(&mut self, checked: &Checked) {
        let mut told: Vec<(&str, &str)> = Vec::new();
        for finding in checked.findings.iter().filter(|finding| finding.status != Status::Skip) {
            let key = (finding.id, finding.target);
            if told.contains(&key) {
                continue;
            }
            told.push(key);
            let mut same = checked.findings.iter().filter(|other| (other.id, other.target) == key);
            let good = same.all(|other| matches!(other.status, Status::Pass | Status::Warn | Status::Skip));
            let labels = format!("id=\"{}\",target=\"{}\"", finding.id, finding.target);
            self.gauge("petspark_backup_check_status", "1 if the check passed.", &labels, f64::from(u8::from(good)));
        }
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, labels: &str, value: f64) {
        let line = format!("{name}{{{labels}}} {value}\n");
        match self.0.iter_mut().find(|(known, _, _)| *known == name) {
            Some((_, _, lines)) => lines.push_str(&line),
            None => self.0.push((name, help, line)),
        }
    }

    fn finish(self) -> String {
        self.0.into_iter().fold(String::new(), |mut text, (name, help, lines)| {
            // Writing to a string can't fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
            text
        })
    }
}
