//! Whether what a backup knows of uploads is still in the object store: restored without its photos,
//! a database is worth less.

use std::io::{BufRead as _, BufReader};

use super::{Finding, Status};
use crate::backup::manifest::Manifest;
use crate::backup::target::blocking;
use crate::backup::{BackupError, Backups, pipe};
use crate::error::{Fault, chain};
use crate::media::Kept;
use crate::media::objects::{ObjectError, ObjectStore};
use crate::text::hex;

/// At least so many objects are read; of many, one in a hundred.
const SAMPLE: u64 = 100;
/// Longer inventories aren't held in memory to look for what isn't in them.
const MAX_NAMES: u64 = 200_000;
const LISTED: usize = 10_000;

impl Backups {
    pub(super) async fn has_media(&self, manifest: &Manifest) -> Finding {
        let finding = |observed: String| Finding::pass("backup.media", observed).about(manifest.id, "folder");
        if manifest.inventory_file().is_none() {
            return finding("it has no list of uploads".to_owned()).of(Status::Skip, "feature_off", "");
        }
        match self.compare(manifest).await {
            Ok((sampled, problems)) if problems.is_empty() => {
                let observed = format!("{sampled} of {} objects are as they were", manifest.media.objects);
                match self.orphans(manifest).await {
                    Ok(orphans) if orphans * 100 > manifest.media.objects => {
                        finding(format!("{observed}; {orphans} older ones belong to nothing")).of(
                            Status::Warn,
                            "few objects that belong to nothing",
                            "see what `media gc --dry-run` says",
                        )
                    }
                    Ok(_) => finding(observed),
                    Err(error) => finding(chain(&error)).of(Status::Error, "an object store that answers", ""),
                }
            }
            Ok((_, problems)) => finding(problems.join("; ")).fail(
                "every object that the backup knows",
                "restore objects from a copy of the media folder or bucket; see `media verify`",
            ),
            Err(error) => finding(chain(&error)).of(Status::Error, "an object store that answers", "see media.store"),
        }
    }

    /// Reads some objects, spread over all; says how many, and what is wrong with which.
    async fn compare(&self, manifest: &Manifest) -> Result<(u64, Vec<String>), BackupError> {
        let store = ObjectStore::open(&self.settings().objects).map_err(BackupError::Settings)?;
        let objects = manifest.media.objects;
        let every = (objects / SAMPLE.max(objects / 100)).max(1);
        let sample: Vec<_> = self.inventory(manifest, every).await?;
        let mut problems = Vec::new();
        for kept in &sample {
            let key = kept.key.parse().map_err(Fault::internal)?;
            let problem = match store.head(&key).await {
                Err(ObjectError::NotFound) => Some("is missing"),
                Err(error) => return Err(error.into()),
                Ok(info) if info.size != kept.size => Some("has another length"),
                Ok(_) if !hex(&store.digest(&key).await?).starts_with(&kept.sha256) => Some("was changed"),
                Ok(_) => None,
            };
            problems.extend(problem.map(|problem| format!("{} {problem}", kept.key)));
        }
        Ok((sample.len() as u64, problems))
    }

    /// Every so-manieth line of the list of uploads.
    pub(in crate::backup) async fn inventory(&self, manifest: &Manifest, every: u64) -> Result<Vec<Kept>, BackupError> {
        let Some(file) = manifest.inventory_file() else { return Ok(Vec::new()) };
        let work = &self.settings().backup.work_folder;
        let Some(file) = self.folder().open(manifest.id, &file.path, work).await? else { return Ok(Vec::new()) };
        let id = manifest.id;
        blocking(move || {
            let damaged = |problem: String| BackupError::Damaged { id, problem };
            let text =
                pipe::unpack(file, false, &[]).map_err(|_| damaged("the list of uploads is damaged".to_owned()))?;
            let mut chosen = Vec::new();
            for (n, line) in BufReader::new(text).lines().enumerate() {
                let line = line.map_err(|error| damaged(format!("the list of uploads: {error}")))?;
                if (n as u64).is_multiple_of(every) {
                    let kept: Kept = serde_json::from_str(&line)
                        .map_err(|error| damaged(format!("the list of uploads: {error}")))?;
                    chosen.push(kept);
                }
            }
            Ok(chosen)
        })
        .await
    }

    /// Objects that were there when the backup was made, and that it doesn't know.
    async fn orphans(&self, manifest: &Manifest) -> Result<u64, BackupError> {
        if manifest.media.objects > MAX_NAMES {
            return Ok(0);
        }
        let store = ObjectStore::open(&self.settings().objects).map_err(BackupError::Settings)?;
        let known = self.inventory(manifest, 1).await?;
        let known: std::collections::HashSet<&str> = known.iter().map(|kept| &*kept.key).collect();
        let (mut orphans, mut last) = (0, None);
        loop {
            let page = store.list("", last.as_ref(), LISTED).await?;
            let Some(next) = page.last() else { return Ok(orphans) };
            last = Some(next.key.clone());
            let is_orphan = |object: &&crate::media::objects::ObjectInfo| {
                object.modified_at < manifest.created_at && !known.contains(object.key.as_str())
            };
            orphans += page.iter().filter(is_orphan).count() as u64;
        }
    }
}
