//! Which backups stay. The rules never take the newest, the newest that was proven, or one that was
//! pinned; and nothing goes while the newest is no good.

use std::collections::HashSet;

use serde::Serialize;

use super::settings::Retention;
use super::target::{Note, Target};
use super::{BackupError, Backups, Listed, check};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::id::BackupId;

/// A backup, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Which.
    pub id: BackupId,
    /// In which of the two places.
    pub target: &'static str,
    /// When it was made, if that can be read.
    pub created_at: Option<Timestamp>,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reason: String,
}

/// What was, or would be, removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many went, or would.
    pub removed: u64,
    /// Files of uploads that went, or would: no backup needs them any more.
    pub media_files: u64,
    /// Every backup, the newest first.
    pub backups: Vec<Kept>,
}

impl Backups {
    /// Removes backups that no rule keeps; `dry_run` only says which.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if the newest is no good: then nothing goes. [`BackupError::Locked`],
    /// [`BackupError::NotOwner`].
    pub async fn prune(&self, caller: &Caller, dry_run: bool, reason: Option<&str>) -> Result<Pruned, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let turn = self.take_turn().await?;
        let mut pruned = Pruned { dry_run, removed: 0, media_files: 0, backups: Vec::new() };
        let ended = self.prune_all(&mut pruned).await;
        turn.release().await;
        let Pruned { removed, media_files, .. } = pruned;
        // Also when it ended in the middle: what went is gone.
        if let (Some(db), true) = (self.database(), removed + media_files > 0 && !dry_run) {
            let event = Event::new(Action::BackupsPruned)
                .because(reason)
                .detail("backups", removed)
                .detail("media_files", media_files);
            audit::record_now(db, self.clock().now(), caller, event).await?;
        }
        ended.map(|()| pruned)
    }

    async fn prune_all(&self, pruned: &mut Pruned) -> Result<(), BackupError> {
        for target in self.targets() {
            let kept = self.prune_target(target, pruned).await?;
            let gone = kept.iter().filter(|kept| !kept.keep).map(|kept| kept.id).collect();
            self.sweep_media(target, &gone, pruned).await?;
            pruned.backups.extend(kept);
        }
        if !pruned.dry_run {
            self.drop_dead_drills().await;
        }
        Ok(())
    }

    async fn prune_target(&self, target: &Target, pruned: &mut Pruned) -> Result<Vec<Kept>, BackupError> {
        let mut listed = Vec::new();
        for id in target.ids().await?.into_iter().rev() {
            listed.push(self.look_at(target, id).await?);
        }
        let Some(newest) = listed.first() else { return Ok(Vec::new()) };
        let examined: check::Examined = self.examine(target, newest.id, &[]).await?;
        if let Some(problem) = examined.problem().or(self.verdict(target, newest.id).await) {
            return Err(BackupError::Damaged { id: newest.id, problem: format!("{problem}; nothing was removed") });
        }
        let kept = decide(&listed, &self.settings().backup.retention, target.name());
        for gone in kept.iter().filter(|kept| !kept.keep) {
            if !pruned.dry_run {
                // Noted first: one that is gone without a note looks like somebody took it.
                target.put_note(Note::Pruned, gone.id, b"{}\n".to_vec()).await?;
                target.remove(gone.id).await?;
                for note in [Note::Drill, Note::Damaged] {
                    target.remove_note(note, gone.id).await?;
                }
            }
            pruned.removed += 1;
        }
        Ok(kept)
    }
}

/// What becomes of each of these, which come the newest first.
fn decide(listed: &[Listed], rules: &Retention, target: &'static str) -> Vec<Kept> {
    let newest_proven = listed.iter().filter(|backup| backup.proven_at.is_some()).map(|backup| backup.id).max();
    let mut last = 0;
    let (mut days, mut weeks, mut months) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut kept = Vec::new();
    for (n, backup) in listed.iter().enumerate() {
        let (id, created_at) = (backup.id, backup.manifest.as_ref().map(|manifest| manifest.created_at));
        let mut reasons = Vec::new();
        if n == 0 {
            reasons.push("the newest".to_owned());
        }
        if backup.pinned {
            reasons.push("pinned".to_owned());
        }
        if newest_proven == Some(id) {
            reasons.push("the newest that was proven".to_owned());
        }
        match created_at.filter(|_| backup.problem.is_none()) {
            None => reasons.push("damaged: look at it, and remove it by hand".to_owned()),
            Some(at) => {
                let date = at.date();
                let (year, week, _) = date.to_iso_week_date();
                if last < rules.last {
                    last += 1;
                    reasons.push(format!("one of the last {}", rules.last));
                }
                if (days.len() as u64) < u64::from(rules.daily) && days.insert(date) {
                    reasons.push(format!("the last of {date}"));
                }
                if (weeks.len() as u64) < u64::from(rules.weekly) && weeks.insert((year, week)) {
                    reasons.push(format!("the last of week {week} of {year}"));
                }
                let month = (date.year(), u8::from(date.month()));
                if (months.len() as u64) < u64::from(rules.monthly) && months.insert(month) {
                    reasons.push(format!("the last of {}-{:02}", month.0, month.1));
                }
            }
        }
        let keep = !reasons.is_empty();
        let reason = if keep { reasons.join(", ") } else { "no rule keeps it".to_owned() };
        kept.push(Kept { id, target, created_at, keep, reason });
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backup::manifest::tests::manifest_made_at;

    const RULES: Retention = Retention { last: 2, daily: 3, weekly: 2, monthly: 2 };

    fn made(at: Timestamp) -> Listed {
        let manifest = manifest_made_at(at);
        Listed { id: manifest.id, manifest: Some(manifest), problem: None, pinned: false, proven_at: None }
    }

    /// Twice a day for forty days, the newest first; the last at 18:00 on Friday 2026-11-27.
    fn history() -> Vec<Listed> {
        let last = Timestamp::from_micros(1_795_802_400_000_000);
        (0..80).map(|n| made(last.before(Duration::from_secs(n * 12 * 3600)))).collect()
    }

    fn keeping(listed: &[Listed]) -> Vec<usize> {
        let kept = decide(listed, &RULES, "folder");
        kept.iter().enumerate().filter(|(_, kept)| kept.keep).map(|(n, _)| n).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_time() {
        // 0 and 1 are the last two, 0, 2 and 4 the days; Sunday the 22nd at 18:00 the week before, and
        // Saturday the 31st of October at 18:00 the month before.
        assert_eq!(keeping(&history()), [0, 1, 2, 4, 10, 54]);
    }

    #[test]
    fn what_was_pinned_or_proven_last_stays_whatever_the_rules_say() {
        let mut listed = history();
        listed[70].pinned = true;
        for n in [33, 41] {
            listed[n].proven_at = Some(Timestamp::from_micros(0));
        }
        // Ids of a test are made in any order: those of these two as they are in earnest.
        let (older, newer) = (listed[41].id.min(listed[33].id), listed[41].id.max(listed[33].id));
        (listed[41].id, listed[33].id) = (older, newer);
        assert_eq!(keeping(&listed), [0, 1, 2, 4, 10, 33, 54, 70]);
    }

    #[test]
    fn a_damaged_one_is_left_for_a_person_and_counts_for_nothing() {
        let mut listed = history();
        listed[1] =
            Listed { manifest: None, problem: Some("no manifest".to_owned()), ..made(Timestamp::from_micros(0)) };
        assert_eq!(keeping(&listed), [0, 1, 2, 4, 10, 54]);
        assert!(decide(&listed, &RULES, "folder")[1].reason.starts_with("damaged"));
    }
}
