//! Which files of uploads were found damaged. Whoever reads them, a check or a drill, notes it beside the
//! backups, and the next full backup writes those files anew. It doesn't read what is there itself: where
//! the private key is elsewhere, as it should be, it couldn't tell.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::backup::owner::require_owner;
use crate::backup::target::{Note, Target};
use crate::backup::{BackupError, Backups};
use crate::error::{Fault, chain};
use crate::id::BackupId;

/// A file that isn't what was written.
pub(in crate::backup) struct Damaged {
    /// Below the backups' folder.
    pub(in crate::backup) path: String,
    /// For a person: which object it is of, and what is wrong.
    pub(in crate::backup) problem: String,
}

/// More than so many of one backup aren't noted: it is done again when those are mended.
pub(super) const MOST: usize = 5_000;
/// What a person is told of in one go.
const TOLD: usize = 5;

#[derive(Default, Serialize, Deserialize)]
struct Noted {
    files: BTreeSet<String>,
}

/// What is wrong, for a person.
pub(in crate::backup) fn told(damaged: &[Damaged]) -> String {
    let problems: Vec<_> = damaged.iter().take(TOLD).map(|file| &*file.problem).collect();
    match damaged.len().saturating_sub(TOLD) {
        0 => problems.join("; "),
        more => format!("{}; and {more} more", problems.join("; ")),
    }
}

/// What came of reading files.
#[derive(Default)]
pub(in crate::backup) struct Looked {
    /// How many are what was written, as far as could be told.
    pub(in crate::backup) good: u64,
    /// What is no good.
    pub(in crate::backup) damaged: Vec<Damaged>,
    /// Noted as damaged, and good again: somebody had a copy.
    pub(super) mended: HashSet<String>,
}

impl Backups {
    /// Notes what was found of a backup's files. Nothing depends on its being noted but that it is mended, so that
    /// failing is only told.
    pub(in crate::backup) async fn note_looked(&self, target: &Target, id: BackupId, looked: &Looked) {
        if looked.damaged.is_empty() && looked.mended.is_empty() {
            return;
        }
        let written = async {
            if matches!(target, Target::Folder(_)) {
                require_owner(&self.settings().backup.folder)?;
            }
            let before = noted(target, id).await?;
            let found = looked.damaged.iter().map(|file| &file.path);
            let files: BTreeSet<_> = before.files.iter().chain(found).take(MOST).cloned().collect();
            if files != before.files {
                put(target, id, Noted { files }).await?;
            }
            self.forget_damaged(target, &looked.mended).await
        };
        if let Err(error) = written.await {
            tracing::warn!(backup = %id, reason = chain(&error), "which files are damaged could not be noted");
        }
    }

    /// Every file that was found damaged, of whichever backup, also of one that is gone: others may need it too.
    pub(super) async fn damaged_files(&self, target: &Target) -> Result<HashSet<String>, BackupError> {
        let mut files = HashSet::new();
        for id in target.noted(Note::Damaged).await? {
            files.extend(noted(target, id).await?.files);
        }
        Ok(files)
    }

    /// Forgets of files that they were damaged: they were written anew.
    pub(super) async fn forget_damaged(&self, target: &Target, mended: &HashSet<String>) -> Result<(), BackupError> {
        if mended.is_empty() {
            return Ok(());
        }
        for id in target.noted(Note::Damaged).await? {
            let mut noted = noted(target, id).await?;
            let before = noted.files.len();
            noted.files.retain(|file| !mended.contains(file));
            if noted.files.len() < before {
                put(target, id, noted).await?;
            }
        }
        Ok(())
    }

    /// Forgets what nobody needs any more, unless it is still there: it might be needed again.
    pub(super) async fn forget_gone(
        &self,
        target: &Target,
        is_needed: impl Fn(&str) -> bool,
    ) -> Result<(), BackupError> {
        let mut gone = HashSet::new();
        for file in self.damaged_files(target).await? {
            if !is_needed(&file) && !target.has(&file).await? {
                gone.insert(file);
            }
        }
        self.forget_damaged(target, &gone).await
    }
}

async fn noted(target: &Target, id: BackupId) -> Result<Noted, BackupError> {
    // One that can't be read says nothing; the next look notes it again.
    Ok(target.note(Note::Damaged, id).await?.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
}

async fn put(target: &Target, id: BackupId, noted: Noted) -> Result<(), BackupError> {
    if noted.files.is_empty() {
        return target.remove_note(Note::Damaged, id).await;
    }
    target.put_note(Note::Damaged, id, serde_json::to_vec_pretty(&noted).map_err(Fault::internal)?).await
}
