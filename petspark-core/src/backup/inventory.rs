//! The list of uploads in a backup, read a batch at a time: it may be longer than memory.

use std::io::{BufRead as _, BufReader, Lines, Read, Seek as _};

use super::manifest::Manifest;
use super::target::{Target, blocking};
use super::{BackupError, Backups, pipe};
use crate::id::BackupId;
use crate::media::Kept;

const BATCH: usize = 1000;

/// See the [module](self).
pub(super) struct Inventory {
    id: BackupId,
    /// None once it couldn't be read.
    lines: Option<Lines<BufReader<Box<dyn Read + Send>>>>,
}

impl Inventory {
    /// Of a file that is a list.
    pub(super) fn new(id: BackupId, file: std::fs::File) -> Result<Self, BackupError> {
        let text = pipe::unpack(file, false, &[]).map_err(|_| damaged(id, "it is no such list"))?;
        Ok(Self { id, lines: Some(BufReader::new(text).lines()) })
    }

    /// The next of it; none at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Kept>>, BackupError> {
        let id = self.id;
        let mut lines = self.lines.take().ok_or_else(|| damaged(id, "it could not be read"))?;
        let read = blocking(move || {
            let mut batch = Vec::new();
            for line in lines.by_ref().take(BATCH) {
                let line = line.map_err(|error| damaged(id, &error.to_string()))?;
                batch.push(serde_json::from_str(&line).map_err(|error| damaged(id, &error.to_string()))?);
            }
            Ok((lines, batch))
        });
        let (lines, batch) = read.await?;
        self.lines = Some(lines);
        Ok((!batch.is_empty()).then_some(batch))
    }
}

fn damaged(id: BackupId, problem: &str) -> BackupError {
    BackupError::Damaged { id, problem: format!("the list of uploads: {problem}") }
}

impl Backups {
    /// The list of a backup, if it has one.
    pub(super) async fn list_of(&self, target: &Target, manifest: &Manifest) -> Result<Option<Inventory>, BackupError> {
        let Some(file) = manifest.inventory_file() else { return Ok(None) };
        // That it is missing is found, and told, where all files are looked at.
        let opened = target.open(manifest.id, &file.path, &self.settings().backup.work_folder).await?;
        let Some(mut opened) = opened else { return Ok(None) };
        let (id, expected) = (manifest.id, file.sha256.clone());
        // A changed list may read well, and say that what is needed isn't.
        let list = blocking(move || {
            if pipe::measure(&opened).map_err(BackupError::io)?.sha256 != expected {
                return Err(damaged(id, "its SHA-256 differs"));
            }
            opened.rewind().map_err(BackupError::io)?;
            Inventory::new(id, opened)
        });
        list.await.map(Some)
    }

    /// Every so-manieth object of it, and whichever else is wanted.
    pub(super) async fn sample(
        &self,
        target: &Target,
        manifest: &Manifest,
        every: u64,
        is_wanted: impl Fn(&Kept) -> bool,
    ) -> Result<Vec<Kept>, BackupError> {
        let Some(mut list) = self.list_of(target, manifest).await? else { return Ok(Vec::new()) };
        let (mut chosen, mut seen) = (Vec::new(), 0_u64);
        while let Some(batch) = list.next().await? {
            for kept in batch {
                if seen.is_multiple_of(every) || is_wanted(&kept) {
                    chosen.push(kept);
                }
                seen += 1;
            }
        }
        Ok(chosen)
    }
}
