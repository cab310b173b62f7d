//! A cheap look at the backups: is the newest there, fresh, complete, unaltered, readable, of this
//! installation, and elsewhere too? Whether it can be restored is for drills to prove.

mod among_others;
mod archiver;
mod external;
mod files;
mod media;
mod proven;
mod says;
mod state;
mod tool;

use serde::Serialize;
use serde_json::json;

use super::create::told;
use super::target::Target;
use super::{BackupError, Backups, IdentityKey, OperationKind};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::database::text_enum;
use crate::id::BackupId;
pub(super) use files::Examined;

text_enum! {
    /// How bad it is when a check fails.
    pub enum Severity {
        /// The data may be lost.
        Error = "error",
        /// It should be mended.
        Warn = "warn",
        /// Worth knowing.
        Info = "info",
    }
}

text_enum! {
    /// What came of a check.
    pub enum Status {
        /// As it should be.
        Pass = "pass",
        /// Not quite.
        Warn = "warn",
        /// Not as it should be.
        Fail = "fail",
        /// Not applicable, or not to be known here; why stands with it.
        Skip = "skip",
        /// It could not be found out.
        Error = "error",
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: `backup.fresh` and the like.
    pub id: &'static str,
    /// Items of the production checklist that it answers.
    pub items: &'static [&'static str],
    /// Where it is explained.
    pub docs_url: &'static str,
    /// How bad it would be.
    pub severity: Severity,
    /// What came of it.
    pub status: Status,
    /// Where: `folder`, `bucket`, or another program's archive, by its name.
    pub target: &'static str,
    /// About which backup, if about one.
    pub backup: Option<BackupId>,
    /// What is.
    pub observed: String,
    /// What should be.
    pub expected: String,
    /// What to do about it; empty if it passed.
    pub hint: String,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// In a fixed order.
    pub findings: Vec<Finding>,
}

/// Checks whose failing means that a backup is no good, or can't be read; the others say that there
/// should be more, or newer ones.
const INVALID: [&str; 6] =
    ["backup.valid", "backup.schema", "backup.encrypted", "backup.keys", "backup.media", "backup.external"];

const DOCS_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/OPERATING.md#by-itself");

impl Finding {
    pub(super) fn pass(id: &'static str, observed: impl Into<String>) -> Self {
        let severity = if matches!(id, "backup.offsite") { Severity::Warn } else { Severity::Error };
        let (observed, expected, hint) = (observed.into(), String::new(), String::new());
        Self {
            id,
            items: &["2.3"],
            docs_url: DOCS_URL,
            severity,
            status: Status::Pass,
            target: "folder",
            backup: None,
            observed,
            expected,
            hint,
        }
    }

    pub(super) fn of(self, status: Status, expected: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, expected: expected.into(), hint: hint.into(), ..self }
    }

    pub(super) fn about(self, backup: BackupId, target: &'static str) -> Self {
        Self { backup: Some(backup), target, ..self }
    }

    /// Fails; a check whose severity is a warning only warns.
    pub(super) fn fail(self, expected: impl Into<String>, hint: impl Into<String>) -> Self {
        let status = if self.severity == Severity::Error { Status::Fail } else { Status::Warn };
        self.of(status, expected, hint)
    }
}

impl Checked {
    /// Whether a backup is no good: changed, incomplete, of another installation, not to be read.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.failed().any(|finding| INVALID.contains(&finding.id))
    }

    /// Whether there should be more or newer ones, or a drill.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.failed().any(|finding| !INVALID.contains(&finding.id))
    }

    /// Whether something could not be found out.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.findings.iter().any(|finding| finding.status == Status::Error)
    }

    fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.status == Status::Fail)
    }
}

impl Backups {
    /// Looks at one backup (the newest, if none is named) or at all of them, and at how they are kept; or at those in
    /// the bucket by what can be seen there, for a machine that has nothing but those. With the private keys it is
    /// tried whether they open it.
    ///
    /// # Errors
    /// [`BackupError::NotFound`] for an id that isn't there; [`BackupError::Denied`] unless an administrator asks;
    /// [`BackupError::Settings`] if there is no bucket. What is wrong with backups is no error, but what was found.
    pub async fn check(
        &self,
        caller: &Caller,
        id: Option<BackupId>,
        all: bool,
        keys: &[IdentityKey],
        in_bucket: bool,
    ) -> Result<Checked, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let started = self.clock().now();
        let findings = match in_bucket {
            true => self.check_bucket(id, all, keys).await?,
            false => self.check_folder(id, all, keys).await?,
        };
        let checked = Checked { findings };
        let failed: Vec<_> = checked.failed().map(|finding| finding.id).collect();
        self.log(OperationKind::Check, id, failed.is_empty(), json!({ "failed": failed }), started).await;
        Ok(checked)
    }

    async fn check_folder(
        &self,
        id: Option<BackupId>,
        all: bool,
        keys: &[IdentityKey],
    ) -> Result<Vec<Finding>, BackupError> {
        let listed = self.folder().ids().await;
        let external = match &self.settings().backup.external {
            Some(external) => self.external(external, all).await,
            None => Vec::new(),
        };
        let is_empty = id.is_none() && listed.as_ref().is_ok_and(Vec::is_empty);
        if is_empty && !external.is_empty() && !self.had_own().await {
            // Another program makes the backups, and nobody wants ours.
            return Ok(external);
        }
        let mut findings = vec![self.is_configured(), self.has_tools().await];
        match listed {
            Ok(ids) => {
                findings.extend(self.look(self.folder(), &ids, id, all, keys).await?);
                findings.push(self.is_elsewhere(ids.last().copied()).await);
            }
            Err(error) => findings.push(unlisted(self.folder(), &error)),
        }
        findings.extend(external);
        Ok(findings)
    }

    async fn check_bucket(
        &self,
        id: Option<BackupId>,
        all: bool,
        keys: &[IdentityKey],
    ) -> Result<Vec<Finding>, BackupError> {
        let bucket = self.target(true)?;
        match bucket.ids().await {
            Ok(ids) => self.look(bucket, &ids, id, all, keys).await,
            Err(error) => Ok(vec![unlisted(bucket, &error)]),
        }
    }

    /// Looks at the backups of one place.
    async fn look(
        &self,
        target: &Target,
        ids: &[BackupId],
        id: Option<BackupId>,
        all: bool,
        keys: &[IdentityKey],
    ) -> Result<Vec<Finding>, BackupError> {
        let chosen: Vec<BackupId> = match id {
            Some(id) if !ids.contains(&id) => return Err(BackupError::NotFound),
            Some(id) => vec![id],
            None if all => ids.to_vec(),
            None => ids.last().copied().into_iter().collect(),
        };
        let (mut findings, mut examined) = (Vec::new(), Vec::new());
        for one in chosen {
            match self.examine_among_others(target, one, keys).await {
                Some(one) => {
                    findings.extend(one.findings.iter().cloned());
                    examined.push(one);
                }
                None if id.is_some() => return Err(BackupError::NotFound),
                None => {}
            }
        }
        let sound = self.sound(target, ids, &examined).await;
        findings.extend(self.state(target, ids, &sound).await);
        if let Some(manifest) = examined.last().and_then(|one| one.manifest.as_ref()) {
            findings.push(self.has_media(target, manifest, keys).await);
        }
        findings.extend(self.is_full(target, &sound));
        Ok(findings)
    }
}

/// Which backups there are can't be found out.
fn unlisted(target: &Target, error: &BackupError) -> Finding {
    let finding = Finding { target: target.name(), ..Finding::pass("backup.fresh", told(error)) };
    let (expected, hint) = match target {
        Target::Folder(_) => {
            ("a folder that can be read", "see backup.folder in docs/OPERATING.md, and as whom this is run")
        }
        Target::Bucket(_) => ("a bucket that answers", "see backup.s3 in the settings"),
    };
    finding.of(Status::Error, expected, hint)
}
