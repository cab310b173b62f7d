//! When a backup was last proven, wherever that was noted: drills may be done by a machine that has the bucket only.

use super::state::SKEW;
use super::{Finding, Status};
use crate::backup::create::told;
use crate::backup::target::Target;
use crate::backup::{BackupError, Backups, Drill, drill, read_manifest};
use crate::clock::Timestamp;
use crate::config::Value as _;

/// A drill that a backup came through.
struct Proof {
    drill: Drill,
    /// When that was made, if it can be read.
    made: Option<Timestamp>,
    /// Where it was.
    target: &'static str,
}

impl Backups {
    /// Whether a backup was proven lately, wherever the drill looked for it.
    pub(super) async fn is_proven(&self, now: Timestamp) -> Finding {
        let (mut proofs, mut unknown) = (Vec::new(), None);
        for target in self.targets() {
            match self.last_proof(target).await {
                Ok(proof) => proofs.extend(proof),
                Err(error) => unknown = Some((target.name(), told(&error))),
            }
            let mut findings = proofs.iter().map(|proof| self.proven_by(Some(proof), now));
            if let Some(good) = findings.find(|finding| finding.status == Status::Pass) {
                // The bucket isn't asked for what the folder says.
                return good;
            }
        }
        let finding = self.proven_by(proofs.iter().max_by_key(|proof| proof.drill.finished_at), now);
        match unknown {
            // There may be a newer one.
            Some((target, why)) if finding.status == Status::Fail => {
                let unknown = Finding { target, ..Finding::pass("backup.drill", why) };
                unknown.of(Status::Error, "notes of drills that can be read", "what can be read proves nothing lately")
            }
            _ => finding,
        }
    }

    fn proven_by(&self, last: Option<&Proof>, now: Timestamp) -> Finding {
        let settings = &self.settings().backup;
        let expected = format!("one within {}", settings.drill_max_age.render());
        let hint = "restore the newest into a scratch database: `backup verify`";
        let Some(Proof { drill, made, target }) = last else {
            return Finding::pass("backup.drill", "no backup was ever proven").fail(expected, hint);
        };
        let observed = format!("{} proved {}", drill.finished_at, drill.backup_id);
        let finding = Finding::pass("backup.drill", observed).about(drill.backup_id, target);
        let is_old = |at: Timestamp| now.since(at) > settings.drill_max_age;
        if is_old(drill.finished_at) || made.is_none_or(is_old) || drill.finished_at > now.after(SKEW) {
            return finding.fail(expected, hint);
        }
        if drill.restore_seconds > settings.max_restore.as_secs_f64() {
            let expected = format!("restored within {}", settings.max_restore.render());
            return finding.of(Status::Warn, expected, "restoring takes longer than you said it may");
        }
        finding
    }

    /// The last drill that a backup of this place came through.
    async fn last_proof(&self, target: &Target) -> Result<Option<Proof>, BackupError> {
        let mut last: Option<Proof> = None;
        for id in target.ids().await? {
            let Some(drill) = drill::last(target, id).await?.filter(|drill| drill.ok) else { continue };
            if last.as_ref().is_none_or(|last| last.drill.finished_at < drill.finished_at) {
                let made = read_manifest(target, id).await?.ok().map(|manifest| manifest.created_at);
                last = Some(Proof { drill, made, target: target.name() });
            }
        }
        Ok(last)
    }
}
