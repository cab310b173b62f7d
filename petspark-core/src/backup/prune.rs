//! Removing backups, and the files of uploads that nobody needs any more. Which stay is decided in [`places`]; and
//! nothing goes while the newest is no good, or lacks files of uploads that older ones may have the only copies of.

mod places;

use serde::Serialize;

use super::progress::Part;
use super::target::{Note, Target};
use super::{BackupError, Backups, Listed};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::database::Turn;
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
    /// [`BackupError::Damaged`] if the newest is no good, [`BackupError::WithoutFiles`] if it lacks the files of uploads
    /// that it was to have: then nothing goes. [`BackupError::Locked`], [`BackupError::NotOwner`].
    pub async fn prune(&self, caller: &Caller, dry_run: bool, reason: Option<&str>) -> Result<Pruned, BackupError> {
        caller.require(Permission::ManageStaff)?;
        let mut turn = self.take_turn().await?;
        let mut pruned = Pruned { dry_run, removed: 0, media_files: 0, backups: Vec::new() };
        let ended = self.prune_all(&mut pruned, &mut turn).await;
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

    async fn prune_all(&self, pruned: &mut Pruned, turn: &mut Turn) -> Result<(), BackupError> {
        // All of that before anything goes: whoever is told that nothing was removed shall not lack something
        // elsewhere. And reading, which may take long, before deciding: what is pinned or proven meanwhile counts.
        for target in self.targets() {
            self.require_good_newest(target).await?;
        }
        let mut plans = Vec::new();
        for target in self.targets() {
            plans.push((target, self.plan(target).await?));
        }
        // Reading may have taken longer than the server kept us connected.
        turn.require_held().await?;
        for (target, mut kept) in plans {
            self.remove(target, &mut kept, pruned).await?;
            let gone = kept.iter().filter(|kept| !kept.keep).map(|kept| kept.id).collect();
            self.sweep_media(target, &gone, pruned).await?;
            pruned.backups.extend(kept);
        }
        if !pruned.dry_run {
            for target in self.targets() {
                target.remove_leftovers(self.clock().now().before(DAY)).await?;
            }
            self.clear_leftovers()?;
            self.drop_dead_drills().await;
        }
        Ok(())
    }

    async fn require_good_newest(&self, target: &Target) -> Result<(), BackupError> {
        let Some(id) = target.ids().await?.pop() else { return Ok(()) };
        match self.examine(target, id, &[]).await?.problem().or(self.verdict(target, id).await) {
            None => Ok(()),
            Some(problem) => Err(BackupError::Damaged { id, problem: format!("{problem}; nothing was removed") }),
        }
    }

    /// What becomes of each backup.
    async fn plan(&self, target: &Target) -> Result<Vec<Kept>, BackupError> {
        let listed = self.look_at_all(target).await?;
        match self.without_files(listed.iter().filter_map(Listed::sound)) {
            None => Ok(places::decide(&listed, &self.settings().backup.retention, self.wants_files(), target.name())),
            Some((manifest, problem)) => {
                Err(BackupError::WithoutFiles { id: manifest.id, problem: problem.to_owned() })
            }
        }
    }

    async fn remove(&self, target: &Target, kept: &mut [Kept], pruned: &mut Pruned) -> Result<(), BackupError> {
        let part = self.watcher().part("removing, in backups", kept.iter().filter(|kept| !kept.keep).count() as u64);
        for gone in kept.iter_mut().filter(|kept| !kept.keep) {
            if pruned.dry_run || self.remove_unpinned(target, gone, &part).await? {
                pruned.removed += 1;
            }
        }
        Ok(())
    }

    /// Removes one, unless it was pinned since it was decided that it goes; says whether it is gone.
    async fn remove_unpinned(&self, target: &Target, gone: &mut Kept, part: &Part) -> Result<bool, BackupError> {
        let _held = self.hold_pins().await?;
        if target.note(Note::Pin, gone.id).await?.is_some() {
            (gone.keep, gone.reason) = (true, "pinned".to_owned());
            return Ok(false);
        }
        // Noted first: one that is gone without a note looks like somebody took it.
        target.put_note(Note::Pruned, gone.id, b"{}\n".to_vec()).await?;
        target.remove(gone.id).await?;
        target.remove_note(Note::Drill, gone.id).await?;
        part.add(1);
        Ok(true)
    }
}
