//! What the notes of drills say: which backup was proven, and which was found to be no good.

use super::Drill;
use crate::backup::target::{Note, Target};
use crate::backup::{BackupError, Backups};
use crate::id::BackupId;

/// What a drill may find that is about one copy of a backup: another may well be good.
const OF_A_COPY: [&str; 2] = ["files", "media"];

impl Drill {
    /// What it found wrong with the backup, if anything.
    pub(in crate::backup) fn verdict(&self) -> Option<String> {
        let (phase, problem) =
            (self.phase.as_deref().unwrap_or("drill"), self.problem.as_deref().unwrap_or("it failed"));
        (!self.ok).then(|| format!("the drill of {} found it no good ({phase}): {problem}", self.finished_at))
    }

    /// It is about what is in the backup, and so about every copy of it.
    fn is_of_every_copy(&self) -> bool {
        self.phase.as_deref().is_none_or(|phase| !OF_A_COPY.contains(&phase))
    }
}

impl Backups {
    /// What the last drill found wrong with a backup, if anything; in another place too, if it isn't about the copy
    /// there.
    pub(in crate::backup) async fn verdict(&self, target: &Target, id: BackupId) -> Option<String> {
        let mut latest: Option<Drill> = None;
        for place in self.targets() {
            // What can't be asked says nothing.
            let Ok(Some(drill)) = last(place, id).await else { continue };
            if (place.name() == target.name() || drill.is_of_every_copy())
                && latest.as_ref().is_none_or(|latest| latest.finished_at < drill.finished_at)
            {
                latest = Some(drill);
            }
        }
        latest?.verdict()
    }
}

/// The last drill with a backup.
pub(in crate::backup) async fn last(target: &Target, id: BackupId) -> Result<Option<Drill>, BackupError> {
    // One that can't be read proves nothing.
    Ok(target.note(Note::Drill, id).await?.and_then(|text| serde_json::from_slice(&text).ok()))
}
