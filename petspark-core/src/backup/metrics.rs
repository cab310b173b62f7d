//! Figures about backups in the text format of Prometheus, for the node exporter's folder of files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::check::Checked;
use super::target::write_whole;
use super::{BackupError, Backups, Status, drill};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::config::DatabaseUrl;

impl Backups {
    /// What is known of the backups of every target, and what a check found.
    ///
    /// # Errors
    /// As [`Backups::list`].
    pub async fn metrics(&self, caller: &Caller, checked: Option<&Checked>) -> Result<String, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let database = match &self.settings().database.url {
            DatabaseUrl::Sqlite(_) => "sqlite",
            DatabaseUrl::Postgres(_) => "postgres",
        };
        let mut text = Text::default();
        for target in self.targets() {
            let labels = format!("database=\"{database}\",target=\"{}\"", target.name());
            let (mut valid, mut newest, mut newest_with_files, mut proven) = (0_u64, None, None, None::<drill::Drill>);
            for id in target.ids().await? {
                if let Some(manifest) = self.look_at(target, id).await?.sound() {
                    valid += 1;
                    if manifest.media.has_files() {
                        newest_with_files = Some(manifest.finished_at);
                    }
                    // One that lacks files of uploads which it was to have is no success.
                    if manifest.media.problem.is_none() {
                        newest = Some(manifest.clone());
                    }
                }
                if let Some(drill) = drill::last(target, id).await?.filter(|drill| drill.ok)
                    && proven.as_ref().is_none_or(|last| last.finished_at < drill.finished_at)
                {
                    proven = Some(drill);
                }
            }
            text.gauge(
                "petspark_backup_valid_count",
                "Backups whose manifest can be read and whose files are there.",
                &labels,
                valid as f64,
            );
            let max_age = self.settings().backup.max_age.as_secs_f64();
            text.gauge("petspark_backup_rpo_seconds", "How old the newest may be.", &labels, max_age);
            if let Some(manifest) = newest {
                let took = manifest.finished_at.since(manifest.created_at).as_secs_f64();
                let at = seconds(manifest.finished_at);
                text.gauge(
                    "petspark_backup_last_success_timestamp_seconds",
                    "When the newest was complete.",
                    &labels,
                    at,
                );
                text.gauge("petspark_backup_duration_seconds", "How long the newest took.", &labels, took);
                text.gauge("petspark_backup_size_bytes", "What the newest takes.", &labels, manifest.bytes() as f64);
            }
            if let Some(at) = newest_with_files {
                text.gauge(
                    "petspark_backup_media_last_success_timestamp_seconds",
                    "When the newest with the files of uploads was complete.",
                    &labels,
                    seconds(at),
                );
            }
            if let Some(drill) = proven {
                let at = seconds(drill.finished_at);
                text.gauge(
                    "petspark_backup_drill_last_success_timestamp_seconds",
                    "When one was last proven.",
                    &labels,
                    at,
                );
                text.gauge("petspark_backup_drill_rows", "Rows that were restored then.", &labels, drill.rows as f64);
                for (phase, took) in [
                    ("restore", drill.restore_seconds),
                    ("compare", drill.compare_seconds),
                    ("migrate", drill.migrate_seconds),
                ] {
                    let labels = format!("{labels},phase=\"{phase}\"");
                    text.gauge("petspark_backup_drill_duration_seconds", "How long that took.", &labels, took);
                }
            }
        }
        let mut told: Vec<(&str, &str)> = Vec::new();
        for finding in checked.iter().flat_map(|checked| &checked.findings) {
            let key = (finding.id, finding.target);
            if told.contains(&key) || finding.status == Status::Skip {
                continue;
            }
            told.push(key);
            let same = checked.iter().flat_map(|checked| &checked.findings).filter(|f| (f.id, f.target) == key);
            let good =
                same.into_iter().all(|finding| matches!(finding.status, Status::Pass | Status::Warn | Status::Skip));
            let labels = format!("id=\"{}\",target=\"{}\"", finding.id, finding.target);
            text.gauge("petspark_backup_check_status", "1 if the check passed.", &labels, f64::from(u8::from(good)));
        }
        Ok(text.finish())
    }
}

/// Writes figures to a file that is never half there, and that everybody may read.
///
/// # Errors
/// [`BackupError::Fault`] if it can't be written.
pub fn write_metrics(path: &Path, text: &str) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt as _;
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
