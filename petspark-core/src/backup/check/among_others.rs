//! One backup of several that are looked at: that it can't be read, or goes meanwhile, hides nothing of the others.

use std::io::ErrorKind;

use rustix::io::Errno;

use super::{Examined, Finding, Status};
use crate::backup::create::told;
use crate::backup::target::Target;
use crate::backup::{BackupError, Backups, IdentityKey};
use crate::error::Fault;
use crate::id::BackupId;

impl Backups {
    /// Reads all of a backup once, and says what drills found wrong with it. None if it went by the rules meanwhile.
    pub(super) async fn examine_among_others(
        &self,
        target: &Target,
        id: BackupId,
        keys: &[IdentityKey],
    ) -> Option<Examined> {
        let looked = self.examine(target, id, keys).await;
        let is_bad = looked.as_ref().map_or(true, |examined| examined.problem().is_some());
        if is_bad && self.was_pruned(target, id).await {
            return None;
        }
        let mut examined = looked.unwrap_or_else(|error| {
            let finding = unreadable(target, &error).about(id, target.name());
            Examined { id, findings: vec![finding], manifest: None }
        });
        if let Some(verdict) = self.verdict(target, id).await {
            let hint =
                "don't count on it: make another, and prove that; if a drill proves this one after all, it is good";
            let finding = Finding::pass("backup.valid", verdict).fail("a backup that comes through a drill", hint);
            examined.findings.push(finding.about(id, target.name()));
        }
        Some(examined)
    }
}

fn unreadable(target: &Target, error: &BackupError) -> Finding {
    let finding = Finding::pass("backup.valid", told(error));
    match (target, error) {
        (Target::Folder(_), BackupError::Fault(fault)) if is_broken(fault) => finding.fail(
            "a backup that can be read",
            "look at the disk, and at what is there under this name; and make another backup",
        ),
        (Target::Folder(_), _) => {
            finding.of(Status::Error, "a backup that can be read", "run this as the owner of the folder of backups")
        }
        (Target::Bucket(_), _) => finding.of(Status::Error, "a bucket that answers", "see backup.s3 in the settings"),
    }
}

/// What is there can't be read, whoever tries: other than what we may not read, or can't at the moment.
fn is_broken(fault: &Fault) -> bool {
    let is_ours = |code: i32| [Errno::MFILE, Errno::NFILE, Errno::NOMEM].iter().any(|ours| ours.raw_os_error() == code);
    fault.cause::<std::io::Error>().is_some_and(|error| {
        let is_away =
            matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::TimedOut | ErrorKind::OutOfMemory);
        !is_away && !error.raw_os_error().is_some_and(is_ours)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_broken_disk_is_told_from_what_we_may_not_read_or_can_not_at_the_moment() {
        for (code, is_verdict) in [
            (Errno::IO, true),
            (Errno::NOTDIR, true),
            (Errno::ISDIR, true),
            (Errno::NOENT, true),
            (Errno::ACCESS, false),
            (Errno::PERM, false),
            (Errno::MFILE, false),
            (Errno::TIMEDOUT, false),
        ] {
            let error = BackupError::io(io::Error::from_raw_os_error(code.raw_os_error()));
            let status = if is_verdict { Status::Fail } else { Status::Error };
            assert_eq!(unreadable(&Target::Folder("/backups".into()), &error).status, status, "{code:?}");
        }
    }
}
