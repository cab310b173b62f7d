//! Whether what a backup knows of uploads is still in the object store: restored without its photos,
//! a database is worth less.

use super::{Finding, Status};
use crate::backup::manifest::Manifest;
use crate::backup::media::told;
use crate::backup::target::Target;
use crate::backup::{BackupError, Backups, IdentityKey, restore};
use crate::config::Value as _;
use crate::error::{Fault, chain};
use crate::media::objects::ObjectError;
use crate::text::hex;

/// At least so many objects are read; of many, one in a hundred.
const SAMPLE: u64 = 100;
/// Longer inventories aren't held in memory to look for what isn't in them.
const MAX_NAMES: u64 = 200_000;
const LISTED: usize = 10_000;

impl Backups {
    pub(super) async fn has_media(&self, target: &Target, manifest: &Manifest, keys: &[IdentityKey]) -> Finding {
        let finding = |observed: String| Finding::pass("backup.media", observed).about(manifest.id, target.name());
        if manifest.inventory_file().is_none() {
            return finding("it has no list of uploads".to_owned()).of(Status::Skip, "feature_off", "");
        }
        if manifest.media.has_files() {
            return match self.compare_own(target, manifest, keys).await {
                Ok((observed, None)) if manifest.media.lacking.is_empty() => finding(observed),
                Ok((observed, None)) => {
                    let lacking = manifest.media.lacking.len();
                    finding(format!("{observed}; {lacking} were not there when it was made")).of(
                        Status::Warn,
                        "every object that the database knew",
                        "find out what became of them: `media verify`",
                    )
                }
                Ok((_, Some(problem))) => finding(problem).fail(
                    "the file of every object beside the backups",
                    "make another full backup while the uploads are still there: it writes these files anew",
                ),
                Err(error) => finding(chain(&error)).of(Status::Error, "a list of uploads that can be read", ""),
            };
        }
        match self.compare(target, manifest).await {
            Ok((sampled, problems)) if problems.is_empty() => {
                let observed = format!("{sampled} of {} objects are as they were", manifest.media.objects);
                match self.orphans(target, manifest).await {
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

    /// Whether the files of uploads are backed up, where they are to be, and lately: of the sound backups, which come
    /// the oldest first. Newer ones of the database alone don't stand for them.
    pub(super) fn is_full(&self, target: &Target, sound: &[Manifest]) -> Option<Finding> {
        const ID: &str = "backup.media.full";
        if let Some((manifest, problem)) = self.without_files(sound.iter().rev()) {
            let finding = Finding::pass(ID, format!("it has a list of uploads only: {problem}"))
                .fail("the files of uploads, as was asked for", "see whether their store answers, and make another");
            return Some(finding.about(manifest.id, target.name()));
        }
        if !self.wants_files() {
            let newest = sound.last().filter(|manifest| manifest.media.has_files())?;
            return Some(Finding::pass(ID, "it has the files of uploads").about(newest.id, target.name()));
        }
        let max_age = self.settings().backup.max_age;
        let (expected, hint) = (
            format!("one with the files of uploads within {}", max_age.render()),
            "make one: `backup create --media full`; backups of the database alone don't have them",
        );
        let Some(newest) = sound.iter().rev().find(|manifest| manifest.media.has_files()) else {
            let finding = Finding::pass(ID, "no good backup has the files of uploads").fail(expected, hint);
            return Some(Finding { target: target.name(), ..finding });
        };
        let at = newest.finished_at;
        let finding = Finding::pass(ID, format!("that of {at} has the files of uploads"));
        let is_old = self.clock().now().since(at) > max_age;
        Some(if is_old { finding.fail(expected, hint) } else { finding }.about(newest.id, target.name()))
    }

    /// Reads some of the backup's own files, spread over all; what is to be told, and what is wrong.
    async fn compare_own(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<(String, Option<String>), BackupError> {
        let objects = manifest.media.objects;
        // By keys that open none of them, all would look damaged.
        let keys = if restore::require_key(manifest, keys).is_ok() { keys } else { &[] };
        let (read, looked) = self.read_some_media(target, manifest, every(objects), keys).await?;
        let how = if manifest.encryption.is_some() && keys.is_empty() { "there" } else { "as they were" };
        let problem = (!looked.damaged.is_empty()).then(|| told(&looked.damaged));
        Ok((format!("{read} of {objects} files of objects are {how}"), problem))
    }

    /// Reads some objects, spread over all; says how many, and what is wrong with which.
    async fn compare(&self, target: &Target, manifest: &Manifest) -> Result<(u64, Vec<String>), BackupError> {
        let store = self.store()?;
        let objects = manifest.media.objects;
        let sample = self.sample(target, manifest, every(objects), |_| false).await?;
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

    /// Objects that were there when the backup was made, and that it doesn't know.
    async fn orphans(&self, target: &Target, manifest: &Manifest) -> Result<u64, BackupError> {
        if manifest.media.objects > MAX_NAMES {
            return Ok(0);
        }
        let store = self.store()?;
        let known = self.sample(target, manifest, 1, |_| false).await?;
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

/// Every how-manieth object is read.
fn every(objects: u64) -> u64 {
    (objects / SAMPLE.max(objects / 100)).max(1)
}
